//! The configuration that the server wires: nothing in it can be wrong any more.

mod choice;
mod explain;
mod flow;
mod json;
mod model;
mod provider;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use atp_core::{Caller, Secret};

pub use self::choice::{
    Budget, Ensemble, EnsembleMode, Escalation, Experiment, JournalSettings, Judge, Manner, ModelFacts, Money, Per,
    Purse, RouteRules, Sticky, strategy,
};
pub use self::flow::{Breaker, Cache, Flow, Hedge, OnCut, Queue, Tenant, Window};
pub use self::model::{Model, ModelName, OnDisconnect, Target, TargetModel, TargetPrice};
pub use self::provider::{
    Authorities, ClientIdentity, GrpcProvider, HttpProvider, PersonaProvider, Provider, ProviderKind, Trust, VendorRow,
};
pub use super::raw::{Http2, LogFormat, RequestLog};

/// A configuration, checked and complete.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The file that it was read from; `None` for the embedded defaults.
    pub file: Option<PathBuf>,
    /// Where callers connect.
    pub listen: SocketAddr,
    /// Where the admin port listens.
    pub admin_listen: SocketAddr,
    /// How many data-plane threads serve; at least 1.
    pub workers: usize,
    /// TLS on `listen`.
    pub tls: Option<Tls>,
    /// Where models live, in configured order; the names are unique.
    pub providers: Vec<Provider>,
    /// What is to be known of adapters that register themselves.
    pub adapters: Adapters,
    /// What can be asked for, in configured order; names and aliases are unique.
    pub models: Vec<Model>,
    /// The names behind which the router chooses a model, in configured order; `auto` at the end where nothing else has
    /// that name and there is a model.
    pub routes: Vec<RouteRules>,
    /// The API keys, in configured order; with none, every caller is [`Caller::anonymous`].
    pub keys: Vec<Key>,
    /// The tenants of the keys, in the order of their first keys; `Caller::tenant_index` points into them.
    pub tenants: Vec<Tenant>,
    /// What tenants and sessions may spend.
    pub money: Money,
    /// Whether callers without a key were allowed on purpose.
    pub allow_anonymous: bool,
    /// Shares, queues, windows and breakers, where nothing nearer says otherwise.
    pub flow: Flow,
    /// What a caller may ask of the router.
    pub limits: Limits,
    /// Trying again.
    pub retry: RetryPolicy,
    /// Leaving in order.
    pub drain: Drain,
    /// Logs.
    pub logs: Logs,
    /// The books.
    pub ledger: LedgerSettings,
    /// The log of choices.
    pub decisions: JournalSettings,
    /// What came of choices.
    pub observations: JournalSettings,
    /// Whether `GET /metrics` is answered on the port of callers too.
    pub metrics_on_router_port: bool,
    /// What is right but worth a line in the log.
    pub warnings: Vec<String>,
    /// Every file that was read: a change of one of them is a reason to load again.
    pub watched: Vec<PathBuf>,
}

/// What is to be known of adapters that register themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapters {
    /// What they have to show; without it, only those of a router that serves its own machine alone are taken up.
    pub token: Option<Secret>,
    /// How often they report.
    pub report_every: Duration,
    /// How long one may be silent.
    pub silence: Duration,
    /// How connections to them are secured, where they are.
    pub trust: Trust,
}

/// A certificate with its key, known to fit each other.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The file of the certificate chain.
    pub cert: PathBuf,
    /// The file of the private key.
    pub key: PathBuf,
    /// What rustls serves; hand it to `rustls::sign::SingleCertAndKey`.
    pub certified: Arc<rustls::sign::CertifiedKey>,
}

/// An API key. The key itself is not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Whom it stands for; `index` is its place in [`Resolved::keys`].
    pub caller: Arc<Caller>,
    /// The SHA-256 digest of the key.
    pub digest: [u8; 32],
    /// How many requests it may send; that of `limits.rps` where the file gives it no limit of its own.
    pub rps: Option<RateLimit>,
    /// What it may spend.
    pub purse: Purse,
}

