//! Properties of choices, whatever the strategy.

use std::sync::Arc;

use atp_core::{Quality, Weights};
use proptest::prelude::{Strategy as Generator, *};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Strategy;
use super::*;
use crate::bandit::D;

fn rules(strategy: Strategy, qualities: &[Option<f64>]) -> BrainRules {
    let arm = |(place, quality): (usize, &Option<f64>)| ArmRules { name: name(place), quality: *quality };
    BrainRules {
        strategy,
        arms: qualities.iter().enumerate().map(arm).collect(),
        explore: 0.05,
        prior_weight: 10.0,
        half_life_ms: 86_400_000,
    }
}

fn name(place: usize) -> Arc<str> {
    format!("m{place}").into()
}

fn context(cluster: u16) -> Context {
    let mut x = [0.0; D];
    x[0] = 1.0;
    Context { cluster, x }
}

fn lesson(arm: usize, cluster: u16, score: f64, now_ms: u64) -> Lesson {
    Lesson {
        arm,
        context: context(cluster),
        weights: Weights::of(Quality::Balanced),
        served: Some(true),
        quality: Some((score, 1.0)),
        quiet: false,
        cost: Some(0.5),
        latency: Some(0.5),
        now_ms,
    }
}

fn alike(count: usize) -> Vec<ArmNow> {
    (0..count).map(|arm| ArmNow { arm, cost: 0.5, latency: 0.5 }).collect()
}

/// Any number at all, those that are none included.
fn anything() -> impl Generator<Value = f64> {
    prop_oneof![
        4 => 0.0..1.0f64,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0, 0.0, 1.0, 1e300, -1e300, 1e-300]),
    ]
}

fn lessons() -> impl Generator<Value = Vec<Lesson>> {
    let one = (
        (0..8usize, any::<u16>(), prop::array::uniform8(anything())),
        (anything(), anything(), anything()),
        (prop::option::of(any::<bool>()), prop::option::of((anything(), anything()))),
        (prop::option::of(anything()), prop::option::of(anything()), any::<u64>()),
    );
    let lesson = one.prop_map(|((arm, cluster, x), (w, c, l), (served, quality), (cost, latency, now_ms))| Lesson {
        arm,
        context: Context { cluster, x },
        weights: Weights { quality: w, cost: c, latency: l },
        served,
        quality,
        quiet: false,
        cost,
        latency,
        now_ms,
    });
    prop::collection::vec(lesson, 0..40)
}

