//! What another way of choosing would have been worth, told from the log of the one that was in force.

use std::sync::Arc;

use atp_core::{Features, Forecast, MicroUsd, Plan, Quality, RequestId, Weights};
use atp_routing::bandit::{Lesson, Strategy};
use atp_routing::candidate::{CandidateFacts, CandidateNow, Needs};
use atp_routing::decide::{Mind, MindRules, Request};
use atp_routing::journal::{Choice, Learnt, Witness};
use atp_routing::offpolicy::{Estimate, Evaluation, Evaluator, Other};
use atp_routing::sticky::{StickyKeys, StickyRules};
use rand::RngExt;
use rand::rngs::StdRng;

use super::mean;
use super::world::{self, Fate, KINDS, Model, World, models};
use crate::dice::dice;
use crate::paper::{Aim, Section, Table, percent};
use crate::scenario::Scale;

const REQUESTS: usize = 2_000;
/// What the logged way spends on exploration: who wants to compare has to log more than one model.
const EXPLORE: f64 = 0.2;
/// Of a hundred runs so many have to hold the truth.
const COVERED: f64 = 0.95;
/// An interval that is wider says too little to decide by.
const NARROW: f64 = 0.35;
/// The route, in the log.
const ROUTE: &str = "auto";

/// The other ways: by name, how they choose, and what counts for them where that is not as logged.
const OTHERS: [(&str, Strategy, Option<Weights>); 3] = [
    ("the cheapest", Strategy::Cheapest, None),
    ("Thompson sampling", Strategy::Thompson, None),
    ("contextual, cost counts most", Strategy::Contextual, Some(Weights { quality: 0.2, cost: 0.7, latency: 0.1 })),
];

