//! Step 2: request rate per key, then exchanges in flight. The cheapest refusals come first.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Caller, Error, ErrorKind, Retry, Side};
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};

use crate::clock::LimiterClock;
use crate::live::Live;
use crate::permit::{Permit, Permits};
use crate::snapshot::{KeyLimit, RateLimit};

type Limiter = RateLimiter<NotKeyed, InMemoryState, LimiterClock>;

/// What a caller is told to wait when the gateway is full: places come back as answers end, which
/// nobody can foretell; a second is long enough not to make matters worse.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// One key's limit and how much of it is used.
pub(crate) struct KeyState {
    limit: KeyLimit,
    limiter: Option<Arc<Limiter>>,
}

impl KeyState {
    /// Makes the states of `limits`, taking over from `before` those that are unchanged.
    pub(crate) fn resolve(limits: &[KeyLimit], before: &[Self]) -> Box<[Self]> {
        limits.iter().map(|limit| Self::one(limit, before)).collect()
    }

    fn one(limit: &KeyLimit, before: &[Self]) -> Self {
        let kept = before.iter().find(|state| state.limit == *limit).and_then(|state| state.limiter.clone());
        let fresh = || limit.rate.map(|rate| Arc::new(Limiter::direct_with_clock(quota(rate), LimiterClock)));
        Self { limit: limit.clone(), limiter: kept.or_else(fresh) }
    }
}

fn quota(rate: RateLimit) -> Quota {
    Quota::per_second(rate.per_second).allow_burst(rate.burst)
}

/// Admits an exchange, or says why not.
pub(crate) fn admit(live: &Live, caller: &Caller, permits: &Arc<Permits>) -> Result<Permit, Error> {
    if let Some(state) = state_of(live, caller)
        && let Some(limiter) = &state.limiter
        && let Err(refusal) = limiter.check()
    {
        return Err(rate_limited(state, &refusal));
    }
    Permits::try_take(permits, live.max_concurrent).ok_or_else(|| full(live.max_concurrent))
}

/// The caller's state. A reload between authentication and here may have moved the keys, so the
/// name decides and the index is only where to look first.
fn state_of<'a>(live: &'a Live, caller: &Caller) -> Option<&'a KeyState> {
    let named = |state: &&KeyState| state.limit.key == caller.key;
    live.keys.get(caller.index).filter(named).or_else(|| live.keys.iter().find(named))
}

fn rate_limited(state: &KeyState, refusal: &NotUntil<std::time::Instant>) -> Error {
    let wait = refusal.wait_time_from(crate::clock::now());
    let text = match state.limit.rate {
        Some(rate) => format!(
            "the key `{}` may make {} requests a second and {} at once; try again in {} ms",
            state.limit.key,
            rate.per_second,
            rate.burst,
            wait.as_micros().div_ceil(1_000)
        ),
        None => String::from("the key's request rate is used up"),
    };
    Error::new(ErrorKind::RateLimited, Side::Caller, text).with_retry(Retry::After(wait))
}

fn full(limit: usize) -> Error {
    let text = format!("the router answers {limit} requests already, which is its limit; try again in a second");
    Error::router(ErrorKind::Backpressure, text).with_retry(Retry::After(FULL_PAUSE))
}
