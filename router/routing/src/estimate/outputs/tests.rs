//! Claims about output distributions.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::task::cluster;
use atp_core::Features;

/// A draw from a log-normal distribution (Box and Muller 1958).
fn draw(dice: &mut StdRng, mu: f64, sigma: f64) -> f64 {
    let (one, two): (f64, f64) = (dice.random_range(f64::MIN_POSITIVE..1.0), dice.random_range(0.0..1.0));
    (mu + sigma * (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos()).exp()
}

#[test]
fn the_cut_distribution_has_the_moments_of_drawn_lengths() {
    let mut dice = StdRng::seed_from_u64(1);
    for (mu, sigma, most) in [(5.0, 1.0, 100.0), (5.0, 0.5, 500.0), (3.0, 1.5, 4_000.0), (6.0, 0.3, 20.0)] {
        let drawn: Vec<f64> = (0..200_000).map(|_| draw(&mut dice, mu, sigma).min(most)).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let deviation = (drawn.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / drawn.len() as f64).sqrt();
        let told = cut(mu, sigma, Some(most));
        assert!((told.mean / mean - 1.0).abs() < 0.01, "{mu} {sigma} {most}: {told:?} {mean}");
        assert!(
            (told.deviation - deviation).abs() <= 0.03 * deviation + 0.01,
            "{mu} {sigma} {most}: {told:?} {deviation}"
        );
    }
}

#[test]
fn what_was_cut_does_not_teach_that_answers_are_short() {
    let mut dice = StdRng::seed_from_u64(2);
    let mut outputs = Outputs::default();
    // The median is 403; more than six of ten are cut at 300.
    for _ in 0..2_000 {
        outputs.learn(0, Some(300), draw(&mut dice, 6.0, 0.8).min(300.0).round());
    }
    let (mu, sigma) = outputs.logs(0);
    assert!((mu - 6.0).abs() < 0.25 && (sigma - 0.8).abs() < 0.25, "{mu} {sigma}");
}

#[test]
fn the_learnt_distribution_follows_a_model_that_changes() {
    let mut dice = StdRng::seed_from_u64(3);
    let mut outputs = Outputs::default();
    for mu in [4.0, 6.5] {
        for _ in 0..800 {
            outputs.learn(1, None, draw(&mut dice, mu, 0.5));
        }
        let (learnt, sigma) = outputs.logs(1);
        assert!((learnt - mu).abs() < 0.15 && (sigma - 0.5).abs() < 0.15, "{mu}: {learnt} {sigma}");
    }
    assert!(outputs.seen(1) > 190.0 && outputs.seen(5) == 0.0);
}

#[test]
fn a_cluster_that_was_not_seen_begins_with_its_kind_and_the_models_own_way() {
    let mut outputs = Outputs::default();
    let of = |kind| cluster(&Features { kind, ..Features::default() }, None);
    let (code, classify) = (of(TaskKind::Code), of(TaskKind::Classify));
    assert!(outputs.expect(code, None).mean > 10.0 * outputs.expect(classify, None).mean);
    let before = outputs.expect(classify, None).mean;
    for _ in 0..50 {
        // Three times as long as is usual for code.
        outputs.learn(code, None, 1_200.0);
    }
    let after = outputs.expect(classify, None).mean;
    assert!(after > 2.0 * before && after < 3.5 * before, "{before} {after}");
}

#[test]
fn what_is_not_written_is_not_expected() {
    let mut outputs = Outputs::default();
    outputs.learn(0, Some(0), 0.0);
    assert_eq!(outputs, Outputs::default());
    assert_eq!(outputs.expect(0, Some(0)), Spread::default());
    outputs.learn(u16::MAX, None, f64::NAN);
    outputs.learn(u16::MAX, Some(3), 1e300);
    assert!(outputs.expect(u16::MAX, None).mean.is_finite());
}
