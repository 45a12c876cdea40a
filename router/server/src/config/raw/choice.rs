//! Which model answers, as the file writes it: what is known of models, and routes.

use atp_core::{Capability, Grade, Quality, Status};
use atp_routing::bandit::Strategy;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::value::{Dollars, Listed, Share};
use super::Span;

/// What a request may need and a model may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawCapability {
    /// Calling tools.
    Tools,
    /// Reading images.
    Images,
    /// Reading or writing sound.
    Audio,
    /// Answering in JSON, or by a schema.
    Json,
    /// Answering as a stream.
    Streaming,
    /// The endpoint of chats and completions.
    Chat,
    /// The endpoint of embeddings.
    Embeddings,
    /// The endpoint of moderations.
    Moderations,
    /// The endpoints that make images.
    Imaging,
    /// The endpoints that make and read sound.
    Speech,
}

impl From<RawCapability> for Capability {
    fn from(raw: RawCapability) -> Self {
        match raw {
            RawCapability::Tools => Self::Tools,
            RawCapability::Images => Self::Images,
            RawCapability::Audio => Self::Audio,
            RawCapability::Json => Self::Json,
            RawCapability::Streaming => Self::Streaming,
            RawCapability::Chat => Self::Chat,
            RawCapability::Embeddings => Self::Embeddings,
            RawCapability::Moderations => Self::Moderations,
            RawCapability::Imaging => Self::Imaging,
            RawCapability::Speech => Self::Speech,
        }
    }
}

/// How safe a model's answers are held to be, the safest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(in super::super) enum RawGrade {
    /// The safest.
    A,
    /// Above the middle.
    B,
    /// Below the middle.
    C,
    /// The least safe.
    D,
}

impl From<RawGrade> for Grade {
    fn from(raw: RawGrade) -> Self {
        match raw {
            RawGrade::A => Self::A,
            RawGrade::B => Self::B,
            RawGrade::C => Self::C,
            RawGrade::D => Self::D,
        }
    }
}

/// Where a model stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawStatus {
    /// It may be chosen.
    Active,
    /// It answers beside others, never instead of them.
    Shadow,
    /// It is chosen where nothing else is left.
    Fallback,
    /// It is not chosen any more; who names it is still served.
    Retired,
}

impl From<RawStatus> for Status {
    fn from(raw: RawStatus) -> Self {
        match raw {
            RawStatus::Active => Self::Active,
            RawStatus::Shadow => Self::Shadow,
            RawStatus::Fallback => Self::Fallback,
            RawStatus::Retired => Self::Retired,
        }
    }
}

/// How good an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawQuality {
    /// A predicted quality of 0.60 or more.
    Fast,
    /// A predicted quality of 0.75 or more.
    Balanced,
    /// A predicted quality of 0.85 or more.
    High,
}

impl From<RawQuality> for Quality {
    fn from(raw: RawQuality) -> Self {
        match raw {
            RawQuality::Fast => Self::Fast,
            RawQuality::Balanced => Self::Balanced,
            RawQuality::High => Self::High,
        }
    }
}

/// A name behind which the router chooses a model for each request. `NAME:fast`, `NAME:balanced` and `NAME:high` ask for
/// it with a quality.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "route")]
pub(in super::super) struct RawRoute {
    /// The models that it chooses among: names of `models` that hold no `*`, or their aliases.
    pub(in super::super) candidates: Listed<String>,
    /// How it chooses. `contextual` learns each model's quality by kind of work; `ucb` and `thompson` are plainer bandits;
    /// `cheapest` takes the cheapest acceptable model; `ensemble` asks several models and makes one answer of theirs.
    #[serde(default)]
    #[schemars(extend("default" = "contextual"))]
    pub(in super::super) strategy: Option<RawStrategy>,
    /// The largest share of requests that is spent on learning about models that do not look best. From 0 to `50%`.
    #[serde(default)]
    #[schemars(extend("default" = "5%"))]
    pub(in super::super) explore: Option<Share>,
    /// After how long what was learnt counts half, so that a model that changes is noticed. From `1s` to `365d`.
    #[serde(default)]
    #[schemars(extend("default" = "1d"))]
    pub(in super::super) half_life: Option<Span>,
    /// How many answers the configured `quality` of a model counts for, against what is learnt. From 0 to 1000000.
    #[serde(default)]
    #[schemars(extend("default" = 10.0))]
    pub(in super::super) prior_weight: Option<f64>,
    /// What counts how much. Without it, by the quality that a request asks for.
    #[serde(default)]
    pub(in super::super) weights: Option<RawWeights>,
    /// The least safety grade; models without a grade are then not chosen. Without it, every grade will do.
    #[serde(default)]
    pub(in super::super) safety: Option<RawGrade>,
    /// When the next model is asked although the first has answered. The caller sees one answer.
    #[serde(default)]
    pub(in super::super) escalation: RawEscalation,
    /// What keeps to the same model.
    #[serde(default)]
    pub(in super::super) sticky: RawSticky,
    /// A model that answers in the shadow of the chosen one, to be compared. `{}` takes the defaults.
    #[serde(default)]
    pub(in super::super) experiment: Option<RawExperiment>,
    /// How one answer is made of several; only with `strategy: ensemble`.
    #[serde(default)]
    pub(in super::super) ensemble: Option<RawEnsemble>,
}

