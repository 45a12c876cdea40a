//! Claims about whole forecasts.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const PRICE: Price = Price { input: 150_000, output: 600_000, cached_input: 75_000 };

fn ask(tokens: u64, max_output: Option<u64>, n: u64) -> Ask {
    Ask::new(&Features { tokens, messages: 1, ..Features::default() }, 0, max_output, n)
}

#[test]
fn the_guard_band_is_two_one_and_half_a_deviation() {
    let estimator = Estimator::default();
    let of = |qos| estimator.forecast(&ask(1_000, None, 1), Some(PRICE), qos);
    let (gold, silver, bronze) = (of(Qos::Gold), of(Qos::Silver), of(Qos::Bronze));
    let band = |forecast: Forecast| forecast.output_guarded as f64 - forecast.output as f64;
    assert!((band(gold) / band(silver) - 2.0).abs() < 0.01 && (band(bronze) / band(silver) - 0.5).abs() < 0.01);
    let dollars = |forecast: Forecast| (forecast.guarded.unwrap().0 - forecast.cost.unwrap().0) as f64;
    assert!(
        (dollars(gold) / dollars(silver) - 2.0).abs() < 0.02 && (dollars(bronze) / dollars(silver) - 0.5).abs() < 0.02
    );
    assert_eq!((gold.input, gold.cost), (bronze.input, bronze.cost));
}

#[test]
fn several_choices_cost_the_prompt_once() {
    let estimator = Estimator::default();
    let one = estimator.forecast(&ask(500, Some(400), 1), Some(PRICE), Qos::Silver);
    let four = estimator.forecast(&ask(500, Some(400), 4), Some(PRICE), Qos::Silver);
    assert_eq!((four.input, one.input), (500, 500));
    assert!(four.output.abs_diff(4 * one.output) <= 2 && four.output_guarded <= 1_600);
    // Four draws vary less than one that is four times as long.
    assert!(four.output_guarded < 4 * one.output_guarded);
    assert_eq!(estimator.forecast(&ask(500, Some(400), 0), None, Qos::Silver).output, one.output);
}

#[test]
fn what_has_no_output_and_no_price_has_none() {
    let forecast = Estimator::default().forecast(&ask(500, Some(0), 1), None, Qos::Gold);
    assert_eq!(forecast, Forecast { input: 500, ..Forecast::default() });
    let priced = Estimator::default().forecast(&ask(0, Some(0), 1), Some(PRICE), Qos::Gold);
    assert_eq!((priced.cost, priced.guarded), (Some(MicroUsd(0)), Some(MicroUsd(0))));
}

#[test]
fn learnt_forecasts_are_near_and_the_band_covers_what_it_should() {
    let mut dice = StdRng::seed_from_u64(5);
    let mut estimator = Estimator::default();
    let (mut over, mut predicted, mut actual) = ([0, 0], 0, 0);
    for place in 0..3_000_u64 {
        let ask = ask(dice.random_range(50..4_000), Some(4_096), 1);
        // Output: uniform in its logarithm, which is no log-normal at all.
        let output = dice.random_range(4.0..6.5_f64).exp() as u64;
        let usage = Usage { input: (ask.tokens as f64 * 1.2) as u64 + 9, output, ..Usage::default() };
        let [silver, gold] = [Qos::Silver, Qos::Gold].map(|qos| estimator.forecast(&ask, Some(PRICE), qos));
        let cost = PRICE.cost(&usage);
        if place >= 500 {
            over[0] += u32::from(Some(cost) > silver.guarded);
            over[1] += u32::from(Some(cost) > gold.guarded);
            predicted += silver.cost.unwrap().0;
            actual += cost.0;
        }
        estimator.learn(&ask, &silver, &usage, Some(cost), place * 1_000);
    }
    let told = estimator.accuracy();
    assert!(told.mape_input <= 0.05, "{told:?}");
    assert!((predicted as f64 / actual as f64 - 1.0).abs() < 0.05, "{predicted} {actual}");
    assert!(over[0] < 500 && over[1] < 150, "{over:?} of 2,500");
}

#[test]
fn it_reads_back_as_it_was_and_an_older_state_is_read_too() {
    let mut estimator = Estimator::default();
    let (ask, usage) = (ask(100, None, 1), Usage { input: 110, output: 50, ..Usage::default() });
    let forecast = estimator.forecast(&ask, Some(PRICE), Qos::Silver);
    estimator.learn(&ask, &forecast, &usage, None, 7);
    let text = serde_json::to_string(&estimator).unwrap();
    assert_eq!(serde_json::from_str::<Estimator>(&text).unwrap(), estimator);
    assert_eq!(serde_json::from_str::<Estimator>("{}").unwrap(), Estimator::default());
}

proptest! {
    #[test]
    fn forecasts_stay_within_what_was_asked(
        tokens in 0..200_000_u64,
        most in prop::option::of(0..20_000_u64),
        n in 0..9_u64,
        learnt in prop::collection::vec((0..100_000_u64, 0..100_000_u64), 0..40),
    ) {
        let mut estimator = Estimator::default();
        let asked = ask(tokens, most, n);
        for (input, output) in learnt {
            let forecast = estimator.forecast(&asked, Some(PRICE), Qos::Silver);
            estimator.learn(&asked, &forecast, &Usage { input, output, ..Usage::default() }, None, 0);
        }
        for qos in Qos::ALL {
            let told = estimator.forecast(&asked, Some(PRICE), qos);
            prop_assert!(told.output <= told.output_guarded && told.cost <= told.guarded);
            if let Some(most) = most {
                prop_assert!(told.output_guarded <= most * n.max(1), "{:?}", told);
                let whole = PRICE.cost(&Usage { input: told.input, output: told.output_guarded, ..Usage::default() });
                prop_assert!(told.guarded.unwrap().0 + 1 >= whole.0, "{:?}", told);
            }
        }
    }
}
