//! What the pipeline is told about sharing models: tenants, queues, hedges, caches.

use std::sync::Arc;
use std::time::Duration;

use atp_core::Weight;

/// Who shares the models with others: the owner of some keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name, as in `Caller::tenant`.
    pub name: Arc<str>,
    /// Its share of a model in proportion to the others' while more is asked for than there is.
    pub weight: Weight,
}

/// How many may wait for a model, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Requests of one class that may wait at once; 0 refuses whom it cannot serve at once.
    pub max_waiting: usize,
    /// How long one of them may wait. The caller's patience and the exchange's total may end it
    /// sooner.
    pub max_wait: Duration,
}

impl Default for Queue {
    /// 10,000 of each class for 30 s: a request that waits costs a few hundred bytes, and callers'
    /// libraries give up after some ten seconds at the soonest.
    fn default() -> Self {
        Self { max_waiting: 10_000, max_wait: Duration::from_secs(30) }
    }
}

/// When a second lane is asked beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// Tokens that second lanes may be asked for, per thousand tokens asked for at all.
    pub extra_per_mille: u32,
    /// How long the first lane may take to its first token; `None` takes its own 95th percentile, that of
    /// whole answers where no stream was asked for.
    pub after: Option<Duration>,
}

impl Default for Hedge {
    /// 5 % more, after the lane's own 95th percentile: the figures of J. Dean and L. A. Barroso, "The
    /// Tail at Scale", 2013.
    fn default() -> Self {
        Self { extra_per_mille: 50, after: None }
    }
}

/// What of a model's answers is kept to be given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheRules {
    /// How long an answer is kept.
    pub ttl: Duration,
    /// How many bytes all answers of the model may take together.
    pub max_bytes: usize,
    /// How many bytes one answer may take.
    pub max_entry: usize,
}

/// What happens to a stream that breaks off after its first content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MidStream {
    /// It ends with the error.
    #[default]
    Off,
    /// It begins anew at another target, where the caller accepts the marker that says so.
    Restart,
    /// It goes on at another target that continues a text it is given.
    Continue,
}
