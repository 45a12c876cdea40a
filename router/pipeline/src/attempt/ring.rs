//! Slots of a moving window of time, shared by all cores: one atomic word for each. What a word says, and
//! which place a second has, is the arithmetic's of `atp_routing`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The words.
#[derive(Debug)]
pub(super) struct Ring<const N: usize> {
    origin: Instant,
    words: [AtomicU64; N],
}

impl<const N: usize> Ring<N> {
    /// Nothing has happened. `origin` is what seconds are counted from.
    pub(super) fn new(origin: Instant) -> Self {
        Self { origin, words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    pub(super) fn second(&self, now: Instant) -> u32 {
        // Kept modulo 2^32 on purpose; the windows' arithmetic wraps.
        #[expect(clippy::cast_possible_truncation, reason = "the windows' arithmetic wraps")]
        let second = now.saturating_duration_since(self.origin).as_secs() as u32;
        second
    }

    /// Changes the word at `place`, where `change` says to what. Tells whether it did; a place that is not there
    /// changes nothing.
    pub(super) fn change(&self, place: usize, change: impl FnMut(u64) -> Option<u64>) -> bool {
        let update = |word: &AtomicU64| word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok();
        self.words.get(place).is_some_and(update)
    }

    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        self.words.iter().map(|word| word.load(Ordering::Relaxed))
    }
}
