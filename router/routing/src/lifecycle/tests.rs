//! Claims about promotion and demotion.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn entry(model: &str, status: Status) -> Entry {
    Entry { model: model.into(), status }
}

/// `new` in shadow beside two active ones.
fn three() -> Lifecycle {
    let entries = [entry("new", Status::Shadow), entry("old", Status::Active), entry("other", Status::Active)];
    Lifecycle::new(LifecycleRules::default(), &entries)
}

fn sample(quality: (f64, f64), cost: (u64, u64)) -> Sample {
    Sample { quality: Some(quality), cost: Some((MicroUsd(cost.0), MicroUsd(cost.1))) }
}

/// Feeds samples of these means, with noise, until something flips; how many it took.
fn until(life: &mut Lifecycle, model: &str, quality: f64, cost: f64, most: u32, seed: u64) -> Option<(u32, Flip)> {
    let mut dice = StdRng::seed_from_u64(seed);
    for call in 1..=most {
        let mut noise = || dice.random_range(-0.1..0.1);
        let told = sample((quality + noise(), 0.8 + noise()), ((cost * (1_000.0 + 500.0 * noise())) as u64, 1_000));
        if let Some(flip) = life.observe(model, &told, u64::from(call) * 1_000) {
            return Some((call, flip));
        }
    }
    None
}

#[test]
fn as_good_and_cheaper_is_promoted() {
    let mut life = three();
    let (calls, flip) = until(&mut life, "new", 0.8, 0.5, 1_000, 1).unwrap();
    assert!((5..250).contains(&calls), "{calls}");
    assert_eq!((flip.from, flip.to, flip.cause), (Status::Shadow, Status::Active, Cause::Evidence));
    assert!(flip.reason.starts_with("cost_improvement_") && flip.reason.ends_with("pct"), "{}", flip.reason);
    assert!(flip.cost_ratio.is_some_and(|ratio| (ratio - 0.5).abs() < 0.05), "{flip:?}");
    assert_eq!(life.status("new"), Some(Status::Active));
}

#[test]
fn cheaper_but_worse_is_not_promoted() {
    assert_eq!(until(&mut three(), "new", 0.7, 0.2, 3_000, 2), None);
}

#[test]
fn better_but_not_cheaper_is_not_promoted() {
    assert_eq!(until(&mut three(), "new", 0.95, 0.95, 3_000, 3), None);
}

#[test]
fn without_any_quality_nobody_is_promoted_on_cost_alone() {
    let mut life = three();
    let cheap = Sample { quality: None, cost: Some((MicroUsd(1), MicroUsd(1_000))) };
    assert!((0..2_000).all(|now| life.observe("new", &cheap, now * 1_000).is_none()));
}

#[test]
fn an_active_one_that_becomes_worse_or_dearer_is_demoted() {
    let mut life = three();
    assert_eq!(until(&mut life, "old", 0.8, 1.0, 400, 4), None);
    let (calls, flip) = until(&mut life, "old", 0.6, 1.0, 400, 5).unwrap();
    assert!(flip.reason.starts_with("quality_regress_") && calls < 200, "{calls} {flip:?}");
    let (calls, flip) = until(&mut three(), "old", 0.8, 2.0, 400, 6).unwrap();
    assert!(flip.reason.starts_with("cost_regress_") && calls < 200, "{calls} {flip:?}");
}

#[test]
fn neither_the_price_of_a_better_one_nor_the_quality_of_a_cheaper_one_demotes_it() {
    assert_eq!(until(&mut three(), "old", 0.95, 5.0, 1_000, 6), None);
    assert_eq!(until(&mut three(), "old", 0.6, 0.5, 1_000, 6), None);
    let dear = Sample { quality: None, cost: Some((MicroUsd(1_000), MicroUsd(1))) };
    let mut life = three();
    assert!((0..1_000).all(|now| life.observe("old", &dear, now * 1_000).is_none()), "cost alone decides nothing");
}

