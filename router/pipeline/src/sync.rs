//! The synchronisation primitives of the hand-made concurrent cells: the standard ones, or loom's,
//! which explore every interleaving, under `--cfg loom`.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
