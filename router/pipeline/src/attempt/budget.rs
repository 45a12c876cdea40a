//! The retry budget's state, shared by all cores: ten atomic words. The arithmetic is
//! [`atp_routing::retry_budget`]'s.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use atp_routing::RetryBudget;
use atp_routing::retry_budget::{SLOTS, Slot};

/// The gateway's retries and requests of the last ten seconds.
#[derive(Debug)]
pub(crate) struct Budget {
    origin: Instant,
    slots: [AtomicU64; SLOTS],
}

impl Budget {
    /// An empty window. `origin` is what seconds are counted from.
    pub(crate) fn new(origin: Instant) -> Self {
        Self { origin, slots: Default::default() }
    }

    fn second(&self, now: Instant) -> u32 {
        // Kept modulo 2^32 on purpose; the window's arithmetic wraps.
        #[expect(clippy::cast_possible_truncation, reason = "the window's arithmetic wraps")]
        let second = now.saturating_duration_since(self.origin).as_secs() as u32;
        second
    }

    fn slot(&self, second: u32) -> &AtomicU64 {
        #[expect(clippy::indexing_slicing, reason = "a place is below SLOTS, the array's length")]
        &self.slots[Slot::place(second)]
    }

    /// Counts an exchange. One uncontended atomic in the usual case.
    pub(crate) fn deposit(&self, now: Instant) {
        let second = self.second(now);
        let add = |word: u64| Some(Slot::from_word(word).at(second).with_request().to_word());
        let _always = self.slot(second).fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes a retry out of the budget, where there is one.
    ///
    /// All withdrawals of a second change the same word, so the comparison in the update makes sure
    /// that none has come between the sum and the taking; at the turn of a second one per core may.
    pub(crate) fn withdraw(&self, budget: &RetryBudget, now: Instant) -> bool {
        let second = self.second(now);
        let take = |word: u64| {
            let granted = self.sum(budget, second) > 0;
            granted.then(|| Slot::from_word(word).at(second).with_retry().to_word())
        };
        self.slot(second).fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// How many retries are left.
    pub(crate) fn balance(&self, budget: &RetryBudget, now: Instant) -> u64 {
        self.sum(budget, self.second(now))
    }

    fn sum(&self, budget: &RetryBudget, second: u32) -> u64 {
        budget.balance(self.slots.iter().map(|slot| Slot::from_word(slot.load(Ordering::Relaxed))), second)
    }
}