#[test]
fn the_last_active_one_of_any_route_stays() {
    let routes = || vec![vec!["old".into()], vec!["new".into(), "old".into(), "other".into()]];
    let mut life = three().of_routes(routes());
    assert_eq!(until(&mut life, "old", 0.1, 9.0, 1_000, 7), None, "one route has nobody else");
    assert!(until(&mut life, "other", 0.1, 9.0, 1_000, 7).is_some(), "each route of this one has another");
    assert_eq!(life.status("other"), Some(Status::Shadow));
    // A route that is new has nobody but the one that was demoted where it did not stand yet.
    let mut next = three().of_routes([routes(), vec![vec!["other".into()]]].concat());
    next.adopt(&life);
    assert_eq!((next.status("other"), next.status("new")), (Some(Status::Active), Some(Status::Shadow)));
    let mut same = three().of_routes(routes());
    same.adopt(&life);
    assert_eq!(same.status("other"), Some(Status::Shadow), "elsewhere it stays what it is");
}

#[test]
fn the_last_active_one_stays() {
    let entries = [entry("only", Status::Active), entry("shadow", Status::Shadow)];
    let mut life = Lifecycle::new(LifecycleRules::default(), &entries);
    assert_eq!(until(&mut life, "only", 0.1, 9.0, 1_000, 7), None);
}

#[test]
fn fallback_and_retired_models_do_not_flip() {
    let entries = [entry("last", Status::Fallback), entry("gone", Status::Retired), entry("on", Status::Active)];
    let mut life = Lifecycle::new(LifecycleRules::default(), &entries);
    assert_eq!(until(&mut life, "last", 1.0, 0.1, 1_000, 8), None);
    assert_eq!(until(&mut life, "gone", 1.0, 0.1, 1_000, 8), None);
    assert_eq!(life.observe("unknown", &Sample::default(), 0), None);
}

#[test]
fn a_false_promotion_is_as_rare_as_stated() {
    const RUNS: u64 = 150;
    // The hardest model that must not be promoted: exactly at both limits, with noise.
    let promoted = |quality: f64, cost: f64| {
        let runs = (0..RUNS).filter(|seed| until(&mut three(), "new", quality, cost, 600, 1_000 + seed).is_some());
        runs.count() as f64 / RUNS as f64
    };
    let worse = promoted(0.75, 0.3);
    let dearer = promoted(0.9, 0.902);
    assert!(worse <= 0.05 && dearer <= 0.05, "{worse} {dearer}");
}

#[test]
fn a_false_demotion_is_rarer_than_stated() {
    const RUNS: u64 = 100;
    // Exactly at the limit of quality: 500 samples each, so that at most half may flip; far fewer do.
    let runs = (0..RUNS).filter(|seed| until(&mut three(), "old", 0.75, 1.0, 500, 5_000 + seed).is_some());
    assert!(runs.count() <= 50);
}

#[test]
fn a_test_begins_anew_with_its_window() {
    let rules = LifecycleRules { window_ms: 10_000, ..LifecycleRules::default() };
    let mut life = Lifecycle::new(rules, &[entry("new", Status::Shadow), entry("old", Status::Active)]);
    for now in 0..11 {
        life.observe("new", &sample((0.8, 0.8), (9, 10)), now * 1_000);
    }
    assert_eq!(life.view()[0].calls, 11);
    life.observe("new", &sample((0.8, 0.8), (9, 10)), 11_000);
    assert_eq!(life.view()[0].calls, 1);
}

#[test]
fn a_pin_holds_until_it_is_taken_out() {
    let mut life = three();
    let flip = life.pin("new", Status::Active, 5).unwrap();
    assert_eq!((flip.to, flip.cause, &*flip.reason), (Status::Active, Cause::Pin, "pinned"));
    assert_eq!(life.pin("new", Status::Active, 6), None);
    assert_eq!(until(&mut life, "new", 0.1, 9.0, 1_000, 9), None);
    let Unpinned::Returns(flip) = life.unpin("new", 2_000_000) else { panic!("it stands where the pin put it") };
    assert_eq!((flip.from, flip.to, flip.cause), (Status::Active, Status::Shadow, Cause::Unpin));
    assert_eq!((life.status("new"), life.unpin("new", 2_000_000)), (Some(Status::Shadow), Unpinned::WasFree));
    assert_eq!(life.unpin("unknown", 0), Unpinned::WasFree);
    assert_eq!(life.observe("new", &sample((0.0, 1.0), (9, 1)), 2_000_001), None);
    assert_eq!(life.pin("unknown", Status::Active, 0), None);
}

