//! The `config.yaml` of a persona.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::value::{Listed, Named};
use super::RawQos;

/// What a persona is, beside its prompt.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "persona")]
pub(in super::super) struct RawPersona {
    /// What it is, in a few words.
    pub(in super::super) role: String,
    /// The tools that it may use, by their names; `"*"` alone is every one that a caller offers. Without it, none.
    #[serde(default)]
    pub(in super::super) tools: Listed<String>,
    /// The highest class of service that it is served with. Without it, the caller's own.
    #[serde(default)]
    pub(in super::super) qos_tier: Option<RawQos>,
    /// The filters that its requests go through: `PII_filter`, `HIPAA_guard`, `GDPR_guard`. Each masks what it minds.
    #[serde(default)]
    pub(in super::super) compliance: Listed<String>,
    /// What happens instead, by the name of a filter or of a kind of data. A kind's own word counts before its filter's.
    #[serde(default)]
    pub(in super::super) actions: Named<RawAction>,
}

/// What happens to personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawAction {
    /// A placeholder goes out in its place, and it comes back in the answer.
    Mask,
    /// The request is refused.
    Block,
}
