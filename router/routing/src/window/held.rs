//! A window that is full of streams which have all had their first token.
//!
//! None of them waits behind the lane, so the lane has shown no limit; and as none of them will have
//! another first token, nothing would ever move the window again. So it is widened twofold: by time in slow
//! start, later when all has been still for longer than chance makes it. Should the lane be full after all, the first tokens of those
//! who begin then come late, and the window goes back as after any other sign.
//!
//! Units: tries in flight; times in seconds.

use std::time::Instant;

use super::{DRAIN_EVERY, Phase, Window};
use crate::control::Why;

/// One in so many tries may be without its first token yet: in slow start, and later.
const SILENT: [u32; 2] = [8, 32];
/// In slow start it is widened every so many seconds, or times what a slow first token takes.
const EVERY: [f64; 2] = [0.1, 1.0];
/// Later only where no first token came and no try ended for so many seconds, or so many times what a slow first
/// token takes, or so many times what usually passes between two of them, whichever is longest.
const STILL: [f64; 3] = [0.5, 1.0, 6.0];
const WIDER: f64 = 2.0;
/// First tokens are awaited for so many seconds, or so many times what a slow one takes.
const AWAITED: [f64; 2] = [10.0, 8.0];

/// Whether a lane is full, or nearly, of tries of which nearly all have had their first token, so that it may be
/// worth a look whether [`Window::in_use`] widens it.
#[must_use]
pub fn is_held(limit: u32, in_flight: u32, silent: u32) -> bool {
    let [begins, _] = SILENT;
    limit > 0 && in_flight + limit / 8 >= limit && silent <= (in_flight / begins).max(1)
}

impl Window {
    /// So many are in flight now, of which `silent` have not had their first token. Streams that were answered
    /// long ago are in use as well as those that are answered now.
    pub fn in_use(&mut self, now: Instant, in_flight: u32, silent: u32) {
        let at = self.seconds(now);
        self.proven.saw(at, in_flight);
        let [begins, later] = SILENT;
        let few = if self.phase == Phase::SlowStart { begins } else { later };
        if !self.is_full(in_flight) || silent > (in_flight / few).max(1) || !self.may_widen(at) {
            return;
        }
        self.grown = at;
        self.moved = at;
        // Whatever was looked at waits for first tokens that do not come.
        self.pulse = None;
        let limit = self.drain.back.take().unwrap_or(self.limit);
        self.set(limit * WIDER);
    }

    fn may_widen(&self, at: f64) -> bool {
        if self.phase == Phase::SlowStart {
            let [least, rounds] = EVERY;
            return at - self.grown >= least.max(rounds * self.slow);
        }
        let [least, rounds, usual] = STILL;
        at - self.moved >= least.max(rounds * self.slow).max(usual / self.flow.per_second(at).max(0.01))
    }

    /// A try has ended, and its slot is back.
    pub fn ended(&mut self, now: Instant) {
        self.moved = self.seconds(now);
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
