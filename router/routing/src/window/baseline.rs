//! How soon a lane answers that has room.
//!
//! Three things are told apart. The *shape*: first tokens of long prompts come later, so like is
//! compared with like: prompts are told apart by the power of two of their length, and the shape is
//! how the classes differ from each other. A class that was seldom seen is bounded by the others: a
//! longer prompt's time holds for a shorter one, and time grows at most in proportion to length. The
//! *level*: how late the first quartile of a round is against the shape while nothing waits. And the
//! *noise* of that quartile from round to round, below which nothing is concluded.
//!
//! The level follows an earlier round quickly, because nothing makes a lane answer sooner than it
//! can, and a later one as slowly as a lane's nature changes, except after a drain of the window: a
//! standing queue would become the norm otherwise, the drift that gradient limiters are known for.
//!
//! Everything is in logarithms of seconds: a lane that is twice as slow is so at every length.

use std::f64::consts::LN_2;

use super::kind::Kind;

/// Classes: prompts of 1, 2 to 3, 4 to 7 tokens, and so on.
const CLASSES: usize = 24;
/// Classes to a power of two: of prompts, and of whole answers, whose time is nearly proportional to their length.
const FINE: [f64; 2] = [1.0, 2.0];
/// Within a class of whole answers their time grows with their length to the power of this.
const STEEP: f64 = 0.9;
/// What a round moves the level by, of the distance.
const GAIN: f64 = 0.25;
/// The same for a round that is earlier by chance.
const CHANCE: f64 = 1.0 / 16.0;
/// How far later rounds move it up in a second: twofold in four minutes; of whole answers, among which a queue shows
/// less, in eight.
const CREEP: [f64; 2] = [0.003, 0.0015];
/// The least of it that a first token moves its class by.
const SHAPE_GAIN: f64 = 1.0 / 64.0;
/// After so many rounds the level is no longer a first guess.
const FIRST: u32 = 8;
/// A class of fewer samples is bounded by the others.
const MATURE: u32 = 8;

/// The norm of a lane.
#[derive(Debug, Clone)]
pub(super) struct Baseline {
    /// Classes to a power of two.
    fine: f64,
    steep: f64,
    creep: f64,
    classes: [Class; CLASSES],
    level: Option<f64>,
    noise: f64,
    rounds: u32,
    /// When it last learned.
    learned: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Class {
    log: f64,
    samples: u32,
}

/// Whether a round was one of a drained window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    Drained,
    Open,
}

impl Baseline {
    pub(super) fn new(kind: Kind) -> Self {
        let [streams, answers] = FINE;
        let [quick, slow] = CREEP;
        let (fine, steep, creep) = if kind == Kind::Stream { (streams, 0.0, quick) } else { (answers, STEEP, slow) };
        Self {
            fine,
            steep,
            creep,
            classes: [Class::default(); CLASSES],
            level: None,
            noise: 0.0,
            rounds: 0,
            learned: None,
        }
    }

    /// Whether enough answers of this length are known to compare one with that took `seconds`; it is one of them
    /// from now on. How long whole answers of one length take says too little about those of another.
    pub(super) fn compares(&mut self, tokens: u64, seconds: f64) -> bool {
        let place = self.place(tokens);
        let log = seconds.max(1e-6).ln() - self.within_class(tokens, place);
        let Some(class) = self.classes.get_mut(place).filter(|class| class.samples < MATURE) else { return true };
        class.samples += 1;
        class.log += (log - class.log) / f64::from(class.samples);
        false
    }

    /// How late a first token is that came after `seconds` for a prompt of `tokens`, against the shape
    /// alone.
    pub(super) fn lateness(&mut self, tokens: u64, seconds: f64) -> f64 {
        let place = self.place(tokens);
        let log = seconds.max(1e-6).ln() - self.within_class(tokens, place);
        if let Some(class) = self.classes.get(place)
            && class.samples >= MATURE
        {
            return log - class.log;
        }
        let bound = self.bound(place);
        let Some(class) = self.classes.get_mut(place) else { return 0.0 };
        if class.samples == 0 {
            *class = Class { log: bound.unwrap_or(log).min(log), samples: 1 };
        }
        log - bound.unwrap_or(class.log)
    }

    /// The lateness of a round, given its first quartile; 0 for the first round of all, from which the
    /// norm begins.
    pub(super) fn late(&mut self, quartile: f64) -> f64 {
        quartile - *self.level.get_or_insert(quartile)
    }

    /// How late a try may be, against the shape alone, without being called late.
    pub(super) fn within(&self, tolerance: f64) -> f64 {
        self.level.unwrap_or(0.0) + tolerance
    }

    /// Whether there is a norm.
    pub(super) fn is_known(&self) -> bool {
        self.level.is_some()
    }

    /// The standard deviation of rounds by nature.
    pub(super) fn noise(&self) -> f64 {
        self.noise
    }

    /// Learns from a round at `at` seconds in which nothing waited to speak of.
    pub(super) fn learn(&mut self, at: f64, quartile: f64, noise: f64, window: Window) {
        let level = self.level.unwrap_or(quartile);
        let when = self.learned.replace(at).unwrap_or(at);
        self.noise += (noise - self.noise) / 16.0;
        let distance = quartile - level;
        self.rounds = self.rounds.saturating_add(1);
        let moved = match window {
            Window::Open if distance > 0.0 && self.rounds > FIRST => {
                (distance * GAIN).min(self.creep * (at - when).clamp(0.0, 60.0))
            }
            // What may be chance is followed slowly, or the level would rest at the lucky ones.
            Window::Open if distance > -3.0 * self.noise => distance * CHANCE,
            Window::Open | Window::Drained => distance * GAIN,
        };
        self.level = Some(level + moved);
    }

    /// Learns how a class differs: a first token for a prompt of `tokens` was later than the mean of its
    /// round by `residual`.
    pub(super) fn shape(&mut self, tokens: u64, residual: f64) {
        let place = self.place(tokens);
        if let Some(class) = self.classes.get_mut(place) {
            class.samples = class.samples.saturating_add(1);
            class.log += residual.clamp(-1.0, 1.0) * (1.0 / f64::from(class.samples)).max(SHAPE_GAIN);
        }
    }

    /// A round's first quartile is the norm from now on.
    pub(super) fn adopt(&mut self, quartile: f64) {
        self.level = Some(quartile);
    }

    /// What the other classes say about one that is not known yet.
    fn bound(&self, place: usize) -> Option<f64> {
        let known = self.classes.iter().enumerate().filter(|(_, class)| class.samples >= MATURE);
        let bounds = known.map(|(other, class)| class.log + place.saturating_sub(other) as f64 * LN_2 / self.fine);
        bounds.reduce(f64::min)
    }

    /// What the length adds to the time within its class, as a logarithm.
    fn within_class(&self, tokens: u64, place: usize) -> f64 {
        if self.steep == 0.0 {
            return 0.0;
        }
        let middle = (place as f64 + 0.5) / self.fine;
        // What is beyond the last class is compared with it.
        ((tokens.max(1) as f64).log2() - middle).min(1.0) * LN_2 * self.steep
    }

    fn place(&self, tokens: u64) -> usize {
        // At least 0, and below 128.
        (((tokens.max(1) as f64).log2() * self.fine) as usize).min(CLASSES - 1)
    }
}
