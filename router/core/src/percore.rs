//! One cell per data-plane thread.
//!
//! A request stays on the core that accepted it, so what is kept per core is never contended: each
//! cell has its own mutex, and only readers from the control plane (a ledger drain, a sweep) ever
//! meet it. The thread's index is set once, when the worker starts; threads that never set one
//! (tests, the control plane) share cell 0, which is slower but correct.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// Tells this thread which worker it is. Call it before the thread serves.
pub fn set_worker(index: usize) {
    INDEX.set(index);
}

/// The worker that this thread is; 0 where none was set.
#[must_use]
pub fn worker() -> usize {
    INDEX.get()
}

/// One `T` per worker.
#[derive(Debug)]
pub struct PerCore<T> {
    cells: Box<[Padded<T>]>,
}

/// A cell alone on its cache lines, so that two cores never fight over one.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(Mutex<T>);

impl<T> PerCore<T> {
    /// Makes `workers` cells (at least one).
    pub fn new(workers: usize, mut make: impl FnMut() -> T) -> Self {
        Self { cells: (0..workers.max(1)).map(|_| Padded(Mutex::new(make()))).collect() }
    }

    /// This thread's cell. Never hold the guard across an await.
    pub fn mine(&self) -> MutexGuard<'_, T> {
        let index = worker() % self.cells.len();
        #[expect(clippy::indexing_slicing, reason = "the index is reduced by the length, which is at least one")]
        let cell = &self.cells[index];
        cell.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every cell in turn, for drains and sweeps.
    pub fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.cells.iter().map(|cell| cell.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
