//! The synchronisation primitives of the hand-made concurrent cells: the standard ones, or loom's,
//! which explore every interleaving, under `--cfg loom`.
//!
//! Numbers that are only told (how often, how many) are plain standard atomics: nothing is decided by
//! them, so there is nothing to explore.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

/// Locks, also where a holder has panicked: what these locks guard is changed in steps that leave it
/// whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
