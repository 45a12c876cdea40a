//! Gradient2, as Netflix publishes it in `concurrency-limits` (`Gradient2Limit`, with its defaults).
//!
//! The limit follows the ratio of a long exponential average of the round trip to its present value; a queue of
//! four is always allowed. Refusals are not looked at. Its round trip is the time to the first token here, which
//! is kinder to it than the length of whole answers: those vary by what was asked.

use atp_core::RateFacts;
use std::time::Instant;

use super::{Begun, Limiter};

const INITIAL: f64 = 20.0;
const LEAST: f64 = 20.0;
/// Published as 200; our own ceiling, so that it is not what limits.
const MOST: f64 = 10_000.0;
const SMOOTHING: f64 = 0.2;
const TOLERANCE: f64 = 1.5;
const QUEUE: f64 = 4.0;
/// Samples of the long average, and of its warm-up.
const LONG: f64 = 600.0;
const WARM_UP: u32 = 10;

/// The state of one lane.
#[derive(Debug)]
pub(crate) struct Gradient {
    limit: f64,
    long: f64,
    samples: u32,
}

impl Gradient {
    pub(crate) fn new() -> Self {
        Self { limit: INITIAL, long: 0.0, samples: 0 }
    }

    fn averaged(&mut self, sample: f64) -> f64 {
        self.samples = self.samples.saturating_add(1);
        if self.samples <= WARM_UP {
            self.long += (sample - self.long) / f64::from(self.samples);
        } else {
            self.long += (sample - self.long) * 2.0 / (LONG + 1.0);
        }
        self.long
    }
}

impl Limiter for Gradient {
    fn limit(&self) -> u32 {
        self.limit as u32
    }

    fn first_token(&mut self, now: Instant, begun: Begun, _facts: &RateFacts) {
        let short = now.saturating_duration_since(begun.at).as_secs_f64().max(1e-6);
        let long = self.averaged(short);
        // A long average that is far above the present one comes from a time of overload: it decays faster.
        if long / short > 2.0 {
            self.long *= 0.95;
        }
        // Not full: the limit is not what was measured.
        if f64::from(begun.in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * long / short).clamp(0.5, 1.0);
        let aim = self.limit * gradient + QUEUE;
        self.limit = (self.limit * (1.0 - SMOOTHING) + aim * SMOOTHING).clamp(LEAST, MOST);
    }
}
