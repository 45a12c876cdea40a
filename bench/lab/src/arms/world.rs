//! Models as they really are: hidden quality per kind of work, what they cost, how long they take, and how
//! all that changes.

use std::f64::consts::TAU;

use atp_core::{Quality, Weights};
use atp_routing::bandit::{ArmNow, Context, D};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::dice::{dice, exponential, mixed};

/// Kinds of work.
pub(super) const KINDS: usize = 5;
/// Chat, classify, code, reason, extract: how often each is asked for.
const SHARES: [f64; KINDS] = [0.35, 0.2, 0.15, 0.15, 0.15];
/// Milliseconds between requests, on average.
const GAP: f64 = 1_000.0;
/// This share of the answers gets a score, where nothing else is said.
pub(super) const SCORED: f64 = 0.3;
/// After so many milliseconds, on average.
const DELAY: f64 = 120_000.0;
/// When everything begins: some moment in 2026.
const START: u64 = 1_780_000_000_000;

/// A model as it really is.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) name: &'static str,
    /// What its owner believes.
    pub(super) stated: Option<f64>,
    /// Dollars per thousand requests.
    pub(super) cost: f64,
    /// Seconds to the end of an answer.
    pub(super) seconds: f64,
    /// By kind of work, at a prompt of middle length.
    pub(super) quality: [f64; KINDS],
    /// How much better it is at the longest prompts than at those of middle length.
    pub(super) length: f64,
    /// The share of requests that it answers at all.
    pub(super) served: f64,
}

/// What happens to the models.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    /// Nothing.
    Steady,
    /// The quality of each wanders up and down by this much, each in its own time.
    Drift(f64),
    /// From this request on two have each other's quality.
    Swap(usize, [usize; 2]),
    /// From this request on one is better by this much (or worse, where it is negative).
    Shift(usize, usize, f64),
    /// One is there only from this request on.
    Join(usize, usize),
}

/// All models and their fate.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) models: Vec<Model>,
    pub(super) fate: Fate,
    pub(super) requests: usize,
    pub(super) seed: u64,
    /// The share of the answers that get a score.
    pub(super) scored: f64,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) place: usize,
    pub(super) now_ms: u64,
    pub(super) context: Context,
    pub(super) weights: Weights,
}

/// What one model made of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) served: bool,
    /// When the answer is there.
    pub(super) ended_ms: u64,
    /// A score, its weight, and when somebody tells it.
    pub(super) score: Option<(f64, f64, u64)>,
}

/// Six models as they are sold: two small, two in the middle, one large, one that thinks for long.
pub(super) fn models() -> Vec<Model> {
    let model = |name, stated, (cost, seconds), quality, length, served| Model {
        name,
        stated: Some(stated),
        cost,
        seconds,
        quality,
        length,
        served,
    };
    vec![
        model("nano", 0.70, (0.02, 0.6), [0.74, 0.86, 0.42, 0.34, 0.66], -0.12, 0.995),
        model("mini", 0.78, (0.10, 0.9), [0.80, 0.88, 0.60, 0.52, 0.84], -0.06, 0.995),
        model("coder", 0.75, (0.25, 1.2), [0.64, 0.72, 0.91, 0.66, 0.78], 0.02, 0.99),
        model("mid", 0.82, (0.30, 1.4), [0.84, 0.89, 0.76, 0.68, 0.87], 0.0, 0.99),
        model("large", 0.92, (0.80, 2.2), [0.93, 0.91, 0.86, 0.80, 0.92], 0.04, 0.985),
        model("thinker", 0.90, (1.00, 4.0), [0.80, 0.84, 0.90, 0.95, 0.86], 0.06, 0.98),
    ]
}

/// Six models of one class: what sets them apart is how good they are, and nobody stated that.
pub(super) fn rivals() -> Vec<Model> {
    let model = |name, cost, base: f64, better: usize| {
        let mut quality = [base; KINDS];
        if let Some(quality) = quality.get_mut(better) {
            *quality += 0.04;
        }
        Model { name, stated: None, cost, seconds: 1.5, quality, length: 0.0, served: 0.99 }
    };
    vec![
        model("ada", 0.50, 0.88, 0),
        model("bell", 0.45, 0.78, 1),
        model("curie", 0.50, 0.70, 2),
        model("darwin", 0.55, 0.64, 3),
        model("euler", 0.45, 0.58, 4),
        model("fermi", 0.50, 0.52, 0),
    ]
}

impl World {
    pub(super) const fn new(models: Vec<Model>, fate: Fate, requests: usize, seed: u64) -> Self {
        Self { models, fate, requests, seed, scored: SCORED }
    }

