//! Money in whole micro-dollars, prices in micro-dollars per million tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::usage::Usage;

/// Whole micro-dollars: 1,000,000 make a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// Dollars as a float, for display only.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "display only; sums stay in whole micro-dollars")]
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for MicroUsd {
    /// Dollars with six decimals, as in `x-atp-cost-usd`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// What a model costs, in micro-dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Per million input tokens that were not cached.
    pub input: u64,
    /// Per million output tokens.
    pub output: u64,
    /// Per million input tokens read from the provider's cache.
    pub cached_input: u64,
}

impl Price {
    /// What `usage` costs, rounded up to the next micro-dollar: a paid token never costs zero.
    ///
    /// The three products are added before the one rounding, in 128 bits, so that nothing overflows
    /// and a sum of parts cannot gain more than one micro-dollar.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> MicroUsd {
        let cached = usage.cached_input.min(usage.input);
        let fresh = usage.input - cached;
        let sum = (u128::from(fresh) * u128::from(self.input))
            .saturating_add(u128::from(cached) * u128::from(self.cached_input))
            .saturating_add(u128::from(usage.output) * u128::from(self.output));
        MicroUsd(u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price { input: 150_000, output: 600_000, cached_input: 75_000 };

    #[test]
    fn a_million_of_each_costs_the_listed_price() {
        let usage = Usage { input: 1_000_000, output: 1_000_000, ..Usage::default() };
        assert_eq!(PRICE.cost(&usage), MicroUsd(750_000));
    }

    #[test]
    fn cached_tokens_are_part_of_input_and_cheaper() {
        let usage = Usage { input: 1_000_000, cached_input: 1_000_000, ..Usage::default() };
        assert_eq!(PRICE.cost(&usage), MicroUsd(75_000));
    }

    #[test]
    fn one_token_is_never_free() {
        let usage = Usage { input: 1, ..Usage::default() };
        assert_eq!(PRICE.cost(&usage), MicroUsd(1));
        assert_eq!(MicroUsd(1).to_string(), "0.000001");
    }

    #[test]
    fn the_largest_usage_saturates() {
        let usage = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        let price = Price { input: u64::MAX, output: u64::MAX, cached_input: 0 };
        assert_eq!(price.cost(&usage), MicroUsd(u64::MAX));
    }
}
