//! A window that is full of streams which have all had their first token.
//!
//! None of them waits behind the lane, so the lane has shown no limit; and as none of them will have
//! another first token, nothing would ever move the window again. So it is widened twofold when all has
//! been still for longer than chance makes it. Should the lane be full after all, the first tokens of those
//! who begin then come late, and the window goes back as after any other sign.
//!
//! Units: tries in flight; times in seconds.

use std::time::Instant;

use super::{DRAIN_EVERY, Phase, Window};
use crate::control::Why;

/// One in so many tries may be without its first token yet.
const SILENT: u32 = 32;
/// No first token and no end for so many seconds, or so many times what a slow first token takes, or so many times
/// what usually passes between two first tokens, whichever is longest: in slow start, and later.
const STILL: [[f64; 3]; 2] = [[0.1, 1.0, 3.0], [0.5, 1.0, 8.0]];
const WIDER: f64 = 2.0;
/// Slow start is looked at every so many seconds, or so many times what a first token takes. Where it has not made
/// the window so many times as wide and streams keep their slots, it is made so many times as wide.
const HELD: [f64; 2] = [0.5, 3.0];
/// Streams keep their slots where fewer than one in so many ended.
const RETURNED: u64 = 4;
const DOUBLES: f64 = 1.25;
const WIDENS: f64 = 1.5;
/// First tokens are awaited for so many seconds, or so many times what a slow one takes.
const AWAITED: [f64; 2] = [10.0, 8.0];

/// What slow start had come to when that was looked at last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widened {
    pub(super) at: f64,
    pub(super) to: f64,
    /// Full and early first tokens since then.
    pub(super) begun: u64,
    /// Tries that ended since then.
    pub(super) ended: u64,
}

impl Widened {
    pub(super) fn at(at: f64, to: f64) -> Self {
        Self { at, to, begun: 0, ended: 0 }
    }
}

impl Window {
    /// So many are in flight now, of which `silent` have not had their first token. Streams that were answered
    /// long ago are in use as well as those that are answered now.
    pub fn in_use(&mut self, now: Instant, in_flight: u32, silent: u32) {
        let at = self.seconds(now);
        self.proven.saw(at, in_flight);
        let busy = self.pulse.is_some() || self.drain.back.is_some();
        if busy || !self.is_full(in_flight) || silent > (in_flight / SILENT).max(1) {
            return;
        }
        let [least, rounds, usual] = if self.phase == Phase::SlowStart { STILL[0] } else { STILL[1] };
        let still = least.max(rounds * self.slow).max(usual / self.flow.per_second(at).max(0.01));
        if at - self.moved < still {
            return;
        }
        self.moved = at;
        self.set(self.limit * WIDER);
    }

    /// Slow start doubles the window a round because each first token lets one more begin beside the one whose
    /// slot comes back. Where streams keep their slots it adds no more than comes, and fewer come each round:
    /// there the window is widened by time, as long as first tokens stay early.
    pub(super) fn widen_where_held(&mut self, at: f64, took: f64) {
        let [least, rounds] = HELD;
        self.widened.begun += 1;
        if at - self.widened.at < least.max(rounds * took.max(self.slow)) {
            return;
        }
        let held = self.widened.ended * RETURNED < self.widened.begun;
        if held && self.limit < self.widened.to * DOUBLES {
            self.set(self.widened.to * WIDENS);
        }
        self.widened = Widened::at(at, self.limit);
    }

    /// A try has ended, and its slot is back.
    pub fn ended(&mut self, now: Instant) {
        self.moved = self.seconds(now);
        self.widened.ended += 1;
    }

    /// Ends what waits for first tokens that do not come, because the tries in flight have had theirs.
    pub(super) fn end_by_time(&mut self, at: f64) -> Option<Why> {
        let patience = AWAITED[0].max(self.slow * AWAITED[1]);
        let before = self.limit();
        if let Some(back) = self.drain.back.filter(|_| at - self.drain.began > patience) {
            self.drain.back = None;
            self.drain.due = at + DRAIN_EVERY[0];
            self.set(back);
        }
        if let Some(pulse) = self.pulse.filter(|pulse| pulse.is_unheard() && at - pulse.began() > patience) {
            self.pulse = None;
            self.set(pulse.base);
        }
        (self.limit() != before).then_some(Why::Drain)
    }
}
