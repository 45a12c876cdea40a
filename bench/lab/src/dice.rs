//! Chance with a seed: one stream per source of chance, so that two systems under test meet the very
//! same arrivals and the very same slow answers whatever they decide.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The dice of one source of chance.
pub(crate) fn dice(seed: u64, stream: u64) -> StdRng {
    StdRng::seed_from_u64(mixed(seed, stream))
}

/// Two numbers as one that looks like neither: the finalizer of SplitMix64 (Steele, Lea, Flood, 2014).
pub(crate) fn mixed(seed: u64, stream: u64) -> u64 {
    let mut bits = seed ^ stream.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Exponential with this mean: the gaps of a Poisson process.
pub(crate) fn exponential(mean: f64, dice: &mut StdRng) -> f64 {
    // In (0, 1], so that the logarithm is finite.
    -(1.0 - dice.random::<f64>()).ln() * mean
}

/// Lognormal with this median; `sigma` is the deviation of the logarithm.
pub(crate) fn lognormal(median: f64, sigma: f64, dice: &mut StdRng) -> f64 {
    // Box and Muller, 1958; the second of the pair is not worth a state.
    let radius = (-2.0 * (1.0 - dice.random::<f64>()).ln()).sqrt();
    let angle = std::f64::consts::TAU * dice.random::<f64>();
    median * (sigma * radius * angle.cos()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let first = dice(7, 1).random::<u64>();
        assert_eq!(dice(7, 1).random::<u64>(), first);
        assert_ne!(dice(7, 2).random::<u64>(), first);
        assert_ne!(dice(8, 1).random::<u64>(), first);
    }

    #[test]
    fn distributions_have_their_mean_and_median() {
        let mut source = dice(3, 0);
        let draws = 40_000;
        let mean = (0..draws).map(|_| exponential(2.0, &mut source)).sum::<f64>() / f64::from(draws);
        assert!((mean - 2.0).abs() < 0.05, "{mean}");
        let below = (0..draws).filter(|_| lognormal(100.0, 0.8, &mut source) < 100.0).count();
        assert!(below.abs_diff(20_000) < 500, "{below}");
    }
}
