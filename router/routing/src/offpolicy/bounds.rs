//! Means of weighted rewards, and how far from the truth they may be.
//!
//! The bounds of IPS and DR are predictable plug-in empirical Bernstein intervals for variables that are bounded on one
//! side only: I. Waudby-Smith, L. Wu, A. Ramdas, N. Karampatziakis, P. Mineiro, "Anytime-valid off-policy inference for
//! contextual bandits", 2022, propositions 1 and 4, at a fixed number of choices. For variables `x >= 0` whose mean
//! given the past is `v`, and any predictable `l` in `[0, 1)` and `m` in `[0, 1]`,
//! `exp(l (x - v) - (x - m)^2 psi(l))` with `psi(l) = -ln(1 - l) - l` has a mean of at most 1 given the past (from the
//! inequality of Fan, Grama and Liu 2015: `exp(l y - y^2 psi(l)) <= 1 + l y` for `y >= -1`). So by Markov the mean `v` is, but
//! for a share `a` of all cases, at least `(sum of l x - ln(1/a) - sum of (x - m)^2 psi(l)) / sum of l`. The upper bound is the lower
//! one of `1 - r` mirrored, because its mean is `1 - v`.

use serde::Serialize;

use super::records::{Row, Side};

/// What each side of an interval may miss: 2.5 %.
const MISS: f64 = 0.025;
/// For how many values the variance that is expected from probabilities counts beside those that were seen.
const PRIOR: f64 = 20.0;
/// The most that is bet on a difference.
const BOLDEST: f64 = 0.5;

/// A mean, and where the truth lies in at least 95 of 100 cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The estimate.
    pub mean: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

impl Estimate {
    /// Nothing is known of a number from 0 to 1.
    const UNKNOWN: Self = Self { mean: f64::NAN, low: 0.0, high: 1.0 };

    /// Whether a value lies within the bounds.
    #[must_use]
    pub fn covers(&self, truth: f64) -> bool {
        self.low <= truth && truth <= self.high
    }
}

/// How much a row counts: by what its choice is weighted, and for how many it stands.
fn weight(row: &Row) -> f64 {
    let chosen = row.sides.iter().find(|side| side.chosen);
    chosen.map_or(0.0, |side| side.other / side.logged) * row.stands_for
}

#[expect(clippy::cast_precision_loss, reason = "counts of lines in files")]
fn count(rows: &[Row]) -> f64 {
    rows.len() as f64
}

/// To how many choices of the other way's own these amount.
pub(super) fn effective(rows: &[Row]) -> f64 {
    let drawn = |row: &Row| row.sides.iter().find(|side| side.chosen).map_or(0.0, |side| side.other / side.logged);
    let (sum, squares) = rows.iter().map(drawn).fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// What the square of the weighted reward is at most, as far as it is known before the draw: `sum of q^2 / p`.
fn expected_square(row: &Row) -> f64 {
    let square = |(side, most): (&Side, &f64)| side.other * side.other / side.logged * most;
    row.sides.iter().zip(&row.most).map(square).sum()
}

/// What the logged way was worth: the mean of its rewards.
pub(super) fn logged(rows: &[Row]) -> Estimate {
    let most = |row: &Row| row.sides.iter().zip(&row.most).map(|(side, most)| side.logged * most).sum();
    let of = |reward: fn(&Row) -> f64| {
        let values: Vec<Value> =
            rows.iter().map(|row| Value { is: row.stands_for * reward(row), square: most(row) }).collect();
        (mean(&values), lower(&values))
    };
    between(of(|row| row.reward), of(|row| 1.0 - row.reward))
}

/// Inverse propensity scoring.
pub(super) fn ips(rows: &[Row]) -> Estimate {
    let of = |reward: fn(&Row) -> f64| {
        let value = |row: &Row| Value { is: weight(row) * reward(row), square: expected_square(row) };
        let values: Vec<Value> = rows.iter().map(value).collect();
        (mean(&values), lower(&values))
    };
    between(of(|row| row.reward), of(|row| 1.0 - row.reward))
}

/// The doubly robust estimate. For the bounds, what is expected is cut where a weight would make the variable fall below
/// `-k`: any expectation leaves the mean what it is. The estimate itself needs no cut.
pub(super) fn dr(rows: &[Row]) -> Estimate {
    let k = (count(rows).sqrt() / 2.0).max(1.0);
    let bound = |face: Face| {
        // Moved and scaled so that it begins at 0 and its mean is at most 1.
        let value = |row: &Row| {
            let square = policy_square(row) / ((k + 1.0) * (k + 1.0));
            Value { is: (robust(row, k, face).max(-k) + k) / (k + 1.0), square }
        };
        lower(&rows.iter().map(value).collect::<Vec<_>>()) * (k + 1.0) - k
    };
    let mean = rows.iter().map(|row| robust(row, f64::INFINITY, Face::Reward)).sum::<f64>() / count(rows);
    let Estimate { low, high, .. } = between((mean, bound(Face::Reward)), (mean, bound(Face::Rest)));
    let mean = if low < high { mean.clamp(low, high) } else { mean };
    Estimate { mean, low, high }
}

/// What is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    /// The reward.
    Reward,
    /// What is left of it to 1.
    Rest,
}

