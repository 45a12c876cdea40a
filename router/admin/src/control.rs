//! What the surface needs to be told.

use std::time::Duration;

use atp_core::port::{BoxFuture, GroupBy};
use atp_core::{Error, Status, Weight};
use serde_json::Value;

/// The running router, as the control plane sees it. The calls return at once, but for those whose
/// answers come from a database or from files.
pub trait Control: Send + Sync {
    /// Whether requests should be sent here.
    fn readiness(&self) -> Readiness;

    /// What is running.
    fn version(&self) -> Version;

    /// The metrics in the text format of Prometheus.
    fn metrics_text(&self) -> String;

    /// The configuration in force, without secrets.
    fn config(&self) -> Value;

    /// Adapters in processes of their own, by provider.
    fn adapters(&self) -> Value {
        Value::Array(Vec::new())
    }

    /// The models and their targets.
    fn models(&self) -> Value;

    /// How the ledger is doing.
    fn ledger(&self) -> Value;

    /// The newest usage rows, at most `limit`, newest first.
    fn usage_recent(&self, limit: usize) -> BoxFuture<'static, Result<Value, Error>>;

    /// Sums of the rows of exchanges that began at `since_ms` (Unix milliseconds) or later.
    fn usage_totals(&self, by: GroupBy, since_ms: u64) -> BoxFuture<'static, Result<Value, Error>>;

    /// How models are shared.
    fn flow(&self, part: FlowPart) -> Value;

    /// Changes a tenant's weight, and tells what it was and is.
    ///
    /// # Errors
    /// [`atp_core::ErrorKind::NotFound`] for a tenant that is not configured.
    fn set_weight(&self, tenant: &str, weight: Weight) -> Result<Value, Error>;

    /// How models are chosen, and what may be spent.
    fn choice(&self, part: ChoicePart) -> Value;

    /// Keeps a model at a status, or with `None` lets evidence decide on it again; tells what came of it.
    ///
    /// # Errors
    /// [`atp_core::ErrorKind::NotFound`] for a model that no route may choose, or that was not pinned.
    fn pin(&self, model: &str, status: Option<Status>) -> Result<Value, Error>;

    /// The form of an observation, as a JSON schema.
    fn observation_schema(&self) -> Value;

    /// What came of choices, the newest first.
    fn observations(&self, wanted: ObservationQuery) -> BoxFuture<'static, Result<Value, Error>>;

    /// The wall clock, in milliseconds since the Unix epoch.
    fn unix_millis(&self) -> u64;
}

/// What of the sharing of models is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowPart {
    /// Queues, lanes and tenants.
    All,
    /// Each lane's window.
    Windows,
    /// Each lane's breaker.
    Breakers,
    /// Each tenant's weight.
    Weights,
    /// What each tenant was served, most first.
    Served,
}

/// What of choosing and of money is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoicePart {
    /// What each route has learnt of each model, by kind of work.
    Arms,
    /// What each key, tenant and session may spend and has spent.
    Budgets,
    /// How each model stands that a route may choose.
    ModelStatus,
    /// The kinds of work of each route.
    ClusterStats,
    /// The challengers of each route, and how they do.
    Experiments,
    /// What challengers did in the shadow, by model over all routes.
    ShadowStats,
    /// Where each model stands in its life, and why.
    Lifecycle,
}

/// Which observations are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservationQuery {
    /// How many; at least 1.
    pub limit: usize,
    /// How many that fit are passed over first.
    pub offset: usize,
    /// Of which model that answered; all where `None`.
    pub model: Option<String>,
    /// Of which kind of work; all where `None`.
    pub cluster: Option<String>,
    /// Of which version of the schema; all where `None`.
    pub schema_version: Option<u64>,
}

/// Whether requests should be sent here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Every condition that was looked at, in a fixed order.
    pub checks: Vec<Check>,
}

/// One condition of readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name: `accepting`, `targets`, `ledger`.
    pub name: &'static str,
    /// What it found.
    pub state: CheckState,
    /// What is wrong and what to do, lower-case; empty where nothing is.
    pub detail: String,
}

/// What a condition found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// It holds.
    Pass,
    /// Something is wrong, and requests are served all the same: a ledger that cannot be written.
    Warn,
    /// Requests cannot be served.
    Fail,
}

impl CheckState {
    /// The word in the answer.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Readiness {
    /// Adds a condition that holds.
    #[must_use]
    pub fn pass(self, name: &'static str) -> Self {
        self.with(name, CheckState::Pass, String::new())
    }

    /// Adds a condition that is in trouble without stopping requests.
    #[must_use]
    pub fn warn(self, name: &'static str, detail: impl Into<String>) -> Self {
        self.with(name, CheckState::Warn, detail.into())
    }

    /// Adds a condition because of which no request should be sent here.
    #[must_use]
    pub fn fail(self, name: &'static str, detail: impl Into<String>) -> Self {
        self.with(name, CheckState::Fail, detail.into())
    }

    fn with(mut self, name: &'static str, state: CheckState, detail: String) -> Self {
        self.checks.push(Check { name, state, detail });
        self
    }

    /// Whether requests should be sent here.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.any(CheckState::Fail)
    }

    /// Whether any condition is in this state.
    #[must_use]
    pub fn any(&self, state: CheckState) -> bool {
        self.checks.iter().any(|check| check.state == state)
    }
}

/// What is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The version of the program.
    pub version: &'static str,
    /// The commit that it was built from, where the build knew it.
    pub commit: Option<&'static str>,
    /// The number of the configuration in force; grows by one with each reload.
    pub config: u64,
    /// How long the process has run.
    pub uptime: Duration,
    /// Data-plane threads.
    pub workers: usize,
}
