//! The ledger in an SQLite file.
//!
//! [`SqliteLedger::record`] pushes a row onto the vector of the core it runs on: no wake-up, no
//! system call, no shared cache line. A writer thread swaps the vectors a few times a second and
//! writes everything in one transaction. What the database cannot take waits, up to a bound; beyond it
//! the oldest rows are dropped and counted, and requests never notice.
//!
//! Durability: WAL with `synchronous = NORMAL`. A crash of the process loses what the writer has not
//! yet written (at most one flush interval); a power cut may also lose the last transactions, and
//! never corrupts the file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atp_core::Error;
use atp_core::port::{GroupBy, Ledger, UsageRow};

use super::record::{Total, UsageRecord};
use super::spent::{Owner, Spending};
use super::{LedgerStats, LedgerStore};
use shared::Shared;
pub use writer::LedgerWriter;

mod database;
mod insert;
mod kinds;
mod migrate;
mod names;
mod read;
mod shared;
#[cfg(test)]
mod tests;
mod writer;

/// How the ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerConfig {
    /// The database file. Its directory is made where it does not exist.
    pub path: PathBuf,
    /// How many rows each core, and the writer behind them, may hold while they wait (at least one).
    /// A row takes some 250 bytes.
    pub queue_rows: usize,
    /// How often the writer writes.
    pub flush_interval: Duration,
    /// How long rows are kept; `None` keeps them for ever.
    pub retention: Option<Duration>,
    /// How many data-plane threads record rows.
    pub workers: usize,
}

impl LedgerConfig {
    /// A ledger at `path` with room for a third of a second of the fastest core, written every
    /// 200 ms, for one worker, with no retention.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            queue_rows: 16_384,
            flush_interval: Duration::from_millis(200),
            retention: None,
            workers: 1,
        }
    }
}

/// A ledger in an SQLite file. See the module's text.
#[derive(Debug)]
pub struct SqliteLedger {
    shared: Arc<Shared>,
}

impl SqliteLedger {
    /// Opens the database and starts its writer. A database that cannot be opened now is no error:
    /// it is logged, shown in the stats, and tried again while rows wait.
    ///
    /// Keep the writer until the data plane has ended, then call [`LedgerWriter::close`].
    ///
    /// # Errors
    /// Where the operating system refuses a thread.
    pub fn open(config: LedgerConfig) -> std::io::Result<(Arc<Self>, LedgerWriter)> {
        let shared = Arc::new(Shared::new(config));
        let writer = LedgerWriter::start(Arc::clone(&shared))?;
        Ok((Arc::new(Self { shared }), writer))
    }
}

impl Ledger for SqliteLedger {
    fn record(&self, row: UsageRow) {
        let mut mine = self.shared.queues.mine();
        let waiting = mine.len();
        if waiting >= self.shared.config.queue_rows {
            drop(mine);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        mine.push(row);
        drop(mine);
        // A burst that would fill the queue before the next flush wakes the writer, and again while it
        // goes on: a wake-up that meets a writer at work is lost.
        if waiting >= self.shared.hurry_at && waiting.is_multiple_of(self.shared.hurry_step) {
            self.shared.signals.wake();
        }
    }
}

impl LedgerStore for SqliteLedger {
    fn recent(&self, limit: usize) -> Result<Vec<UsageRecord>, Error> {
        read::recent(&self.shared.config.path, limit)
    }

    fn totals(&self, since_ms: u64, by: GroupBy) -> Result<Vec<Total>, Error> {
        read::totals(&self.shared.config.path, since_ms, by)
    }

    fn spent(&self, since_ms: u64, of: Owner) -> Result<Vec<Spending>, Error> {
        read::spent(&self.shared.config.path, since_ms, of)
    }

    fn stats(&self) -> LedgerStats {
        self.shared.stats()
    }

    fn flush(&self, patience: Duration) -> usize {
        self.shared.flush(patience)
    }
}
