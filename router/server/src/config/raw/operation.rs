//! What runs around the requests, as the file writes it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::value::{ByteSize, Dollars, OneOrMany};
use super::{Listen, RawBudget, RawQos, RawQuality, SecretSource, Span};

/// The admin port: health, metrics, usage.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "admin")]
pub(in super::super) struct RawAdmin {
    /// Where the admin port listens. Keep it away from callers. A change takes effect after a restart.
    #[schemars(extend("default" = "127.0.0.1:7444"))]
    pub(in super::super) listen: Option<Listen>,
}

/// A certificate and its private key. Relative paths start at the directory of the configuration file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "tls")]
pub(in super::super) struct RawTls {
    /// The file with the certificate chain in PEM, the server's own certificate first.
    pub(in super::super) cert: PathBuf,
    /// The file with the private key in PEM.
    pub(in super::super) key: PathBuf,
}

/// One API key. Only its SHA-256 digest is kept in memory.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "key")]
pub(in super::super) struct RawKey {
    /// Its name in logs, metrics and the ledger.
    pub(in super::super) name: String,
    /// The key itself.
    pub(in super::super) key: SecretSource,
    /// The tenant that pays. Without it, the key's name.
    #[serde(default)]
    pub(in super::super) tenant: Option<String>,
    /// The tenant's share of a model that others want too, in proportion to theirs: from 0.1 to 100. Keys of one tenant
    /// have one weight; it is enough that one of them says it.
    #[serde(default)]
    #[schemars(extend("default" = 1.0))]
    pub(in super::super) weight: Option<f64>,
    /// The class of its requests. A request may ask for a lower one by the header `x-atp-qos`. Without it, `flow.qos`.
    #[serde(default)]
    pub(in super::super) qos: Option<RawQos>,
    /// How many requests a second this key may send, instead of `limits.rps`.
    #[serde(default)]
    pub(in super::super) rps_limit: Option<RawRate>,
    /// What it may spend, one budget or several.
    #[serde(default)]
    pub(in super::super) budget: Option<OneOrMany<RawBudget>>,
    /// The most dollars that one of its requests may cost. A request may ask for less by `x-atp-max-cost-usd`.
    #[serde(default)]
    pub(in super::super) max_cost_usd: Option<Dollars>,
    /// How good answers have to be where routes choose and a request does not say (`x-atp-quality`). Without it,
    /// `balanced`.
    #[serde(default)]
    pub(in super::super) quality: Option<RawQuality>,
    /// The label of its data where a request does not say (`x-atp-data-scope`): only models that carry it are chosen.
    #[serde(default)]
    pub(in super::super) data_scope: Option<String>,
    /// Milliseconds that a whole answer may take where a request does not say (`x-atp-latency-slo-ms`). From 1 to
    /// 86400000.
    #[serde(default)]
    pub(in super::super) latency_slo_ms: Option<u64>,
}

/// A rate with room for bursts.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "rate")]
pub(in super::super) struct RawRate {
    /// Requests a second in the long run, from 0.001 to 1000000.
    pub(in super::super) rate: f64,
    /// How many may come at once. Without it, the rate, and at least 1.
    #[serde(default)]
    pub(in super::super) burst: Option<u32>,
}

/// What a caller may ask of the router.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "limits")]
pub(in super::super) struct RawLimits {
    /// The largest request body.
    #[schemars(extend("default" = "64MiB"))]
    pub(in super::super) max_body: Option<ByteSize>,
    /// The largest request head: request line and headers together.
    #[schemars(extend("default" = "64KiB"))]
    pub(in super::super) max_header: Option<ByteSize>,
    /// How many connections may be open at once, all workers together.
    #[schemars(extend("default" = 20000))]
    pub(in super::super) max_connections: Option<usize>,
    /// How many requests may be in flight at once, all workers together. More are refused with 429 and the code `backpressure`.
    #[schemars(extend("default" = 10000))]
    pub(in super::super) max_concurrent: Option<usize>,
    /// The most characters that a prompt may have. Without it there is no limit.
    pub(in super::super) max_prompt_chars: Option<usize>,
    /// How long a caller may take to send a request's head.
    #[schemars(extend("default" = "15s"))]
    pub(in super::super) header_timeout: Option<Span>,
    /// How long a caller may take to send a request's body, from its head to its last byte.
    #[schemars(extend("default" = "2m"))]
    pub(in super::super) body_timeout: Option<Span>,
    /// How long a connection without a request stays open.
    #[schemars(extend("default" = "90s"))]
    pub(in super::super) idle_connection_timeout: Option<Span>,
    /// How many requests a second each key may send. Without it there is no limit.
    pub(in super::super) rps: Option<RawRate>,
    /// What each session (`x-atp-session`) of each key may spend, one budget or several.
    pub(in super::super) session_budget: Option<OneOrMany<RawBudget>>,
}

