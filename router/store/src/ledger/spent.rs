//! What was spent since a time, by key and by tenant: what budgets begin with after a start.

use atp_core::port::GroupBy;
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

/// What one key or tenant has spent.
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
    let mut all = Vec::new();
    for (owner, by) in [(Owner::Key, GroupBy::Key), (Owner::Tenant, GroupBy::Tenant)] {
        let totals = store.totals(since_ms, by)?.into_iter();
        all.extend(totals.filter_map(|total| {
            let (cost, tokens) =
                (MicroUsd(total.cost_micro_usd), total.input_tokens.saturating_add(total.output_tokens));
            (cost.0 > 0 || tokens > 0).then_some(Spending { owner, name: total.name, cost, tokens })
        }));
    }
    Ok(all)
}
