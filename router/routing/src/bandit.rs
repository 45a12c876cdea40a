//! Which of several models answers best for which work.
//!
//! An *arm* is a model that may be chosen. What an arm is worth to a request is
//! `reliability x (w_q quality + w_c cost + w_l latency)`, each part from 0 to 1, more is better.
//! Cost and latency of an arm are given with each choice, because the router knows prices and
//! percentiles. Learnt is what it cannot know beforehand: how good the answers are, from scores that somebody
//! told and never from the mere fact of an answer, and how sure an arm is to answer at all.
//!
//! A choice is made in two steps: the probability of every arm is computed, then one draw decides.
//! So the logged probabilities are exact, and another policy can be evaluated from the log.
//! Time is Unix milliseconds and is given; nothing is iterated in an order that could differ between runs:
//! the same state, input and seed give the same pick to the bit.

use std::sync::Arc;

use atp_core::{Terms, Weights};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// How one model is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// A linear model of each arm's quality over the request's features, by task cluster.
    #[default]
    Contextual,
    /// Upper confidence bounds.
    Ucb,
    /// Draws from Beta posteriors.
    Thompson,
    /// The cheapest that is acceptable; learns, but does not explore.
    Cheapest,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 4] = [Self::Contextual, Self::Ucb, Self::Thompson, Self::Cheapest];

    /// The name in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Contextual => "contextual",
            Self::Ucb => "ucb",
            Self::Thompson => "thompson",
            Self::Cheapest => "cheapest",
        }
    }
}

/// How many features a request has.
pub const D: usize = 8;

/// The quality of a model that nobody stated.
pub const UNKNOWN_QUALITY: f64 = 0.75;
/// How many scores that guess weighs.
pub const UNKNOWN_WEIGHT: f64 = 2.0;

/// What is configured of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmRules {
    /// The router's name of the model.
    pub name: Arc<str>,
    /// Its stated quality, from 0 to 1; where nobody stated one it is taken for [`UNKNOWN_QUALITY`].
    pub quality: Option<f64>,
}

/// What is configured of a choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BrainRules {
    /// How one is chosen.
    pub strategy: Strategy,
    /// Who may be chosen; an arm's number is its place here.
    pub arms: Vec<ArmRules>,
    /// The most that the probabilities of all arms but the best one may come to, from 0 to 1.
    pub explore: f64,
    /// How many scores a stated quality weighs.
    pub prior_weight: f64,
    /// After how many milliseconds something learnt counts half; 0 means that it counts for ever.
    pub half_life_ms: u64,
}

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Context {
    /// The kind of work (`task::cluster`).
    pub cluster: u16,
    /// Features from -1 to 1; the first is always 1.
    pub x: [f64; D],
}

/// An arm as it stands for one request: from 0 to 1, 1 is free and at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ArmNow {
    /// Its number in [`BrainRules::arms`].
    pub arm: usize,
    /// How cheap.
    pub cost: f64,
    /// How soon.
    pub latency: f64,
}

/// An arm with what it was found to be worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Its number.
    pub arm: usize,
    /// How it was scored, and the exact probability with which it was to be chosen.
    pub terms: Terms,
}

/// A choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Pick {
    /// The number of the arm.
    pub chosen: usize,
    /// Every arm that was given and is known, in the order given.
    pub scored: SmallVec<[Scored; 8]>,
    /// Whether it was chosen to learn about it, not because it looked best.
    pub explored: bool,
}

/// What an answer taught. All parts may come at once, or one by one, hours apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// The arm that answered.
    pub arm: usize,
    /// The request.
    pub context: Context,
    /// What counted how much.
    pub weights: Weights,
    /// Whether it answered at all; `None` where that was learnt before.
    pub served: Option<bool>,
    /// A score from 0 to 1, and how many scores of a person it weighs.
    pub quality: Option<(f64, f64)>,
    /// How cheap it was, from 0 to 1.
    pub cost: Option<f64>,
    /// How soon it was there, from 0 to 1.
    pub latency: Option<f64>,
    /// When this became known.
    pub now_ms: u64,
}

/// What is believed of a quality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Belief {
    /// The expected value, from 0 to 1.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
    /// How many scores it rests on, the prior not counted.
    pub weight: f64,
}

/// What is known of an arm at one kind of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmView {
    /// Its number.
    pub arm: usize,
    /// Its name.
    pub name: Arc<str>,
    /// The kind of work.
    pub cluster: u16,
    /// How often it was asked, what is long ago counting less.
    pub pulls: f64,
    /// How many scores were told, likewise.
    pub scores: f64,
    /// The expected quality at a typical request of the kind.
    pub quality: f64,
    /// Where the quality lies with a probability of 95 %.
    pub interval: (f64, f64),
    /// How sure it is to answer.
    pub reliability: f64,
    /// How cheap it was on average, from 0 to 1.
    pub cost: Option<f64>,
    /// How soon on average, from 0 to 1.
    pub latency: Option<f64>,
    /// The first term of the upper confidence bound: the mean reward with balanced weights.
    pub exploit: f64,
    /// The second term: what being unsure adds; `None` before the first pull.
    pub explore: Option<f64>,
}

/// What has been learnt, and how it is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Brain {
    rules: BrainRules,
    arms: Vec<Arm>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Arm {
    scores: (f64, f64),
    served: (f64, f64),
}

