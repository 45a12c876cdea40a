//! Shares, queues, windows and breakers, checked and complete.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Qos, Weight};
use atp_routing::breaker::BreakerRules;
use atp_routing::window::WindowRules;

/// What holds where nothing nearer says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The class of keys without one, and of anonymous callers.
    pub qos: Qos,
    /// Of targets without one of their own.
    pub window: Window,
    /// Of models without one of their own.
    pub queue: Queue,
    /// Of targets without one of their own.
    pub breaker: Breaker,
}

/// Who pays, and with which share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name; no other tenant has it.
    pub name: Arc<str>,
    /// Its share in proportion to the others'.
    pub weight: Weight,
}

/// The bounds of the requests that a target may have in flight: 1 <= `min` <= `start` <= `max` <= 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The smallest.
    pub min: u32,
    /// The first.
    pub start: u32,
    /// The largest.
    pub max: u32,
}

impl Default for Window {
    fn default() -> Self {
        let WindowRules { min, start, max } = WindowRules::default();
        Self { min, start, max }
    }
}

/// Who may wait for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Requests of each class; with 0 nobody waits.
    pub max_waiting: usize,
    /// How long each may; not zero.
    pub max_wait: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        let told = atp_pipeline::snapshot::Queue::default();
        Self { max_waiting: told.max_waiting, max_wait: told.max_wait }
    }
}

/// When a target that fails is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row; with 0 it never is.
    pub failures: u32,
    /// The first rest; not zero.
    pub rest: Duration,
    /// The longest; at least the first.
    pub max_rest: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        let BreakerRules { failures, rest, longest_rest, .. } = BreakerRules::default();
        Self { failures, rest, max_rest: longest_rest }
    }
}

/// Asking a second target when the first is slow to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// Tokens that may be asked for in this way, in thousandths of those asked for anyway; from 1 to 1000.
    pub extra_per_mille: u32,
    /// How long the first may take to begin; `None` for what 95 of 100 of its recent answers took.
    pub after: Option<Duration>,
}

/// Keeping answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// How long an answer is kept.
    pub ttl: Duration,
    /// Bytes of all answers.
    pub max_bytes: usize,
    /// Bytes of the largest answer; at most `max_bytes`.
    pub max_entry: usize,
}

/// What happens when an answer breaks off in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCut {
    /// The caller is told.
    #[default]
    Fail,
    /// Another target answers from the beginning, for callers who understand the mark between the two.
    Restart,
    /// Another target goes on where the first one stopped.
    Continue,
}

impl OnCut {
    /// The word of the file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Restart => "restart",
            Self::Continue => "continue",
        }
    }
}
