//! Step 6: one provider-model pair.
//!
//! The innermost step, so that every *try* is seen here: what it asked, how it ended, and what the
//! last one told about the provider's health.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atp_core::port::{BoxFuture, Provider, Try};
use atp_core::{Answer, Continuity, Error, ErrorKind, Exchange, Payload, Price, RateFacts, Side, Timeouts, Usage};

use atp_routing::control::Verdict;
use http::StatusCode;

use crate::metrics::{LaneMetrics, PipelineMetrics};
use crate::snapshot::{PriceByName, Target};

/// One provider-model pair of a route.
pub(crate) struct Lane {
    pub(crate) provider: Arc<dyn Provider>,
    /// The provider's name for the model; may hold a `*` under a pattern.
    model: Arc<str>,
    timeouts: Timeouts,
    /// Whether it goes on with an answer whose beginning it is given.
    pub(crate) prefill: bool,
    price: Option<Price>,
    price_by_name: Option<PriceByName>,
    pub(crate) metrics: LaneMetrics,
    failing: AtomicBool,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TryOutcome {
    /// The provider did its work, also where that was to refuse the caller's request.
    Served,
    /// The provider has no room.
    Overloaded,
    /// The provider failed, was silent, or was not reached.
    Failed,
    /// The caller left, or had less patience than the configured timers, so the try tells nothing.
    Cancelled,
}

impl TryOutcome {
    /// Every outcome, in the order of [`LaneMetrics::outcomes`].
    pub(crate) const ALL: [Self; 4] = [Self::Served, Self::Overloaded, Self::Failed, Self::Cancelled];

    /// The metric label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// What an error tells about the provider.
    fn of(error: &Error) -> Self {
        match (error.kind(), error.side()) {
            (ErrorKind::ProviderOverloaded, _) => Self::Overloaded,
            (ErrorKind::Cancelled | ErrorKind::Preempted, _) => Self::Cancelled,
            (_, Side::Caller) => Self::Served,
            (_, Side::Router | Side::Provider) => Self::Failed,
        }
    }
}

/// What a try that failed with `error` tells the lane's window and breaker. Blame is exact: what the caller
/// or the router did wrong tells nothing.
///
/// Nor does any refusal of the 4xx kind but the two that are about the lane, 401 and 429: which model, region,
/// content or credit a request needs is the caller's choice, and one caller must not eject a lane for all. Such
/// a try still fails over.
pub(crate) fn verdict(outcome: TryOutcome, error: &Error) -> Verdict {
    let status = error.provider_reply().map(|reply| reply.status);
    match (outcome, error.kind(), error.side()) {
        (TryOutcome::Overloaded, ..) => Verdict::Overloaded { pause: error.retry_after() },
        (TryOutcome::Cancelled | TryOutcome::Served, ..) | (_, _, Side::Caller | Side::Router) => Verdict::Cancelled,
        (_, ErrorKind::ProviderAuth, _) if status.is_none_or(|status| status == StatusCode::UNAUTHORIZED) => {
            Verdict::BadKey
        }
        (_, ErrorKind::ProviderRejected | ErrorKind::ProviderAuth, _) => Verdict::Cancelled,
        _ if status.is_some_and(|status| status.is_client_error()) => Verdict::Cancelled,
        (_, ErrorKind::TimeoutFirstByte | ErrorKind::TimeoutIdle | ErrorKind::TimeoutTotal, _) => Verdict::TimedOut,
        (TryOutcome::Failed, ..) => Verdict::Failed,
    }
}

/// What the provider told about its limits when it refused.
pub(crate) fn limits(error: &Error) -> RateFacts {
    error.provider_reply().map(|reply| reply.limits).unwrap_or_default()
}

impl Lane {
    /// The lane of `target` under the configured name `route`.
    pub(crate) fn new(route: &str, target: &Target, price: Option<Price>, metrics: &PipelineMetrics) -> Self {
        Self {
            provider: Arc::clone(&target.provider),
            model: Arc::clone(&target.model),
            timeouts: target.timeouts,
            prefill: target.prefill,
            price: target.price.or(price),
            price_by_name: target.price_by_name.clone(),
            metrics: metrics.lane(target.provider.name(), route),
            failing: AtomicBool::new(false),
        }
    }

    /// The same lane, of which nothing is known yet.
    pub(crate) fn anew(&self) -> Self {
        Self {
            provider: Arc::clone(&self.provider),
            model: Arc::clone(&self.model),
            timeouts: self.timeouts,
            prefill: self.prefill,
            price: self.price,
            price_by_name: self.price_by_name.clone(),
            metrics: self.metrics.clone(),
            failing: AtomicBool::new(false),
        }
    }

    /// What `model`, by the provider's name for it, costs here.
    pub(crate) fn price_of(&self, model: &str) -> Option<Price> {
        self.price.or_else(|| self.price_by_name.as_ref().and_then(|look_up| look_up(model)))
    }

