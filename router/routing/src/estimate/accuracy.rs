//! How far forecasts are off from what was used.
//!
//! All numbers are of the recent past: a sample counts half after [`HALF_LIFE_MS`], so that they stand
//! for about a week (the mission's `estimate_mape_7d`, `underestimate_rate_7d`, `p95_overage_factor`).

use atp_core::{Forecast, MicroUsd, Usage};
use serde::{Deserialize, Serialize};

/// After this long a sample counts half: half a week.
const HALF_LIFE_MS: u64 = 302_400_000;
/// An estimate is too low where the actual number is above it by more than a fifth.
const UNDER: f64 = 1.2;
/// Buckets of the ratio of actual to estimate: from 1/8 to 16, each 5 % wider than the last.
const BUCKETS: usize = 100;
const LEAST: f64 = 0.125;
const GROWTH: f64 = 1.05;
/// Weights are brought back to one before they cost precision.
const HEAVIEST: f64 = 1024.0;

/// How far forecasts were off.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Accuracy {
    /// How many samples it stands for, old ones counting less.
    pub samples: f64,
    /// Mean absolute error of the input tokens, as a share of the actual ones.
    pub mape_input: f64,
    /// Of the output tokens.
    pub mape_output: f64,
    /// Of both together.
    pub mape_tokens: f64,
    /// Of the cost; 0 where no price is known.
    pub mape_usd: f64,
    /// The share of requests of which the tokens were above the estimate by more than a fifth.
    pub under_rate: f64,
    /// Actual tokens over estimated ones, which 95 of 100 requests do not exceed.
    pub p95_overage: f64,
}

impl Accuracy {
    /// How far forecasts can be relied on, from 0 to 1: `1 / (1 + mape)` of the tokens (facts 1.16).
    #[must_use]
    pub fn predictability(&self) -> f64 {
        1.0 / (1.0 + self.mape_tokens)
    }
}

/// What accuracy is made of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// When a sample weighs one.
    unit_at_ms: u64,
    weight: f64,
    input: f64,
    output: f64,
    tokens: f64,
    under: f64,
    /// The weight of samples with a cost, and the sum of their errors.
    priced: f64,
    usd: f64,
    /// Weights by the ratio of actual to estimated tokens.
    ratios: Vec<f64>,
}

impl Record {
    /// Takes in a forecast and what came of it. `cost` is what it came to.
    pub fn add(&mut self, predicted: &Forecast, usage: &Usage, cost: Option<MicroUsd>, now_ms: u64) {
        let weight = self.weight_at(now_ms);
        let estimated = predicted.input.saturating_add(predicted.output) as f64;
        let actual = usage.total() as f64;
        self.weight += weight;
        self.input += weight * error(predicted.input as f64, usage.input as f64);
        self.output += weight * error(predicted.output as f64, usage.output as f64);
        self.tokens += weight * error(estimated, actual);
        self.under += if actual > UNDER * estimated { weight } else { 0.0 };
        if let Some((predicted, cost)) = predicted.cost.zip(cost) {
            self.priced += weight;
            self.usd += weight * error(predicted.0 as f64, cost.0 as f64);
        }
        self.ratios.resize(BUCKETS, 0.0);
        if let Some(bucket) = self.ratios.get_mut(place(actual / estimated.max(1.0))) {
            *bucket += weight;
        }
    }

    /// What the samples amount to.
    #[must_use]
    pub fn accuracy(&self) -> Accuracy {
        let share = |sum: f64, of: f64| if of > 0.0 { sum / of } else { 0.0 };
        Accuracy {
            samples: self.weight,
            mape_input: share(self.input, self.weight),
            mape_output: share(self.output, self.weight),
            mape_tokens: share(self.tokens, self.weight),
            mape_usd: share(self.usd, self.priced),
            under_rate: share(self.under, self.weight),
            p95_overage: self.quantile(0.95),
        }
    }

    /// The weight of a sample of now. New ones weigh more than old ones, so that nothing else has to be
    /// touched (forward decay: Cormode et al., ICDE 2009).
    fn weight_at(&mut self, now_ms: u64) -> f64 {
        let age = now_ms.saturating_sub(self.unit_at_ms) as f64;
        let weight = (age / HALF_LIFE_MS as f64).exp2();
        if weight <= HEAVIEST {
            return weight;
        }
        let sums = [&mut self.weight, &mut self.input, &mut self.output, &mut self.tokens, &mut self.under];
        let more = [&mut self.priced, &mut self.usd];
        for sum in sums.into_iter().chain(more).chain(&mut self.ratios) {
            *sum /= weight;
        }
        self.unit_at_ms = now_ms;
        1.0
    }

    fn quantile(&self, share: f64) -> f64 {
        let wanted = share * self.ratios.iter().sum::<f64>();
        let mut seen = 0.0;
        for (place, weight) in self.ratios.iter().enumerate() {
            seen += weight;
            if *weight > 0.0 && seen >= wanted {
                return LEAST * GROWTH.powf(place as f64 + 0.5);
            }
        }
        0.0
    }
}

/// The distance of an estimate, as a share of what it should have been; of nothing, the share of one.
fn error(estimated: f64, actual: f64) -> f64 {
    (estimated - actual).abs() / actual.max(1.0)
}

/// The bucket of a ratio.
fn place(ratio: f64) -> usize {
    let steps = (ratio.max(LEAST) / LEAST).ln() / GROWTH.ln();
    (steps as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(input: u64, output: u64, cost: u64) -> Forecast {
        Forecast { input, output, output_guarded: output, cost: Some(MicroUsd(cost)), guarded: None }
    }

    fn usage(input: u64, output: u64) -> Usage {
        Usage { input, output, ..Usage::default() }
    }

    #[test]
    fn errors_are_shares_of_what_was_used() {
        let mut record = Record::default();
        record.add(&forecast(90, 50, 10), &usage(100, 100), Some(MicroUsd(20)), 0);
        record.add(&forecast(100, 110, 30), &usage(100, 100), None, 0);
        let told = record.accuracy();
        let near = |left: f64, right: f64| assert!((left - right).abs() < 1e-9, "{left} {right}");
        near(told.mape_input, 0.05);
        near(told.mape_output, 0.3);
        near(told.mape_tokens, (60.0 / 200.0 + 10.0 / 200.0) / 2.0);
        near(told.mape_usd, 0.5);
        near(told.under_rate, 0.5);
        assert!(told.p95_overage > 1.35 && told.p95_overage < 1.5, "{}", told.p95_overage);
        near(told.predictability(), 1.0 / 1.175);
    }

    #[test]
    fn after_weeks_the_old_samples_count_for_little() {
        let mut record = Record::default();
        for _ in 0..100 {
            record.add(&forecast(10, 10, 1), &usage(100, 100), None, 1_000);
        }
        // 14 half lives, and weights that had to be brought back to one.
        let later = 1_000 + 14 * HALF_LIFE_MS;
        record.add(&forecast(100, 100, 1), &usage(100, 100), None, later);
        let told = record.accuracy();
        assert!(told.mape_tokens < 0.01 && told.under_rate < 0.01, "{told:?}");
        assert!((told.p95_overage - 1.0).abs() < 0.06, "{told:?}");
    }

    #[test]
    fn without_samples_nothing_is_off() {
        assert_eq!(Record::default().accuracy(), Accuracy::default());
    }
}
