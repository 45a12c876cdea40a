//! Which model answers, what may be spent, and where it is written down; checked and complete.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use atp_core::MicroUsd;
pub use atp_pipeline::snapshot::{
    Budget, Ensemble, EnsembleMode, Escalation, Experiment, Judge, Manner, ModelFacts, Per, RouteRules, Sticky,
};

/// How a route chooses, in the file's word.
#[must_use]
pub fn strategy(route: &RouteRules) -> &'static str {
    match &route.manner {
        Manner::One(strategy) => strategy.label(),
        Manner::Several(_) => "ensemble",
    }
}

/// What tenants and sessions may spend; that of keys stands with them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Money {
    /// The tenants that have a budget, in configured order.
    pub tenants: Vec<(Arc<str>, Vec<Budget>)>,
    /// What each session of each key may spend.
    pub session: Vec<Budget>,
}

/// What one key may spend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purse {
    /// Over times, each at most once.
    pub budgets: Vec<Budget>,
    /// For one request.
    pub request: Option<MicroUsd>,
}

/// Files of lines that are kept for later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalSettings {
    /// Whether they are written.
    pub enabled: bool,
    /// Their directory.
    pub path: PathBuf,
    /// The size, in bytes, at which a file is closed.
    pub max_file: u64,
    /// How long files are kept; for ever where `None`.
    pub keep: Option<Duration>,
}
