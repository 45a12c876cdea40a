//! A world in which the truth is known.

use atp_core::{Features, Forecast, MicroUsd, Quality};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::bandit::{Context, D, Lesson, Strategy};
use crate::candidate::{CandidateFacts, CandidateNow, Needs};
use crate::decide::Scale;
use crate::sticky::StickyRules;

const BEGAN: u64 = 1_700_000_000_000;
const CHOICES: u64 = 1_000;
/// How good each model is at each of two kinds of work.
const QUALITY: [[f64; 2]; 3] = [[0.86, 0.74], [0.74, 0.92], [0.80, 0.80]];
const RELIABLE: [f64; 3] = [0.97, 0.99, 0.90];
const COST: [u64; 3] = [50, 120, 200];
/// How often somebody tells a score.
const TOLD: f64 = 0.7;

fn rules(strategy: Strategy) -> MindRules {
    let model = |name: &str| CandidateFacts { quality: Some(0.75), ..CandidateFacts::named(name) };
    MindRules {
        route: Arc::from("auto"),
        candidates: vec![model("a"), model("b"), model("c")],
        strategy,
        explore: 0.3,
        prior_weight: 5.0,
        half_life_ms: 0,
        sticky: StickyRules::default(),
    }
}

fn now() -> Vec<CandidateNow> {
    let one = |cost| CandidateNow {
        forecast: Forecast { guarded: Some(MicroUsd(cost)), ..Forecast::default() },
        ..CandidateNow::default()
    };
    COST.map(one).to_vec()
}

fn needs() -> Needs {
    Needs {
        max_cost: Some(MicroUsd(200)),
        weights: Weights { quality: 0.7, cost: 0.3, latency: 0.0 },
        ..Needs::of(Quality::Fast)
    }
}

fn request(number: u64, dice: &mut StdRng) -> Request {
    let cluster = u16::from(dice.random::<bool>());
    let mut x = [0.0; D];
    (x[0], x[1]) = (1.0, f64::from(cluster) * 2.0 - 1.0);
    Request {
        id: RequestId::from_parts(BEGAN + number, u128::from(number)),
        tenant: Arc::from("t"),
        asked: Arc::from("auto"),
        features: Features::default(),
        context: Context { cluster, x },
        cluster: Arc::from("c"),
        needs: needs(),
        keys: StickyKeys { session: (number.is_multiple_of(5)).then_some((number % 50) << 8), prefix: None },
        now_ms: BEGAN + number * 1_000,
        seed: dice.random(),
    }
}

/// The expected reward of a model for a kind of work.
fn truth(arm: usize, cluster: u16, weights: Weights) -> f64 {
    let cost = 1.0 - COST[arm] as f64 / 200.0;
    RELIABLE[arm] * (weights.quality * QUALITY[arm][usize::from(cluster)] + weights.cost * cost)
}

/// Lives through many requests, and holds each of `others` against what was decided. Returns the evaluations and the
/// truth.
fn simulate(seed: u64, others: Vec<Other>) -> Vec<(Evaluation, f64)> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut mind = Mind::new(rules(Strategy::Contextual));
    let mut evaluators: Vec<Evaluator> = others.into_iter().map(|other| Evaluator::new(vec![other])).collect();
    evaluators.iter_mut().for_each(|each| each.begins(&mind));
    let mut clusters = HashMap::new();
    let now = now();
    for number in 0..CHOICES {
        let request = request(number, &mut dice);
        clusters.insert(request.id, request.context.cluster);
        let n = mind.events();
        let plan = mind.decide(&request, &now);
        let choice = Choice {
            route: Arc::from("auto"),
            n,
            request: request.clone(),
            candidates: now.clone(),
            chosen: plan.order.first().copied(),
            strategy: plan.strategy.clone(),
            probabilities: plan.candidates.iter().map(|each| each.terms.probability).collect(),
        };
        evaluators.iter_mut().for_each(|each| each.chose(&choice, &plan));
        let lesson = lesson(&mind, &request, plan.order[0], &mut dice);
        let n = mind.events();
        let reward = mind.learn(&lesson);
        let learnt = Learnt { route: Arc::from("auto"), n, id: request.id, lesson, reward };
        evaluators.iter_mut().for_each(|each| each.learnt(&learnt));
    }
    let ended = |evaluator: Evaluator| {
        let case = &evaluator.routes[0];
        let weights = case.other.weights.unwrap_or(needs().weights);
        let worth = |(id, place): (&RequestId, &usize)| -> f64 {
            let sides = case.records[*place].sides.iter();
            sides.map(|side| side.other * truth(side.model_arm(&case.models), clusters[id], weights)).sum()
        };
        let truth = case.by_id.iter().map(worth).sum::<f64>() / case.records.len() as f64;
        (evaluator.end().remove(0), truth)
    };
    evaluators.into_iter().map(ended).collect()
}

