//! What keys and tenants have spent before, from the books: so that a restart is no way to a fresh budget.

use std::sync::Arc;
use std::time::Duration;

use atp_core::Error;
use atp_pipeline::snapshot::{Per, Spent, Whose};
use atp_store::{LedgerStore, Owner, Spending, spent};

use crate::config::Resolved;

/// How long rows that wait to be written are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// What has been spent of the budgets of a configuration up to now. Where the books cannot be read, nothing: requests
/// go on, and the log says what that means.
pub(crate) fn before(config: &Resolved, store: &dyn LedgerStore, now_ms: u64) -> Vec<Spent> {
    let lengths = lengths(config);
    if lengths.is_empty() {
        return Vec::new();
    }
    store.flush(PATIENCE);
    let read = || -> Result<Vec<Spent>, Error> {
        let each = lengths.into_iter().map(|per| since(store, per, now_ms));
        each.collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().flatten().collect())
    };
    read().unwrap_or_else(|error| {
        tracing::error!(%error, "the books cannot be read: budgets begin as if nothing had been spent");
        Vec::new()
    })
}

/// The same, for a reload: what is known already is not asked for again.
pub(crate) fn for_reload(old: &Resolved, new: &Resolved, store: &dyn LedgerStore, now_ms: u64) -> Vec<Spent> {
    let purses = |config: &Resolved| config.keys.iter().map(|key| key.purse.budgets.clone()).collect::<Vec<_>>();
    if old.money == new.money && purses(old) == purses(new) {
        return Vec::new();
    }
    before(new, store, now_ms)
}

/// The times over which somebody has a budget, each once.
fn lengths(config: &Resolved) -> Vec<Per> {
    let keys = config.keys.iter().flat_map(|key| &key.purse.budgets);
    let tenants = config.money.tenants.iter().flat_map(|(_, budgets)| budgets);
    let used: Vec<Per> = keys.chain(tenants).map(|budget| budget.per).collect();
    Per::ALL.into_iter().filter(|per| used.contains(per)).collect()
}

fn since(store: &dyn LedgerStore, per: Per, now_ms: u64) -> Result<Vec<Spent>, Error> {
    let of = |spending: Spending| Spent {
        name: Arc::from(spending.name),
        whose: match spending.owner {
            Owner::Key => Whose::Key,
            Owner::Tenant => Whose::Tenant,
        },
        per,
        cost: spending.cost,
        tokens: spending.tokens,
    };
    Ok(spent(store, per.began(now_ms))?.into_iter().map(of).collect())
}
