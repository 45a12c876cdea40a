//! The file's shape: what may be written, with the words of the reference page.
//!
//! The doc comments of these types are the reference page (docs/configuration.md) and the JSON schema; the defaults in
//! their attributes are shown there, and a test holds them against what an empty file resolves to.

mod adapters;
mod choice;
mod flow;
mod model;
mod money;
mod operation;
mod persona;
mod provider;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use self::adapters::RawAdapters;
pub(super) use self::choice::{
    RawCapability, RawEnsemble, RawExperiment, RawGrade, RawJudge, RawMode, RawQuality, RawRoute, RawStatus,
    RawStrategy, RawWeights,
};
pub(super) use self::flow::{RawBreaker, RawCache, RawCut, RawFlow, RawHedge, RawQos, RawQueue, RawWindow};
pub(super) use self::model::{RawDisconnect, RawModel, RawPrices, RawTarget};
pub(super) use self::money::{RawBudget, RawDecisions, RawObservations, RawPer, RawTenant};
pub(super) use self::operation::{
    RawAdmin, RawDrain, RawKey, RawLedger, RawLimits, RawLogs, RawMetrics, RawRate, RawRetry, RawTls,
};
pub(super) use self::persona::{RawAction, RawPersona};
pub(super) use self::provider::{RawKind, RawProvider, RawTimeouts};
use super::value::{Listed, Listen, Named, SecretSource, Span};

pub use self::operation::{LogFormat, RequestLog};
pub use self::provider::Http2;

/// The configuration of the router.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "configuration")]
pub(super) struct RawConfig {
    /// Where callers connect. With no `keys`, only a loopback address is accepted unless `allow_anonymous` says
    /// otherwise. A change takes effect after a restart.
    #[schemars(extend("default" = "127.0.0.1:7443"))]
    pub(super) listen: Option<Listen>,
    /// The admin port.
    pub(super) admin: RawAdmin,
    /// How many data-plane threads serve requests. Without it, one for each processor. A change takes effect after a
    /// restart.
    pub(super) workers: Option<usize>,
    /// TLS on `listen`. Without it, callers connect in the clear.
    pub(super) tls: Option<RawTls>,
    /// Where models live, by name. The name is part of `/providers/{name}/*` and of metrics.
    pub(super) providers: Named<RawProvider>,
    /// Adapters that register themselves.
    pub(super) adapters: RawAdapters,
    /// What callers may ask for, by name. A name may hold one `*`, as in `gpt-*` or `groq/*`; an exact name wins over a
    /// pattern, and the pattern with more letters over one with fewer.
    pub(super) models: Named<RawModel>,
    /// Names behind which the router chooses a model, by name. Without a route `auto`, that name chooses among all models
    /// that are no patterns, and is not listed.
    pub(super) routes: Named<RawRoute>,
    /// The API keys that callers use. With none, every caller is anonymous.
    pub(super) keys: Listed<RawKey>,
    /// What holds of all keys of a tenant together, by the tenant's name. Without `keys`, the tenant is `anonymous`.
    pub(super) tenants: Named<RawTenant>,
    /// Serve callers without a key although `listen` is not a loopback address. Only for networks in which everybody
    /// may spend what the providers charge.
    #[schemars(extend("default" = false))]
    pub(super) allow_anonymous: Option<bool>,
    /// Shares, queues, windows and breakers, where nothing nearer says otherwise.
    pub(super) flow: RawFlow,
    /// What a caller may ask of the router.
    pub(super) limits: RawLimits,
    /// Trying again, and elsewhere.
    pub(super) retry: RawRetry,
    /// Leaving in order.
    pub(super) drain: RawDrain,
    /// Logs, on standard error.
    pub(super) logs: RawLogs,
    /// The books: one row for each request.
    pub(super) ledger: RawLedger,
    /// The log of choices.
    pub(super) decisions: RawDecisions,
    /// What came of choices.
    pub(super) observations: RawObservations,
    /// Metrics.
    pub(super) metrics: RawMetrics,
}
