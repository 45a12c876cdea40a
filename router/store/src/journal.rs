//! Lines that are kept for later: what was decided, what it came to, who was promoted.
//!
//! [`Files::write`] pushes a line onto a bounded queue and tells at once whether it will be the first of a new
//! file, because who writes a journal begins each file with all that is needed to read it alone. A thread
//! writes a few times a second. A file is done when it is full or its day (UTC) is over; then it is packed
//! (gzip), and deleted when it is old enough. What finds no room is dropped and counted; requests never
//! notice.
//!
//! A process never appends to a file of another one, and holds a lock on the file that it writes: two routers
//! may share a directory while one takes over from the other. Durability is that of the page cache: a crash of
//! the process loses what the writer has not yet written, a power cut may lose more. A last line without its
//! end was cut by one of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Journal, JournalFile, Kept};
use serde::Serialize;

pub use read::{Newest, Page, newest};
use shared::Shared;
pub use writer::JournalWriter;

use crate::clock;

mod file;
mod names;
mod pack;
mod read;
mod shared;
#[cfg(test)]
mod tests;
mod writer;

/// How many files there are: the kinds of [`JournalFile`].
const KINDS: usize = 3;

/// How one kind of file is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRules {
    /// Where. The directory is made where it does not exist.
    pub directory: PathBuf,
    /// The bytes after which a new file begins; a line is never cut.
    pub max_bytes: u64,
    /// How long a file is kept after its day; `None` keeps it for ever.
    pub keep: Option<Duration>,
}

impl FileRules {
    /// Files of 100 MiB that are kept for ever.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), max_bytes: 100 << 20, keep: None }
    }
}

/// How the journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// Choices and lessons: `decisions-YYYY-MM-DD.N.jsonl`. Where `None`, their lines are not kept.
    pub decisions: Option<FileRules>,
    /// What answers came to: `slm_observations-YYYY-MM-DD.jsonl`, then `slm_observations-YYYY-MM-DD.N.jsonl`.
    pub observations: Option<FileRules>,
    /// Promotions and demotions: `lifecycle.jsonl`, which goes on over days and restarts; a full one is put
    /// aside as `lifecycle-YYYY-MM-DD.N.jsonl`.
    pub lifecycle: Option<FileRules>,
    /// How many lines may wait to be written (at least one). Together they take at most 64 MiB.
    pub queue_lines: usize,
    /// How often the writer writes.
    pub flush_interval: Duration,
}

impl Default for JournalConfig {
    /// Nothing is kept; what will be may wait in 65,536 lines, and is written five times a second.
    fn default() -> Self {
        Self {
            decisions: None,
            observations: None,
            lifecycle: None,
            queue_lines: 65_536,
            flush_interval: Duration::from_millis(200),
        }
    }
}

/// How the journal is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct JournalStats {
    /// Whether the last attempt to write succeeded.
    pub up: bool,
    /// Lines that wait to be written.
    pub queued: usize,
    /// Lines written since the start, by kind of file.
    pub written: FileCounts,
    /// Lines dropped since the start, likewise.
    pub lost: FileCounts,
    /// Files that were done since the start, likewise.
    pub rotated: FileCounts,
    /// Why the last attempt to write failed; stays after recovery.
    pub last_error: Option<String>,
}

/// One number for each kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FileCounts {
    /// Choices and lessons.
    pub decisions: u64,
    /// What answers came to.
    pub observations: u64,
    /// Promotions and demotions.
    pub lifecycle: u64,
}

impl FileCounts {
    const fn of([decisions, observations, lifecycle]: [u64; KINDS]) -> Self {
        Self { decisions, observations, lifecycle }
    }
}

/// The journal's files. See the module's text.
#[derive(Debug)]
pub struct Files {
    shared: Arc<Shared>,
}

impl Files {
    /// Starts the writer. A directory that cannot be made is no error: it is logged, shown in the stats, and
    /// tried again while lines wait.
    ///
    /// Keep the writer until the data plane has ended, then call [`JournalWriter::close`].
    ///
    /// # Errors
    /// Where the operating system refuses a thread.
    pub fn open(config: JournalConfig) -> std::io::Result<(Arc<Self>, JournalWriter)> {
        let shared = Arc::new(Shared::new(config));
        let writer = JournalWriter::start(Arc::clone(&shared))?;
        Ok((Arc::new(Self { shared }), writer))
    }

    /// How it is doing.
    #[must_use]
    pub fn stats(&self) -> JournalStats {
        self.shared.stats()
    }

    /// Waits until every line that was taken before this call is written, at most `patience`; tells how many
    /// still wait.
    pub fn flush(&self, patience: Duration) -> usize {
        self.shared.flush(patience)
    }
}

impl Journal for Files {
    /// Takes a line. One of a kind that is not configured is `Queued`, and kept by nobody: nothing is lost that
    /// anybody wanted.
    fn write(&self, file: JournalFile, line: String) -> Kept {
        self.shared.push(file, line, clock::unix_millis())
    }

    fn takes(&self, file: JournalFile) -> bool {
        self.shared.rules(file).is_some()
    }
}

/// The place of a kind in arrays of [`KINDS`].
const fn place(file: JournalFile) -> usize {
    match file {
        JournalFile::Decisions => 0,
        JournalFile::Observations => 1,
        JournalFile::Lifecycle => 2,
    }
}
