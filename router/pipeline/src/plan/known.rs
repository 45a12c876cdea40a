//! What is known of one model beyond its configuration, kept over reloads: how many tokens its answers
//! take, how long they take, and where it stands in its life.
//!
//! It is asked where the router chooses and where money is at stake, never on the way of a plain request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use atp_core::{Forecast, MicroUsd, Price, Qos, Status, Usage};
use atp_routing::estimate::{Accuracy, Ask, Estimator};
use atp_routing::quantile::Quantiles;

use crate::sync::{Mutex, lock};

/// No status but the configured one.
const AS_CONFIGURED: u8 = u8::MAX;

/// What is known of one model.
pub(crate) struct Known {
    learnt: Mutex<Learnt>,
    /// A place in [`Status::ALL`], where the configured status is overruled.
    status: AtomicU8,
}

struct Learnt {
    estimator: Estimator,
    /// From when a model was asked to the end of its answer, turns that had to be waited for included: what a
    /// caller's latency is compared with. Answers of the last few minutes count.
    answers: Quantiles,
}

impl Known {
    /// Nothing is.
    pub(crate) fn new(now: Instant) -> Arc<Self> {
        let learnt = Learnt { estimator: Estimator::default(), answers: Quantiles::new(now) };
        Arc::new(Self { learnt: Mutex::new(learnt), status: AtomicU8::new(AS_CONFIGURED) })
    }

    /// What a request is expected to use and cost.
    pub(crate) fn forecast(&self, ask: &Ask, price: Option<Price>, qos: Qos) -> Forecast {
        lock(&self.learnt).estimator.forecast(ask, price, qos)
    }

    /// The output tokens that an answer has at least.
    pub(crate) fn least(&self, ask: &Ask, qos: Qos) -> u64 {
        lock(&self.learnt).estimator.least(ask, qos)
    }

    /// The forecast, and the time that 95 of 100 answers do not exceed, where enough have been seen.
    pub(crate) fn picture(&self, ask: &Ask, price: Option<Price>, qos: Qos, now: Instant) -> (Forecast, Option<u64>) {
        let learnt = lock(&self.learnt);
        let forecast = learnt.estimator.forecast(ask, price, qos);
        let p95 = learnt.answers.tail(now, 0.95);
        (forecast, p95.map(|p95| u64::try_from(p95.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Learns from what a request used that came to its own end.
    pub(crate) fn used(&self, ask: &Ask, predicted: &Forecast, usage: &Usage, cost: Option<MicroUsd>, unix_ms: u64) {
        lock(&self.learnt).estimator.learn(ask, predicted, usage, cost, unix_ms);
    }

    /// What has been learnt of tokens and cost.
    pub(crate) fn estimator(&self) -> Estimator {
        lock(&self.learnt).estimator.clone()
    }

    /// Goes on with what was learnt before.
    pub(crate) fn restore(&self, estimator: Estimator) {
        lock(&self.learnt).estimator = estimator;
    }

    /// Learns how long an answer took.
    pub(crate) fn took(&self, latency: Duration, now: Instant) {
        lock(&self.learnt).answers.add(now, latency);
    }

    /// How far its forecasts were off of late.
    pub(crate) fn accuracy(&self) -> Accuracy {
        lock(&self.learnt).estimator.accuracy()
    }

    /// Half, and 95 of 100, of the answers of the last minutes took no longer; `None` without any.
    pub(crate) fn latencies(&self) -> Option<(Duration, Duration)> {
        let learnt = lock(&self.learnt);
        learnt.answers.quantile(0.5).zip(learnt.answers.quantile(0.95))
    }

    /// Where it stands in its life, where that is not as configured.
    pub(crate) fn status(&self) -> Option<Status> {
        Status::ALL.get(usize::from(self.status.load(Ordering::Relaxed))).copied()
    }

    /// Overrules the configured status, or lets it hold again.
    pub(crate) fn set_status(&self, status: Option<Status>) {
        let place = status.and_then(|status| Status::ALL.iter().position(|each| *each == status));
        let word = place.and_then(|place| u8::try_from(place).ok()).unwrap_or(AS_CONFIGURED);
        self.status.store(word, Ordering::Relaxed);
    }
}