fn strategy() -> impl Generator<Value = Strategy> {
    prop::sample::select(Strategy::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_comes_in_probabilities_are_whole_and_capped(
        strategy in strategy(), lessons in lessons(), qualities in prop::collection::vec(prop::option::of(anything()), 1..7),
        explore in anything(), weight in anything(), half_life_ms in any::<u64>(),
        given in prop::collection::vec((0..9usize, anything(), anything()), 0..9),
        (x, w, now_ms, seed) in (prop::array::uniform8(anything()), anything(), any::<u64>(), any::<u64>()),
    ) {
        let rules = BrainRules { explore, prior_weight: weight, half_life_ms, ..rules(strategy, &qualities) };
        let mut brain = Brain::new(rules);
        for lesson in &lessons {
            let reward = brain.learn(lesson);
            prop_assert!(reward.is_none_or(|reward| (0.0..=1.0).contains(&reward)), "{reward:?}");
        }
        let arms: Vec<ArmNow> = given.iter().map(|(arm, cost, latency)| ArmNow { arm: *arm, cost: *cost, latency: *latency }).collect();
        let context = Context { cluster: 3, x };
        let weights = Weights { quality: w, cost: 0.3, latency: 0.1 };
        let pick = brain.pick(&context, weights, &arms, now_ms, &mut StdRng::seed_from_u64(seed));
        let known = arms.iter().filter(|now| now.arm < qualities.len()).count();
        let Some(pick) = pick else { prop_assert_eq!(known, 0); return Ok(()) };
        prop_assert_eq!(pick.scored.len(), known);
        prop_assert!(arms.iter().any(|now| now.arm == pick.chosen));
        let sum: f64 = pick.scored.iter().map(|one| one.terms.probability).sum();
        prop_assert!((sum - 1.0).abs() < 1e-9, "{pick:?}");
        for one in &pick.scored {
            let terms = one.terms;
            for part in [terms.quality, terms.cost, terms.latency, terms.reliability, terms.probability] {
                prop_assert!((0.0..=1.0).contains(&part), "{terms:?}");
            }
            prop_assert!(terms.score.is_finite() && terms.bonus.is_finite(), "{terms:?}");
        }
        let greedy = pick.scored.iter().map(|one| one.terms.score).fold(f64::NEG_INFINITY, f64::max);
        let greedy = pick.scored.iter().find(|one| one.terms.score == greedy).expect("a greedy arm");
        prop_assert!(1.0 - greedy.terms.probability <= unit(explore) + 1e-9, "{pick:?}");
        for view in brain.view(now_ms) {
            let numbers = [view.pulls, view.scores, view.quality, view.interval.0, view.interval.1, view.exploit];
            prop_assert!(numbers.into_iter().chain(view.explore).all(f64::is_finite), "{view:?}");
        }
        let belief = brain.quality(0, &context, now_ms);
        prop_assert!(belief.mean.is_finite() && belief.deviation.is_finite() && belief.weight.is_finite(), "{belief:?}");
    }

    #[test]
    fn what_was_written_down_picks_and_learns_the_same_to_the_bit(
        strategy in strategy(), lessons in lessons(), seed in any::<u64>(), now_ms in any::<u64>(),
    ) {
        let mut brain = Brain::new(rules(strategy, &[Some(0.8), None, Some(0.6)]));
        let (first, second) = lessons.split_at(lessons.len() / 2);
        for lesson in first {
            brain.learn(lesson);
        }
        let text = serde_json::to_string(&brain).expect("a brain in JSON");
        let mut read: Brain = serde_json::from_str(&text).expect("a brain from JSON");
        prop_assert_eq!(&read, &brain);
        for lesson in second {
            prop_assert_eq!(read.learn(lesson), brain.learn(lesson));
        }
        prop_assert_eq!(&read, &brain);
        let pick = |brain: &Brain| {
            brain.pick(&context(1), Weights::of(Quality::High), &alike(3), now_ms, &mut StdRng::seed_from_u64(seed))
        };
        prop_assert_eq!(pick(&read), pick(&brain));
    }
}

#[test]
fn arms_are_chosen_as_often_as_their_probability_says() {
    for strategy in Strategy::ALL {
        let rules = BrainRules { explore: 0.4, ..rules(strategy, &[Some(0.7), Some(0.72), None, Some(0.69)]) };
        let mut brain = Brain::new(rules);
        for turn in 0..40 {
            brain.learn(&lesson(turn % 4, 0, [0.7, 0.75, 0.6, 0.72][turn % 4], turn as u64));
        }
        let mut dice = StdRng::seed_from_u64(11);
        let draws = 40_000;
        let mut counts = [0u32; 4];
        let mut probabilities = [0.0; 4];
        for _ in 0..draws {
            let pick = brain.pick(&context(0), Weights::of(Quality::High), &alike(4), 50, &mut dice).expect("a pick");
            counts[pick.chosen] += 1;
            probabilities = std::array::from_fn(|arm| pick.scored[arm].terms.probability);
        }
        for (count, probability) in counts.iter().zip(probabilities) {
            let share = f64::from(*count) / f64::from(draws);
            let reach = 4.0 * (probability * (1.0 - probability) / f64::from(draws)).sqrt();
            assert!((share - probability).abs() <= reach + 1e-12, "{strategy:?}: {counts:?} {probabilities:?}");
        }
    }
}

#[test]
fn the_better_arm_is_found_per_cluster() {
    for strategy in [Strategy::Contextual, Strategy::Ucb, Strategy::Thompson] {
        let mut brain = Brain::new(rules(strategy, &[None, None]));
        let (mut dice, mut right) = (StdRng::seed_from_u64(2), 0);
        for turn in 0..2_000u64 {
            let cluster = (turn % 2) as u16;
            let pick =
                brain.pick(&context(cluster), Weights::of(Quality::High), &alike(2), turn, &mut dice).expect("a pick");
            // Arm 0 is good at cluster 0, arm 1 at cluster 1.
            let mean = if pick.chosen == usize::from(cluster) { 0.85 } else { 0.6 };
            brain.learn(&lesson(pick.chosen, cluster, mean + 0.2 * (dice.random::<f64>() - 0.5), turn));
            right += u32::from(turn >= 1_000 && pick.chosen == usize::from(cluster));
        }
        assert!(right > 850, "{strategy:?}: {right} of 1000");
    }
}

#[test]
fn features_tell_apart_what_one_cluster_holds() {
    let mut brain = Brain::new(rules(Strategy::Contextual, &[None, None]));
    let mut dice = StdRng::seed_from_u64(3);
    let mut right = 0;
    for turn in 0..2_000u64 {
        // Long prompts: arm 1 is better; short ones: arm 0.
        let mut here = context(0);
        here.x[1] = dice.random::<f64>();
        let pick = brain.pick(&here, Weights::of(Quality::High), &alike(2), turn, &mut dice).expect("a pick");
        let mean = if pick.chosen == 1 { 0.5 + 0.4 * here.x[1] } else { 0.9 - 0.4 * here.x[1] };
        let told = lesson(pick.chosen, 0, mean + 0.2 * (dice.random::<f64>() - 0.5), turn);
        brain.learn(&Lesson { context: here, ..told });
        right += u32::from(turn >= 1_000 && (pick.chosen == 1) == (here.x[1] > 0.5));
    }
    assert!(right > 850, "{right} of 1000");
}

#[test]
fn cheapest_never_explores_but_learns() {
    let mut brain = Brain::new(rules(Strategy::Cheapest, &[Some(0.5), Some(0.9)]));
    let arms = [ArmNow { arm: 1, cost: 0.2, latency: 0.9 }, ArmNow { arm: 0, cost: 0.8, latency: 0.1 }];
    let mut dice = StdRng::seed_from_u64(4);
    for turn in 0..200 {
        let pick = brain.pick(&context(0), Weights::of(Quality::High), &arms, turn, &mut dice).expect("a pick");
        assert_eq!((pick.chosen, pick.explored), (0, false));
        brain.learn(&lesson(0, 0, 0.9, turn));
    }
    assert!(brain.quality(0, &context(0), 200).mean > 0.85);
}

#[test]
fn a_new_name_begins_anew_and_an_old_one_keeps_what_it_learnt() {
    let mut before = Brain::new(rules(Strategy::Contextual, &[None, None]));
    for turn in 0..50 {
        before.learn(&lesson(1, 0, 0.2, turn));
    }
    let mut turned = rules(Strategy::Contextual, &[None, None, None]);
    turned.arms = ["m1", "new", "m0"].map(|name| ArmRules { name: name.into(), quality: None }).to_vec();
    let mut after = Brain::new(turned);
    after.adopt(&before);
    let quality = |brain: &Brain, arm| brain.quality(arm, &context(0), 50);
    assert_eq!(quality(&after, 0), quality(&before, 1));
    assert_eq!((quality(&after, 1).weight, quality(&after, 1).mean), (0.0, UNKNOWN_QUALITY));
    assert_eq!(quality(&after, 2), quality(&before, 0));
}

#[test]
fn what_was_learnt_counts_half_after_the_half_life() {
    let mut brain = Brain::new(rules(Strategy::Contextual, &[None]));
    for turn in 0..100 {
        brain.learn(&lesson(0, 0, 0.2, turn));
    }
    let (half_life, weight) = (86_400_000, |brain: &Brain, now| brain.quality(0, &context(0), now).weight);
    let before = weight(&brain, 100);
    assert!((weight(&brain, 99 + half_life) / before - 0.5).abs() < 1e-6, "{before}");
    let told = Lesson { quality: None, ..lesson(0, 0, 0.2, 99 + half_life) };
    brain.learn(&told);
    assert!((weight(&brain, 99 + half_life) / before - 0.5).abs() < 1e-6, "any lesson lets the past fade");
    let mut for_ever = rules(Strategy::Contextual, &[None]);
    for_ever.half_life_ms = 0;
    let mut brain = Brain::new(for_ever);
    brain.learn(&lesson(0, 0, 0.2, 0));
    assert_eq!(weight(&brain, u64::MAX), 1.0);
}

#[test]
fn scores_of_one_arm_let_what_is_known_of_all_fade() {
    let mut brain = Brain::new(rules(Strategy::Contextual, &[None, None, None, None, None]));
    let told = |brain: &mut Brain, arm, count| {
        for turn in 0..count {
            // Scores that differ, so that nothing looks like a change.
            brain.learn(&lesson(arm, 0, if turn % 2 == 0 { 0.65 } else { 0.85 }, 0));
        }
    };
    told(&mut brain, 0, 40);
    let before = brain.quality(0, &context(0), 0).weight;
    told(&mut brain, 1, 3_000);
    let after = [0, 1].map(|arm| brain.quality(arm, &context(0), 0).weight);
    assert!(after[0] < 0.001 * before, "{before} {after:?}");
    // An arm that is asked alone remembers 80 scores to each arm.
    assert!((after[1] - 400.0).abs() < 10.0, "{after:?}");
    assert_eq!(brain.changes(), 0);
}

#[test]
fn an_arm_that_is_not_what_it_was_is_noticed_though_the_half_life_is_a_day() {
    let mut brain = Brain::new(rules(Strategy::Contextual, &[Some(0.9), Some(0.7)]));
    let mut dice = StdRng::seed_from_u64(6);
    let mut noisy = |mean: f64| mean + 0.3 * (dice.random::<f64>() - 0.5);
    for turn in 0..1_000 {
        brain.learn(&lesson(0, 0, noisy(0.85), turn));
        brain.learn(&lesson(1, 0, noisy(0.7), turn));
    }
    assert_eq!(brain.changes(), 0);
    let scores = (0..100).find(|turn| {
        brain.learn(&lesson(0, 0, noisy(0.45), 1_000 + turn));
        brain.quality(0, &context(0), 1_000).mean < brain.quality(1, &context(0), 1_000).mean
    });
    assert!(scores.is_some_and(|scores| scores < 20), "{scores:?}");
    assert_eq!(brain.changes(), 1);
}

#[test]
fn what_was_told_since_a_change_outlives_the_alarm() {
    let mut brain = Brain::new(rules(Strategy::Contextual, &[None, None, None]));
    let told = |brain: &mut Brain, arm, score| {
        brain.learn(&Lesson { served: None, cost: None, latency: None, ..lesson(arm, 0, score, 0) });
    };
    for turn in 0..200 {
        told(&mut brain, 1, if turn % 2 == 0 { 0.5 } else { 0.6 });
        told(&mut brain, 0, if turn % 2 == 0 { 0.8 } else { 0.9 });
    }
    // The first falls; the second has risen at the same time, and shows it once before the alarm.
    for turn in 0..30 {
        if turn == 3 {
            told(&mut brain, 1, 0.95);
        }
        told(&mut brain, 0, 0.3);
        if brain.changes() > 0 {
            break;
        }
    }
    assert_eq!(brain.changes(), 1);
    let [fell, rose, unasked] = [0, 1, 2].map(|arm| brain.quality(arm, &context(0), 0));
    assert!(fell.mean < 0.6 && fell.weight > 2.0, "{fell:?}");
    assert!(rose.mean > 0.78 && rose.weight > 0.9, "{rose:?}");
    assert!(unasked.weight < 0.1 && unasked.mean < rose.mean, "{unasked:?}");
}

#[test]
fn a_score_that_was_taken_back_does_not_return_with_a_change() {
    let bare = |arm, score| Lesson { served: None, cost: None, latency: None, ..lesson(arm, 0, score, 0) };
    let weight = |meanwhile: &[Lesson]| {
        let mut brain = Brain::new(rules(Strategy::Contextual, &[None, None]));
        for turn in 0..60 {
            brain.learn(&bare(0, if turn % 2 == 0 { 0.8 } else { 0.9 }));
        }
        brain.learn(&bare(0, 0.2));
        for lesson in meanwhile {
            brain.learn(lesson);
        }
        let alarm = (0..30).find(|_| {
            brain.learn(&bare(0, 0.2));
            brain.changes() > 0
        });
        assert!(alarm.is_some());
        brain.quality(1, &context(0), 0).weight
    };
    assert!(weight(&[bare(1, 0.95)]) > 0.9);
    assert!(weight(&[bare(1, 0.95), Lesson { quality: Some((0.95, -1.0)), ..bare(1, 0.95) }]) < 0.1);
}

#[test]
fn a_reward_is_the_weighted_mean_of_what_is_known() {
    let mut brain = Brain::new(rules(Strategy::Contextual, &[None]));
    let whole = lesson(0, 0, 0.9, 0);
    // 0.6 x 0.9 + 0.25 x 0.5 + 0.15 x 0.5.
    assert!((brain.learn(&whole).expect("a reward") - 0.74).abs() < 1e-12);
    let later = Lesson { served: None, cost: None, latency: None, ..whole };
    assert!((brain.learn(&later).expect("a reward") - 0.9).abs() < 1e-12);
    assert_eq!(brain.learn(&Lesson { quality: None, ..whole }), None);
    assert_eq!(brain.learn(&Lesson { served: Some(false), ..whole }), Some(0.0));
    assert_eq!(brain.learn(&Lesson { arm: 7, ..whole }), None);
}

#[test]
fn an_unseen_arm_is_tried_within_the_cap() {
    // The best arm is well known; another one has never been asked and nothing good is stated of it.
    let mut brain = Brain::new(rules(Strategy::Contextual, &[Some(0.9), Some(0.3)]));
    for turn in 0..300 {
        brain.learn(&lesson(0, 0, 0.9, turn));
    }
    let mut dice = StdRng::seed_from_u64(8);
    let pick = brain.pick(&context(0), Weights::of(Quality::High), &alike(2), 300, &mut dice).expect("a pick");
    let probability = pick.scored[1].terms.probability;
    // A tenth of the share is its own, whatever is thought of it.
    assert!((0.005..=0.05).contains(&probability), "{probability}");
}

#[test]
fn a_score_that_is_taken_back_leaves_what_was_before() {
    let mut brain = Brain::new(rules(Strategy::Contextual, &[Some(0.7)]));
    for turn in 0..20 {
        brain.learn(&lesson(0, turn as u16 % 3, 0.6, 0));
    }
    let before = [0, 1, 2, 3].map(|cluster| brain.quality(0, &context(cluster), 0));
    let told = Lesson { served: None, cost: None, latency: None, ..lesson(0, 1, 0.0, 0) };
    brain.learn(&told);
    assert!(brain.quality(0, &context(1), 0).mean < before[1].mean - 0.01);
    let back = Lesson { quality: told.quality.map(|(score, weight)| (score, -weight)), ..told };
    assert_eq!(brain.learn(&back), None, "it is no answer");
    for (cluster, before) in before.into_iter().enumerate() {
        let after = brain.quality(0, &context(cluster as u16), 0);
        assert!((after.mean - before.mean).abs() < 1e-9 && (after.weight - before.weight).abs() < 1e-9);
    }
    // More is not taken than there is.
    for _ in 0..100 {
        brain.learn(&back);
    }
    let bare = brain.quality(0, &context(1), 0);
    assert!(bare.mean.is_finite() && bare.weight >= 0.0 && bare.deviation.is_finite(), "{bare:?}");
}

#[test]
fn a_score_that_takes_anothers_place_is_no_news() {
    let mut brain = Brain::new(rules(Strategy::Contextual, &[Some(0.8), Some(0.8)]));
    for turn in 0..200 {
        let score = if turn % 2 == 0 { 0.7 } else { 0.9 };
        brain.learn(&lesson(0, 0, score, 0));
        brain.learn(&lesson(1, 0, score, 0));
    }
    let bare = |score| Lesson { served: None, cost: None, latency: None, ..lesson(0, 0, score, 0) };
    brain.learn(&bare(0.0));
    let before = [0, 1].map(|arm| brain.quality(arm, &context(0), 0));
    for _ in 0..100 {
        brain.learn(&Lesson { quality: Some((0.0, -1.0)), ..bare(0.0) });
        brain.learn(&Lesson { quiet: true, ..bare(0.0) });
    }
    let after = [0, 1].map(|arm| brain.quality(arm, &context(0), 0));
    assert_eq!(brain.changes(), 0, "one bad answer is not another model, however often it is told");
    assert_eq!(after[1], before[1], "and takes nothing from what is known of others");
    let close = |left: f64, right: f64| (left - right).abs() < 1e-9;
    assert!(close(after[0].mean, before[0].mean) && close(after[0].weight, before[0].weight), "{before:?} {after:?}");
}
