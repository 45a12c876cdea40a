//! The thread that writes.
//!
//! Each round: take what the cores have recorded, write everything that waits in one transaction,
//! delete a little of what is too old, say what has changed. A round that fails leaves its rows in the
//! backlog for the next one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use atp_core::port::UsageRow;
use tracing::{info, warn};

use super::database::{Database, Fault};
use super::shared::Shared;
use crate::clock;
use crate::signals::{End, Trouble};

/// How many rows are deleted in one round, so that writing never waits long behind it.
const SWEEP_ROWS: usize = 1000;

/// How long the writer rests after it has found nothing more to delete.
const SWEEP_PAUSE: Duration = Duration::from_secs(60);

/// A queue's memory is given back down to this many rows.
const SMALL: usize = 64;

/// The writer's thread. Dropping it tells the thread to write once more and end, without waiting.
#[derive(Debug)]
pub struct LedgerWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl LedgerWriter {
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let mut state = Writer::new(Arc::clone(&shared));
        // The first attempt is made here, so that a wrong path is known before the first request.
        state.open();
        let thread = Builder::new().name(String::from("atp-ledger")).spawn(move || state.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Writes what waits and ends the thread, within `patience`; returns how many rows could not be
    /// written.
    #[must_use]
    pub fn close(mut self, patience: Duration) -> usize {
        if !self.shared.signals.close(self.thread.take(), patience) {
            warn!("ledger writer ended by a fault of its own");
        }
        self.shared.stats().queued
    }
}

impl Drop for LedgerWriter {
    fn drop(&mut self) {
        self.shared.signals.stop();
    }
}

/// The thread's own state.
struct Writer {
    shared: Arc<Shared>,
    database: Option<Database>,
    /// Rows taken from the cores, oldest first.
    backlog: Vec<UsageRow>,
    /// An empty vector to put in the place of a core's full one: two take turns, so that their
    /// capacity is kept.
    spare: Vec<UsageRow>,
    next_sweep: Instant,
    trouble: Trouble,
}

impl Writer {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            database: None,
            backlog: Vec::new(),
            spare: Vec::new(),
            next_sweep: clock::now(),
            trouble: Trouble::default(),
        }
    }

    fn run(mut self) {
        let _end = End(Arc::clone(&self.shared.signals));
        loop {
            let orders = self.shared.signals.next_orders(self.shared.config.flush_interval);
            self.collect();
            self.write();
            self.sweep();
            self.tell_losses();
            if self.backlog.is_empty() {
                self.shared.signals.flushed(orders.flush);
            }
            if orders.stop {
                return;
            }
        }
    }

    /// Takes the rows of every core, and drops the oldest beyond the bound.
    fn collect(&mut self) {
        for mut queue in self.shared.queues.each() {
            std::mem::swap(&mut *queue, &mut self.spare);
            drop(queue);
            let taken = self.spare.len();
            self.backlog.append(&mut self.spare);
            // After a burst the memory goes back; a steady load keeps what it needs.
            if self.spare.capacity() > taken.max(SMALL) * 4 {
                self.spare.shrink_to(taken.max(SMALL));
            }
        }
        let surplus = self.backlog.len().saturating_sub(self.shared.config.queue_rows);
        if surplus > 0 {
            self.backlog.drain(..surplus);
            self.shared.lost.fetch_add(u64::try_from(surplus).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        self.shared.backlog.store(self.backlog.len(), Ordering::Relaxed);
    }

    /// Writes the backlog.
    fn write(&mut self) {
        if self.backlog.is_empty() {
            return;
        }
        self.open();
        let Some(database) = &mut self.database else { return };
        match database.write(&self.backlog) {
            Ok(()) => self.written(),
            Err(fault) => self.failed(&fault),
        }
    }

    /// Opens the database where it is not open.
    fn open(&mut self) {
        if self.database.is_some() {
            return;
        }
        match Database::open(&self.shared.config.path) {
            Ok(database) => {
                self.database = Some(database);
                self.shared.up.store(true, Ordering::Relaxed);
            }
            Err(fault) => self.failed(&fault),
        }
    }

    fn written(&mut self) {
        let rows = self.backlog.len();
        self.shared.written.fetch_add(u64::try_from(rows).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.backlog.clear();
        if self.backlog.capacity() > rows.max(SMALL) * 4 {
            self.backlog.shrink_to(rows.max(SMALL));
        }
        self.shared.backlog.store(0, Ordering::Relaxed);
        self.shared.up.store(true, Ordering::Relaxed);
        let lost = self.lost();
        if self.trouble.over(lost) {
            let path = self.shared.config.path.display();
            info!(%path, rows, lost, "ledger is written again");
        }
    }

    fn failed(&mut self, fault: &Fault) {
        if !fault.busy {
            self.database = None;
        }
        self.shared.up.store(false, Ordering::Relaxed);
        self.shared.set_error(&fault.text);
        let (waiting, lost) = (self.backlog.len(), self.lost());
        if self.trouble.failed(lost) {
            let path = self.shared.config.path.display();
            warn!(%path, reason = %fault.text, waiting, lost, "ledger cannot be written; requests go on");
        }
    }

    /// Speaks of rows that were lost while the database was well: it was too slow for them.
    fn tell_losses(&mut self) {
        let lost = self.lost();
        if self.trouble.is_slow(lost) {
            let path = self.shared.config.path.display();
            warn!(%path, lost, "ledger is slower than the requests; rows were dropped");
        }
    }

    /// Deletes some of the rows that are older than the retention.
    fn sweep(&mut self) {
        let Some(retention) = self.shared.config.retention else { return };
        let Some(database) = &mut self.database else { return };
        let now = clock::now();
        if now < self.next_sweep {
            return;
        }
        let age = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        match database.delete_before(clock::unix_millis().saturating_sub(age), SWEEP_ROWS) {
            Ok(SWEEP_ROWS) => {}
            Ok(_) => self.next_sweep = now + SWEEP_PAUSE,
            Err(fault) => {
                self.next_sweep = now + SWEEP_PAUSE;
                self.failed(&fault);
            }
        }
    }

    fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}
