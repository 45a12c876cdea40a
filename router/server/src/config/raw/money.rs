//! What may be spent, as the file writes it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::value::{ByteSize, Dollars, OneOrMany};
use super::Span;

/// What may be spent over a time. A request that is not covered is refused with 429 and the code `budget_denied`; a
/// stream that reaches the end of a budget ends cleanly.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "budget")]
pub(in super::super) struct RawBudget {
    /// The most dollars. Without it, only `tokens` counts.
    pub(in super::super) usd: Option<Dollars>,
    /// The most tokens, input and output. Without it, only `usd` counts.
    pub(in super::super) tokens: Option<u64>,
    /// Over which time. Windows begin with the full minute, the full hour, midnight and the first of the month in UTC;
    /// `total` never begins anew.
    #[schemars(extend("default" = "day"))]
    pub(in super::super) per: Option<RawPer>,
}

/// Over which time a budget holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawPer {
    /// From the full minute.
    Minute,
    /// From the full hour.
    Hour,
    /// From midnight.
    Day,
    /// From the first of the month.
    Month,
    /// For ever.
    Total,
}

/// What holds of all keys of a tenant together.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "tenant")]
pub(in super::super) struct RawTenant {
    /// What the tenant may spend, one budget or several.
    pub(in super::super) budget: Option<OneOrMany<RawBudget>>,
    /// The tenant's share of a model that others want too, instead of `keys[].weight`: from 0.1 to 100.
    #[schemars(extend("default" = 1.0))]
    pub(in super::super) weight: Option<f64>,
}

/// The log of choices, from which `atp replay` makes every choice again. It holds no prompt and no answer.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "decisions")]
pub(in super::super) struct RawDecisions {
    /// Whether it is written. A change takes effect after a restart.
    #[schemars(extend("default" = true))]
    pub(in super::super) enabled: Option<bool>,
    /// The directory of its files. It is made where it does not exist; a relative path starts at the working directory. A
    /// change takes effect after a restart.
    #[schemars(extend("default" = "./data/decisions"))]
    pub(in super::super) path: Option<PathBuf>,
    /// The size at which a file is closed and the next one begun. From `64KiB` to `1TiB`. A change takes effect after a
    /// restart.
    #[schemars(extend("default" = "100MiB"))]
    pub(in super::super) max_file: Option<ByteSize>,
    /// Files older than this are deleted. At least `1h`. A change takes effect after a restart.
    #[schemars(extend("default" = "14d"))]
    pub(in super::super) keep: Option<Span>,
}

/// One line for each answer that the router chose the model of, for people and for other programs. It holds no prompt
/// and no answer.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "observations")]
pub(in super::super) struct RawObservations {
    /// Whether they are written. A change takes effect after a restart.
    #[schemars(extend("default" = true))]
    pub(in super::super) enabled: Option<bool>,
    /// The directory of the files. It is made where it does not exist; a relative path starts at the working directory. A
    /// change takes effect after a restart.
    #[schemars(extend("default" = "./data/observations"))]
    pub(in super::super) path: Option<PathBuf>,
    /// The size at which a file is closed and the next one begun. From `64KiB` to `1TiB`. A change takes effect after a
    /// restart.
    #[schemars(extend("default" = "100MiB"))]
    pub(in super::super) max_file: Option<ByteSize>,
    /// Files older than this are deleted. At least `1h`; without it they are kept. A change takes effect after a restart.
    pub(in super::super) keep: Option<Span>,
}
