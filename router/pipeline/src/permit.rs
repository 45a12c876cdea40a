//! The permit that every exchange in flight holds: one atomic number for the whole gateway, which
//! is the limit's count and the gauge at once, so that the two cannot differ.

use std::fmt;
use std::sync::Arc;

use crate::sync::{AtomicUsize, Ordering};

/// How many exchanges are in flight.
pub struct Permits {
    used: AtomicUsize,
}

/// One exchange in flight. Dropping it gives the place back.
pub struct Permit {
    permits: Arc<Permits>,
}

impl Permits {
    /// No exchange in flight.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0) })
    }

    /// Takes a place, where fewer than `limit` are taken.
    ///
    /// The count is compared and raised in one step, not raised and then corrected, so that a
    /// refused exchange never takes the place of one that there is room for.
    pub fn try_take(permits: &Arc<Self>, limit: usize) -> Option<Permit> {
        let raise = |used: usize| (used < limit).then_some(used + 1);
        // Acquire and release pair each return of a place with the next taking of it.
        permits.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, raise).ok()?;
        Some(Permit { permits: Arc::clone(permits) })
    }

    /// How many places are taken.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.used.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
