//! How many tries of a lane may be in flight.

use std::time::Instant;

use crate::control::{FirstToken, Why};

/// Bounds of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRules {
    /// It never closes below this.
    pub min: u32,
    /// Where a lane begins of which nothing is known.
    pub start: u32,
    /// It never opens above this: the lane's cap.
    pub max: u32,
}

impl Default for WindowRules {
    /// 1, 64, 10,000: an idle stream costs next to nothing, so the cap is there for accidents.
    fn default() -> Self {
        Self { min: 1, start: 64, max: 10_000 }
    }
}

/// A lane's window.
#[derive(Debug, Clone)]
pub struct Window {
    rules: WindowRules,
    limit: f64,
    last_cut: Instant,
    cuts: u64,
}

impl Window {
    /// A window of which nothing is known.
    #[must_use]
    pub fn new(rules: WindowRules, now: Instant) -> Self {
        let limit = f64::from(rules.start.clamp(rules.min, rules.max.max(rules.min)));
        Self { rules, limit, last_cut: now, cuts: 0 }
    }

    /// Changes the bounds.
    pub fn set_rules(&mut self, rules: WindowRules) {
        self.rules = rules;
    }

    /// How many tries may be in flight.
    #[must_use]
    pub fn limit(&self) -> u32 {
        (self.limit as u32).min(self.rules.max).max(self.rules.min)
    }

    /// Cuts by overload so far.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cuts
    }

    /// Cuts by queueing so far.
    #[must_use]
    pub fn queueing_cuts(&self) -> u64 {
        0
    }

    /// A first token came.
    pub fn first_token(&mut self, _now: Instant, sample: &FirstToken) -> Option<Why> {
        (f64::from(sample.in_flight) >= self.limit * 0.9).then(|| {
            self.limit += 1.0;
            Why::Grown
        })
    }

    /// A try was refused or timed out.
    pub fn overloaded(&mut self, now: Instant, began: Instant, _in_flight: u32) {
        if began >= self.last_cut {
            self.limit *= 0.7;
            self.last_cut = now;
            self.cuts += 1;
        }
    }

    /// Begins small.
    pub fn restart(&mut self, _now: Instant) {
        self.limit = f64::from(self.rules.min);
    }

    /// Time passes.
    pub fn tick(&mut self, _now: Instant) -> Option<Why> {
        None
    }
}
