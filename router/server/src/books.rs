//! The books: the ledger of what was used, and the files of what was decided.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Journal, Ledger};
use atp_store::journal::FileRules;
use atp_store::{
    Files, JournalConfig, JournalWriter, LedgerConfig, LedgerStore, LedgerWriter, MemoryLedger, SqliteLedger,
};

use crate::config::Resolved;
use crate::config::resolved::{JournalSettings, LedgerSettings};
use crate::start::StartError;

/// Rows that the ledger of a router without a database keeps for `/admin/usage`.
const REMEMBERED_ROWS: usize = 1000;

/// What is written, and who writes it.
pub(crate) struct Books {
    /// The ledger.
    pub(crate) store: Arc<dyn LedgerStore>,
    /// The files; `None` where nothing is kept.
    pub(crate) files: Option<Arc<Files>>,
    writers: Writers,
}

/// The threads that write.
#[derive(Default)]
pub(crate) struct Writers {
    ledger: Option<LedgerWriter>,
    journal: Option<JournalWriter>,
}

impl Books {
    /// Opens what the configuration asks for.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub(crate) fn open(config: &Resolved) -> Result<Self, StartError> {
        let mut writers = Writers::default();
        let store = ledger(&config.ledger, config.workers, &mut writers)?;
        let files = journal(config, &mut writers)?;
        Ok(Self { store, files, writers })
    }

    /// Where usage rows go.
    pub(crate) fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.store) as _
    }

    /// Where it is kept what was decided.
    pub(crate) fn journal(&self) -> Option<Arc<dyn Journal>> {
        self.files.as_ref().map(|files| Arc::clone(files) as _)
    }

    /// The writers, for who ends them.
    pub(crate) fn into_writers(self) -> Writers {
        self.writers
    }
}

impl Writers {
    /// Writes what waits, each for at most so long, and says what could not be written. Nobody records any more.
    pub(crate) fn close(self, patience: Duration) {
        let lost = self.journal.map_or(0, |writer| writer.close(patience));
        if lost > 0 {
            tracing::error!(lines = lost, "lines of decisions and observations could not be written before the end");
        }
        let lost = self.ledger.map_or(0, |writer| writer.close(patience));
        if lost > 0 {
            tracing::error!(rows = lost, "usage rows could not be written before the end");
        }
    }
}

fn ledger(config: &LedgerSettings, workers: usize, writers: &mut Writers) -> Result<Arc<dyn LedgerStore>, StartError> {
    if !config.enabled {
        return Ok(Arc::new(MemoryLedger::new(workers, REMEMBERED_ROWS)));
    }
    let settings = LedgerConfig {
        queue_rows: config.queue,
        retention: config.retention,
        workers,
        ..LedgerConfig::at(config.path.clone())
    };
    let (ledger, writer) = SqliteLedger::open(settings).map_err(StartError::io("the ledger's thread"))?;
    writers.ledger = Some(writer);
    Ok(ledger)
}

fn journal(config: &Resolved, writers: &mut Writers) -> Result<Option<Arc<Files>>, StartError> {
    let (decisions, observations) = (rules(&config.decisions), rules(&config.observations));
    if decisions.is_none() && observations.is_none() {
        return Ok(None);
    }
    // Who was promoted stands beside what it was decided by.
    let lifecycle = decisions.clone();
    let settings = JournalConfig { decisions, observations, lifecycle, ..JournalConfig::default() };
    let (files, writer) = Files::open(settings).map_err(StartError::io("the journal's thread"))?;
    writers.journal = Some(writer);
    Ok(Some(files))
}

fn rules(settings: &JournalSettings) -> Option<FileRules> {
    settings.enabled.then(|| FileRules {
        directory: settings.path.clone(),
        max_bytes: settings.max_file,
        keep: settings.keep,
    })
}
