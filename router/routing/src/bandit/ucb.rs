//! `ucb`: upper confidence bounds, per task cluster.
//!
//! The bound of an arm is its mean reward, from 0 to 1, plus `1.4 sqrt(ln(N + 1) / n)`, where n is how often the arm was
//! asked and N how often all were, for this cluster; an arm that was never asked goes first. The highest bound wins, with
//! probability 1. The share that `explore` allows does not bind this strategy: going where one
//! is unsure is what it is.
//!
//! *Source.* Auer, Cesa-Bianchi and Fischer, "Finite-time analysis of the multiarmed bandit problem" (2002), with the
//! mission's constant; with fading counts it is D-UCB (Garivier and Moulines 2011). The mean reward is put together
//! from what each part of it is now, because its weights differ between requests and prices are known.
//!
//! *Property.* With rewards from 0 to 1 a suboptimal arm is asked O(ln N) times.

use super::Scored;

/// How much being unsure counts (`UCB_EXPLORE_FACTOR`).
pub(super) const FACTOR: f64 = 1.4;
/// Fewer pulls than this are none: what has faded nearly wholly.
pub(super) const UNSEEN: f64 = 1e-3;

/// What being unsure adds to the mean reward of an arm that was asked `n` of `all` times.
pub(super) fn bonus(all: f64, n: f64) -> f64 {
    FACTOR * (all.ln_1p() / n.max(UNSEEN)).sqrt()
}

/// Sets `terms.bonus` and `terms.score` of arms whose score is their mean reward; returns the place of the winner.
/// `pulls` tells how often an arm was asked.
pub(super) fn bound(scored: &mut [Scored], pulls: impl Fn(usize) -> f64) -> usize {
    let all: f64 = scored.iter().map(|one| pulls(one.arm)).sum();
    let mut best = (0, (false, f64::NEG_INFINITY));
    for (place, one) in scored.iter_mut().enumerate() {
        let n = pulls(one.arm);
        one.terms.bonus = bonus(all, n);
        one.terms.score += one.terms.bonus;
        let rank = (n <= UNSEEN, one.terms.score);
        if rank > best.1 {
            best = (place, rank);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use atp_core::Terms;

    use super::*;

    fn arms(means: &[f64]) -> Vec<Scored> {
        let terms = |score: &f64| Terms { score: *score, ..Terms::default() };
        means.iter().enumerate().map(|(arm, mean)| Scored { arm, terms: terms(mean) }).collect()
    }

    #[test]
    fn the_bound_is_the_one_computed_by_hand() {
        // N = 150: ln 151 = 5.017280. Arm 0: 0.62 + 1.4 sqrt(5.017280 / 100) = 0.62 + 0.313590,
        // arm 1: 0.55 + 1.4 sqrt(5.017280 / 40) = 0.55 + 0.495829, arm 2: 0.10 + 1.4 sqrt(5.017280 / 10) = 0.10 + 0.991659.
        let pulls = [100.0, 40.0, 10.0];
        let mut scored = arms(&[0.62, 0.55, 0.10]);
        assert_eq!(bound(&mut scored, |arm| pulls[arm]), 2);
        for (one, expected) in scored.iter().zip([0.933_590, 1.045_829, 1.091_659]) {
            assert!((one.terms.score - expected).abs() < 1e-6, "{one:?}, by hand {expected}");
        }
    }

    #[test]
    fn who_was_never_asked_goes_first() {
        let pulls = [3.0, 0.0, 0.0];
        let mut scored = arms(&[0.9, 0.1, 0.4]);
        assert_eq!(bound(&mut scored, |arm| pulls[arm]), 2);
        assert_eq!(bound(&mut arms(&[0.2, 0.3]), |_| 0.0), 1, "none was asked yet");
    }
}