    /// The provider's name for the model `asked` for, of which `star` is what the pattern matched.
    pub(crate) fn model_for(&self, asked: &str, star: Option<&Range<usize>>) -> Arc<str> {
        match star.and_then(|star| asked.get(star.clone())) {
            Some(star) if self.model.contains('*') => self.model.replacen('*', star, 1).into(),
            _ => Arc::clone(&self.model),
        }
    }

    /// One try: sends `payload`, for at most `ceiling` output tokens, with every timer lowered to what is
    /// `left` of the exchange.
    pub(crate) fn ask<'a>(
        &'a self,
        exchange: &'a Exchange,
        model: &'a str,
        payload: Payload,
        continuity: Continuity<'a>,
        ceiling: Option<u64>,
        left: Duration,
    ) -> BoxFuture<'a, Result<Answer, Error>> {
        self.provider.call(Try { exchange, model, payload, continuity, ceiling, timeouts: self.timeouts.capped(left) })
    }

    /// How a try ended that failed with `error`, when its caller's patience was `patience`.
    ///
    /// A timer that the caller has made shorter than the configured one tells about the caller.
    pub(crate) fn outcome_of(&self, error: &Error, patience: Option<Duration>) -> TryOutcome {
        let timer = match error.kind() {
            ErrorKind::TimeoutConnect => self.timeouts.connect,
            ErrorKind::TimeoutFirstByte => self.timeouts.first_byte,
            ErrorKind::TimeoutIdle => self.timeouts.idle,
            ErrorKind::TimeoutTotal => self.timeouts.total,
            _ => return TryOutcome::of(error),
        };
        let shortened = patience.is_some_and(|patience| patience < timer);
        if shortened { TryOutcome::Cancelled } else { TryOutcome::of(error) }
    }

    /// Counts what a try has cost that is no part of an answer.
    pub(crate) fn spent(&self, usage: &Usage, model: &str) {
        self.metrics.count_usage(usage);
        if let Some(price) = self.price_of(model) {
            self.metrics.count_cost(price.cost(usage));
        }
    }

    /// Whether the last try that told anything failed. A try of such a lane is paid for from the
    /// retry budget; see [`crate::attempt`].
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// The provider has begun an answer with content: it works, however the rest goes.
    pub(crate) fn answered(&self) {
        self.set_failing(false);
    }

    /// Every try ends here, once.
    pub(crate) fn ended(&self, outcome: TryOutcome) {
        self.metrics.count(outcome);
        match outcome {
            TryOutcome::Served => self.set_failing(false),
            TryOutcome::Overloaded | TryOutcome::Failed => self.set_failing(true),
            TryOutcome::Cancelled => {}
        }
    }

    /// Written only when it changes, so that a healthy lane's cache line stays shared by all cores.
    fn set_failing(&self, failing: bool) {
        if self.failing.load(Ordering::Relaxed) != failing {
            self.failing.store(failing, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use atp_core::error::ProviderReply;
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn told(kind: ErrorKind, side: Side, status: u16) -> Verdict {
        let (status, headers) = (StatusCode::from_u16(status).unwrap(), HeaderMap::new());
        let reply = ProviderReply { status, headers, body: Bytes::new(), limits: RateFacts::default() };
        let error = Error::new(kind, side, "refused").with_provider_reply(reply);
        verdict(TryOutcome::of(&error), &error)
    }

    #[test]
    fn one_callers_request_ejects_no_lane() {
        use ErrorKind::{ProviderAuth, ProviderFailed, ProviderRejected};
        for (kind, status) in [
            (ProviderAuth, 402),
            (ProviderAuth, 403),
            (ProviderRejected, 400),
            (ProviderRejected, 404),
            (ProviderFailed, 408),
            (ProviderFailed, 409),
            (ProviderFailed, 425),
        ] {
            assert_eq!(told(kind, Side::Provider, status), Verdict::Cancelled, "{status}");
        }
        assert_eq!(told(ProviderRejected, Side::Caller, 400), Verdict::Cancelled);
    }

    #[test]
    fn what_is_about_the_lane_is_told() {
        assert_eq!(told(ErrorKind::ProviderAuth, Side::Provider, 401), Verdict::BadKey);
        assert_eq!(told(ErrorKind::ProviderFailed, Side::Provider, 500), Verdict::Failed);
        assert_eq!(told(ErrorKind::ProviderGarbled, Side::Provider, 302), Verdict::Failed);
        assert_eq!(told(ErrorKind::ProviderOverloaded, Side::Provider, 429), Verdict::Overloaded { pause: None });
        let silent = Error::provider(ErrorKind::TimeoutFirstByte, "silent");
        assert_eq!(verdict(TryOutcome::Failed, &silent), Verdict::TimedOut);
    }
}
