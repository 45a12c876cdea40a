//! The ledger: one row for each exchange that has ended.
//!
//! [`LedgerStore`] is the whole of a backend: the port that the pipeline writes to, and the questions
//! that the control plane asks. Every backend passes the same suite (`conformance.rs`).

use std::time::Duration;

use atp_core::Error;
use atp_core::port::{GroupBy, Ledger};
use serde::Serialize;

use record::{Total, UsageRecord};
use spent::{Owner, Spending};

#[cfg(test)]
mod conformance;
pub mod memory;
pub mod record;
pub mod spent;
pub mod sqlite;

/// A ledger that can be asked. The questions block for as long as a disk may take: ask them through
/// a [`crate::Desk`], never on a thread that serves.
pub trait LedgerStore: Ledger {
    /// The newest rows, newest first, at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot be read, or the question takes longer than it may.
    fn recent(&self, limit: usize) -> Result<Vec<UsageRecord>, Error>;

    /// Sums of the rows of exchanges that began at `since_ms` (milliseconds since the Unix epoch) or
    /// later, by name, the most requests first.
    ///
    /// # Errors
    /// Where the database cannot be read, or the question takes longer than it may.
    fn totals(&self, since_ms: u64, by: GroupBy) -> Result<Vec<Total>, Error>;

    /// What was spent on exchanges that began at `since_ms` or later, by key or by tenant. Answers that no
    /// provider made for their exchange have cost nothing, and are not counted.
    ///
    /// # Errors
    /// Where the database cannot be read, or the question takes longer than it may.
    fn spent(&self, since_ms: u64, of: Owner) -> Result<Vec<Spending>, Error>;

    /// How the ledger itself is doing.
    fn stats(&self) -> LedgerStats;

    /// Waits until every row recorded before this call is kept, at most `patience`; tells how many
    /// rows still wait.
    fn flush(&self, patience: Duration) -> usize;
}

/// How a ledger is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerStats {
    /// Which backend it is: `sqlite` or `memory`.
    pub backend: &'static str,
    /// Where it keeps its rows, if in a file.
    pub path: Option<String>,
    /// Whether the last attempt to write succeeded.
    pub up: bool,
    /// Rows written since the start; a row that was recorded twice counts twice and is kept once.
    pub written: u64,
    /// Rows dropped since the start because they found no room or no database.
    pub lost: u64,
    /// Rows that wait to be written.
    pub queued: usize,
    /// Why the last attempt to write failed; stays after recovery.
    pub last_error: Option<String>,
}
