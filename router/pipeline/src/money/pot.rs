//! What one exchange may cost in all, however many models it asks.
//!
//! Each model that is asked has a [`Share`] of the exchange's [`Pot`]. What a share holds is held for all of
//! them, and what it has used stays used; so held and used together never come to more than the ceiling,
//! but for what the bound of budgets leaves open (`docs/budgets.md`). Who is asked beside others that hold
//! nothing yet gets an equal part of what is left, so that the first of a panel does not take all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use atp_core::MicroUsd;

/// The ceiling of an exchange, and what is drawn on it. The shares of an exchange are drawn by one task at a
/// time; the numbers are atomic because its body may be read by another.
#[derive(Debug)]
pub(crate) struct Pot {
    cap: MicroUsd,
    /// Held and used, in micro-dollars.
    drawn: AtomicU64,
    /// Shares that hold nothing yet.
    waiting: AtomicU64,
}

impl Pot {
    /// A pot of which nothing is drawn.
    pub(crate) fn new(cap: MicroUsd) -> Arc<Self> {
        Arc::new(Self { cap, drawn: AtomicU64::new(0), waiting: AtomicU64::new(0) })
    }

    /// A share for a model that is asked.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Share { pot: Arc::clone(self), drawn: 0, waits: true }
    }
}

/// The part of one model. Dropping it gives back what it has not [used](Share::ends).
#[derive(Debug)]
pub(crate) struct Share {
    pot: Arc<Pot>,
    /// Of `Pot::drawn`, what is this one's.
    drawn: u64,
    /// Whether it counts as one that holds nothing yet.
    waits: bool,
}

impl Share {
    /// The whole ceiling.
    pub(super) fn cap(&self) -> MicroUsd {
        self.pot.cap
    }

    /// What it may draw in all: its own, and what nobody else has drawn.
    pub(super) fn room(&self) -> MicroUsd {
        let others = self.pot.drawn.load(Ordering::Relaxed).saturating_sub(self.drawn);
        MicroUsd(self.pot.cap.0.saturating_sub(others))
    }

    /// What it may draw at first: as much as each of those that hold nothing yet.
    pub(super) fn first_room(&self) -> MicroUsd {
        MicroUsd(self.room().0 / self.pot.waiting.load(Ordering::Relaxed).max(1))
    }

    /// Notes that it holds so much.
    pub(super) fn holds(&mut self, cost: MicroUsd) {
        self.waits_no_more();
        self.pot.drawn.fetch_add(cost.0, Ordering::Relaxed);
        self.pot.drawn.fetch_sub(self.drawn, Ordering::Relaxed);
        self.drawn = cost.0;
    }

    /// Ends it: so much was used, which stays drawn.
    pub(super) fn ends(mut self, used: MicroUsd) {
        self.holds(used);
        self.drawn = 0;
    }

    fn waits_no_more(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.pot.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.waits_no_more();
        self.pot.drawn.fetch_sub(self.drawn, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_divide_what_is_left_and_what_is_used_stays_used() {
        let pot = Pot::new(MicroUsd(90));
        let (mut one, mut two, three) = (pot.share(), pot.share(), pot.share());
        assert_eq!(one.first_room(), MicroUsd(30));
        one.holds(MicroUsd(20));
        assert_eq!((two.first_room(), two.room()), (MicroUsd(35), MicroUsd(70)));
        two.holds(MicroUsd(35));
        assert_eq!((one.room(), three.first_room()), (MicroUsd(55), MicroUsd(35)));
        two.holds(MicroUsd(40));
        drop(three);
        two.ends(MicroUsd(10));
        assert_eq!(one.room(), MicroUsd(80));
        drop(one);
        assert_eq!(pot.share().first_room(), MicroUsd(80), "who was not asked has cost nothing");
    }

    #[test]
    fn a_share_that_was_overdrawn_leaves_nothing() {
        let pot = Pot::new(MicroUsd(10));
        pot.share().ends(MicroUsd(12));
        assert_eq!(pot.share().room(), MicroUsd(0));
    }
}