fn lesson(mind: &Mind, request: &Request, arm: usize, dice: &mut StdRng) -> Lesson {
    let served = dice.random::<f64>() < RELIABLE[arm];
    let good = dice.random::<f64>() < QUALITY[arm][usize::from(request.context.cluster)];
    let told = served && dice.random::<f64>() < TOLD;
    let scale = Scale::of(&request.needs, &mind.rules().candidates, &now());
    Lesson {
        arm,
        context: request.context,
        weights: request.needs.weights,
        served: Some(served),
        quality: told.then_some((f64::from(u8::from(good)), 1.0)),
        quiet: false,
        cost: Some(scale.cost(Some(MicroUsd(COST[arm])))),
        latency: None,
        now_ms: request.now_ms,
    }
}

fn one(seed: u64, rules: MindRules, weights: Option<Weights>) -> (Evaluation, f64) {
    simulate(seed, vec![Other { rules, weights }]).remove(0)
}

impl Side {
    fn model_arm(&self, models: &[Arc<str>]) -> usize {
        ["a", "b", "c"].iter().position(|name| **name == *models[self.model]).expect("one of three")
    }
}

#[test]
fn the_truth_lies_within_the_bounds_in_95_of_100_worlds() {
    let others = || {
        let other = |strategy, weights| Other { rules: rules(strategy), weights };
        let dear = Some(Weights { quality: 0.2, cost: 0.8, latency: 0.0 });
        vec![other(Strategy::Cheapest, None), other(Strategy::Contextual, dear), other(Strategy::Ucb, None)]
    };
    let mut covered = [[0u32; 4]; 3];
    for seed in 0..100 {
        for ((evaluation, truth), counts) in simulate(seed, others()).into_iter().zip(&mut covered) {
            let all = [evaluation.ips, evaluation.snips, evaluation.dr];
            let narrow = all.iter().all(|each| each.high - each.low < 0.6);
            let hits = all.iter().map(|each| each.covers(truth)).chain([narrow]);
            hits.zip(counts).for_each(|(hit, count)| *count += u32::from(hit));
        }
    }
    for counts in covered {
        assert!(counts[..3].iter().all(|count| *count >= 95), "ips, snips, dr: {covered:?}");
    }
    // Upper confidence bounds often draw whom the logged way seldom did: there little can be said.
    assert!(covered[..2].iter().all(|counts| counts[3] >= 95), "the bounds say something: {covered:?}");
}

#[test]
fn the_same_way_of_choosing_is_worth_what_it_was_worth() {
    let (evaluation, truth) = one(3, rules(Strategy::Contextual), None);
    assert!(evaluation.logged.covers(truth) && evaluation.dr.covers(truth), "{evaluation:?} {truth}");
    assert!((evaluation.ips.mean - evaluation.logged.mean).abs() < 1e-9, "every weight is 1");
    assert_eq!((evaluation.unsupported, evaluation.unknown), (0, 0));
    assert_eq!(evaluation.used + evaluation.sticky, CHOICES);
    assert!(evaluation.sticky > 50);
}

#[test]
fn a_better_way_is_found_to_be_better() {
    // Money is all that counts now: the dearest models lose.
    let weights = Some(Weights { quality: 0.0, cost: 1.0, latency: 0.0 });
    let (evaluation, _) = one(4, rules(Strategy::Cheapest), weights);
    assert!(evaluation.dr.mean > evaluation.logged.mean, "{evaluation:?}");
    let cheap = evaluation.shares.iter().find(|share| &*share.model == "a").expect("known");
    assert!(cheap.other > 0.99 && cheap.logged < 0.9, "{cheap:?}");
}

#[test]
fn models_that_the_journal_does_not_know_are_named_and_those_that_are_gone_are_not_drawn() {
    let mut rules = rules(Strategy::Cheapest);
    rules.candidates[0] = CandidateFacts::named("z");
    let (evaluation, _) = one(5, rules, None);
    assert_eq!(evaluation.strangers, [Arc::from("z")]);
    assert!(evaluation.shares.iter().all(|share| &*share.model != "a" || share.other == 0.0));
    assert_eq!(evaluation.unsupported, 0);
}
