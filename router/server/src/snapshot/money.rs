//! What may be spent, as the pipeline is told it.

use atp_pipeline::snapshot::{Budgets, Spent};

use crate::config::Resolved;

/// Every budget, with what has been spent of it before.
pub(super) fn budgets(config: &Resolved, spent: Vec<Spent>) -> Budgets {
    Budgets {
        keys: config.keys.iter().map(|key| key.purse.budgets.clone()).collect(),
        tenants: config.money.tenants.clone(),
        session: config.money.session.clone(),
        request: config.keys.iter().map(|key| key.purse.request).collect(),
        spent,
    }
}
