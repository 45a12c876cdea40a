//! The retry budget's state, shared by all cores: ten atomic words. The arithmetic is
//! [`atp_routing::retry_budget`]'s.

use std::time::Instant;

use atp_routing::RetryBudget;
use atp_routing::retry_budget::{SLOTS, Slot};

use super::ring::Ring;

/// The gateway's retries and requests of the last ten seconds.
#[derive(Debug)]
pub(crate) struct Budget(Ring<SLOTS>);

impl Budget {
    /// An empty window. `origin` is what seconds are counted from.
    pub(crate) fn new(origin: Instant) -> Self {
        Self(Ring::new(origin))
    }

    /// Counts an exchange. One uncontended atomic in the usual case.
    pub(crate) fn deposit(&self, now: Instant) {
        let second = self.0.second(now);
        let add = |word: u64| Some(Slot::from_word(word).at(second).with_request().to_word());
        self.0.change(Slot::place(second), add);
    }

    /// Takes a retry out of the budget, where there is one.
    ///
    /// All withdrawals of a second change the same word, so the comparison in the update makes sure
    /// that none has come between the sum and the taking; at the turn of a second one per core may.
    pub(crate) fn withdraw(&self, budget: &RetryBudget, now: Instant) -> bool {
        let second = self.0.second(now);
        let take = |word: u64| {
            let granted = self.sum(budget, second) > 0;
            granted.then(|| Slot::from_word(word).at(second).with_retry().to_word())
        };
        self.0.change(Slot::place(second), take)
    }

    /// Counts a try that costs nothing, because its target is not known to fail: those that do cost are fewer then.
    pub(crate) fn note(&self, now: Instant) {
        let second = self.0.second(now);
        let note = |word: u64| Some(Slot::from_word(word).at(second).with_retry().to_word());
        self.0.change(Slot::place(second), note);
    }

    /// How many retries are left.
    pub(crate) fn balance(&self, budget: &RetryBudget, now: Instant) -> u64 {
        self.sum(budget, self.0.second(now))
    }

    fn sum(&self, budget: &RetryBudget, second: u32) -> u64 {
        budget.balance(self.0.words().map(Slot::from_word), second)
    }
}
