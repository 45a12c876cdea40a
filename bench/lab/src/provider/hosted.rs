//! A hosted model: a token bucket, and 429 for what it cannot pay.

use atp_core::{RateFact, RateFacts};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Call, Headers, Meter, Outbox, ROUND_TRIP, Signal, Unit, Waste};

/// What a provider tells about its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// A bare 429.
    Nothing,
    /// `Retry-After` on a 429: the time until this request could have been paid.
    Pause,
    /// `x-ratelimit-*` on every answer, and `Retry-After` on a 429.
    Headers,
}

#[derive(Debug)]
pub(super) struct Hosted {
    unit: Unit,
    /// A second's worth at full capacity.
    full_rate: f64,
    rate: f64,
    /// Seconds of the rate that can be saved up.
    burst: f64,
    hint: Hint,
    level: f64,
    filled: Instant,
    running: BTreeSet<usize>,
    meter: Meter,
}

impl Hosted {
    pub(super) fn new(unit: Unit, rate: f64, burst: f64, hint: Hint, origin: Instant) -> Self {
        Self {
            unit,
            full_rate: rate,
            rate,
            burst,
            hint,
            level: rate * burst,
            filled: origin,
            running: BTreeSet::new(),
            meter: Meter::default(),
        }
    }

    pub(super) fn begin(&mut self, call: Call, now: Instant, out: &mut Outbox) {
        self.meter(now);
        let price = match self.unit {
            Unit::Tokens => call.tokens as f64,
            Unit::Requests => 1.0,
        };
        // A request that is larger than the bucket is paid by a full one.
        let due = price.min(self.rate * self.burst);
        if self.level < due {
            let wait = Duration::from_secs_f64(((due - self.level) / self.rate.max(1e-9)).min(3_600.0));
            let pause = (self.hint != Hint::Nothing).then_some(wait);
            out.push((now + ROUND_TRIP, Signal::Refused(call.id, pause, self.facts())));
            return;
        }
        self.level -= price;
        self.meter.used += price;
        self.running.insert(call.id);
        let (first, end) = (now + call.first, now + call.first + call.rest);
        out.push((call.seen(first, end), Signal::First(call.id, self.facts())));
        out.push((end, Signal::Done(call.id)));
    }

    /// The headers, if it sends any. As with real vendors they tell the state when the request was admitted,
    /// and arrive with the answer.
    fn facts(&self) -> Headers {
        if self.hint != Hint::Headers {
            return None;
        }
        let size = self.rate * self.burst;
        let fact = RateFact {
            limit: Some((self.rate * 60.0) as u64),
            remaining: Some(self.level.max(0.0) as u64),
            reset: Some(Duration::from_secs_f64((size - self.level).max(0.0) / self.rate.max(1e-9))),
        };
        let facts = match self.unit {
            Unit::Tokens => RateFacts { tokens: fact, ..RateFacts::default() },
            Unit::Requests => RateFacts { requests: fact, ..RateFacts::default() },
        };
        Some(Box::new(facts))
    }

    /// What was paid is gone, whoever leaves.
    pub(super) fn end(&mut self, id: usize, waste: Waste) {
        if self.running.remove(&id) && waste == Waste::Lost && self.unit == Unit::Requests {
            self.meter.used = (self.meter.used - 1.0).max(0.0);
        }
    }

    pub(super) fn scale(&mut self, factor: f64, now: Instant) {
        self.meter(now);
        self.rate = self.full_rate * factor;
        self.level = self.level.min(self.rate * self.burst);
    }

    pub(super) fn calls(&self) -> Vec<usize> {
        self.running.iter().copied().collect()
    }

    pub(super) fn meter(&mut self, now: Instant) -> Meter {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level = (self.level + self.rate * passed).min(self.rate * self.burst);
        self.meter.room += self.rate * passed;
        self.filled = now.max(self.filled);
        self.meter
    }
}
