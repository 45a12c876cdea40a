//! Which of window and pace a refusal speaks to.
//!
//! A lane that limits *concurrency* refuses the try that is one too many: no try that began with fewer
//! in flight is refused while others were accepted with more. A lane that limits the *rate* does not
//! care how many are in flight. So each refusal is held against the most tries in flight that were
//! accepted since the one before: clearly fewer speaks for a rate, as does a pause that the provider
//! names. A third kind shows itself: where first tokens come late, a line stands before the lane's slots, and what
//! is refused is refused because the line is full; no pace would help. Where answers come whole such a line hardly shows;
//! there the refusals do: below a window that is not full, what is refused is again and again the try with the most in
//! flight, one more than was ever accepted. What is held to limit concurrency by all that is not doubted for one try that
//! was refused with fewer: its capacity may have fallen. Until the evidence tips it is held to be a rate, because only a
//! window that is not full shows
//! the difference; the very first refusal, before there is a pace, cuts both.

use crate::rate::Paced;

/// Evidence of a lane's kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blame {
    /// From -1 (concurrency) to 1 (rate).
    score: f64,
    /// The most tries in flight with which one was accepted since the last refusal.
    most: u32,
    /// How many were accepted since then.
    accepted: u32,
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
/// So many accepted tries show where the edge is, if there is one.
const EDGE: u32 = 32;
/// Evidence beyond this decides.
const SURE: f64 = 0.25;

impl Blame {
    pub(super) fn new() -> Self {
        Self { score: 0.0, most: 0, accepted: 0, refused: 0.0, queued: f64::NEG_INFINITY }
    }

    /// A try that began at `began` seconds with so many in flight was accepted.
    pub(super) fn accepted(&mut self, began: f64, in_flight: u32) {
        if began >= self.refused {
            self.most = self.most.max(in_flight);
            self.accepted = self.accepted.saturating_add(1);
        }
    }

    /// Whether a try that was refused with so many in flight, below a window of `limit`, is the one that is one too many:
    /// no other was accepted with more since the last refusal, of many. That is the edge of a lane that limits
    /// concurrency. Of one that limits the rate it is hardly ever the try with the most in flight that is refused, unless
    /// the window is full.
    pub(super) fn is_edge(&self, in_flight: u32, limit: u32) -> bool {
        let near = in_flight <= self.most.saturating_add((self.most / 20).max(2));
        self.accepted >= EDGE && in_flight >= self.most && in_flight < limit && near
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
        let edge = told == Told::Edge;
        let told = if edge { Told::Nothing } else { told };
        self.score += match (rate, full) {
            (true, _) if told == Told::Nothing && self.score < -SURE => (1.0 - self.score) / 16.0,
            (true, _) => (1.0 - self.score) / 4.0,
            (false, _) if edge => (LINE - self.score) / 1.5,
            (false, false) => (LINE - self.score) / 8.0,
            (false, true) => (LINE - self.score) / 16.0,
        };
        self.accepted = 0;
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
        if told != Told::Rate && now - self.queued < QUEUED {
            return Cut::Window;
        }
        match pace {
            Paced::Unknown => Cut::Both,
            Paced::OneByOne | Paced::InLumps if told != Told::Rate && self.score < -SURE => Cut::Window,
            Paced::OneByOne | Paced::InLumps => Cut::Pace,
        }
    }
}

/// What a refusal said about its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Rate,
    /// Nothing; but it was the one that was one too many ([`Blame::is_edge`]).
    Edge,
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many are accepted one after the other, with up to `most` in flight.
    fn accept(blame: &mut Blame, from: f64, most: u32) {
        (0..100u32).for_each(|place| blame.accepted(from + f64::from(place) / 10.0, most - place % 10));
    }

    fn refuse(blame: &mut Blame, at: f64, in_flight: u32, limit: u32) -> Cut {
        let told = if blame.is_edge(in_flight, limit) { Told::Edge } else { Told::Nothing };
        blame.refused(at, at - 0.1, in_flight, limit, told);
        blame.cut(at, Paced::OneByOne, told)
    }

    #[test]
    fn the_try_that_is_one_too_many_shows_a_limit_of_concurrency_at_once() {
        let mut blame = Blame::new();
        accept(&mut blame, 1.0, 80);
        assert_eq!(refuse(&mut blame, 20.0, 81, 90), Cut::Window);
        accept(&mut blame, 21.0, 80);
        assert_eq!(refuse(&mut blame, 40.0, 81, 90), Cut::Window);
        // Its capacity halves: many fewer are too many now.
        accept(&mut blame, 41.0, 80);
        assert_eq!(refuse(&mut blame, 60.0, 60, 90), Cut::Window);
    }

    #[test]
    fn what_is_refused_among_the_others_or_at_a_full_window_shows_none() {
        let mut blame = Blame::new();
        accept(&mut blame, 1.0, 80);
        assert_eq!(refuse(&mut blame, 20.0, 72, 90), Cut::Pace);
        accept(&mut blame, 21.0, 80);
        assert_eq!(refuse(&mut blame, 40.0, 80, 80), Cut::Pace, "the window was full");
        accept(&mut blame, 41.0, 80);
        assert_eq!(refuse(&mut blame, 60.0, 99, 120), Cut::Pace, "nothing was tried in between");
    }
}
