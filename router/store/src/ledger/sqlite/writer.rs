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
use crate::ledger::clock;

/// How long the same trouble is not spoken of again.
const QUIET: Duration = Duration::from_secs(30);

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
        let end = clock::now() + patience;
        let left = self.shared.flush(patience);
        self.shared.stop();
        // At least a moment, so that a flush that used all the patience still gets its last attempt.
        let rest = end.saturating_duration_since(clock::now()).max(Duration::from_millis(50));
        if self.shared.wait_ended(rest)
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!(left, "ledger writer ended by a fault of its own");
        }
        self.shared.stats().queued
    }
}

impl Drop for LedgerWriter {
    fn drop(&mut self) {
        self.shared.stop();
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

/// What has been said about failures.
#[derive(Default)]
struct Trouble {
    /// Whether the last attempt to write failed.
    failing: bool,
    /// Whether that has been said: a database that comes and goes is spoken of once in a while only.
    told: bool,
    /// When something was last said.
    told_at: Option<Instant>,
    /// How many lost rows have been spoken of.
    told_lost: u64,
}

impl Trouble {
    /// Whether it is time to speak again of the same trouble.
    fn may_tell(&self, now: Instant) -> bool {
        self.told_at.is_none_or(|told| now.saturating_duration_since(told) >= QUIET)
    }
}

/// Tells those who wait that the thread has ended, however it ended.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.ended();
    }
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
        let _end = End(Arc::clone(&self.shared));
        loop {
            let orders = self.shared.next_orders();
            self.collect();
            self.write();
            self.sweep();
            self.tell_losses();
            if self.backlog.is_empty() {
                self.shared.flushed(orders.flush);
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
        self.trouble.failing = false;
        if std::mem::take(&mut self.trouble.told) {
            self.trouble.told_lost = self.lost();
            let path = self.shared.config.path.display();
            info!(%path, rows, lost = self.lost(), "ledger is written again");
        }
    }

    fn failed(&mut self, fault: &Fault) {
        if !fault.busy {
            self.database = None;
        }
        self.shared.up.store(false, Ordering::Relaxed);
        self.shared.set_error(&fault.text);
        let now = clock::now();
        self.trouble.failing = true;
        if self.trouble.may_tell(now) {
            self.trouble = Trouble { failing: true, told: true, told_at: Some(now), told_lost: self.lost() };
            let path = self.shared.config.path.display();
            let (waiting, lost) = (self.backlog.len(), self.lost());
            warn!(%path, reason = %fault.text, waiting, lost, "ledger cannot be written; requests go on");
        }
    }

    /// Speaks of rows that were lost while the database was well: it was too slow for them.
    fn tell_losses(&mut self) {
        let (lost, now) = (self.lost(), clock::now());
        if self.trouble.failing || lost == self.trouble.told_lost || !self.trouble.may_tell(now) {
            return;
        }
        self.trouble = Trouble { told_at: Some(now), told_lost: lost, ..Trouble::default() };
        let path = self.shared.config.path.display();
        warn!(%path, lost, "ledger is slower than the requests; rows were dropped");
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
