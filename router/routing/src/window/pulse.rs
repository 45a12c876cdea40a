//! A short look above the window.
//!
//! What a lane could carry beyond its window is only seen by sending it more; but everything that is
//! sent too much waits, and everybody's first token comes later for it. So the limit is raised for no
//! longer than it takes until the next first token of any try: where requests wait, they fill the room
//! at once. Then it goes back, and the tries that began meanwhile are judged, those with the most in
//! flight alone. Had they to wait, the lane is full; else the next pulse reaches higher.
//!
//! Units: tries in flight; times in seconds.

use super::round::{Reading, Round, Sample};

/// A pulse under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulse {
    /// The limit to go back to.
    pub(super) base: f64,
    /// The limit while it lasts.
    pub(super) to: f64,
    /// The highest limit at which nothing waited.
    pub(super) quiet: f64,
    began: f64,
    over: Option<f64>,
    samples: Round,
}

/// What follows from a first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// The limit goes back.
    Over,
    /// More answers are awaited.
    Waiting,
    /// All that is to be expected has come.
    Enough,
}

/// A pulse raises the window by this share, and by at least one.
const REACH: f64 = 0.08;
/// Answers that take longer than so many slow ones are not awaited: the first while there are fewer than
/// [`FEWEST`], and in any case.
const PATIENCE: [f64; 2] = [2.0, 4.0];
const FEWEST: usize = 2;

impl Pulse {
    /// The first pulse above a window.
    pub(super) fn above(base: f64, at: f64) -> Self {
        Self::to(base, base + (base * REACH).max(1.0), base, at)
    }

    /// A pulse to this limit.
    pub(super) fn to(base: f64, to: f64, quiet: f64, at: f64) -> Self {
        Self { base, to, quiet, began: at, over: None, samples: Round::after(at, 0.0) }
    }

    /// When it began.
    pub(super) fn began(&self) -> f64 {
        self.began
    }

    /// Whether no first token has come since it began.
    pub(super) fn is_unheard(&self) -> bool {
        self.over.is_none()
    }

    /// A first token came at `at`, of a try that began at `began`.
    pub(super) fn hear(&mut self, at: f64, began: f64, sample: Sample, slow: f64) -> Heard {
        let is_over = self.over.is_some();
        let over = *self.over.get_or_insert(at);
        if (self.began..=over).contains(&began) {
            self.samples.add(sample);
        }
        let [enough, in_any_case] = PATIENCE;
        let passed = at - over;
        let count = self.samples.samples().len();
        match is_over {
            false => Heard::Over,
            true if count == Round::MOST || (passed >= enough * slow && count >= FEWEST) => Heard::Enough,
            true if passed >= in_any_case * slow => Heard::Enough,
            true => Heard::Waiting,
        }
    }

    /// What the tries say that began with the most in flight: their median.
    pub(super) fn read(&self) -> Option<Reading> {
        self.samples.fullest(((self.to - self.base) / 2.0).max(1.0)).read_median()
    }
}
