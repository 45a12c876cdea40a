//! `thompson`: the probability of each arm to be the best, from Beta posteriors.
//!
//! *Source.* Thompson (1933); Chapelle and Li, "An empirical evaluation of Thompson sampling" (2011). A draw from
//! each posterior, of which the highest wins, would leave the propensities unknown. So the probability
//! that arm a is the best, the integral of `f_a` times the product of all other `F_b`, is computed on a grid, and
//! one draw is made from that.
//!
//! The value of an arm has the mean and the variance that follow from the Beta posteriors of quality and
//! reliability; its distribution is taken to be the Beta with these moments.
//!
//! *Property.* Within 0.01 of the same integral on a grid that is 32 times finer (tested).
//! Work: arms x [`GRID`] exponentials, about a microsecond an arm; `contextual` is faster where there are many.

use smallvec::SmallVec;

use super::Scored;

/// Points at which the densities are known.
const GRID: usize = 128;
/// Deviations on both sides within which a density is looked at.
const REACH: f64 = 5.0;

/// Sets `terms.probability` to the probability to be the best; `terms.bonus` is the deviation of the score.
pub(super) fn weigh(scored: &mut [Scored]) {
    weigh_on::<GRID>(scored);
}

fn weigh_on<const G: usize>(scored: &mut [Scored]) {
    let (low, step) = grid::<G>(scored);
    let mut logs = [(0.0, 0.0); G];
    for (place, log) in logs.iter_mut().enumerate() {
        let value = low + step * (place as f64 + 0.5);
        *log = (value.ln(), (-value).ln_1p());
    }
    let mut all = [1.0; G];
    let mut arms: SmallVec<[[f64; G]; 8]> = SmallVec::new();
    for one in scored.iter() {
        let masses = masses(one.terms.score, one.terms.bonus.max(0.5 * step), &logs);
        for (all, below) in all.iter_mut().zip(below(&masses)) {
            *all *= below;
        }
        arms.push(masses);
    }
    let mut sum = 0.0;
    for (one, masses) in scored.iter_mut().zip(&arms) {
        let points = masses.iter().zip(below(masses)).zip(&all);
        one.terms.probability = points.map(|((mass, below), all)| mass * all / below).sum();
        sum += one.terms.probability;
    }
    for one in scored.iter_mut() {
        one.terms.probability = if sum > 0.0 { one.terms.probability / sum } else { 0.0 };
    }
}

/// Where the grid begins, and its step: over all that any posterior reaches, within 0 and 1.
fn grid<const G: usize>(scored: &[Scored]) -> (f64, f64) {
    let low = scored.iter().map(|one| one.terms.score - REACH * one.terms.bonus).fold(1.0, f64::min);
    let high = scored.iter().map(|one| one.terms.score + REACH * one.terms.bonus).fold(0.0, f64::max);
    let low = low.clamp(0.0, 0.999);
    (low, (high.min(1.0) - low).max(1e-3) / G as f64)
}

/// The masses of the Beta of this mean and deviation at the points of which the logarithms are given.
fn masses<const G: usize>(mean: f64, deviation: f64, logs: &[(f64, f64); G]) -> [f64; G] {
    let mean = mean.clamp(1e-3, 1.0 - 1e-3);
    // No wider than a Beta with one hump can be: beyond that it has poles at 0 and 1, which no grid catches.
    let least = 1.0 / mean.min(1.0 - mean);
    let count = (mean * (1.0 - mean) / (deviation * deviation).max(1e-9) - 1.0).max(least);
    let (a, b) = (mean * count - 1.0, (1.0 - mean) * count - 1.0);
    let exponent = |log: &(f64, f64)| a * log.0 + b * log.1;
    // The largest is 1, so that nothing overflows and the sum is never 0.
    let most = logs.iter().map(exponent).fold(f64::NEG_INFINITY, f64::max);
    let mut masses = [0.0; G];
    let mut sum = 0.0;
    for (mass, log) in masses.iter_mut().zip(logs) {
        *mass = (exponent(log) - most).exp();
        sum += *mass;
    }
    masses.iter_mut().for_each(|mass| *mass /= sum);
    masses
}

/// The mass below the middle of each point; never 0, because it is divided by.
fn below<const G: usize>(masses: &[f64; G]) -> impl Iterator<Item = f64> {
    masses.iter().scan(0.0, |sum, mass| {
        let middle = *sum + 0.5 * mass;
        *sum += mass;
        Some(middle.max(1e-6))
    })
}

#[cfg(test)]
mod tests {
    use atp_core::Terms;

    use super::*;

    fn scored(values: &[(f64, f64)]) -> Vec<Scored> {
        let terms = |(score, bonus): &(f64, f64)| Terms { score: *score, bonus: *bonus, ..Terms::default() };
        values.iter().enumerate().map(|(arm, value)| Scored { arm, terms: terms(value) }).collect()
    }

    fn probabilities(values: &[(f64, f64)]) -> Vec<f64> {
        let mut scored = scored(values);
        weigh(&mut scored);
        scored.iter().map(|one| one.terms.probability).collect()
    }

    #[test]
    fn one_beta_beats_another_as_often_as_the_closed_form_says() {
        // Beta(8, 4) against Beta(6, 6). For whole numbers (Miller 2015):
        // P(B > A) = sum over i < a_B of B(a_A + i, b_A + b_B) / ((b_B + i) B(1 + i, b_B) B(a_A, b_A)).
        let moments = |a: f64, b: f64| (a / (a + b), (a * b / ((a + b) * (a + b) * (a + b + 1.0))).sqrt());
        let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
        let beta = |a: u32, b: u32| factorial(a - 1) * factorial(b - 1) / factorial(a + b - 1);
        let exact: f64 = (0..8).map(|i| beta(6 + i, 6 + 4) / (f64::from(4 + i) * beta(1 + i, 4) * beta(6, 6))).sum();
        let found = probabilities(&[moments(8.0, 4.0), moments(6.0, 6.0)]);
        assert!((found[0] - exact).abs() < 0.002, "{found:?}, exactly {exact}");
    }

    #[test]
    fn a_finer_grid_changes_little() {
        let cases: [&[(f64, f64)]; 4] = [
            &[(0.8, 0.01), (0.79, 0.02), (0.5, 0.2)],
            &[(0.6, 0.1), (0.55, 0.1), (0.65, 0.1), (0.1, 0.05)],
            &[(0.9, 0.005), (0.9, 0.005), (0.7, 0.25)],
            &[(0.99, 0.02), (0.97, 0.1)],
        ];
        for case in cases {
            let mut fine = scored(case);
            std::thread::scope(|scope| {
                // Its arrays need more stack than a test has.
                let big = std::thread::Builder::new().stack_size(64 << 20);
                big.spawn_scoped(scope, || weigh_on::<4_096>(&mut fine)).expect("a thread").join().expect("its end");
            });
            for (coarse, fine) in probabilities(case).iter().zip(&fine) {
                assert!((coarse - fine.terms.probability).abs() < 0.01, "{case:?}: {coarse} {fine:?}");
            }
        }
    }

    #[test]
    fn extremes_stay_finite() {
        for case in [&[(0.0, 0.0), (1.0, 0.0)][..], &[(1.0, 0.5), (0.0, 0.5)], &[(0.5, 0.0); 60]] {
            let found = probabilities(case);
            assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{found:?}");
        }
    }
}