#[test]
fn who_is_unpinned_is_again_what_evidence_had_made_of_it() {
    let mut life = three();
    until(&mut life, "new", 0.8, 0.5, 1_000, 1).unwrap();
    assert_eq!(life.status("new"), Some(Status::Active), "promoted, though configured to be in shadow");
    life.pin("new", Status::Retired, 1_000_000);
    // A second pin is no second life.
    life.pin("new", Status::Fallback, 1_000_001);
    assert!(matches!(life.unpin("new", 1_000_002), Unpinned::Returns(flip) if flip.to == Status::Active));
    // Where the configuration has changed its mind meanwhile, that holds.
    life.pin("new", Status::Retired, 1_000_003);
    let mut after =
        Lifecycle::new(LifecycleRules::default(), &[entry("new", Status::Fallback), entry("old", Status::Active)]);
    after.adopt(&life);
    assert_eq!(after.status("new"), Some(Status::Retired));
    assert!(matches!(after.unpin("new", 1_000_004), Unpinned::Returns(flip) if flip.to == Status::Fallback));
}

#[test]
fn the_last_active_model_of_a_route_stays_when_it_is_unpinned() {
    let mut life =
        Lifecycle::new(LifecycleRules::default(), &[entry("old", Status::Active), entry("new", Status::Shadow)]);
    life.pin("new", Status::Active, 1);
    life.pin("old", Status::Retired, 2);
    assert_eq!(life.unpin("new", 3), Unpinned::Stays);
    assert_eq!(life.status("new"), Some(Status::Active), "nobody else would answer");
}

#[test]
fn a_reload_keeps_what_was_learnt_unless_the_configuration_has_changed_its_mind() {
    let mut before = three();
    until(&mut before, "new", 0.8, 0.5, 1_000, 1).unwrap();
    before.observe("other", &sample((0.8, 0.8), (10, 10)), 999_999);
    let mut after = three();
    after.adopt(&before);
    assert_eq!(after, before);
    let entries = [entry("new", Status::Retired), entry("more", Status::Shadow)];
    let mut after = Lifecycle::new(LifecycleRules::default(), &entries);
    after.adopt(&before);
    assert_eq!((after.status("new"), after.status("old")), (Some(Status::Retired), None));
    let text = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<Lifecycle>(&text).unwrap(), before);
    let other = LifecycleRules { promote_cost: 0.5, ..LifecycleRules::default() };
    let mut after = Lifecycle::new(other, &[entry("other", Status::Active)]);
    after.adopt(&before);
    assert_eq!(after.view()[0].calls, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nobody_flips_twice_within_the_hysteresis_and_the_pinned_never(
        steps in prop::collection::vec((0..3_usize, 0.0..1.0_f64, 1..50_u64, 0..400_u64), 50..400),
        pin in 0..3_usize,
        hysteresis_ms in 0..20_000_u64,
    ) {
        // Limits that everything passes, so that flips are as frequent as they can be.
        let rules = LifecycleRules { alpha: 0.99, false_alarm: 1.1, margin: 0.0, hysteresis_ms, ..LifecycleRules::default() };
        let names = ["a", "b", "c"];
        let entries = [entry("a", Status::Shadow), entry("b", Status::Active), entry("c", Status::Active)];
        let mut life = Lifecycle::new(rules, &entries);
        life.pin(names[pin], entries[pin].status, 0);
        let (mut now, mut last) = (0, [None; 3]);
        for (model, quality, cost, pause) in steps {
            now += pause;
            if let Some(flip) = life.observe(names[model], &sample((quality, 0.5), (cost, 25)), now) {
                prop_assert_ne!(model, pin);
                prop_assert_ne!(flip.from, flip.to);
                prop_assert!(last[model].is_none_or(|last| now - last >= hysteresis_ms));
                prop_assert!(flip.calls >= rules.min_calls);
                last[model] = Some(now);
            }
            prop_assert!(life.view().iter().any(|model| model.status == Status::Active));
        }
    }
}