impl Face {
    fn of(self, reward: f64) -> f64 {
        match self {
            Self::Reward => reward,
            Self::Rest => 1.0 - reward,
        }
    }
}

/// The doubly robust variable of a row, at least `-k`. It is so twice over: the reward of the one that was drawn
/// corrects what was expected of all, and a score that was told corrects the one that was expected for all
/// answers of its model, so that what is known of every answer (did it fail, its cost, its latency) counts for every one.
fn robust(row: &Row, k: f64, face: Face) -> f64 {
    let expects = |side: &Side| {
        let weight = side.other / side.logged;
        if weight > 0.0 { face.of(side.expected).min(k / (2.0 * weight)) } else { 0.0 }
    };
    let expected: f64 = row.sides.iter().map(|side| side.other * expects(side)).sum();
    let Some(chosen) = row.sides.iter().find(|side| side.chosen) else { return expected };
    let weight = chosen.other / chosen.logged;
    weight * (observed(row, k, weight, face) - expects(chosen)) + expected
}

/// The reward, as far as it is known, with what was expected of the score where that was not told. Where no score of a
/// model was ever told, nothing is expected of it: neither that it is good nor that it is bad.
fn observed(row: &Row, k: f64, weight: f64, face: Face) -> f64 {
    let Some(parts) = row.parts else { return face.of(0.0) };
    let parts = if face == Face::Rest { parts.mirrored() } else { parts };
    if parts.stands <= 0.0 {
        return parts.rest;
    }
    let spread = 2.0 * weight * parts.share * (parts.stands - 1.0);
    let guess = if spread > 0.0 { parts.expected.min(k / spread) } else { parts.expected };
    let correction = parts.score.map_or(0.0, |score| parts.stands * (score - guess));
    parts.rest + parts.share * (guess + correction)
}

/// What the square of the doubly robust variable is about, as far as it is known before the draw.
fn policy_square(row: &Row) -> f64 {
    let share = row.parts.map_or(0.0, |parts| parts.share);
    let square = |(side, most): (&Side, &f64)| {
        side.other * side.other / side.logged * (1.0 + share * share * (most - 1.0) / 4.0)
    };
    row.sides.iter().zip(&row.most).map(square).sum()
}

