//! What the recording threads and the writer share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atp_core::percore::PerCore;
use atp_core::port::UsageRow;

use super::LedgerConfig;
use crate::ledger::LedgerStats;
use crate::signals::Signals;

/// The queues, the counters and the writer's signals.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: LedgerConfig,
    /// The fill of a core's queue at which the writer is woken before its time.
    pub(super) hurry_at: usize,
    /// How many more rows later it is woken again.
    pub(super) hurry_step: usize,
    pub(super) queues: PerCore<Vec<UsageRow>>,
    pub(super) written: AtomicU64,
    pub(super) lost: AtomicU64,
    /// Rows that the writer has taken from the queues and not yet written.
    pub(super) backlog: AtomicUsize,
    pub(super) up: AtomicBool,
    last_error: Mutex<Option<String>>,
    pub(super) signals: Arc<Signals>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(mut config: LedgerConfig) -> Self {
        config.queue_rows = config.queue_rows.max(1);
        Self {
            hurry_at: config.queue_rows / 2,
            hurry_step: (config.queue_rows / 8).max(1),
            queues: PerCore::new(config.workers, Vec::new),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            backlog: AtomicUsize::new(0),
            up: AtomicBool::new(false),
            last_error: Mutex::new(None),
            signals: Arc::default(),
            config,
        }
    }

    /// Waits until what was recorded before this call is written, or the writer has ended; returns
    /// how many rows still wait.
    pub(super) fn flush(&self, patience: Duration) -> usize {
        self.signals.flush(patience);
        self.queued()
    }

    /// Keeps the reason of a failure.
    pub(super) fn set_error(&self, text: &str) {
        *lock(&self.last_error) = Some(String::from(text));
    }

    fn queued(&self) -> usize {
        let queued: usize = self.queues.each().map(|queue| queue.len()).sum();
        queued + self.backlog.load(Ordering::Relaxed)
    }

    pub(super) fn stats(&self) -> LedgerStats {
        LedgerStats {
            backend: "sqlite",
            path: Some(self.config.path.display().to_string()),
            up: self.up.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            queued: self.queued(),
            last_error: lock(&self.last_error).clone(),
        }
    }
}
