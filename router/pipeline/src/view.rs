//! The state of sharing as plain values: for operators, live views and tests.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Grade, MicroUsd, Price, Qos, Status, Weight};
use atp_routing::estimate::Accuracy;
use atp_routing::experiment::Standing;
use serde::Serialize;

/// Everything at one moment. Counters are read one by one, so that sums may be off by requests that
/// are just on their way.
#[derive(Debug, Clone, Default)]
pub struct FlowView {
    /// One per model, in configured order, then one per raw provider that was asked, then one per name that was
    /// asked for behind a pattern.
    pub pools: Vec<PoolView>,
    /// Every provider-model pair that a pool has, once.
    pub lanes: Vec<LaneView>,
    /// Every tenant and class that has asked for a model, per model.
    pub tenants: Vec<TenantView>,
    /// How even the weighted shares were that tenants with waiting requests got: 1 is perfectly even,
    /// 1/n that one of n got all (R. Jain, "A quantitative measure of fairness", 1984). It counts what was
    /// charged in about the last half minute, in the model where it is least even; 1 where nobody waits. A
    /// tenant that has just begun to wait pulls it down for that time.
    pub jain: f64,
}

/// One model: who waits for it.
#[derive(Debug, Clone)]
pub struct PoolView {
    /// The configured name, or the one that was asked for behind a pattern.
    pub model: Arc<str>,
    /// The configured name that it counts under in metrics.
    pub counts_as: Arc<str>,
    /// How many wait, by class (`Qos as usize`).
    pub waiting: [usize; Qos::ALL.len()],
    /// How many of one class may wait.
    pub max_waiting: usize,
    /// How long one may wait.
    pub max_wait: Duration,
    /// Turns that were granted, at once or after a wait.
    pub granted: u64,
    /// Requests that had to wait.
    pub enqueued: u64,
    /// Turns that were granted after a wait.
    pub dequeued: u64,
    /// Requests that were refused because the queue was full or the wait too long.
    pub dropped: u64,
    /// Bronze requests that made room for gold ones.
    pub preempted: u64,
    /// Sessions that wait, or have used more than others of their flow lately.
    pub sessions: usize,
    /// Half of those who had to wait waited no longer.
    pub wait_p50: Duration,
    /// 95 of 100 waited no longer.
    pub wait_p95: Duration,
    /// 99 of 100 waited no longer.
    pub wait_p99: Duration,
    /// The longest wait so far that ended with a turn.
    pub longest_wait: Duration,
    /// How fast the model serves tokens; `None` while that is not known.
    pub drain_tokens_per_second: Option<f64>,
    /// Its lanes, as places in [`FlowView::lanes`], in configured order.
    pub lanes: Vec<usize>,
}

/// One provider-model pair.
#[derive(Debug, Clone)]
pub struct LaneView {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The provider's name for the model; empty for a raw provider.
    pub model: Arc<str>,
    /// The configured one of these that it counts under in metrics.
    pub counts_as: Arc<str>,
    /// `serving`, `ejected` or `probing`.
    pub state: &'static str,
    /// Tries that hold a slot.
    pub in_flight: u32,
    /// The window: how many may.
    pub limit: u32,
    /// The smallest window.
    pub min: u32,
    /// The largest window.
    pub max: u32,
    /// How often the window grew.
    pub grown: u64,
    /// How often it was cut.
    pub cuts: u64,
    /// How often its limit changed, for whatever reason.
    pub adjusted: u64,
    /// How long nobody is let through yet.
    pub rest: Option<Duration>,
    /// Half of the tries came to their first token sooner.
    pub first_token_p50: Option<Duration>,
    /// 95 of 100 tries did.
    pub first_token_p95: Option<Duration>,
    /// The provider's limit, where it is known.
    pub tokens_per_minute: Option<u64>,
    /// The provider's limit, where it is known.
    pub requests_per_minute: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
}

/// One tenant's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightView {
    /// Whose.
    pub tenant: Arc<str>,
    /// What the configuration gives.
    pub configured: Weight,
    /// What is in force.
    pub weight: Weight,
}

/// One tenant's requests of one class for one model.
#[derive(Debug, Clone)]
pub struct TenantView {
    /// Whose.
    pub tenant: Arc<str>,
    /// Which class.
    pub qos: Qos,
    /// The model's name, as in [`PoolView::model`].
    pub model: Arc<str>,
    /// The tenant's weight now.
    pub weight: Weight,
    /// All tokens that were served, also those that nobody waited for.
    pub served_tokens: u64,
    /// Tokens that count in the order of turns: those used while others waited.
    pub charged_tokens: u64,
    /// Tries that hold a slot.
    pub in_flight: u32,
    /// Requests that wait.
    pub waiting: u32,
}

