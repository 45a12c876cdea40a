//! Which of window and pace a refusal speaks to.
//!
//! A lane that limits *concurrency* refuses the try that is one too many: no try that began with fewer
//! in flight is refused while others were accepted with more. A lane that limits the *rate* does not
//! care how many are in flight. So each refusal is held against the most tries in flight that were
//! accepted since the one before: clearly fewer speaks for a rate, as does a pause that the provider
//! names. A third kind shows itself: where first tokens come late, a line stands before the lane's slots, and what
//! is refused is refused because the line is full; no pace would help. Until the evidence tips it is held to be a rate, because only a window that is not full shows
//! the difference; the very first refusal, before there is a pace, cuts both.

use crate::rate::Paced;

/// Evidence of a lane's kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blame {
    /// From -1 (concurrency) to 1 (rate).
    score: f64,
    /// The most tries in flight with which one was accepted since the last refusal.
    most: u32,
    refused: f64,
    /// When a queue was last seen behind the lane.
    queued: f64,
}

/// What is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Window,
    Pace,
    Both,
}

/// Seconds in which evidence fades: a lane in whose window nothing else shows is looked at anew.
const MEMORY: f64 = 180.0;
/// Seconds for which a queue that was seen behind the lane explains what is refused.
const QUEUED: f64 = 5.0;
/// The evidence of such a queue: as much as there can be for concurrency.
const LINE: f64 = -0.5;
/// Evidence beyond this decides.
const SURE: f64 = 0.25;

impl Blame {
    pub(super) fn new() -> Self {
        Self { score: 0.0, most: 0, refused: 0.0, queued: f64::NEG_INFINITY }
    }

    /// A try that began at `began` seconds with so many in flight was accepted.
    pub(super) fn accepted(&mut self, began: f64, in_flight: u32) {
        if began >= self.refused {
            self.most = self.most.max(in_flight);
        }
    }

    /// A try that began at `began` seconds with so many in flight was refused at `now`, where a pace was
    /// known; `told` where the provider made plain that it was the rate, `limit` the window. Counts once
    /// per round trip.
    pub(super) fn refused(&mut self, now: f64, began: f64, in_flight: u32, limit: u32, told: Told) {
        if began < self.refused {
            return;
        }
        let fewer = self.most.saturating_sub((self.most / 20).max(2));
        let rate = told == Told::Rate || in_flight < fewer;
        self.score *= (-(now - self.refused) / MEMORY).exp();
        // A lane that limits concurrency hardly ever looks like the other kind; one that limits the rate
        // often does, because its window is mostly full.
        // One that began with the window full is no evidence of either, or nearly none.
        let full = in_flight.saturating_add(limit / 20) >= limit;
        self.score += match (rate, full) {
            (true, _) => (1.0 - self.score) / 4.0,
            (false, false) => (LINE - self.score) / 8.0,
            (false, true) => (LINE - self.score) / 16.0,
        };
        self.most = 0;
        self.refused = now;
    }

    /// First tokens come late at `now`.
    pub(super) fn queued(&mut self, now: f64) {
        self.queued = now;
        self.score = self.score.min(LINE);
    }

    /// What to cut for a refusal at `now`, where such a pace is known and so much was told.
    pub(super) fn cut(&self, now: f64, pace: Paced, told: Told) -> Cut {
        if told == Told::Nothing && now - self.queued < QUEUED {
            return Cut::Window;
        }
        match pace {
            Paced::Unknown => Cut::Both,
            Paced::OneByOne if self.score < -SURE => Cut::Window,
            Paced::OneByOne | Paced::InLumps => Cut::Pace,
        }
    }
}

/// What a refusal said about its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Rate,
    Nothing,
}
