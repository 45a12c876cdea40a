//! The open database file: how it is opened, written, and known to be still there.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use atp_core::port::UsageRow;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::kinds::Kinds;
use super::{insert, migrate};

/// How long a lock held by someone else is waited for within one attempt. Short, because the queues
/// are not emptied meanwhile; the attempt is repeated at the next flush.
const BUSY_WAIT: Duration = Duration::from_millis(100);

/// Why an attempt failed.
#[derive(Debug)]
pub(super) struct Fault {
    /// Whether the connection is sound and only a lock was in the way.
    pub(super) busy: bool,
    /// The reason, for the log and the stats.
    pub(super) text: String,
}

impl Fault {
    /// A failure after which the file is opened anew.
    pub(super) fn broken(text: impl Into<String>) -> Self {
        Self { busy: false, text: text.into() }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let busy = matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
        Self { busy, text: error.to_string() }
    }
}

/// Which file a path names: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    fn of(path: &Path) -> std::io::Result<Self> {
        fs::metadata(path).map(|meta| Self(meta.dev(), meta.ino()))
    }
}

/// A connection that writes.
#[derive(Debug)]
pub(super) struct Database {
    conn: Connection,
    kinds: Kinds,
    path: PathBuf,
    identity: Identity,
}

impl Database {
    /// Opens or makes the file and brings its schema up to date.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let identity = prepare_file(path).map_err(|error| Fault::broken(error.to_string()))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(BUSY_WAIT)?;
        // What appending touches fits into a small page cache; a larger one fills up with pages that are
        // not looked at again, and keeps them. The log is cut back to 4 MiB after a burst.
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -256;
             PRAGMA journal_size_limit = 4194304; PRAGMA temp_store = MEMORY;",
        )?;
        migrate::run(&mut conn)?;
        Ok(Self { conn, kinds: Kinds::default(), path: path.to_owned(), identity })
    }

    /// Writes the rows in one transaction. After an error none of them is written, or all of them are
    /// and are written again without effect.
    pub(super) fn write(&mut self, rows: &[UsageRow]) -> Result<(), Fault> {
        let written = self.write_inner(rows);
        if written.is_err() {
            // Names and kinds that were made in the lost transaction do not exist.
            self.kinds.clear();
        }
        written
    }

    fn write_inner(&mut self, rows: &[UsageRow]) -> Result<(), Fault> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        insert::rows(&transaction, &mut self.kinds, rows)?;
        transaction.commit()?;
        // SQLite writes happily into a file that has been deleted under it. Looking after the commit
        // leaves no gap: the rows are written again, to the new file.
        if Identity::of(&self.path).ok() != Some(self.identity) {
            return Err(Fault::broken("the database file has been removed or replaced; making it anew"));
        }
        Ok(())
    }

    /// Deletes up to `limit` of the oldest rows that began before `cutoff_ms`; returns how many.
    pub(super) fn delete_before(&mut self, cutoff_ms: u64, limit: usize) -> Result<usize, Fault> {
        let cutoff = insert::first_id_at(cutoff_ms);
        let deleted = self.conn.execute(
            "DELETE FROM usage_rows WHERE id IN (SELECT id FROM usage_rows WHERE id < ?1 ORDER BY id LIMIT ?2)",
            (cutoff.as_slice(), i64::try_from(limit).unwrap_or(i64::MAX)),
        )?;
        Ok(deleted)
    }
}

/// Makes the directory and the file where they do not exist, the file readable by its owner only:
/// who asked what, when, and at what cost is nobody else's business.
fn prepare_file(path: &Path) -> std::io::Result<Identity> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory)?;
    }
    drop(fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?);
    Identity::of(path)
}