impl Brain {
    /// Nothing learnt yet.
    #[must_use]
    pub fn new(rules: BrainRules) -> Self {
        let arms = rules.arms.iter().map(|_| Arm::default()).collect();
        Self { rules, arms }
    }

    /// What is configured.
    #[must_use]
    pub const fn rules(&self) -> &BrainRules {
        &self.rules
    }

    /// After a reload: arms of the same name keep what they learnt.
    pub fn adopt(&mut self, before: &Self) {
        for (rules, arm) in self.rules.arms.iter().zip(&mut self.arms) {
            let old = before.rules.arms.iter().position(|old| old.name == rules.name);
            if let Some(old) = old.and_then(|place| before.arms.get(place)) {
                arm.clone_from(old);
            }
        }
    }

    /// Chooses; `None` where no arm is given that is known.
    pub fn pick(
        &self,
        context: &Context,
        weights: Weights,
        arms: &[ArmNow],
        now_ms: u64,
        dice: &mut impl Rng,
    ) -> Option<Pick> {
        let weights = weights.normal();
        let mut scored: SmallVec<[Scored; 8]> = SmallVec::new();
        for now in arms {
            let Some(arm) = self.arms.get(now.arm) else { continue };
            let quality = self.quality(now.arm, context, now_ms).mean;
            let reliability = (arm.served.0 + 1.0) / (arm.served.1 + 1.0);
            let score =
                reliability * (weights.quality * quality + weights.cost * now.cost + weights.latency * now.latency);
            let terms = Terms { quality, cost: now.cost, latency: now.latency, reliability, score, ..Terms::default() };
            scored.push(Scored { arm: now.arm, terms });
        }
        let best = (1..scored.len()).fold(0, |best, place| {
            let score = |place: usize| scored.get(place).map_or(0.0, |each| each.terms.score);
            if score(place) > score(best) { place } else { best }
        });
        let others = scored.len().saturating_sub(1);
        let each = if others == 0 { 0.0 } else { self.rules.explore.clamp(0.0, 1.0) / others as f64 };
        let mut left = dice.random::<f64>();
        let mut chosen = best;
        for (place, one) in scored.iter_mut().enumerate() {
            one.terms.probability = if place == best { 1.0 - each * others as f64 } else { each };
            if left >= 0.0 && left < one.terms.probability {
                chosen = place;
            }
            left -= one.terms.probability;
        }
        let arm = scored.get(chosen)?.arm;
        Some(Pick { chosen: arm, scored, explored: chosen != best })
    }

    /// Learns; returns the reward from 0 to 1 that the lesson amounts to, where it has one.
    pub fn learn(&mut self, lesson: &Lesson) -> Option<f64> {
        let arm = self.arms.get_mut(lesson.arm)?;
        if let Some(served) = lesson.served {
            arm.served = (arm.served.0 + f64::from(u8::from(served)), arm.served.1 + 1.0);
        }
        if let Some((score, weight)) = lesson.quality {
            arm.scores = (arm.scores.0 + weight * score, arm.scores.1 + weight);
        }
        reward(lesson)
    }

    /// What is believed of an arm's quality at such a request.
    #[must_use]
    pub fn quality(&self, arm: usize, _context: &Context, _now_ms: u64) -> Belief {
        let stated = self.rules.arms.get(arm).and_then(|rules| rules.quality);
        let (mean, weight) =
            stated.map_or((UNKNOWN_QUALITY, UNKNOWN_WEIGHT), |quality| (quality, self.rules.prior_weight));
        let (sum, count) = self.arms.get(arm).map_or((0.0, 0.0), |arm| arm.scores);
        let mean = (mean * weight + sum) / (weight + count).max(1e-9);
        Belief { mean, deviation: (mean * (1.0 - mean) / (weight + count + 1.0)).max(0.0).sqrt(), weight: count }
    }

    /// What has been learnt, per arm and kind of work.
    #[must_use]
    pub fn view(&self, now_ms: u64) -> Vec<ArmView> {
        let context = Context { cluster: 0, x: [0.0; D] };
        let view = |(place, (rules, arm)): (usize, (&ArmRules, &Arm))| {
            let belief = self.quality(place, &context, now_ms);
            ArmView {
                arm: place,
                name: rules.name.clone(),
                cluster: 0,
                pulls: arm.served.1,
                scores: arm.scores.1,
                quality: belief.mean,
                interval: (belief.mean - 1.96 * belief.deviation, belief.mean + 1.96 * belief.deviation),
                reliability: (arm.served.0 + 1.0) / (arm.served.1 + 1.0),
                cost: None,
                latency: None,
                exploit: belief.mean,
                explore: None,
            }
        };
        self.rules.arms.iter().zip(&self.arms).enumerate().map(view).collect()
    }
}

/// What an answer was worth: nothing where it failed, unknown where nobody told its quality.
fn reward(lesson: &Lesson) -> Option<f64> {
    if lesson.served == Some(false) {
        return Some(0.0);
    }
    let (quality, _) = lesson.quality?;
    let weights = lesson.weights.normal();
    let parts = [(weights.quality, Some(quality)), (weights.cost, lesson.cost), (weights.latency, lesson.latency)];
    let known = parts.into_iter().filter_map(|(weight, part)| part.map(|part| (weight, part)));
    let (sum, all) = known.fold((0.0, 0.0), |(sum, all), (weight, part)| (sum + weight * part, all + weight));
    (all > 0.0).then(|| (sum / all).clamp(0.0, 1.0))
}
