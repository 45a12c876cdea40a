//! What a model's hedges may cost, shared by all cores: ten atomic words. The arithmetic is
//! [`atp_routing::hedge`]'s.

use std::time::{Duration, Instant};

use atp_routing::hedge::{HedgeRules, SLOTS, Slot};

use super::ring::Ring;
use crate::snapshot::Hedge;

/// A model's hedges and what they may cost.
#[derive(Debug)]
pub(crate) struct Hedging {
    rules: HedgeRules,
    after: Option<Duration>,
    ring: Ring<SLOTS>,
}

/// Tokens taken for a hedge, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    tokens: u64,
    second: u32,
}

impl Hedging {
    /// Nothing is spent yet.
    pub(crate) fn new(hedge: &Hedge, origin: Instant) -> Self {
        let default = HedgeRules::default();
        // Whoever allows nothing extra means nothing at all.
        let floor_tokens = if hedge.extra_per_mille == 0 { 0 } else { default.floor_tokens };
        let rules = HedgeRules { extra_per_mille: hedge.extra_per_mille, floor_tokens, ..default };
        Self { rules, after: hedge.after, ring: Ring::new(origin) }
    }

    /// How long the first try may take; `p95` is its lane's own 95th percentile to what is awaited.
    pub(super) fn after(&self, p95: Option<Duration>) -> Option<Duration> {
        self.after.or_else(|| p95.map(|p95| self.rules.when(p95)))
    }

    /// Counts tokens that were spent, by whichever try.
    pub(crate) fn spent(&self, tokens: u64, now: Instant) {
        let second = self.ring.second(now);
        let add = |word: u64| Some(Slot::from_word(word).at(second).with_spent(tokens).to_word());
        self.ring.change(Slot::place(second), add);
    }

    /// Takes the tokens that a hedge is expected to cost, where there are so many.
    ///
    /// All takings of a slot change the same word, so the comparison in the update makes sure that none
    /// has come between the sum and the taking.
    pub(super) fn take(&self, tokens: u64, now: Instant) -> Option<Taken> {
        let second = self.ring.second(now);
        let take = |word: u64| {
            let granted = self.rules.balance(self.ring.words().map(Slot::from_word), second) >= tokens;
            granted.then(|| Slot::from_word(word).at(second).with_extra(tokens).to_word())
        };
        self.ring.change(Slot::place(second), take).then_some(Taken { tokens, second })
    }

    /// Gives back what a hedge did not cost.
    pub(super) fn give_back(&self, taken: Taken, used: u64) {
        let unused = taken.tokens.saturating_sub(used);
        let less = |word: u64| {
            let slot = Slot::from_word(word);
            (unused > 0 && slot.is_of(taken.second)).then(|| slot.without_extra(unused).to_word())
        };
        // Only where it still counts.
        self.ring.change(Slot::place(taken.second), less);
    }
}
