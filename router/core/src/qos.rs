//! What a request is entitled to: its class, and its tenant's weight.

use serde::{Deserialize, Serialize};

/// The class of service. The order is the rank: gold stands above silver, silver above bronze.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Qos {
    /// Work that may be late or given up: experiments, batches, shadow traffic. Gold may preempt it.
    Bronze,
    /// Everything else.
    #[default]
    Silver,
    /// Somebody is waiting: it has a reserved minimum of every model and may preempt bronze.
    Gold,
}

impl Qos {
    /// Every class, lowest first; a class's place is its value as a number.
    pub const ALL: [Self; 3] = [Self::Bronze, Self::Silver, Self::Gold];

    /// The name in the configuration, in `x-atp-qos`, and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Bronze => "bronze",
            Self::Silver => "silver",
            Self::Gold => "gold",
        }
    }

    /// The class of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|qos| qos.label() == name)
    }

    /// How many times the service of a bronze request of the same weight it gets while all classes
    /// wait: 5, 3 and 1, the ratio of the mission's rounds.
    #[must_use]
    pub const fn factor(self) -> u32 {
        match self {
            Self::Bronze => 1,
            Self::Silver => 3,
            Self::Gold => 5,
        }
    }
}

/// A tenant's share of a model in proportion to the others', in thousandths, so that it is compared
/// exactly: 1000 is a weight of 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Weight(u32);

impl Weight {
    /// The smallest share that can be given: 0.1.
    pub const LEAST: Self = Self(100);
    /// The weight of who has none: 1.0.
    pub const ONE: Self = Self(1_000);
    /// The largest share that can be given: 100.
    pub const MOST: Self = Self(100_000);

    /// A weight from 0.1 to 100, rounded to thousandths; `None` for any other number.
    #[must_use]
    pub fn new(weight: f64) -> Option<Self> {
        let within = (Self::LEAST.as_f64()..=Self::MOST.as_f64()).contains(&weight);
        // Within the bounds a thousandfold fits, and is not negative.
        within.then(|| Self((weight * 1_000.0).round() as u32))
    }

    /// In thousandths.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// As a number.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_kept_to_the_thousandth_and_within_its_bounds() {
        assert_eq!(Weight::new(0.1), Some(Weight::LEAST));
        assert_eq!(Weight::new(2.5).map(Weight::thousandths), Some(2_500));
        assert_eq!(Weight::new(100.0), Some(Weight::MOST));
        for bad in [0.0, 0.099, -1.0, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Weight::new(bad), None, "{bad}");
        }
    }

    #[test]
    fn classes_rank_and_read_back() {
        assert!(Qos::Gold > Qos::Silver && Qos::Silver > Qos::Bronze);
        for (place, qos) in Qos::ALL.into_iter().enumerate() {
            assert_eq!((Qos::parse(qos.label()), qos as usize), (Some(qos), place));
        }
        assert_eq!(Qos::parse("Gold"), None);
    }
}
