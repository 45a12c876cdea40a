//! Bounds around a mean that hold at all times at once.
//!
//! The two-sided normal mixture of Robbins (Annals of Mathematical Statistics 1970), as in Howard, Ramdas,
//! McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (Annals of
//! Statistics 2021), equation 14: sums of centred numbers from 0 to 1 are sub-Gaussian with variance at
//! most a quarter each (Hoeffding), so with intrinsic time `v = n / 4`
//!
//! ```text
//! P( some n: |sum - n mean| >= sqrt((v + r) ln((v + r) / (alpha^2 r))) ) <= alpha
//! ```
//!
//! for any `r > 0`, which only says at which `n` the bounds are tightest.

use serde::{Deserialize, Serialize};

/// Tightest at about 200 samples, at 5 %: `v / (2 ln(1/alpha) + ln(1 + 2 ln(1/alpha)))` (section 3.5 there).
const RHO: f64 = 6.3;
/// The largest variance of a number from 0 to 1.
const VARIANCE: f64 = 0.25;

/// The mean of numbers from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sequence {
    samples: u64,
    sum: f64,
}

impl Sequence {
    /// Takes in a number; what is outside counts as the nearer end, what is no number not at all.
    pub fn add(&mut self, value: f64) {
        if !value.is_nan() {
            self.samples += 1;
            self.sum += value.clamp(0.0, 1.0);
        }
    }

    /// How many there were.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Their mean.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.sum / self.samples as f64)
    }

    /// Where the true mean lies: outside of these bounds, at any time, with a probability of at most `alpha`.
    #[must_use]
    pub fn bounds(&self, alpha: f64) -> (f64, f64) {
        let Some(mean) = self.mean() else { return (0.0, 1.0) };
        let count = self.samples as f64;
        let time = count * VARIANCE + RHO;
        let radius = (time * (time / (alpha * alpha * RHO)).ln()).sqrt() / count;
        ((mean - radius).max(0.0), (mean + radius).min(1.0))
    }
}