    /// Every request, in the order of time.
    pub(super) fn traffic(&self) -> Vec<Request> {
        let mut chance = dice(self.seed, 1);
        let mut now = 0.0;
        let request = |place| {
            now += exponential(GAP, &mut chance);
            let kind = kind(&mut chance);
            let mut x: [f64; D] = [0.0; D];
            let (length, messages) = (chance.random::<f64>(), chance.random::<f64>());
            let code = if kind == 2 { 1.0 } else { 0.0 };
            let json = if kind == 4 && chance.random::<f64>() < 0.5 { 1.0 } else { 0.0 };
            for (to, value) in x.iter_mut().zip([1.0, length, messages, 0.0, 0.0, code, 0.0, json]) {
                *to = value;
            }
            let quality = match chance.random::<f64>() {
                share if share < 0.15 => Quality::Fast,
                share if share < 0.75 => Quality::Balanced,
                _ => Quality::High,
            };
            let context = Context { cluster: kind as u16, x };
            Request { place, now_ms: START + now as u64, context, weights: Weights::of(quality) }
        };
        (0..self.requests).map(request).collect()
    }

    /// How good an answer of a model is on average.
    pub(super) fn quality(&self, arm: usize, request: &Request) -> f64 {
        let kind = usize::from(request.context.cluster);
        let at = request.place;
        let (arm, shift) = match self.fate {
            Fate::Steady | Fate::Join(..) => (arm, 0.0),
            Fate::Drift(size) => (arm, size * self.wave(arm, at)),
            Fate::Swap(from, [one, two]) if at >= from && arm == one => (two, 0.0),
            Fate::Swap(from, [one, two]) if at >= from && arm == two => (one, 0.0),
            Fate::Shift(from, who, size) if at >= from && arm == who => (arm, size),
            Fate::Swap(..) | Fate::Shift(..) => (arm, 0.0),
        };
        let Some(model) = self.models.get(arm) else { return 0.0 };
        let base = model.quality.get(kind).copied().unwrap_or_default();
        let long = request.context.x.get(1).copied().unwrap_or_default();
        (base + 2.0 * model.length * (long - 0.5) + shift).clamp(0.02, 0.98)
    }

    /// From -1 to 1: a full turn takes 4,000 to 9,000 requests, and begins anywhere.
    fn wave(&self, arm: usize, at: usize) -> f64 {
        let mut chance = dice(self.seed, 1_000 + arm as u64);
        let (period, phase) = (4_000.0 + 5_000.0 * chance.random::<f64>(), chance.random::<f64>());
        (TAU * (at as f64 / period + phase)).sin()
    }

    /// Cost and latency as the router gives them.
    pub(super) fn now(&self, arm: usize) -> ArmNow {
        let most = |part: fn(&Model) -> f64| self.models.iter().map(part).fold(1e-9, f64::max);
        let (cost, seconds) = self.models.get(arm).map_or((0.0, 0.0), |model| (model.cost, model.seconds));
        ArmNow {
            arm,
            cost: 1.0 - cost / most(|model| model.cost),
            latency: 1.0 - seconds / most(|model| model.seconds),
        }
    }

    /// The reward that is to be expected.
    pub(super) fn value(&self, arm: usize, request: &Request) -> f64 {
        let (weights, now) = (request.weights.normal(), self.now(arm));
        let whole =
            weights.quality * self.quality(arm, request) + weights.cost * now.cost + weights.latency * now.latency;
        whole * self.models.get(arm).map_or(0.0, |model| model.served)
    }

    /// Who may be asked.
    pub(super) fn offered(&self, place: usize) -> impl Iterator<Item = usize> {
        let missing = match self.fate {
            Fate::Join(from, arm) if place < from => Some(arm),
            _ => None,
        };
        (0..self.models.len()).filter(move |arm| Some(*arm) != missing)
    }

    /// Who is best, and with what.
    pub(super) fn best(&self, request: &Request) -> (usize, f64) {
        let values = self.offered(request.place).map(|arm| (arm, self.value(arm, request)));
        values.fold((0, f64::NEG_INFINITY), |best, one| if one.1 > best.1 { one } else { best })
    }

    /// What a model makes of a request: the same whoever asks for it.
    pub(super) fn outcome(&self, arm: usize, request: &Request) -> Outcome {
        let mut chance = dice(mixed(self.seed, 2), (request.place * 64 + arm) as u64);
        let (served, seconds) = self.models.get(arm).map_or((0.0, 0.0), |model| (model.served, model.seconds));
        let ended_ms = request.now_ms + (1_000.0 * seconds) as u64;
        if chance.random::<f64>() >= served {
            return Outcome { served: false, ended_ms, score: None };
        }
        let scored = chance.random::<f64>() < self.scored;
        let told_ms = ended_ms + exponential(DELAY, &mut chance) as u64;
        let quality = self.quality(arm, request);
        // Half of the scores are thumbs, half are grades; both are right on average.
        let thumbs = chance.random::<f64>() < 0.5;
        let luck = chance.random::<f64>();
        let score = if thumbs {
            if luck < quality { 1.0 } else { 0.0 }
        } else {
            quality + (2.0 * luck - 1.0) * quality.min(1.0 - quality).min(0.3)
        };
        Outcome { served: true, ended_ms, score: scored.then_some((score, 1.0, told_ms)) }
    }
}

fn kind(chance: &mut StdRng) -> usize {
    let mut left = chance.random::<f64>();
    SHARES
        .iter()
        .position(|share| {
            left -= share;
            left < 0.0
        })
        .unwrap_or_default()
}
