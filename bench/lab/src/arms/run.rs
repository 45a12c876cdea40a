//! One run: requests in the order of time, answers and scores when they come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use atp_routing::bandit::{ArmNow, Lesson};

use super::policy::Way;
use super::world::{Request, World};

/// What became of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) chosen: usize,
    pub(super) best: usize,
    /// The expected reward of who was chosen, and of who would have been best.
    pub(super) value: f64,
    pub(super) most: f64,
    pub(super) explored: bool,
    /// The probability that the choice had to be another than the one that looked best.
    pub(super) spread: f64,
    /// Dollars per thousand of such requests.
    pub(super) cost: f64,
}

/// All of one run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) rows: Vec<Row>,
}

/// What is known later, by the moment and the order in which it becomes known.
type Later = BinaryHeap<Reverse<(u64, usize)>>;

pub(super) fn run(world: &World, way: Way) -> Run {
    let traffic = world.traffic();
    let mut policy = way.policy(world, &traffic);
    let (mut later, mut lessons): (Later, Vec<Lesson>) = (Later::new(), Vec::new());
    let rows = traffic.iter().map(|request| {
        while later.peek().is_some_and(|Reverse((due, _))| *due <= request.now_ms) {
            let Some(Reverse((_, place))) = later.pop() else { break };
            if let Some(lesson) = lessons.get(place) {
                policy.learn(lesson);
            }
        }
        let arms: Vec<ArmNow> = world.offered(request.place).map(|arm| world.now(arm)).collect();
        let chosen = policy.choose(request, &arms);
        for lesson in taught(world, chosen.arm, request) {
            later.push(Reverse((lesson.now_ms, lessons.len())));
            lessons.push(lesson);
        }
        let (best, most) = world.best(request);
        let cost = world.models.get(chosen.arm).map_or(0.0, |model| model.cost);
        let value = world.value(chosen.arm, request);
        Row { chosen: chosen.arm, best, value, most, explored: chosen.explored, spread: chosen.spread, cost }
    });
    Run { rows: rows.collect() }
}

/// The lessons of a choice: one when the answer is there, perhaps one when somebody has judged it.
fn taught(world: &World, arm: usize, request: &Request) -> impl Iterator<Item = Lesson> {
    let (outcome, now) = (world.outcome(arm, request), world.now(arm));
    let ended = Lesson {
        arm,
        context: request.context,
        weights: request.weights,
        served: Some(outcome.served),
        quality: None,
        quiet: false,
        cost: Some(now.cost),
        latency: Some(now.latency),
        now_ms: outcome.ended_ms,
    };
    let judged = outcome.score.map(|(score, weight, told_ms)| Lesson {
        served: None,
        quality: Some((score, weight)),
        now_ms: told_ms,
        ..ended
    });
    [Some(ended), judged].into_iter().flatten()
}

impl Run {
    /// The reward as a share of what somebody would have had who knows everything.
    pub(super) fn reward(&self, from: usize, to: usize) -> f64 {
        let rows = self.rows.get(from..to.min(self.rows.len())).unwrap_or_default();
        let (value, most) = rows.iter().fold((0.0, 0.0), |sum, row| (sum.0 + row.value, sum.1 + row.most));
        if most > 0.0 { value / most } else { 0.0 }
    }

    /// The share of the requests that were spent on learning.
    pub(super) fn explored(&self) -> f64 {
        self.rows.iter().filter(|row| row.explored).count() as f64 / self.rows.len().max(1) as f64
    }

    /// The highest probability with which any single choice had to be another than the best looking one.
    pub(super) fn spread(&self) -> f64 {
        self.rows.iter().map(|row| row.spread).fold(0.0, f64::max)
    }

    /// Dollars per thousand requests.
    pub(super) fn cost(&self) -> f64 {
        self.rows.iter().map(|row| row.cost).sum::<f64>() / self.rows.len().max(1) as f64
    }
}
