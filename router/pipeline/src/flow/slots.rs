//! The slots of a lane: how many tries hold one, and how many may, in one word.
//!
//! `[limit: 32 bits | in flight: 32 bits]`. Taking a slot compares and changes both at once, so that a
//! try can never begin under a limit that is no longer there. A limit of 0 lets nobody begin. After a
//! cut more may be in flight than the limit allows; nobody is turned out for that.

use crate::sync::{AtomicU64, Ordering};

const LIMIT: u32 = 32;

/// The word.
pub struct Slots(AtomicU64);

/// What the word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Slots that are held.
    pub in_flight: u32,
    /// How many may be.
    pub limit: u32,
}

impl Load {
    const fn of(word: u64) -> Self {
        Self { in_flight: word as u32, limit: (word >> LIMIT) as u32 }
    }

    fn word(self) -> u64 {
        (u64::from(self.limit) << LIMIT) | u64::from(self.in_flight)
    }
}

impl Slots {
    /// No slot is held, and `limit` may be.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self(AtomicU64::new(Load { in_flight: 0, limit }.word()))
    }

    /// What the word says now.
    #[must_use]
    pub fn load(&self) -> Load {
        Load::of(self.0.load(Ordering::Acquire))
    }

    /// Takes a slot where fewer are held than `up_to` makes of the limit, and returns how many are held
    /// then.
    pub fn try_take(&self, up_to: impl Fn(u32) -> u32) -> Option<u32> {
        let take = |word| {
            let load = Load::of(word);
            (load.limit > 0 && load.in_flight < up_to(load.limit)).then(|| word + 1)
        };
        // Acquire and release pair each return of a slot with the next taking of it.
        let before = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        Some(Load::of(before).in_flight + 1)
    }

    /// Takes a slot whatever the limit is, and returns how many are held then.
    pub fn take(&self) -> u32 {
        Load::of(self.0.fetch_add(1, Ordering::AcqRel)).in_flight + 1
    }

    /// Gives a slot back that was taken.
    pub fn give_back(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Sets the limit, and returns the one before.
    pub fn set_limit(&self, limit: u32) -> u32 {
        let change = |word| {
            let load = Load::of(word);
            // Written only when it changes, so that the word stays where it is read.
            (load.limit != limit).then(|| Load { limit, ..load }.word())
        };
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, change) {
            Ok(before) | Err(before) => Load::of(before).limit,
        }
    }
}