/// Trying again, and elsewhere.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "retry")]
pub(in super::super) struct RawRetry {
    /// The most tries of one request, the first included. From 1 to 20.
    #[schemars(extend("default" = 3))]
    pub(in super::super) max_attempts: Option<u32>,
    /// The share of recent requests that may be retries, for the whole gateway, so that an outage is not multiplied.
    /// From 0 to 1.
    #[schemars(extend("default" = 0.1))]
    pub(in super::super) budget_ratio: Option<f64>,
    /// Retries a second that are allowed where that is more than the share, so that little traffic can be retried too.
    #[schemars(extend("default" = 3.0))]
    pub(in super::super) budget_floor: Option<f64>,
    /// The pause before the same target is tried again.
    pub(in super::super) backoff: RawBackoff,
    /// The longest pause that a provider's `Retry-After` may impose; a longer one counts as a refusal.
    #[schemars(extend("default" = "10s"))]
    pub(in super::super) max_wait: Option<Span>,
}

/// The pause before another try: drawn between nothing and a bound that doubles with each try.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "backoff")]
pub(in super::super) struct RawBackoff {
    /// The bound before the second try.
    #[schemars(extend("default" = "100ms"))]
    pub(in super::super) base: Option<Span>,
    /// The bound never exceeds this.
    #[schemars(extend("default" = "2s"))]
    pub(in super::super) cap: Option<Span>,
}

/// Leaving in order after SIGTERM.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "drain")]
pub(in super::super) struct RawDrain {
    /// How long requests are still accepted after readiness was withdrawn, so that load balancers can notice.
    #[schemars(extend("default" = "1s"))]
    pub(in super::super) min_delay: Option<Span>,
    /// How long open requests may take to finish. Those that do not are cancelled.
    #[schemars(extend("default" = "30s"))]
    pub(in super::super) grace: Option<Span>,
}

/// Logs, on standard error.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "logs")]
pub(in super::super) struct RawLogs {
    /// `error`, `warn`, `info`, `debug` or `trace`; or one for each part, as in `info,atp_adapters=debug`.
    #[schemars(extend("default" = "info"))]
    pub(in super::super) level: Option<String>,
    /// One JSON object a line, or text for people.
    #[schemars(extend("default" = "json"))]
    pub(in super::super) format: Option<LogFormat>,
    /// Which requests get a line.
    #[schemars(extend("default" = "failed"))]
    pub(in super::super) requests: Option<RequestLog>,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Text for people.
    Pretty,
}

/// Which requests get a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum RequestLog {
    /// Those that failed.
    #[default]
    Failed,
    /// Every one.
    All,
    /// None.
    None,
}

/// The books: one row for each request, written off the path of requests.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ledger")]
pub(in super::super) struct RawLedger {
    /// Whether rows are written at all. A change takes effect after a restart.
    #[schemars(extend("default" = true))]
    pub(in super::super) enabled: Option<bool>,
    /// The SQLite file. Its directory is made where it does not exist; a relative path starts at the working directory.
    /// A change takes effect after a restart.
    #[schemars(extend("default" = "./data/usage.db"))]
    pub(in super::super) path: Option<PathBuf>,
    /// How many rows may wait to be written. When there are more, they are dropped and counted; requests never wait.
    /// From 16 to 10000000. A change takes effect after a restart.
    #[schemars(extend("default" = 16384))]
    pub(in super::super) queue: Option<usize>,
    /// Rows older than this are deleted. Without it they are kept.
    pub(in super::super) retention: Option<Span>,
}

/// Metrics.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "metrics")]
pub(in super::super) struct RawMetrics {
    /// Whether `GET /metrics` is answered on the port of callers too. On the admin port it always is.
    #[schemars(extend("default" = true))]
    pub(in super::super) router_port: Option<bool>,
}
