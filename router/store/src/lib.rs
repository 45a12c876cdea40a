//! State and ledger backends: where what the router knows outlives a request.
//!
//! Nothing here is waited for on the hot path. A ledger takes rows into bounded memory and writes
//! them on a thread of its own; questions to it run on a thread of theirs.

mod clock;
pub mod desk;
pub mod journal;
pub mod ledger;
mod signals;

pub use desk::Desk;
pub use journal::{Files, JournalConfig, JournalWriter};
pub use ledger::memory::MemoryLedger;
pub use ledger::record::{Total, UsageRecord};
pub use ledger::spent::{Owner, Spending, spent};
pub use ledger::sqlite::{LedgerConfig, LedgerWriter, SqliteLedger};
pub use ledger::{LedgerStats, LedgerStore};
