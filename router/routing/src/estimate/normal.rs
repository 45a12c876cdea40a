//! The normal distribution.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// The density at `z`.
pub(super) fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// The share of the distribution below `z`, by the complementary error function.
pub(super) fn below(z: f64) -> f64 {
    0.5 * erfc(-z * FRAC_1_SQRT_2)
}

/// The complementary error function by the Chebyshev fit of Press et al., "Numerical Recipes", section 6.2
/// (`erfcc`): the relative error is below 1.2e-7 everywhere, also far out in the tail.
fn erfc(x: f64) -> f64 {
    const FIT: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.5 * size);
    let fit = FIT.iter().rev().fold(0.0, |sum, term| sum * t + term);
    let tail = t * (fit - size * size).exp();
    if x >= 0.0 { tail } else { 2.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the standard tables.
    #[test]
    fn the_distribution_has_its_known_values() {
        for (z, share) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746),
            (1.959_963_985, 0.975),
            (-1.644_853_627, 0.05),
            (3.090_232_306, 0.999),
            (-4.264_890_794, 1e-5),
        ] {
            assert!((below(z) / share - 1.0).abs() < 1e-6, "{z}: {}", below(z));
        }
        assert!((density(0.0) - 0.398_942_280).abs() < 1e-9 && (density(2.0) - 0.053_990_967).abs() < 1e-9);
    }

    #[test]
    fn far_out_it_stays_a_share() {
        for z in [-1e9, -50.0, 50.0, 1e9, f64::INFINITY, f64::NEG_INFINITY] {
            let share = below(z);
            assert!((0.0..=1.0).contains(&share), "{z}: {share}");
        }
    }
}