/// An estimate: its name, and where it is found in an evaluation.
type Told = (&'static str, fn(&Evaluation) -> Estimate);

const ESTIMATES: [Told; 3] =
    [("IPS", |told| told.ips), ("SNIPS", |told| told.snips), ("doubly robust", |told| told.dr)];

pub(super) fn play(scale: Scale) -> Section {
    let seeds = match scale {
        Scale::Full => 100,
        Scale::Quick => 20,
    };
    let runs: Vec<Vec<(Evaluation, f64)>> = (0..seeds).map(run).collect();
    let mut section = Section {
        title: "Other ways, from the log",
        text: TEXT,
        aims: Vec::new(),
        tables: Vec::new(),
        drawings: Vec::new(),
    };
    for (place, (name, ..)) in OTHERS.iter().enumerate() {
        let told: Vec<&(Evaluation, f64)> = runs.iter().filter_map(|run| run.get(place)).collect();
        for (estimate, of) in ESTIMATES {
            let held = mean(told.iter().map(|(told, truth)| if of(told).covers(*truth) { 1.0 } else { 0.0 }));
            let what = format!("runs in which {estimate} holds the truth, {name}");
            section.aims.push(Aim::at_least(what, COVERED, held, percent));
        }
        let width = mean(told.iter().map(|(told, _)| told.dr.high - told.dr.low));
        let what = format!("width of the doubly robust interval, {name}");
        section.aims.push(Aim::at_most(what, NARROW, width, |width| format!("{width:.2}")));
        section.tables.push(table(name, &told));
    }
    section
}

fn table(name: &str, told: &[&(Evaluation, f64)]) -> Table {
    let points = |value: f64| format!("{value:.3}");
    let rows = ESTIMATES.iter().map(|(estimate, of)| {
        vec![
            (*estimate).to_owned(),
            percent(mean(told.iter().map(|(told, truth)| if of(told).covers(*truth) { 1.0 } else { 0.0 }))),
            points(mean(told.iter().map(|(told, _)| of(told).high - of(told).low))),
            points(mean(told.iter().map(|(told, truth)| (of(told).mean - truth).abs()))),
        ]
    });
    let truth = mean(told.iter().map(|(_, truth)| *truth));
    let logged = mean(told.iter().map(|(told, _)| told.logged.mean));
    let weighs = mean(told.iter().map(|(told, _)| told.effective));
    let caption = format!(
        "*{name}*: worth {truth:.3}, where {logged:.3} was logged; {REQUESTS} choices weigh as {weighs:.0} of its own"
    );
    let head = vec!["", "holds the truth", "width of the interval", "off by, on average"];
    Table { caption, head, rows: rows.collect() }
}

/// The models, all of them above every floor: who is dropped is drawn by nobody.
fn good_enough() -> Vec<Model> {
    let lifted = |model: Model| {
        let quality: [f64; KINDS] = model.quality.map(|quality| 0.6 + 0.4 * quality);
        Model { quality, length: 0.4 * model.length, ..model }
    };
    models().into_iter().map(lifted).collect()
}

fn rules(world: &World, strategy: Strategy) -> MindRules {
    let facts = |model: &Model| CandidateFacts { quality: model.stated, ..CandidateFacts::named(model.name) };
    MindRules {
        route: Arc::from(ROUTE),
        candidates: world.models.iter().map(facts).collect(),
        strategy,
        explore: EXPLORE,
        prior_weight: 10.0,
        half_life_ms: 0,
        sticky: StickyRules::default(),
    }
}

fn standing(world: &World) -> Vec<CandidateNow> {
    let one = |model: &Model| {
        let guarded = Some(MicroUsd((1_000.0 * model.cost) as u64));
        let forecast = Forecast { guarded, ..Forecast::default() };
        CandidateNow { forecast, p95_ms: Some((1_000.0 * model.seconds) as u64), ..CandidateNow::default() }
    };
    world.models.iter().map(one).collect()
}

/// A request of the world as the router sees it.
fn seen(of: &world::Request, chance: &mut StdRng) -> Request {
    Request {
        id: RequestId::from_parts(of.now_ms, of.place as u128),
        tenant: Arc::from("t"),
        asked: Arc::from(ROUTE),
        features: Features::default(),
        context: of.context,
        cluster: Arc::from("c"),
        needs: Needs { weights: of.weights, ..Needs::of(Quality::Fast) },
        keys: StickyKeys::default(),
        now_ms: of.now_ms,
        seed: chance.random(),
    }
}

/// Another way beside the logged one: what it would have drawn, at each choice that counts.
struct Beside {
    evaluator: Evaluator,
    mind: Mind,
    weights: Option<Weights>,
    /// The sum of what its choices were worth, and their number.
    worth: (f64, f64),
}

impl Beside {
    fn new(logged: &Mind, world: &World, (_, strategy, weights): (&str, Strategy, Option<Weights>)) -> Self {
        let rules = rules(world, strategy);
        let mut evaluator = Evaluator::new(vec![Other { rules: rules.clone(), weights }]);
        evaluator.begins(logged);
        Self { evaluator, mind: Mind::new(rules), weights, worth: (0.0, 0.0) }
    }

    /// A choice was logged: what this way would have made of it, in truth.
    fn chose(&mut self, world: &World, request: &world::Request, choice: &Choice, plan: &Plan) {
        self.evaluator.chose(choice, plan);
        let weights = self.weights.unwrap_or(request.weights).normal();
        let mut asked = choice.request.clone();
        asked.needs.weights = weights;
        let other = self.mind.would(&asked, &choice.candidates);
        let sides = || other.candidates.iter().zip(&plan.candidates).enumerate();
        if sides().any(|(_, (other, logged))| other.terms.probability > 0.0 && logged.terms.probability <= 0.0) {
            return;
        }
        let worth = sides().map(|(arm, (other, logged))| {
            let (quality, terms) = (world.quality(arm, request), logged.terms);
            let whole = weights.quality * quality + weights.cost * terms.cost + weights.latency * terms.latency;
            other.terms.probability * world.models.get(arm).map_or(0.0, |model| model.served) * whole
        });
        self.worth = (self.worth.0 + worth.sum::<f64>(), self.worth.1 + 1.0);
    }

    fn learnt(&mut self, learnt: &Learnt) {
        self.evaluator.learnt(learnt);
        self.mind.learn(&learnt.lesson);
    }
}

/// The log of one world, held against each of the other ways.
fn run(seed: u64) -> Vec<(Evaluation, f64)> {
    let world = World { scored: 0.5, ..World::new(good_enough(), Fate::Steady, REQUESTS, seed) };
    let (now, mut chance) = (standing(&world), dice(seed, 9));
    let mut mind = Mind::new(rules(&world, Strategy::Contextual));
    let mut others: Vec<Beside> = OTHERS.into_iter().map(|other| Beside::new(&mind, &world, other)).collect();
    for request in world.traffic() {
        let asked = seen(&request, &mut chance);
        let n = mind.events();
        let plan = mind.decide(&asked, &now);
        let Some(chosen) = plan.order.first().copied() else { continue };
        let choice = Choice {
            route: Arc::from(ROUTE),
            n,
            request: asked,
            candidates: now.clone(),
            chosen: Some(chosen),
            strategy: Arc::clone(&plan.strategy),
            probabilities: plan.candidates.iter().map(|each| each.terms.probability).collect(),
        };
        others.iter_mut().for_each(|other| other.chose(&world, &request, &choice, &plan));
        let terms = plan.candidates.get(chosen).map(|each| each.terms).unwrap_or_default();
        let outcome = world.outcome(chosen, &request);
        let lesson = Lesson {
            arm: chosen,
            context: request.context,
            weights: request.weights,
            served: Some(outcome.served),
            quality: outcome.score.map(|(score, weight, _)| (score, weight)),
            quiet: false,
            cost: Some(terms.cost),
            latency: Some(terms.latency),
            now_ms: outcome.ended_ms,
        };
        let n = mind.events();
        let reward = mind.learn(&lesson);
        let learnt = Learnt { route: Arc::from(ROUTE), n, id: choice.request.id, lesson, reward };
        others.iter_mut().for_each(|other| other.learnt(&learnt));
    }
    let ended = |other: Beside| {
        let truth = other.worth.0 / other.worth.1.max(1.0);
        other.evaluator.end().into_iter().next().map(|evaluation| (evaluation, truth))
    };
    others.into_iter().filter_map(ended).collect()
}

const TEXT: &str = "
A hundred worlds of 2,000 requests, each logged by the contextual way with 20 % of exploration and half of the answers scored.
From the log alone it is told what three other ways of choosing would have been worth; the laboratory knows what they would have been
worth in truth. The intervals promise to hold the truth in 95 of 100 cases, at any number of choices and without an assumption about
the rewards (but that of SNIPS), so that they hold it more often than that. The more the other way wants what the logged one
seldom did, the fewer choices of its own the log weighs as, and the wider they are. `atp replay -c other.yaml` runs the same code
on the log of a real router.
";
