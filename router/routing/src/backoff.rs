//! How long to pause before a target is asked again.
//!
//! Exponential backoff with *full jitter*: the pause before round `n` is drawn evenly from zero to
//! `min(cap, base * 2^n)`. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture
//! Blog, 2015, where full jitter needs the fewest calls of the compared forms. An even draw from
//! zero is what spreads callers that failed at the same moment.

use std::time::Duration;

use rand::{Rng, RngExt};

/// The two numbers of an exponential backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest pause before the first repetition.
    pub base: Duration,
    /// The longest pause before any repetition.
    pub cap: Duration,
}

impl Default for Backoff {
    /// 100 ms doubling up to 2 s: an overloaded model is rarely well again sooner, and a caller who
    /// waits longer than that for nothing is better served by an error.
    fn default() -> Self {
        Self { base: Duration::from_millis(100), cap: Duration::from_secs(2) }
    }
}

impl Backoff {
    /// The longest pause before repetition `round`, counted from zero.
    #[must_use]
    pub fn ceiling(&self, round: u32) -> Duration {
        let factor = 1u32.checked_shl(round).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// A pause before repetition `round`: anything from zero to [`Backoff::ceiling`], evenly.
    pub fn pause(&self, round: u32, rng: &mut (impl Rng + ?Sized)) -> Duration {
        let ceiling = u64::try_from(self.ceiling(round).as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(rng.random_range(0..=ceiling))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn a_pause_is_never_longer_than_its_ceiling_nor_than_the_cap(
            base in 0u64..10_000_000_000,
            cap in 0u64..60_000_000_000,
            round in 0u32..100,
            seed: u64,
        ) {
            let backoff = Backoff { base: Duration::from_nanos(base), cap: Duration::from_nanos(cap) };
            let pause = backoff.pause(round, &mut StdRng::seed_from_u64(seed));
            prop_assert!(pause <= backoff.ceiling(round));
            prop_assert!(backoff.ceiling(round) <= backoff.cap);
            prop_assert!(backoff.ceiling(round) <= backoff.ceiling(round + 1));
        }
    }

    #[test]
    fn the_ceiling_doubles_until_the_cap() {
        let backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_millis(500) };
        let ceilings: Vec<u128> = (0..5).map(|round| backoff.ceiling(round).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 500, 500]);
    }

    #[test]
    fn pauses_are_spread_over_the_whole_range() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(1) };
        let mut rng = StdRng::seed_from_u64(7);
        let mut quarters = [0u32; 4];
        for _ in 0..4_000 {
            let quarter = backoff.pause(0, &mut rng).as_millis() / 250;
            quarters[usize::try_from(quarter.min(3)).unwrap()] += 1;
        }
        assert!(quarters.iter().all(|count| (900..1_100).contains(count)), "{quarters:?}");
    }
}
