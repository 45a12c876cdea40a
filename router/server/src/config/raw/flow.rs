//! Who may use how much of a model, as the file writes it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::value::{ByteSize, Percent};
use super::Span;

/// What holds for every model, target and key that does not say otherwise.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "flow")]
pub(in super::super) struct RawFlow {
    /// The class of keys without a `qos`, and of callers without a key.
    #[schemars(extend("default" = "silver"))]
    pub(in super::super) qos: Option<RawQos>,
    /// How many requests a target may have in flight.
    pub(in super::super) window: RawWindow,
    /// Who may wait for a model.
    pub(in super::super) queue: RawQueue,
    /// When a target that fails is left alone.
    pub(in super::super) breaker: RawBreaker,
}

/// A class of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawQos {
    /// Somebody is waiting: five times the share of bronze, a reserved minimum of every model, and it may preempt bronze.
    Gold,
    /// Three times the share of bronze.
    Silver,
    /// Work that may be late or given up.
    Bronze,
}

/// How many requests a target may have in flight: the router finds the right number itself, between these bounds.
///
/// Targets of the same provider and the same model share one window, whatever model of the router they stand under. The
/// innermost bound that is given counts, the target's before that of `flow`. A given `max` lowers a `start` and a `min`
/// that are not given beside it, and a given `min` raises such a `start`.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "window")]
pub(in super::super) struct RawWindow {
    /// It never gets smaller than this. From 1 to 1000000.
    #[schemars(extend("default" = 1))]
    pub(in super::super) min: Option<u64>,
    /// Where it begins. From `min` to `max`.
    #[schemars(extend("default" = 64))]
    pub(in super::super) start: Option<u64>,
    /// It never gets larger than this. From 1 to 1000000.
    #[schemars(extend("default" = 10000))]
    pub(in super::super) max: Option<u64>,
}

/// Who may wait for a model while its targets are full. Who would wait in vain is refused at once, with 429, the code
/// `backpressure` and a `Retry-After`.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "queue")]
pub(in super::super) struct RawQueue {
    /// How many requests of each class may wait. From 0, with which nobody waits, to 1000000.
    #[schemars(extend("default" = 10000))]
    pub(in super::super) max_waiting: Option<u64>,
    /// How long each of them may wait. At most `1h`.
    #[schemars(extend("default" = "30s"))]
    pub(in super::super) max_wait: Option<Span>,
}

/// When a target that fails is left alone, and for how long. Targets of the same provider and model share one breaker.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "breaker")]
pub(in super::super) struct RawBreaker {
    /// After how many failures in a row. From 0, with which it is never left alone, to 1000.
    #[schemars(extend("default" = 5))]
    pub(in super::super) failures: Option<u64>,
    /// How long the first rest is; each further one is twice as long. At most `1h`.
    #[schemars(extend("default" = "1s"))]
    pub(in super::super) rest: Option<Span>,
    /// The longest rest. At most `1h`.
    #[schemars(extend("default" = "30s"))]
    pub(in super::super) max_rest: Option<Span>,
}

/// A second target is asked beside the first when that is slow to begin; who begins first answers, and the other's work
/// ends at once.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "hedge")]
pub(in super::super) struct RawHedge {
    /// How many more tokens may be asked for in this way, as a share of those asked for anyway: from `0.1%` to `100%`.
    #[schemars(extend("default" = "5%"))]
    pub(in super::super) extra: Option<Percent>,
    /// How long the first may take to begin. Without it, as long as 95 of 100 of its recent answers took.
    pub(in super::super) after: Option<Span>,
}

/// Answers that are kept for the same request of the same tenant.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "cache")]
pub(in super::super) struct RawCache {
    /// How long an answer is kept. From `1s` to `1d`.
    #[schemars(extend("default" = "10m"))]
    pub(in super::super) ttl: Option<Span>,
    /// The memory for all of them, from `64KiB`. The oldest ones give way.
    #[schemars(extend("default" = "64MiB"))]
    pub(in super::super) max_bytes: Option<ByteSize>,
    /// The largest answer that is kept, from `1KiB` to `max_bytes`.
    #[schemars(extend("default" = "1MiB"))]
    pub(in super::super) max_entry: Option<ByteSize>,
}

/// What happens when an answer breaks off in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawCut {
    /// The caller is told.
    Fail,
    /// Another target answers from the beginning, for callers who say that they understand the mark between the two.
    Restart,
    /// Another target with `prefill` goes on where the first one stopped.
    Continue,
}