/// A rate with room for bursts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Requests a second in the long run; from 0.001 to 1,000,000.
    pub per_second: f64,
    /// How many may come at once.
    pub burst: NonZeroU32,
}

impl RateLimit {
    /// The time in which one request's worth of room grows back; never zero.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second.clamp(0.001, 1e6))
    }
}

/// What a caller may ask of the router.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Bytes of the largest request body.
    pub max_body: usize,
    /// Bytes of the largest request head.
    pub max_header: usize,
    /// Open connections, all workers together.
    pub max_connections: usize,
    /// Requests in flight, all workers together.
    pub max_concurrent: usize,
    /// Characters of the largest prompt.
    pub max_prompt_chars: Option<usize>,
    /// For the whole head of a request.
    pub header_timeout: Duration,
    /// From a request's head to the end of its body.
    pub body_timeout: Duration,
    /// How long a connection without a request stays open.
    pub idle_connection_timeout: Duration,
    /// For each key that has no limit of its own (which has it filled in), and for anonymous callers together.
    pub rps: Option<RateLimit>,
}

/// Trying again, and elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Tries of one request, the first included; from 1 to 20.
    pub max_attempts: u32,
    /// The share of recent requests that may be retries; from 0 to 1.
    pub budget_ratio: f64,
    /// Retries a second that are always allowed.
    pub budget_floor: f64,
    /// The bound of the pause before the second try.
    pub backoff_base: Duration,
    /// The bound of any pause; at least the base.
    pub backoff_cap: Duration,
    /// The longest `Retry-After` that is waited for.
    pub max_wait: Duration,
}

/// Leaving in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// From the withdrawal of readiness to the end of accepting.
    pub min_delay: Duration,
    /// For open requests to finish.
    pub grace: Duration,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// A level, or a list of levels by part.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Which requests get a line.
    pub requests: RequestLog,
}

impl Logs {
    /// The filter of the log: the level, behind what `requests` says of the lines that tell how requests
    /// ended. A level that names them itself comes later and wins.
    #[must_use]
    pub fn filter(&self) -> String {
        let requests = match self.requests {
            RequestLog::Failed => "warn",
            RequestLog::All => "debug",
            RequestLog::None => "off",
        };
        format!("{}={requests},{}", atp_pipeline::REQUESTS, self.level)
    }
}

/// The books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSettings {
    /// Whether rows are written.
    pub enabled: bool,
    /// The SQLite file.
    pub path: PathBuf,
    /// Rows that may wait.
    pub queue: usize,
    /// How long rows are kept; for ever where `None`.
    pub retention: Option<Duration>,
}

impl Resolved {
    /// Whether somebody who wrote the file counts on tokens being counted: for routes of his own, or for money. The
    /// route that every configuration has may never be asked for.
    #[must_use]
    pub fn counts_tokens(&self) -> bool {
        let purse = |key: &Key| !key.purse.budgets.is_empty() || key.purse.request.is_some();
        let money = &self.money;
        self.routes.iter().any(|route| route.listed)
            || !money.tenants.is_empty()
            || !money.session.is_empty()
            || self.keys.iter().any(purse)
    }

    /// The provider of a name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| *provider.name == *name)
    }

    /// The model that serves a name, and what its `*` stands for: an exact name or alias first, then the pattern with
    /// the most letters.
    #[must_use]
    pub fn model<'n>(&self, name: &'n str) -> Option<(&Model, &'n str)> {
        let exact = self.models.iter().find(|model| model.is_called(name));
        if let Some(model) = exact {
            return Some((model, ""));
        }
        let matching = self.models.iter().filter_map(|model| Some((model, model.name.matched(name)?)));
        // `min_by_key` takes the first of equals: configured order decides between patterns of the same length.
        matching.min_by_key(|(_, matched)| matched.len())
    }
}
