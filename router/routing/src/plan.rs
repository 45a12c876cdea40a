//! In which order the targets of a model are asked.
//!
//! Without weights: as configured. With weights: a weighted shuffle without replacement, so that a
//! target of weight 3 comes first three times as often as one of weight 1, and what comes second is
//! drawn in the same way from the rest.

use rand::{Rng, RngExt};
use smallvec::SmallVec;

/// Indices into a model's targets, each exactly once, in the order in which they are asked. Up to
/// four targets take no allocation.
pub type Order = SmallVec<[usize; 4]>;

/// The configured order.
#[must_use]
pub fn as_configured(targets: usize) -> Order {
    (0..targets).collect()
}

/// A weighted shuffle without replacement.
///
/// Each target runs an exponential race at the speed of its weight; they are ordered as they
/// arrive. This is algorithm A-ES of P. Efraimidis and P. Spirakis, "Weighted random sampling with a
/// reservoir", 2006, with keys `-ln(u) / w` sorted upwards instead of `u^(1/w)` sorted downwards,
/// which is the same order and does not underflow for small weights.
///
/// A weight of zero (or one that is negative or not a number, which a checked configuration does
/// not hold) never comes before a positive one: such targets follow in configured order, as a
/// reserve that is asked only when all others have failed.
pub fn by_weight(weights: &[f64], rng: &mut (impl Rng + ?Sized)) -> Order {
    let mut arrivals: SmallVec<[(f64, usize); 4]> = weights
        .iter()
        .enumerate()
        .map(|(index, weight)| {
            // In (0, 1]: the logarithm of zero would make a target never arrive.
            let even = 1.0 - rng.random::<f64>();
            let arrival = if *weight > 0.0 { -even.ln() / weight } else { f64::INFINITY };
            (arrival, index)
        })
        .collect();
    // The sort is stable, so that the reserve keeps its configured order.
    arrivals.sort_by(|left, right| left.0.total_cmp(&right.0));
    arrivals.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn every_target_stands_in_the_plan_exactly_once(
            weights in prop::collection::vec(prop_oneof![Just(0.0), 1e-9f64..1e9], 0..12),
            seed: u64,
        ) {
            let order = by_weight(&weights, &mut StdRng::seed_from_u64(seed));
            let mut sorted = order.to_vec();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, as_configured(weights.len()).to_vec());
        }

        #[test]
        fn weight_zero_never_precedes_a_positive_weight(
            weights in prop::collection::vec(prop_oneof![Just(0.0), 1e-9f64..1e9], 1..12),
            seed: u64,
        ) {
            let order = by_weight(&weights, &mut StdRng::seed_from_u64(seed));
            let reserve: Vec<usize> = order.iter().copied().filter(|index| weights[*index] == 0.0).collect();
            prop_assert!(order.ends_with(&reserve));
            prop_assert!(reserve.is_sorted(), "the reserve keeps its configured order: {:?}", order);
        }
    }

    #[test]
    fn first_places_are_shared_as_the_weights_are() {
        let weights = [1.0, 3.0, 0.0, 6.0];
        let mut rng = StdRng::seed_from_u64(11);
        let mut first = [0u32; 4];
        for _ in 0..100_000 {
            first[by_weight(&weights, &mut rng)[0]] += 1;
        }
        // Five standard deviations of a binomial draw of 100,000 are below 800.
        for (share, expected) in first.into_iter().zip([10_000, 30_000, 0, 60_000]) {
            assert!(share.abs_diff(expected) < 800, "{first:?}");
        }
    }

    #[test]
    fn second_places_are_drawn_from_the_rest_by_weight() {
        let weights = [1.0, 3.0, 6.0];
        let mut rng = StdRng::seed_from_u64(12);
        let mut second = [0u32; 3];
        let mut draws = 0;
        while draws < 40_000 {
            let order = by_weight(&weights, &mut rng);
            if order[0] == 2 {
                second[order[1]] += 1;
                draws += 1;
            }
        }
        assert!(second[0].abs_diff(10_000) < 500 && second[1].abs_diff(30_000) < 500, "{second:?}");
    }
}
