//! The pace that a provider tells in its rate-limit headers.
//!
//! `limit` and `remaining` are plain; what `reset` means is not. A *token bucket* (OpenAI, Anthropic,
//! Groq) fills all the time, and tells the time until it is full: `reset / (limit - remaining)` is the
//! same in every answer, and gives the rate exactly, also where the limit is one of a day. A *fixed
//! window* tells the time until everything comes back at once. So the bucket is believed for as long
//! as its answers agree; else the limit is one of a minute, and what remains is spread until the reset.
//!
//! `remaining` is followed also when other clients of the same key use it up: our own bucket is as deep as
//! theirs and never fuller, less a reserve for what is on its way. What is there may come at once.

use atp_core::RateFact;

/// Seconds in the window of a limit whose length nobody told.
const MINUTE: f64 = 60.0;
/// Seconds of the rate that may come at once after a lull where nobody tells what is left: providers enforce a
/// minute's limit in shorter steps.
const BURST: f64 = 5.0;
/// Part of the limit that is left to what is on its way.
const RESERVE: f64 = 0.02;
/// Answers agree on a bucket when the logarithms of their periods differ by less.
const AGREE: f64 = 0.2;
/// Facts that are older, in seconds, say nothing about what remains.
const STALE: f64 = 120.0;

/// What is told about tokens or about requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    limit: f64,
    /// Logarithm of the bucket's period in seconds, and how far answers are from it.
    period: f64,
    spread: f64,
    answers: u32,
    meter: Option<Meter>,
}

/// A bucket as [`super::admit`] needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Meter {
    pub(super) per_second: f64,
    pub(super) burst: f64,
    /// The theoretical arrival time is at least this, in seconds since the origin.
    pub(super) floor: f64,
}

impl Told {
    /// A fact that came at `now` seconds.
    pub(super) fn heard(&mut self, now: f64, fact: &RateFact) {
        if let Some(limit) = fact.limit {
            self.limit = limit as f64;
        }
        if self.limit <= 0.0 {
            return;
        }
        let left = fact.remaining.map(|left| (left as f64).min(self.limit));
        let reset = fact.reset.map(|reset| reset.as_secs_f64());
        if let (Some(left), Some(reset)) = (left, reset) {
            self.compare(left, reset);
        }
        self.meter = Some(self.measure(now, left, reset));
    }

    /// The bucket; `None` where nothing was told.
    pub(super) fn meter(&self, now: f64) -> Option<Meter> {
        self.meter.map(|meter| if meter.floor < now - STALE { Meter { floor: 0.0, ..meter } } else { meter })
    }

    /// Whether the last answer said that nothing is left.
    pub(super) fn is_empty(&self, now: f64) -> bool {
        self.meter.is_some_and(|meter| meter.opens() >= now)
    }

    /// Another answer's idea of the period, if it was a bucket's.
    fn compare(&mut self, left: f64, reset: f64) {
        let used = self.limit - left;
        // What was rounded to whole milliseconds or whole units says too little.
        if used < 1.0 || reset < 0.005 {
            return;
        }
        let period = (reset * self.limit / used).ln();
        if self.answers == 0 {
            self.period = period;
        }
        self.answers = self.answers.saturating_add(1);
        self.spread += ((period - self.period).abs() - self.spread) / 8.0;
        self.period += (period - self.period) / 8.0;
    }

    fn measure(&self, now: f64, left: Option<f64>, reset: Option<f64>) -> Meter {
        let bucket = self.answers >= 3 && self.spread < AGREE;
        let period = if bucket { self.period.exp().clamp(0.1, 86_400.0 * 31.0) } else { MINUTE };
        let per_second = self.limit / period;
        let burst = (per_second * BURST).min(self.limit).max(1.0);
        let Some(left) = left else { return Meter { per_second, burst, floor: 0.0 } };
        let reserve = (self.limit * RESERVE).floor();
        let free = left - reserve;
        match reset {
            Some(reset) if !bucket && self.answers >= 3 => {
                // Spread what is left; when the window is over there is more to be heard.
                let spread = (free.max(0.0) / reset.max(1.0)).max(per_second * 0.01);
                let per_second = per_second.min(spread);
                let floor = if left < 1.0 { now + reset + burst / per_second } else { 0.0 };
                Meter { per_second, burst, floor }
            }
            _ => {
                let burst = burst.max(self.limit - reserve);
                // Below the reserve we wait for longer than the bucket needs alone: others drink from it.
                Meter { per_second, burst, floor: now + (burst - free).max(0.0) / per_second }
            }
        }
    }
}

impl Meter {
    /// From when on anything is left, in seconds since the origin; in the past where there is more.
    pub(super) fn opens(&self) -> f64 {
        self.floor - self.burst / self.per_second
    }
}
