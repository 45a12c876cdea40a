//! What the recording threads and the writer share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atp_core::percore::PerCore;
use atp_core::port::UsageRow;

use super::LedgerConfig;
use crate::ledger::LedgerStats;

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
    signals: Mutex<Signals>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes those who wait for the writer.
    done: Condvar,
}

/// What the writer is asked for and what it has reached. Flushes are numbered, so that many may wait.
#[derive(Debug, Default)]
struct Signals {
    stop: bool,
    ended: bool,
    flush_asked: u64,
    flush_seen: u64,
    flush_done: u64,
}

/// What the writer finds when it wakes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orders {
    /// Whether this round is the last.
    pub(super) stop: bool,
    /// The number of the last flush asked for before this round.
    pub(super) flush: u64,
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
            signals: Mutex::new(Signals::default()),
            work: Condvar::new(),
            done: Condvar::new(),
            config,
        }
    }

    /// Wakes the writer before its time. Takes no lock: a wake-up that meets a writer at work is
    /// lost, and the next one comes with more rows or by the clock.
    pub(super) fn wake(&self) {
        self.work.notify_one();
    }

    /// The writer's pause: until the next flush is due or something is asked of it.
    pub(super) fn next_orders(&self) -> Orders {
        let mut signals = lock(&self.signals);
        // A flush that was asked while the writer was at work begins at once; one that has failed is
        // tried again after a pause.
        if !signals.stop && signals.flush_seen == signals.flush_asked {
            let pause = self.config.flush_interval;
            signals = self.work.wait_timeout(signals, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        signals.flush_seen = signals.flush_asked;
        Orders { stop: signals.stop, flush: signals.flush_asked }
    }

    /// Tells those who wait that everything recorded before flush `number` was asked is written.
    pub(super) fn flushed(&self, number: u64) {
        let mut signals = lock(&self.signals);
        if signals.flush_done < number {
            signals.flush_done = number;
            self.done.notify_all();
        }
    }

    /// Waits until what was recorded before this call is written, or the writer has ended; returns
    /// how many rows still wait.
    pub(super) fn flush(&self, patience: Duration) -> usize {
        let mut signals = lock(&self.signals);
        signals.flush_asked += 1;
        let mine = signals.flush_asked;
        self.work.notify_one();
        let waiting = |signals: &mut Signals| signals.flush_done < mine && !signals.ended;
        drop(self.done.wait_timeout_while(signals, patience, waiting));
        self.queued()
    }

    /// Tells the writer to write once more and end.
    pub(super) fn stop(&self) {
        lock(&self.signals).stop = true;
        self.work.notify_one();
    }

    /// Tells those who wait that the writer has ended.
    pub(super) fn ended(&self) {
        lock(&self.signals).ended = true;
        self.done.notify_all();
    }

    /// Waits for the writer's end; whether it came.
    pub(super) fn wait_ended(&self, patience: Duration) -> bool {
        let signals = lock(&self.signals);
        let waited = self.done.wait_timeout_while(signals, patience, |signals| !signals.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
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
