//! What the pipeline is told about money.

use std::sync::Arc;

use atp_core::MicroUsd;

pub use atp_routing::budget::{Budget, Per};

/// All budgets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Budgets {
    /// By key, in the order of [`super::Snapshot::keys`]; shorter where the rest has none.
    pub keys: Vec<Vec<Budget>>,
    /// By tenant, by name.
    pub tenants: Vec<(Arc<str>, Vec<Budget>)>,
    /// Of each session of each key.
    pub session: Vec<Budget>,
    /// The most that one request may cost, by key as above; `None` sets no bound.
    pub request: Vec<Option<MicroUsd>>,
    /// What has been spent before, so that a restart is no way to a fresh budget.
    pub spent: Vec<Spent>,
}

/// What a key or a tenant spent before this process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The key's name, or the tenant's.
    pub name: Arc<str>,
    /// Whose.
    pub whose: Whose,
    /// Over which time.
    pub per: Per,
    /// Money.
    pub cost: MicroUsd,
    /// Tokens.
    pub tokens: u64,
}

/// Who a budget belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whose {
    /// A key.
    Key,
    /// A tenant.
    Tenant,
    /// A session of a key.
    Session,
}

impl Whose {
    /// The name, and the metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Tenant => "tenant",
            Self::Session => "session",
        }
    }
}