/// The self-normalised estimate. Its bounds are the normal ones of a ratio of sums, with two margins, because they are
/// asymptotic and weights are skewed: 2.81 standard errors (99.5 %) instead of 1.96, and the heaviest weight
/// that could have come is taken to have come once more than it did.
pub(super) fn snips(rows: &[Row]) -> Estimate {
    let sum: f64 = rows.iter().map(weight).sum();
    if sum <= 0.0 {
        return Estimate::UNKNOWN;
    }
    let mean = rows.iter().map(|row| weight(row) * row.reward).sum::<f64>() / sum;
    let square = |row: &Row| (weight(row) * (row.reward - mean)).powi(2);
    let heaviest = |row: &Row| {
        let weights = row.sides.iter().zip(&row.most).map(|(side, most)| side.other / side.logged * most);
        weights.fold(0.0, f64::max)
    };
    let once_more = rows.iter().map(heaviest).fold(0.0, f64::max) / 2.0;
    let squares = once_more.mul_add(once_more, rows.iter().map(square).sum::<f64>());
    let error = 2.81 * squares.sqrt() / sum;
    Estimate { mean, low: (mean - error).max(0.0), high: (mean + error).min(1.0) }
}

/// The interval of a mean from its lower bound, and the mirrored one of what is left to 1. The mean of the two means
/// is unbiased where each is, and always between the bounds where the weights have their mean of 1.
fn between((mean, low): (f64, f64), (_, mirrored): (f64, f64)) -> Estimate {
    if mean.is_nan() {
        return Estimate::UNKNOWN;
    }
    Estimate { mean, low: low.clamp(0.0, 1.0), high: (1.0 - mirrored).clamp(0.0, 1.0) }
}

/// A variable of at least 0, and what its square is expected to be.
#[derive(Debug, Clone, Copy)]
struct Value {
    is: f64,
    square: f64,
}

fn mean(values: &[Value]) -> f64 {
    values.iter().map(|value| value.is).sum::<f64>() / length(values)
}

#[expect(clippy::cast_precision_loss, reason = "a count of lines in files")]
fn length(values: &[Value]) -> f64 {
    values.len() as f64
}

/// What the mean of these variables is at least. See the module's text.
fn lower(values: &[Value]) -> f64 {
    let count = length(values);
    let log = (1.0 / MISS).ln();
    let (mut seen, mut sum, mut spread, mut squares) = (0.0, 0.0, 0.0, 0.0);
    let (mut bets, mut won, mut paid) = (0.0, 0.0, log);
    for Value { is, square } in values {
        // Everything that the bet and the guess are made of is known before the value is.
        squares += square;
        let expected = squares / (seen + 1.0);
        let variance = (spread + PRIOR * expected) / (seen + PRIOR);
        let bet = (2.0 * log / (variance * count)).sqrt().min(BOLDEST);
        let guess = ((sum + 0.5) / (seen + 1.0)).min(1.0);
        let off = is - guess;
        bets += bet;
        won += bet * is;
        paid += off * off * (-(-bet).ln_1p() - bet);
        seen += 1.0;
        sum += is;
        spread += off * off;
    }
    if bets > 0.0 { (won - paid) / bets } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn the_bound_holds_for_skewed_values_and_is_not_idle() {
        let mut missed = 0;
        let mut width = 0.0;
        for seed in 0..400 {
            let mut dice = StdRng::seed_from_u64(seed);
            // One in twenty is 20, the others are nothing: the mean is 1, the deviation 4.4.
            let value = |dice: &mut StdRng| if dice.random::<f64>() < 0.05 { 20.0 } else { 0.0 };
            let values: Vec<Value> = (0..2_000).map(|_| Value { is: value(&mut dice), square: 20.0 }).collect();
            let low = lower(&values);
            missed += u32::from(low > 1.0);
            width += (1.0 - low) / 400.0;
        }
        assert!(missed <= 10, "2.5 % of 400: {missed}");
        // The normal bound would be 1.96 * 4.36 / sqrt(2000) = 0.19.
        assert!((0.1..0.4).contains(&width), "{width}");
    }

    #[test]
    fn nothing_seen_is_nothing_known() {
        for estimate in [ips(&[]), dr(&[]), snips(&[]), logged(&[])] {
            assert!(estimate.mean.is_nan() && estimate.covers(0.0) && estimate.covers(1.0));
        }
    }
}
