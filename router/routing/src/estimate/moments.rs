//! Mean and variance of numbers of which old ones count less and less.

use serde::{Deserialize, Serialize};

/// Mean and variance, discounted: with each number that comes, what the earlier ones weigh is multiplied
/// by a factor (exponentially weighted moments; West, "Updating mean and variance estimates", CACM 1979).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Moments {
    /// How many numbers it stands for, old ones counting less.
    #[serde(rename = "w")]
    weight: f64,
    /// Their mean.
    #[serde(rename = "m")]
    mean: f64,
    /// The sum of squared distances from the mean.
    #[serde(rename = "s")]
    squares: f64,
}

impl Moments {
    /// As after so many numbers of this mean and deviation: what is believed before any is seen.
    pub(super) const fn prior(weight: f64, mean: f64, deviation: f64) -> Self {
        Self { weight, mean, squares: weight * deviation * deviation }
    }

    /// Takes in a number of which the square is known too, or expected: `square` is the second moment.
    pub(super) fn add_expected(&mut self, mean: f64, square: f64, keep: f64) {
        if !(mean.is_finite() && square.is_finite()) {
            return;
        }
        let old = self.weight * keep;
        self.weight = old + 1.0;
        let step = mean - self.mean;
        self.mean += step / self.weight;
        let own = (square - mean * mean).max(0.0);
        self.squares = self.squares * keep + own + step * step * old / self.weight;
    }

    /// Takes in a number.
    pub(super) fn add(&mut self, value: f64, keep: f64) {
        self.add_expected(value, value * value, keep);
    }

    /// These and what was believed before, as one.
    pub(super) fn with(self, prior: Self) -> Self {
        let weight = self.weight + prior.weight;
        if weight <= 0.0 {
            return self;
        }
        let step = self.mean - prior.mean;
        Self {
            weight,
            mean: (self.mean * self.weight + prior.mean * prior.weight) / weight,
            squares: self.squares + prior.squares + step * step * self.weight * prior.weight / weight,
        }
    }

    pub(super) const fn weight(&self) -> f64 {
        self.weight
    }

    pub(super) const fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard deviation of the numbers; 0 without any.
    pub(super) fn deviation(&self) -> f64 {
        if self.weight > 0.0 { (self.squares / self.weight).sqrt() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_forgetting_they_are_the_plain_moments() {
        let mut moments = Moments::default();
        for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            moments.add(value, 1.0);
        }
        assert!((moments.mean() - 5.0).abs() < 1e-12 && (moments.deviation() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn joined_they_are_the_moments_of_all() {
        let (mut left, mut right, mut all) = (Moments::default(), Moments::default(), Moments::default());
        for (place, value) in [1.0, 8.0, 3.0, 3.5, -2.0].into_iter().enumerate() {
            let part = if place < 2 { &mut left } else { &mut right };
            part.add(value, 1.0);
            all.add(value, 1.0);
        }
        let joined = left.with(right);
        assert!((joined.mean() - all.mean()).abs() < 1e-12);
        assert!((joined.deviation() - all.deviation()).abs() < 1e-12);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut moments = Moments::prior(5.0, 100.0, 1.0);
        for _ in 0..400 {
            moments.add(1.0, 0.98);
        }
        assert!((moments.mean() - 1.0).abs() < 0.1 && (moments.weight() - 50.0).abs() < 1.0);
        moments.add(f64::NAN, 0.98);
        assert!(moments.mean().is_finite());
    }
}
