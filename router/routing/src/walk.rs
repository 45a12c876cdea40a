//! After a failed try: which target next, when, or not at all.
//!
//! Every target of the plan is asked once, in order, without a pause: another target costs nothing
//! to ask. Only when none is left are targets asked again, after a pause, and only until
//! [`Rules::max_attempts`] tries have been made. A target that named a pause is never asked before
//! that pause is over.

use std::time::{Duration, Instant};

use rand::Rng;
use smallvec::SmallVec;

use crate::backoff::Backoff;
use crate::plan::Order;

/// What bounds a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Tries of one exchange, the first included, up to which targets are asked again. The first
    /// round over all targets is not cut by it.
    pub max_attempts: u32,
    /// Pauses before a target is asked again.
    pub backoff: Backoff,
    /// The longest pause named by a target that is waited out; a longer one is passed on to the
    /// caller instead.
    pub longest_wait: Duration,
}

impl Default for Rules {
    /// Three tries, the default backoff, and waits of up to 2 s.
    fn default() -> Self {
        Self { max_attempts: 3, backoff: Backoff::default(), longest_wait: Duration::from_secs(2) }
    }
}

/// Whether a target that failed may be asked again by the same exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It would fail again.
    No,
    /// After the backoff's pause.
    Paused,
    /// Not before the pause that the target named.
    After(Duration),
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask this target, now.
    Ask(usize),
    /// Wait until then, and ask this target again.
    AskAgain(usize, Instant),
    /// Give up.
    Stop,
}

/// One exchange's way through its plan.
#[derive(Debug, Clone)]
pub struct Walk {
    order: Order,
    fresh: usize,
    tries: u32,
    resting: SmallVec<[Rest; 2]>,
}

/// A target that may be asked again, and from when on.
#[derive(Debug, Clone, Copy)]
struct Rest {
    target: usize,
    until: Instant,
}

impl Walk {
    /// Begins a walk.
    #[must_use]
    pub fn new(order: Order) -> Self {
        Self { order, fresh: 0, tries: 0, resting: SmallVec::new() }
    }

    /// How many tries have been handed out.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// The targets that have not been asked yet, in the order in which they will be.
    #[must_use]
    pub fn fresh(&self) -> &[usize] {
        self.order.get(self.fresh..).unwrap_or_default()
    }

    /// Asks `target` before its turn, beside another one; `false` where it has been asked already.
    pub fn ask_ahead(&mut self, target: usize) -> bool {
        let Some(place) = self.fresh().iter().position(|fresh| *fresh == target) else { return false };
        if let Some(passed) = self.order.get_mut(self.fresh..=self.fresh + place) {
            passed.rotate_right(1);
        }
        self.fresh += 1;
        self.tries += 1;
        true
    }

    /// Asks `target`, which has not been asked yet, instead of `handed`, which was to be asked: that one can
    /// still be. Nothing changes where they are the same, or where `handed` was to be asked again.
    pub fn ask_instead(&mut self, handed: usize, target: usize) {
        let place = self.fresh().iter().position(|fresh| *fresh == target).map(|place| place + self.fresh);
        let last = self.fresh.checked_sub(1).filter(|last| self.order.get(*last) == Some(&handed));
        if let (Some(place), Some(last)) = (place, last) {
            self.order.swap(place, last);
        }
    }

    /// Notes that `target` has just failed.
    pub fn failed(&mut self, target: usize, again: Again, now: Instant, rules: &Rules, rng: &mut impl Rng) {
        // The first repetition is round zero, whichever target it is of.
        let asked = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
        let backoff = rules.backoff.pause(self.tries.saturating_sub(asked), rng);
        let pause = match again {
            Again::No => return,
            Again::Paused => backoff,
            Again::After(named) if named > rules.longest_wait => return,
            Again::After(named) => named.max(backoff),
        };
        self.resting.push(Rest { target, until: now + pause });
    }

    /// The next step. `deadline` is when the exchange ends in any case: a pause that would reach it
    /// is not begun, so that the caller hears at once.
    pub fn next(&mut self, deadline: Instant, rules: &Rules) -> Step {
        if let Some(target) = self.order.get(self.fresh).copied() {
            self.fresh += 1;
            self.tries += 1;
            return Step::Ask(target);
        }
        if self.tries >= rules.max_attempts {
            return Step::Stop;
        }
        let soonest = (0..self.resting.len()).min_by_key(|place| self.resting.get(*place).map(|rest| rest.until));
        let Some(place) = soonest else { return Step::Stop };
        let rest = self.resting.swap_remove(place);
        if rest.until >= deadline {
            return Step::Stop;
        }
        self.tries += 1;
        Step::AskAgain(rest.target, rest.until)
    }
}

#[cfg(test)]
mod tests;
