//! From what arms are worth to the probability of each.
//!
//! The arm of the highest expected value, the *greedy* one, has what the others leave. The others have
//! in proportion to the probability that they are better than the greedy one (of two normal beliefs),
//! and each an equal part of a small floor, so that an arm of which nothing good is known is not left for ever.
//! All that together is at most the configured share.
//!
//! *Source.* Thompson sampling as probability matching (Thompson 1933; for linear models Agrawal and Goyal 2013),
//! pairwise instead of among all, which one pass can compute; the distribution is computed instead of
//! sampled, as in Foster and Rakhlin's inverse gap weighting (2020), because only then the logged
//! probabilities are exact.
//!
//! *Property.* The probabilities sum to 1, and those of the others to at most the cap, whatever comes in.

use super::Scored;

/// The part of the share that is given to all others alike.
const FLOOR: f64 = 0.1;

/// The place of the highest score; the first of several.
pub(super) fn highest(scored: &[Scored]) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (place, one) in scored.iter().enumerate() {
        if one.terms.score > best.1 {
            best = (place, one.terms.score);
        }
    }
    best.0
}

/// All probability to one arm.
pub(super) fn certain(scored: &mut [Scored], best: usize) {
    for (place, one) in scored.iter_mut().enumerate() {
        one.terms.probability = if place == best { 1.0 } else { 0.0 };
    }
}

/// By the chance to be better than the greedy arm. `terms.bonus` is the deviation of `terms.score`.
pub(super) fn matched(scored: &mut [Scored], best: usize, cap: f64) {
    let Some(greedy) = scored.get(best).map(|one| one.terms) else { return };
    let variance = greedy.bonus * greedy.bonus;
    for one in scored.iter_mut() {
        let gap = greedy.score - one.terms.score;
        let both = (variance + one.terms.bonus * one.terms.bonus).max(1e-18);
        // Beyond six deviations the tail is nothing, and needs no root.
        one.terms.probability = if gap * gap > 36.0 * both { 0.0 } else { better(gap / both.sqrt()) };
    }
    capped(scored, best, cap);
}

/// Makes shares of weights: those of all but the greedy arm are lowered to the cap, with the floor in it.
pub(super) fn capped(scored: &mut [Scored], best: usize, cap: f64) {
    let others = scored.len().saturating_sub(1);
    if others == 0 || cap <= 0.0 {
        return certain(scored, best);
    }
    let all: f64 = scored.iter().map(|one| one.terms.probability).sum();
    let wanted = (all - scored.get(best).map_or(0.0, |one| one.terms.probability)).max(0.0);
    let floor = FLOOR * cap;
    let factor = if wanted > cap - floor { (cap - floor) / wanted } else { 1.0 };
    let each = floor / others as f64;
    for one in scored.iter_mut() {
        one.terms.probability = each + factor * one.terms.probability;
    }
    if let Some(one) = scored.get_mut(best) {
        one.terms.probability = (1.0 - floor - factor * wanted).max(0.0);
    }
}

/// The probability of a normal to lie more than `t >= 0` deviations above its mean, within 0.00025
/// (Hastings 1955; Abramowitz and Stegun, 26.2.18). A few multiplications instead of an exponential.
fn better(t: f64) -> f64 {
    let sum = 1.0 + t * (0.196_854 + t * (0.115_194 + t * (0.000_344 + t * 0.019_527)));
    let squared = sum * sum;
    0.5 / (squared * squared)
}

/// The place that a number from 0 to 1 falls on.
pub(super) fn drawn(scored: &[Scored], best: usize, dice: f64) -> usize {
    let mut left = dice;
    for (place, one) in scored.iter().enumerate() {
        if left < one.terms.probability {
            return place;
        }
        left -= one.terms.probability;
    }
    // Only by rounding.
    best
}

#[cfg(test)]
mod tests {
    use atp_core::Terms;

    use super::*;

    fn scored(values: &[(f64, f64)]) -> Vec<Scored> {
        let terms = |(score, bonus): &(f64, f64)| Terms { score: *score, bonus: *bonus, ..Terms::default() };
        values.iter().enumerate().map(|(arm, value)| Scored { arm, terms: terms(value) }).collect()
    }

    #[test]
    fn the_normal_tail_is_that_of_the_tables() {
        for (t, exact) in [(0.0, 0.5), (0.5, 0.308_538), (1.0, 0.158_655), (1.96, 0.024_998), (3.0, 0.001_350)] {
            assert!((better(t) - exact).abs() < 2.5e-4, "{t}: {}", better(t));
        }
        assert_eq!(better(f64::INFINITY), 0.0);
    }

    #[test]
    fn arms_that_may_be_better_are_tried_in_proportion_and_none_is_forgotten() {
        // Half a deviation below, one and a half below, hopeless.
        let mut arms = scored(&[(0.8, 0.0), (0.75, 0.1), (0.65, 0.1), (0.1, 0.001)]);
        matched(&mut arms, 0, 0.05);
        let p: Vec<f64> = arms.iter().map(|one| one.terms.probability).collect();
        assert!((p[0] - 0.95).abs() < 1e-12, "{p:?}");
        let floor = 0.05 * FLOOR / 3.0;
        assert!(((p[1] - floor) / (p[2] - floor) - 0.308_538 / 0.066_807).abs() < 0.03, "{p:?}");
        assert!((p[3] - floor).abs() < 1e-9, "{p:?}");
    }

    #[test]
    fn what_is_certain_is_hardly_explored() {
        let mut arms = scored(&[(0.8, 0.01), (0.6, 0.01), (0.5, 0.01)]);
        matched(&mut arms, 0, 0.05);
        assert!((arms[0].terms.probability - (1.0 - 0.05 * FLOOR)).abs() < 1e-6, "{arms:?}");
        matched(&mut arms, 0, 0.0);
        assert_eq!(arms[0].terms.probability, 1.0);
    }
}
