//! The state of sharing as plain values: for operators, live views and tests.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Qos, Weight};

/// Everything at one moment. Counters are read one by one, so that sums may be off by requests that
/// are just on their way.
#[derive(Debug, Clone, Default)]
pub struct FlowView {
    /// One per model, in configured order, then one per raw provider that was asked.
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
    /// The configured name.
    pub model: Arc<str>,
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
    /// The model's configured name.
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
