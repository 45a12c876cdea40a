//! What was spent since a time, by key and by tenant: what budgets begin with after a start.

use atp_core::{Error, MicroUsd};

use super::LedgerStore;

/// Whose spending it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A key's.
    Key,
    /// A tenant's.
    Tenant,
}

impl Owner {
    /// The column of a ledger.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Tenant => "tenant",
        }
    }
}

/// What one key or tenant has spent. Sums saturate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// Whose it is.
    pub owner: Owner,
    /// The key's name, or the tenant's.
    pub name: String,
    /// Money, where it is known.
    pub cost: MicroUsd,
    /// Tokens, input and output.
    pub tokens: u64,
}

/// What every key and every tenant has spent on exchanges that began at `since_ms` (milliseconds since the
/// Unix epoch) or later. Rows that are not written yet are not counted: ask after [`LedgerStore::flush`]
/// where that matters.
///
/// # Errors
/// Where the database cannot be read, or the question takes longer than it may.
pub fn spent(store: &dyn LedgerStore, since_ms: u64) -> Result<Vec<Spending>, Error> {
    let mut all = store.spent(since_ms, Owner::Key)?;
    all.extend(store.spent(since_ms, Owner::Tenant)?);
    Ok(all)
}
