//! Whose times tell about queues: the first tokens of streams, or whole answers where there are no streams.
//!
//! A first token comes after what waits, and little else; that is why it is listened to where there is one. A whole
//! answer comes after it was written as well, which takes in proportion to its length: so like is compared with like
//! again, whole answers by their length as first tokens by that of their prompts. Its signal is weaker, because a
//! wait is a smaller part of a longer time, and a round takes as long as an answer.
//!
//! The norms of both are kept apart. A lane that serves both is heard by its streams, unless there have been none for
//! a while.

use std::mem;
use std::time::Instant;

use super::baseline::Baseline;
use super::late::Late;
use super::round::Round;
use super::{Flow, Phase, Window};
use crate::control::{Answered, Why};

/// So many whole answers in a row, over so many seconds, and there are no streams any more.
const ROW: u32 = 32;
const AWAY: f64 = 10.0;
/// A prompt is read about so many times as quickly as an answer is written.
const READING: u64 = 128;

/// A lane writes its answers more slowly the more of them it writes at once: to the power of this of their number.
const CROWDING: f64 = 0.1;

/// What a window hears, and what it knows about the other kind.
#[derive(Debug, Clone)]
pub(super) struct Kinds {
    heard: Kind,
    row: u32,
    /// When the first token of a stream came last; `None` where there was never one.
    streamed: Option<f64>,
    other: Norm,
}

/// A kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stream,
    Whole,
}

/// What is known about the times of a kind, as in [`Window`].
#[derive(Debug, Clone)]
struct Norm {
    baseline: Baseline,
    slow: f64,
    spread: f64,
}

impl Kinds {
    pub(super) fn new() -> Self {
        let other = Norm { baseline: Baseline::new(Kind::Whole), slow: 0.0, spread: 0.0 };
        Self { heard: Kind::Stream, row: 0, streamed: None, other }
    }

    pub(super) fn heard(&self) -> Kind {
        self.heard
    }

    /// What a time is to be multiplied by so that it does not depend on how many were written at the same time. It
    /// hardly hides a queue: where there is one, a time grows in proportion to their number.
    pub(super) fn uncrowded(&self, in_flight: u32) -> f64 {
        match self.heard {
            Kind::Stream => 1.0,
            Kind::Whole => f64::from(in_flight.max(1)).powf(-CROWDING),
        }
    }

    /// Notes that an answer of a kind came at `at`. Whether this kind is heard from now on, and was not before.
    fn is_heard_from(&mut self, at: f64, kind: Kind) -> bool {
        match kind {
            Kind::Stream => {
                self.row = 0;
                self.streamed = Some(at);
            }
            Kind::Whole => self.row = self.row.saturating_add(1),
        }
        let gone = self.streamed.is_none_or(|streamed| self.row >= ROW && at - streamed >= AWAY);
        let turns = kind != self.heard && (kind == Kind::Stream || gone);
        if turns {
            self.heard = kind;
        }
        turns
    }
}

impl Window {
    /// A whole answer has come. Where streams tell about queues it proves what it began with, and nothing more; else
    /// its time does, compared with others of its length.
    pub fn answered(&mut self, now: Instant, sample: &Answered) -> Option<Why> {
        let (at, began) = (self.seconds(now), self.seconds(sample.began));
        self.hear_of(at, Kind::Whole);
        if self.kinds.heard == Kind::Whole {
            let written = sample.output_tokens.unwrap_or(0);
            let length = written.saturating_add(sample.input_tokens.div_ceil(READING));
            let took = (at - began).max(0.0) * self.kinds.uncrowded(sample.in_flight);
            if self.baseline.compares(length, took) {
                return self.came(at, began, sample.in_flight, length);
            }
            self.flow.add(at);
        }
        self.proven.saw(at, sample.in_flight);
        if self.pulse.is_some() || began < self.round.began() || !self.is_full(sample.in_flight) {
            return None;
        }
        let before = self.limit();
        self.tokens_seen = self.tokens_seen.saturating_add(1);
        if self.phase == Phase::SlowStart {
            self.set(self.limit + 1.0);
        }
        self.answers += usize::from(began >= self.grown);
        if !self.only_queues() && self.answers >= self.wanted() {
            self.answers = 0;
            self.grow(at);
        }
        (self.limit() != before).then_some(Why::Grown)
    }

    /// Listens to the kind of answers that there are. What was being looked at by the times of the other one is
    /// given up.
    pub(super) fn hear_of(&mut self, at: f64, kind: Kind) {
        if !self.kinds.is_heard_from(at, kind) {
            return;
        }
        let Norm { baseline, slow, spread } = &mut self.kinds.other;
        mem::swap(&mut self.baseline, baseline);
        mem::swap(&mut self.slow, slow);
        mem::swap(&mut self.spread, spread);
        if let Some(back) = self.drain.back.take().or(self.pulse.take().map(|pulse| pulse.base)) {
            self.set(back);
        }
        if !self.baseline.is_known() {
            self.tokens_seen = 0;
        }
        (self.trial, self.suspected, self.late) = (None, false, Late::default());
        self.flow = Flow::new(at, 16.0);
        self.round = Round::after(self.curve.cut_at().max(0.0), 0.0);
    }
}
