//! Claims about input counts: the provider's tokenizer is one of another ratio, with frames of its own.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// A provider whose counts differ by language and kind of work, with a template before every prompt.
fn told(ask: &Ask, dice: &mut StdRng) -> u64 {
    let by_language = [1.06, 1.31, 1.62, 1.45][ask.language as usize];
    let by_kind = if ask.cluster == 1 { 1.17 } else { 1.0 };
    let noise = 1.0 + dice.random_range(-0.03..0.03);
    (24.0 + 2.0 * f64::from(ask.messages) + ask.tokens as f64 * by_language * by_kind * noise).round() as u64
}

fn ask(dice: &mut StdRng) -> Ask {
    let tokens = 10.0 * dice.random_range(0.0..6.5_f64).exp();
    let language = match dice.random_range(0..10) {
        0..6 => Language::English,
        6..8 => Language::Latin,
        8 => Language::Cjk,
        _ => Language::Other,
    };
    Ask {
        cluster: dice.random_range(0..4),
        language,
        tokens: tokens as u64,
        messages: dice.random_range(1..6),
        images: 0,
        max_output: None,
        n: 1,
    }
}

/// The mean absolute error of `count` forecasts, each learnt from after it was made.
fn mape(inputs: &mut Inputs, dice: &mut StdRng, count: u32) -> f64 {
    let mut errors = 0.0;
    for _ in 0..count {
        let ask = ask(dice);
        let actual = told(&ask, dice);
        errors += (inputs.expect(&ask).mean - actual as f64).abs() / actual as f64;
        inputs.learn(&ask, actual);
    }
    errors / f64::from(count)
}

#[test]
fn after_a_hundred_requests_inputs_are_off_by_five_in_a_hundred_at_most() {
    for seed in 0..10 {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut inputs = Inputs::default();
        let first = mape(&mut inputs, &mut dice, 100);
        let then = mape(&mut inputs, &mut dice, 400);
        assert!(then <= 0.05, "seed {seed}: {first} then {then}");
    }
}

#[test]
fn another_tokenizer_is_learnt_anew() {
    let mut dice = StdRng::seed_from_u64(42);
    let mut inputs = Inputs::default();
    mape(&mut inputs, &mut dice, 500);
    let mut errors = 0.0;
    for place in 0..1_200 {
        let ask = ask(&mut dice);
        let actual = (ask.tokens as f64 * 0.8).round().max(1.0);
        if place >= 800 {
            errors += (inputs.expect(&ask).mean - actual).abs() / actual / 400.0;
        }
        inputs.learn(&ask, actual as u64);
    }
    assert!(errors <= 0.05, "{errors}");
}

#[test]
fn the_first_answers_tell_a_template_of_the_provider() {
    let mut inputs = Inputs::default();
    let ask =
        Ask { cluster: 0, language: Language::English, tokens: 12, messages: 1, images: 0, max_output: None, n: 1 };
    assert!((inputs.expect(&ask).mean - 12.0).abs() < 1e-9);
    for _ in 0..3 {
        inputs.learn(&ask, 40);
    }
    assert!((inputs.expect(&ask).mean - 40.0).abs() < 3.0, "{:?}", inputs.expect(&ask));
    // A template does not grow with the prompt.
    let long = inputs.expect(&Ask { tokens: 1_200, ..ask }).mean;
    assert!(long < 1_500.0, "{long}");
}

#[test]
fn images_are_learnt_apart_from_text() {
    let mut inputs = Inputs::default();
    let text =
        Ask { cluster: 0, language: Language::English, tokens: 100, messages: 1, images: 0, max_output: None, n: 1 };
    let seen = Ask { images: 2, ..text };
    assert!((inputs.expect(&seen).mean - 1_630.0).abs() < 1e-6);
    for _ in 0..100 {
        inputs.learn(&seen, 100 + 2 * 1_105);
    }
    assert!((inputs.expect(&seen).mean / 2_310.0 - 1.0).abs() < 0.02);
    assert!((inputs.expect(&text).mean - 100.0).abs() < 1e-9);
}

#[test]
fn counts_that_are_missing_teach_nothing() {
    let mut inputs = Inputs::default();
    let none = Ask { cluster: 9, language: Language::Other, tokens: 0, messages: 0, images: 0, max_output: None, n: 1 };
    inputs.learn(&none, 100);
    inputs.learn(&Ask { tokens: 50, ..none }, 0);
    assert_eq!(inputs, Inputs::default());
    assert_eq!(inputs.expect(&none).mean, 0.0);
}

proptest::proptest! {
    #[test]
    fn whatever_is_told_the_expectation_is_a_number(
        samples in proptest::collection::vec((0..u64::MAX, 0..u64::MAX, 0..u32::MAX, 0..4_u32, 0..40_u16), 0..60)
    ) {
        let mut inputs = Inputs::default();
        for (tokens, told, messages, images, cluster) in samples {
            let language = Language::ALL[usize::from(cluster % 4)];
            let ask = Ask { cluster, language, tokens, messages, images, max_output: None, n: 1 };
            inputs.learn(&ask, told);
            let expected = inputs.expect(&ask);
            proptest::prop_assert!(expected.mean.is_finite() && expected.mean >= 0.0, "{:?}", expected);
            proptest::prop_assert!(expected.deviation.is_finite() && expected.deviation >= 0.0, "{:?}", expected);
        }
    }
}
