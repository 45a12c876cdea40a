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

mod arm;
mod brain;
mod change;
mod matrix;
mod model;
mod spread;
mod thompson;
mod ucb;
mod view;

use std::sync::Arc;

use atp_core::{Terms, Weights};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

pub use brain::Brain;
pub(crate) use brain::Sight;
pub(crate) use model::Guess;
pub use view::ArmView;

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
    /// A score from 0 to 1, and how many scores of a person it weighs. Below zero, a score that was told before is
    /// taken back, as far as it still weighs.
    pub quality: Option<(f64, f64)>,
    /// Whether that score is no news by itself: it takes the place of one that was told before, or is one side of a
    /// comparison. It is learnt, but it does not tell that the arm has changed, and lets nothing else fade.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quiet: bool,
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

/// A number from 0 to 1; what is no number is 0.
const fn unit(value: f64) -> f64 {
    value.max(0.0).min(1.0)
}

/// The value of what is known of quality, cost and latency; what is not known is left out, and the rest counts as
/// much more. `None` where nothing that counts is known. The weights sum to 1.
fn worth(weights: Weights, parts: [Option<f64>; 3]) -> Option<f64> {
    let weighted = [weights.quality, weights.cost, weights.latency].into_iter().zip(parts);
    let known = weighted.filter_map(|(weight, part)| part.map(|part| (weight, part)));
    let (sum, all) = known.fold((0.0, 0.0), |(sum, all), (weight, part)| (sum + weight * part, all + weight));
    (all > 0.0).then(|| unit(sum / all))
}