/// How a route chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawStrategy {
    /// A linear model of each candidate's quality over the request's features.
    Contextual,
    /// Upper confidence bounds.
    Ucb,
    /// Draws from Beta posteriors.
    Thompson,
    /// The cheapest that is acceptable; it does not explore.
    Cheapest,
    /// Several answer.
    Ensemble,
}

impl RawStrategy {
    /// How one model is chosen; `None` where several are.
    pub(in super::super) fn of_one(self) -> Option<Strategy> {
        match self {
            Self::Contextual => Some(Strategy::Contextual),
            Self::Ucb => Some(Strategy::Ucb),
            Self::Thompson => Some(Strategy::Thompson),
            Self::Cheapest => Some(Strategy::Cheapest),
            Self::Ensemble => None,
        }
    }
}

/// What counts how much. What is not given counts nothing; only the ratio of the three matters.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "weights")]
pub(in super::super) struct RawWeights {
    /// How good an answer is. From 0 to 1000.
    #[schemars(extend("default" = 0.0))]
    pub(in super::super) quality: Option<f64>,
    /// How cheap it is. From 0 to 1000.
    #[schemars(extend("default" = 0.0))]
    pub(in super::super) cost: Option<f64>,
    /// How soon it is there. From 0 to 1000.
    #[schemars(extend("default" = 0.0))]
    pub(in super::super) latency: Option<f64>,
}

/// When the next model is asked although the first has answered: on an answer of the wrong form, a refusal, or low
/// confidence, and at most once. On failures the next one is asked in any case.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "escalation")]
pub(in super::super) struct RawEscalation {
    /// Whether it is done at all.
    #[schemars(extend("default" = true))]
    pub(in super::super) enabled: Option<bool>,
    /// The mean probability of its tokens below which an answer is not trusted, where the provider tells it. From 0 to 1.
    #[schemars(extend("default" = 0.6))]
    pub(in super::super) min_confidence: Option<f64>,
    /// Whether streams are held back until they can be judged. Otherwise a stream goes on once it has begun.
    #[schemars(extend("default" = false))]
    pub(in super::super) hold_streams: Option<bool>,
}

/// What keeps to the same model, so that a provider's prompt cache stays warm.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "sticky")]
pub(in super::super) struct RawSticky {
    /// Requests of one session (`x-atp-session`).
    #[schemars(extend("default" = true))]
    pub(in super::super) session: Option<bool>,
    /// Requests with the same long beginning.
    #[schemars(extend("default" = true))]
    pub(in super::super) prefix: Option<bool>,
    /// For how long after the last one. From `1s` to `7d`.
    #[schemars(extend("default" = "10m"))]
    pub(in super::super) ttl: Option<Span>,
}

/// A model that answers in the shadow of the chosen one: its answers are compared, never shown, and never billed to a
/// caller.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "experiment")]
pub(in super::super) struct RawExperiment {
    /// Who: one of the candidates. Without it, the cheapest candidate that is predicted to be better by 0.02 at
    /// no more than 1.5 times the cost.
    pub(in super::super) challenger: Option<String>,
    /// The share of requests that it answers too. From 0 to 1.
    #[schemars(extend("default" = "5%"))]
    pub(in super::super) share: Option<Share>,
    /// What it and its judge may cost in a day (UTC).
    #[schemars(extend("default" = 1.0))]
    pub(in super::super) max_usd_per_day: Option<Dollars>,
    /// Who compares.
    #[schemars(extend("default" = "signs"))]
    pub(in super::super) judge: Option<RawJudge>,
}

/// Who compares two answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawJudge {
    /// What the answers show by themselves: whole, of the right form, not refused; of two equals the cheaper.
    Signs,
    /// A model, `{ model: NAME }`.
    Model(String),
}

/// How one answer is made of several.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ensemble")]
pub(in super::super) struct RawEnsemble {
    /// What decides.
    #[schemars(extend("default" = "quorum"))]
    pub(in super::super) mode: Option<RawMode>,
    /// How many are asked. From 2 to the number of candidates.
    #[schemars(extend("default" = 3))]
    pub(in super::super) size: Option<usize>,
    /// The agreement from which two answers count as the same. From 0 to 1.
    #[schemars(extend("default" = 0.85))]
    pub(in super::super) agree: Option<f64>,
    /// How long the others are waited for after the first has answered. At most `10m`.
    #[schemars(extend("default" = "2s"))]
    pub(in super::super) patience: Option<Span>,
}

/// What decides between several answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in super::super) enum RawMode {
    /// The first that comes to its end well.
    FirstWin,
    /// One of the largest group that agrees.
    Quorum,
    /// The group with the largest sum of predicted qualities.
    Weighted,
    /// A model chooses.
    Arbiter(RawArbiter),
}

/// A model that chooses between the answers of others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "arbiter")]
pub(in super::super) struct RawArbiter {
    /// Who: the name of a model without `*`.
    pub(in super::super) model: String,
    /// The most that asking it may cost for one request; above that, the first answer wins.
    #[serde(default)]
    #[schemars(extend("default" = 0.1))]
    pub(in super::super) max_usd: Option<Dollars>,
}
