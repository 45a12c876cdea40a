//! Who chooses: the router's own bandit, and what it has to beat.

use std::collections::VecDeque;

use atp_routing::bandit::{ArmNow, ArmRules, Brain, BrainRules, Lesson, Strategy};
use rand::RngExt;
use rand::rngs::StdRng;

use super::world::{KINDS, Request, World};
use crate::dice::dice;

/// A choice: who, whether to learn about it, and the probability that it was not the one that looked best.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    pub(super) arm: usize,
    pub(super) explored: bool,
    pub(super) spread: f64,
}

/// One way to choose.
pub(super) trait Policy {
    fn choose(&mut self, request: &Request, arms: &[ArmNow]) -> Chosen;
    /// What became of an earlier choice.
    fn learn(&mut self, lesson: &Lesson);
}

/// The ways that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Ours(Strategy, Stated),
    Cheapest,
    /// One arm for all: the best one in hindsight.
    Static,
    Random,
    Ucb1,
    EpsilonGreedy,
    SlidingUcb,
}

/// What is stated of the models' quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stated {
    /// What their owner believes: about right.
    Roughly,
    Nothing,
    /// The good are called bad and the other way round.
    Wrongly,
}

/// The share that is configured for exploration: the product's default.
pub(super) const EXPLORE: f64 = 0.05;
/// How many scores a stated quality weighs: the product's default.
const PRIOR_WEIGHT: f64 = 10.0;
/// A day: the product's default, and longer than anything that is played here.
const HALF_LIFE_MS: u64 = 86_400_000;
/// The last requests that a sliding window holds, of all kinds of work.
const WINDOW: usize = 1_000;

impl Way {
    pub(super) const OURS: Self = Self::Ours(Strategy::Contextual, Stated::Roughly);
    pub(super) const BASELINES: [Self; 6] =
        [Self::Cheapest, Self::Static, Self::Random, Self::Ucb1, Self::EpsilonGreedy, Self::SlidingUcb];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours(Strategy::Contextual, Stated::Roughly) => "contextual",
            Self::Ours(Strategy::Contextual, Stated::Nothing) => "contextual, nothing stated",
            Self::Ours(Strategy::Contextual, Stated::Wrongly) => "contextual, stated wrongly",
            Self::Ours(strategy, _) => strategy.label(),
            Self::Cheapest => "always the cheapest",
            Self::Static => "best single model, in hindsight",
            Self::Random => "random",
            Self::Ucb1 => "UCB1",
            Self::EpsilonGreedy => "epsilon-greedy",
            Self::SlidingUcb => "sliding-window UCB",
        }
    }

    pub(super) fn policy(self, world: &World, traffic: &[Request]) -> Box<dyn Policy> {
        let count = world.models.len();
        let chance = dice(world.seed, 3);
        match self {
            Self::Ours(strategy, stated) => {
                Box::new(Ours { brain: Brain::new(rules(world, strategy, stated)), chance })
            }
            Self::Cheapest => Box::new(Fixed((0..count).fold(0, |best, arm| cheaper(world, best, arm)))),
            Self::Static => Box::new(Fixed(in_hindsight(world, traffic))),
            Self::Random => Box::new(Random(chance)),
            Self::Ucb1 => Box::new(Bounds::new(count, usize::MAX)),
            Self::SlidingUcb => Box::new(Bounds::new(count, WINDOW)),
            Self::EpsilonGreedy => {
                let stated = world.models.iter().map(|model| model.stated.unwrap_or(0.75)).collect();
                Box::new(Greedy { stated, scores: vec![[(0.0, 0.0); KINDS]; count], chance })
            }
        }
    }
}

pub(super) fn rules(world: &World, strategy: Strategy, stated: Stated) -> BrainRules {
    let arm = |model: &super::world::Model| ArmRules {
        name: model.name.into(),
        quality: match stated {
            Stated::Roughly => model.stated,
            Stated::Nothing => None,
            Stated::Wrongly => model.stated.map(|quality| 1.6 - quality),
        },
    };
    let arms = world.models.iter().map(arm).collect();
    BrainRules { strategy, arms, explore: EXPLORE, prior_weight: PRIOR_WEIGHT, half_life_ms: HALF_LIFE_MS }
}

fn cheaper(world: &World, one: usize, two: usize) -> usize {
    if world.now(two).cost > world.now(one).cost { two } else { one }
}

fn in_hindsight(world: &World, traffic: &[Request]) -> usize {
    let sum = |arm: usize| traffic.iter().map(|request| world.value(arm, request)).sum::<f64>();
    let sums = (0..world.models.len()).map(|arm| (arm, sum(arm)));
    sums.fold((0, f64::NEG_INFINITY), |best, one| if one.1 > best.1 { one } else { best }).0
}

/// The code that the product runs.
struct Ours {
    brain: Brain,
    chance: StdRng,
}

impl Policy for Ours {
    fn choose(&mut self, request: &Request, arms: &[ArmNow]) -> Chosen {
        let pick = self.brain.pick(&request.context, request.weights, arms, request.now_ms, &mut self.chance);
        let Some(pick) = pick else { return Chosen { arm: 0, explored: false, spread: 0.0 } };
        let most = pick.scored.iter().map(|one| one.terms.probability).fold(0.0, f64::max);
        Chosen { arm: pick.chosen, explored: pick.explored, spread: 1.0 - most }
    }

    fn learn(&mut self, lesson: &Lesson) {
        self.brain.learn(lesson);
    }
}

/// Always the same.
struct Fixed(usize);

