//! Who asks for what, and when.

use atp_core::Qos;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

use crate::agenda::seconds;
use crate::dice::{exponential, lognormal};

/// Who shares: a name on the books, with its weight.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) name: &'static str,
    pub(crate) weight: f64,
}

/// One stream of like requests of one tenant.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The place of its tenant.
    pub(crate) tenant: usize,
    /// The session that its requests belong to.
    pub(crate) session: u64,
    pub(crate) qos: Qos,
    pub(crate) arrivals: Arrivals,
    /// Prompt tokens.
    pub(crate) input: Length,
    /// Completion tokens.
    pub(crate) output: Length,
    /// Seconds from the start of the run in which it asks.
    pub(crate) active: (f64, f64),
}

/// How requests follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrivals {
    /// Independent of each other, so many a second.
    Poisson(f64),
    /// Poisson of `rate` for `on` seconds, then silence for `off` seconds.
    Bursts { rate: f64, on: f64, off: f64 },
    /// So many clients that each wait for their answer, think (exponentially, this mean in seconds), ask again.
    Clients { count: u32, think: f64 },
}

/// A lognormal number of tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    pub(crate) median: f64,
    /// Deviation of the logarithm; 0 for a constant.
    pub(crate) sigma: f64,
}

/// No request is longer: what a large model's context holds.
const LONGEST: f64 = 200_000.0;

impl Length {
    pub(crate) const fn of(median: f64, sigma: f64) -> Self {
        Self { median, sigma }
    }

    fn draw(self, dice: &mut StdRng) -> u64 {
        lognormal(self.median, self.sigma, dice).clamp(1.0, LONGEST) as u64
    }

    /// The mean of the distribution.
    #[cfg(test)]
    fn mean(self) -> f64 {
        self.median * (self.sigma * self.sigma / 2.0).exp()
    }
}

impl Source {
    /// A silver source of session 0 that asks all the time.
    pub(crate) fn new(tenant: usize, arrivals: Arrivals, input: Length, output: Length) -> Self {
        let active = (0.0, f64::INFINITY);
        Self { tenant, session: 0, qos: Qos::Silver, arrivals, input, output, active }
    }

    pub(crate) fn class(self, qos: Qos) -> Self {
        Self { qos, ..self }
    }

    pub(crate) fn session(self, session: u64) -> Self {
        Self { session, ..self }
    }

    /// Whether the next request waits for the answer to the last one.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.arrivals, Arrivals::Clients { .. })
    }

    /// How many requests are drawn at the start; each is followed by another in its time.
    pub(crate) fn lines(&self) -> u32 {
        match self.arrivals {
            Arrivals::Clients { count, .. } => count,
            Arrivals::Poisson(_) | Arrivals::Bursts { .. } => 1,
        }
    }

    /// From one request of an open source to the next; for a client, from its answer to its next request.
    pub(crate) fn gap(&self, since_start: Duration, dice: &mut StdRng) -> Duration {
        match self.arrivals {
            Arrivals::Poisson(rate) => seconds(exponential(1.0 / rate, dice)),
            Arrivals::Clients { think, .. } => seconds(exponential(think, dice)),
            Arrivals::Bursts { rate, on, off } => {
                let gap = exponential(1.0 / rate, dice);
                let place = (since_start.as_secs_f64() - self.active.0).rem_euclid(on + off);
                // The time asleep does not count; whole bursts of silence are skipped as often as needed.
                let awake = place.min(on) + gap;
                let silent = (awake / on).floor() * off - (place - place.min(on));
                seconds(gap + silent.max(0.0))
            }
        }
    }

    pub(crate) fn draw(&self, id: usize, source: usize, now: Instant, dice: &mut StdRng) -> Job {
        let input = self.input.draw(dice);
        let output = self.output.draw(dice);
        let seed = dice.random();
        Job {
            id,
            source,
            tenant: self.tenant,
            session: self.session,
            qos: self.qos,
            input,
            output,
            estimate: input,
            arrived: now,
            seed,
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: usize,
    pub(crate) source: usize,
    pub(crate) tenant: usize,
    pub(crate) session: u64,
    pub(crate) qos: Qos,
    /// Prompt tokens, which everybody can count.
    pub(crate) input: u64,
    /// Completion tokens, which nobody knows before the end.
    pub(crate) output: u64,
    /// What the router takes it for when it comes: its prompt and a usual completion.
    pub(crate) estimate: u64,
    pub(crate) arrived: Instant,
    /// What chance has in store for it at a provider, the same whoever sends it there.
    pub(crate) seed: u64,
}

impl Job {
    /// What it takes in truth.
    pub(crate) fn tokens(&self) -> u64 {
        self.input + self.output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agenda::origin;
    use crate::dice::dice;

    #[test]
    fn bursts_keep_their_silence_and_their_rate() {
        let length = Length::of(10.0, 0.0);
        let source = Source::new(0, Arrivals::Bursts { rate: 50.0, on: 2.0, off: 8.0 }, length, length);
        let mut chance = dice(5, 0);
        let (mut at, mut awake) = (Duration::ZERO, 0u32);
        while at < Duration::from_secs(1_000) {
            at += source.gap(at, &mut chance);
            let place = at.as_secs_f64().rem_euclid(10.0);
            assert!(place <= 2.000_001, "asked in the silence, at {place}");
            awake += 1;
        }
        assert!(awake.abs_diff(10_000) < 500, "{awake}");
    }

    #[test]
    fn lengths_have_their_mean() {
        let length = Length::of(400.0, 0.7);
        let mut chance = dice(5, 1);
        let mean = (0..20_000).map(|_| length.draw(&mut chance) as f64).sum::<f64>() / 20_000.0;
        assert!((mean / length.mean() - 1.0).abs() < 0.03, "{mean} {}", length.mean());
        assert_eq!(Length::of(10.0, 0.0).draw(&mut chance), 10);
        let source = Source::new(0, Arrivals::Poisson(1.0), length, length);
        assert!(source.draw(0, 0, origin(), &mut chance).tokens() > 1);
    }
}