/// What a route has learnt of one model at one kind of work.
#[derive(Debug, Clone, Serialize)]
pub struct ArmStatus {
    /// The route.
    pub route: Arc<str>,
    /// How it chooses.
    pub strategy: &'static str,
    /// The kind of work.
    pub cluster: &'static str,
    /// The model.
    pub model: Arc<str>,
    /// How often it was asked, what is long ago counting less.
    pub pulls: f64,
    /// How many scores were told, likewise.
    pub scores: f64,
    /// The expected quality, from 0 to 1.
    pub quality: f64,
    /// Where the quality lies with a probability of 95 %.
    pub interval: (f64, f64),
    /// How sure it is to answer, from 0 to 1.
    pub reliability: f64,
    /// How cheap it was on average, from 0 to 1.
    pub cost: Option<f64>,
    /// How soon on average, from 0 to 1.
    pub latency: Option<f64>,
    /// The first term of the upper confidence bound: the mean reward.
    pub exploit: f64,
    /// The second term: what being unsure adds; `None` before the first pull.
    pub explore: Option<f64>,
}

/// How a model stands that routes may choose.
#[derive(Debug, Clone, Serialize)]
pub struct ModelStatus {
    /// The model.
    pub model: Arc<str>,
    /// The routes that may choose it.
    pub routes: Vec<Arc<str>>,
    /// Where it stands in its life, as configured.
    pub configured: Status,
    /// Where it stands now.
    pub status: Status,
    /// Its stated quality.
    pub quality: Option<f64>,
    /// What its tokens cost, at its dearest target.
    pub price: Option<Price>,
    /// Where it runs.
    pub region: Option<Arc<str>>,
    /// How safe its answers are held to be.
    pub safety: Option<Grade>,
    /// Whether some target serves.
    pub healthy: bool,
    /// Whether a turn is to be had at once.
    pub room: bool,
    /// Half of its answers of the last minutes that a route chose it for took no longer, in seconds.
    #[serde(serialize_with = "seconds")]
    pub latency_p50: Option<Duration>,
    /// 95 of 100 did.
    #[serde(serialize_with = "seconds")]
    pub latency_p95: Option<Duration>,
    /// How far estimates of its tokens and cost were off of late.
    pub accuracy: Accuracy,
}

/// The challengers of one route.
#[derive(Debug, Clone, Serialize)]
pub struct ExperimentStatus {
    /// The route.
    pub route: Arc<str>,
    /// The share of its requests that a challenger answers too, from 0 to 1.
    pub share: f64,
    /// What that may cost in a day, in whole micro-dollars.
    pub max_per_day: MicroUsd,
    /// The model that compares, or `signs`.
    pub judge: Arc<str>,
    /// Each challenger and how it does, in the order in which they were first asked.
    pub challengers: Vec<(Arc<str>, Standing)>,
}

/// One kind of work of one route.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterStats {
    /// The route.
    pub route: Arc<str>,
    /// The kind of work.
    pub cluster: &'static str,
    /// How often any model was asked, what is long ago counting less.
    pub pulls: f64,
    /// How many scores were told, likewise.
    pub scores: f64,
    /// The model of which most is expected, by its quality alone.
    pub best: Arc<str>,
    /// That quality.
    pub quality: f64,
    /// The model that was asked most.
    pub most: Arc<str>,
    /// How often.
    pub most_pulls: f64,
}

impl ClusterStats {
    /// The statistics of one arm alone.
    pub(crate) fn first(arm: &ArmStatus) -> Self {
        Self {
            route: Arc::clone(&arm.route),
            cluster: arm.cluster,
            pulls: arm.pulls,
            scores: arm.scores,
            best: Arc::clone(&arm.model),
            quality: arm.quality,
            most: Arc::clone(&arm.model),
            most_pulls: arm.pulls,
        }
    }

    /// Adds another arm of the same kind of work.
    pub(crate) fn add(&mut self, arm: &ArmStatus) {
        self.pulls += arm.pulls;
        self.scores += arm.scores;
        if arm.quality > self.quality {
            (self.best, self.quality) = (Arc::clone(&arm.model), arm.quality);
        }
        if arm.pulls > self.most_pulls {
            (self.most, self.most_pulls) = (Arc::clone(&arm.model), arm.pulls);
        }
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn seconds<S: serde::Serializer>(of: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    of.map(|of| of.as_secs_f64()).serialize(to)
}
