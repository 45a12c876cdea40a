//! Models, as the file writes them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::value::Listed;
use super::{
    RawBreaker, RawCache, RawCapability, RawCut, RawGrade, RawHedge, RawQueue, RawStatus, RawTimeouts, RawWindow,
};

/// One name that callers may ask for.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "model")]
pub(in super::super) struct RawModel {
    /// Who may answer, in the order in which they are asked. Where targets have a `weight`, the first one asked is drawn
    /// by weight, and the others follow in order.
    pub(in super::super) targets: Listed<RawTarget>,
    /// Other names for the same model. They hold no `*`.
    #[serde(default)]
    pub(in super::super) aliases: Listed<String>,
    /// What its tokens cost, where a target does not say. Without it the shipped price table is asked.
    #[serde(default)]
    pub(in super::super) prices: Option<RawPrices>,
    /// How long each phase of a try may take, where the target does not say.
    #[serde(default)]
    pub(in super::super) timeouts: RawTimeouts,
    /// What happens when the caller leaves in the middle of an answer.
    #[serde(default)]
    #[schemars(extend("default" = "cancel"))]
    pub(in super::super) on_disconnect: Option<RawDisconnect>,
    /// What happens when an answer breaks off in the middle.
    #[serde(default)]
    #[schemars(extend("default" = "fail"))]
    pub(in super::super) on_cut: Option<RawCut>,
    /// Who may wait while its targets are full, where `flow.queue` is not right for it.
    #[serde(default)]
    pub(in super::super) queue: RawQueue,
    /// Asking a second target when the first is slow to begin. Without it, nobody is asked twice; `{}` takes the defaults.
    #[serde(default)]
    pub(in super::super) hedge: Option<RawHedge>,
    /// Whether identical requests of one tenant that are under way at the same time share one answer. Only those that
    /// can have but one: with a `temperature` of 0 and one choice; embeddings and moderations always.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub(in super::super) coalesce: Option<bool>,
    /// Keeping answers for identical requests. Without it, none is kept; `{}` takes the defaults.
    #[serde(default)]
    pub(in super::super) cache: Option<RawCache>,
    /// How good its answers are predicted to be, from 0 to 1: where routes begin before they have learnt. Without it,
    /// 0.75, and little is made of that.
    #[serde(default)]
    pub(in super::super) quality: Option<f64>,
    /// Milliseconds in which 95 of 100 of its answers are whole, until that is measured. From 1 to 86400000.
    #[serde(default)]
    pub(in super::super) latency_p95_ms: Option<u64>,
    /// The tokens that prompt and answer may have together. From 16 to 1000000000.
    #[serde(default)]
    pub(in super::super) context: Option<u64>,
    /// What it can do, for routes. `chat`, `embeddings`, `moderations`, `imaging` and `speech` are endpoints: a model that
    /// names one serves those that it names, one that names none serves chats. Without the list it is taken
    /// to be able to do all that a chat may need, unless the names of its targets tell that it does not chat
    /// (`text-embedding-3-small`, `whisper-1`, `dall-e-3`).
    #[serde(default)]
    pub(in super::super) capabilities: Option<Listed<RawCapability>>,
    /// How safe its answers are held to be.
    #[serde(default)]
    pub(in super::super) safety: Option<RawGrade>,
    /// Where it stands in its life. Who asks for it by its name is served in any case.
    #[serde(default)]
    #[schemars(extend("default" = "active"))]
    pub(in super::super) status: Option<RawStatus>,
    /// Where it runs, such as `eu`.
    #[serde(default)]
    pub(in super::super) region: Option<String>,
    /// The labels of the data that it may see (`x-atp-data-scope`). Without it, it sees only data without a label.
    #[serde(default)]
    pub(in super::super) data_scopes: Option<Listed<String>>,
}

/// One provider's model that may answer.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "target")]
pub(in super::super) struct RawTarget {
    /// The name of a provider.
    pub(in super::super) provider: String,
    /// The provider's name for the model. A `*` in it stands for what the `*` of the model's name matched. Without it,
    /// the model's own name; for a pattern, the name that was asked for, without what stands before a slash in the
    /// pattern: `groq/*` sends what follows `groq/`.
    #[serde(default)]
    pub(in super::super) model: Option<String>,
    /// The share of requests that start here, in proportion to the weights of the others. From 1 to 1000000. Where one
    /// target has a weight, those without have 1.
    #[serde(default)]
    pub(in super::super) weight: Option<u64>,
    /// How long each phase of a try may take.
    #[serde(default)]
    pub(in super::super) timeouts: RawTimeouts,
    /// What its tokens cost.
    #[serde(default)]
    pub(in super::super) prices: Option<RawPrices>,
    /// How many requests it may have in flight.
    #[serde(default)]
    pub(in super::super) window: Option<RawWindow>,
    /// When it is left alone.
    #[serde(default)]
    pub(in super::super) breaker: Option<RawBreaker>,
    /// Whether it goes on with an answer whose beginning it is given, as an assistant's message at the end.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub(in super::super) prefill: Option<bool>,
}

/// Prices in micro-dollars per million tokens: $2.50 per million tokens is 2500000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "prices")]
pub(in super::super) struct RawPrices {
    /// Per million input tokens.
    pub(in super::super) input: u64,
    /// Per million output tokens.
    pub(in super::super) output: u64,
    /// Per million input tokens that the provider read from its cache. Without it, the price of input.
    #[serde(default)]
    pub(in super::super) cached_input: Option<u64>,
}

/// What happens when the caller leaves in the middle of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawDisconnect {
    /// The provider's work ends at once.
    Cancel,
    /// The answer is read to its end, so that its exact usage is known.
    Complete,
    /// The answer is read on for at most so many tokens, `{ drain: 500 }`, then the provider's work ends.
    Drain(u64),
}