impl Policy for Fixed {
    fn choose(&mut self, _request: &Request, _arms: &[ArmNow]) -> Chosen {
        Chosen { arm: self.0, explored: false, spread: 0.0 }
    }

    fn learn(&mut self, _lesson: &Lesson) {}
}

/// Any.
struct Random(StdRng);

impl Policy for Random {
    fn choose(&mut self, _request: &Request, arms: &[ArmNow]) -> Chosen {
        Chosen { arm: any(arms, &mut self.0), explored: true, spread: 1.0 }
    }

    fn learn(&mut self, _lesson: &Lesson) {}
}

/// What an arm is worth when its quality is this: cost and latency are known to every way of choosing.
fn value(request: &Request, now: &ArmNow, quality: f64) -> f64 {
    let weights = request.weights.normal();
    weights.quality * quality + weights.cost * now.cost + weights.latency * now.latency
}

fn highest(arms: &[ArmNow], value: impl Fn(&ArmNow) -> f64) -> usize {
    let values = arms.iter().map(|now| (now.arm, value(now)));
    values.fold((0, f64::NEG_INFINITY), |best, one| if one.1 > best.1 { one } else { best }).0
}

/// Any of them.
fn any(arms: &[ArmNow], chance: &mut StdRng) -> usize {
    let place = chance.random_range(0..arms.len().max(1));
    arms.get(place).map_or(0, |now| now.arm)
}

/// Epsilon-greedy per kind of work: the best mean, and any with the probability that ours may spend.
struct Greedy {
    stated: Vec<f64>,
    /// Sum and number of scores.
    scores: Vec<[(f64, f64); KINDS]>,
    chance: StdRng,
}

impl Policy for Greedy {
    fn choose(&mut self, request: &Request, arms: &[ArmNow]) -> Chosen {
        let kind = usize::from(request.context.cluster);
        let mean = |now: &ArmNow| {
            let (sum, count) = self.scores.get(now.arm).and_then(|kinds| kinds.get(kind)).copied().unwrap_or_default();
            // What is stated counts as one score.
            (sum + self.stated.get(now.arm).copied().unwrap_or(0.75)) / (count + 1.0)
        };
        let greedy = highest(arms, |now| value(request, now, mean(now)));
        if self.chance.random::<f64>() < EXPLORE {
            let arm = any(arms, &mut self.chance);
            return Chosen { arm, explored: arm != greedy, spread: EXPLORE };
        }
        Chosen { arm: greedy, explored: false, spread: EXPLORE }
    }

    fn learn(&mut self, lesson: &Lesson) {
        let kinds = self.scores.get_mut(lesson.arm);
        let cell = kinds.and_then(|kinds| kinds.get_mut(usize::from(lesson.context.cluster)));
        if let (Some(cell), Some((score, _))) = (cell, lesson.quality) {
            *cell = (cell.0 + score, cell.1 + 1.0);
        }
    }
}

/// UCB1 per kind of work, over all scores or over those of the last requests (Garivier and Moulines 2011).
struct Bounds {
    window: usize,
    scores: Vec<[(f64, f64); KINDS]>,
    /// What is still in the window: arm, kind, score.
    recent: VecDeque<Option<(usize, usize, f64)>>,
    /// Requests in the window.
    requests: usize,
}

impl Bounds {
    fn new(count: usize, window: usize) -> Self {
        Self { window, scores: vec![[(0.0, 0.0); KINDS]; count], recent: VecDeque::new(), requests: 0 }
    }

    fn add(&mut self, (arm, kind, score): (usize, usize, f64), sign: f64) {
        if let Some(cell) = self.scores.get_mut(arm).and_then(|kinds| kinds.get_mut(kind)) {
            *cell = (cell.0 + sign * score, (cell.1 + sign).max(0.0));
        }
    }

    fn enter(&mut self, what: Option<(usize, usize, f64)>) {
        if self.window == usize::MAX {
            return;
        }
        // Requests are the clock: only they make room.
        self.requests += usize::from(what.is_none());
        self.recent.push_back(what);
        while self.requests > self.window {
            match self.recent.pop_front() {
                Some(Some(old)) => self.add(old, -1.0),
                _ => self.requests -= 1,
            }
        }
    }
}

impl Policy for Bounds {
    fn choose(&mut self, request: &Request, arms: &[ArmNow]) -> Chosen {
        self.enter(None);
        let kind = usize::from(request.context.cluster);
        let cell =
            |now: &ArmNow| self.scores.get(now.arm).and_then(|kinds| kinds.get(kind)).copied().unwrap_or_default();
        let all: f64 = arms.iter().map(|now| cell(now).1).sum();
        let mean = |now: &ArmNow| {
            let (sum, count) = cell(now);
            value(request, now, if count > 0.0 { sum / count } else { 0.75 })
        };
        // The bound is on the quality, the only part that is not known.
        let bound = |now: &ArmNow| {
            let bonus = (2.0 * all.max(1.0).ln() / cell(now).1.max(1e-3)).sqrt();
            mean(now) + request.weights.normal().quality * bonus
        };
        let (arm, greedy) = (highest(arms, bound), highest(arms, mean));
        let explored = arm != greedy;
        Chosen { arm, explored, spread: if explored { 1.0 } else { 0.0 } }
    }

    fn learn(&mut self, lesson: &Lesson) {
        if let Some((score, _)) = lesson.quality {
            let what = (lesson.arm, usize::from(lesson.context.cluster), score);
            self.add(what, 1.0);
            self.enter(Some(what));
        }
    }
}
