//! Bets against a claim about a mean.
//!
//! Who bets against a claim that is true, at odds that are fair under it, does not get rich: the
//! probability that his capital ever grows to `1 / alpha` times what he began with is at most `alpha`
//! (Ville 1939). So capital is evidence, it may be looked at after every sample, and `1 / capital` is a
//! p-value that is valid at any time. The stakes are the approximate Kelly stakes of Waudby-Smith and
//! Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 2024, section B.3, aGRAPA):
//! they use how little the numbers vary, which is what makes it fast where they vary little.
//!
//! A *watch* is the same bet with the capital never below what it began with: the e-detector of CUSUM form
//! (Shin, Ramdas, Rinaldo, "E-detectors", 2023). It forgets that a claim has held for long, and so finds soon
//! when it stops to hold; while it holds, the mean number of samples to a false alarm is at least the
//! threshold.

use serde::{Deserialize, Serialize};

/// Stakes are at most this share of what would lose everything at once.
const STAKE: f64 = 0.75;

/// What is bet against: about the mean of numbers from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The mean is not above this.
    AtMost(f64),
    /// The mean is not below this.
    AtLeast(f64),
}

/// A bet against a claim.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bet {
    claim: Claim,
    /// The least that the logarithm of the capital may fall to; `None` for a test.
    floor: Option<f64>,
    samples: u64,
    sum: f64,
    /// Squared distances from the means at their time.
    squares: f64,
    /// The logarithm of the capital, and the largest that it has been.
    log: f64,
    most: f64,
}

impl Bet {
    /// A test: it is decided once, with a bounded probability of being wrong ever.
    #[must_use]
    pub const fn against(claim: Claim) -> Self {
        Self { claim, floor: None, samples: 0, sum: 0.0, squares: 0.0, log: 0.0, most: 0.0 }
    }

    /// A watch: it goes on for ever, with a bounded rate of false alarms.
    #[must_use]
    pub const fn watching(claim: Claim) -> Self {
        Self { floor: Some(0.0), ..Self::against(claim) }
    }

    /// The same bet, in front of its first number.
    #[must_use]
    pub const fn anew(&self) -> Self {
        Self { floor: self.floor, ..Self::against(self.claim) }
    }

    /// Takes in a number from 0 to 1; what is outside counts as the nearer end, what is no number not at all.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        // A claim from below is one from above about the distance to one.
        let value = value.clamp(0.0, 1.0);
        let (value, bound) = match self.claim {
            Claim::AtMost(bound) => (value, bound),
            Claim::AtLeast(bound) => (1.0 - value, 1.0 - bound),
        };
        let bound = bound.clamp(0.01, 0.99);
        // The stake depends on earlier numbers alone: this one must not be known when it is placed.
        let stake = self.stake(bound);
        self.log += (stake * (value - bound)).ln_1p();
        self.log = self.floor.map_or(self.log, |floor| self.log.max(floor));
        self.most = self.most.max(self.log);
        self.samples += 1;
        self.sum += value;
        let distance = value - self.mean();
        self.squares += distance * distance;
    }

    /// How many numbers it has seen.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// The p-value of the claim, valid at any time: it never rises again.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        (-self.most).exp()
    }

    /// The logarithm of the capital as it stands.
    #[must_use]
    pub const fn log_capital(&self) -> f64 {
        self.log
    }

    /// The stake: what would have made the capital grow fastest on the numbers so far, as far as two moments
    /// tell. One number of a half is added to them, as in the paper.
    fn stake(&self, bound: f64) -> f64 {
        let gain = self.mean() - bound;
        let variance = (0.25 + self.squares) / (self.samples as f64 + 1.0);
        (gain / (variance + gain * gain)).clamp(0.0, STAKE / bound)
    }

    fn mean(&self) -> f64 {
        (0.5 + self.sum) / (self.samples as f64 + 1.0)
    }
}
