//! Why a model answers: a choice that explains itself.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::choice::{Capability, Quality, Weights};
use crate::id::RequestId;
use crate::money::{MicroUsd, Price};

/// What a candidate plays in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It answers.
    Primary,
    /// It is the one to try next: on failure, low confidence, or an answer of the wrong form.
    Explore,
    /// It answers in the shadow of the primary, to be compared.
    Challenger,
    /// The last resort.
    Fallback,
}

impl Role {
    /// The name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Explore => "explore",
            Self::Challenger => "challenger",
            Self::Fallback => "fallback",
        }
    }
}

/// Why a candidate was not considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// It is retired, or answers in shadow only.
    Status,
    /// It cannot do what the request needs.
    Lacks(Capability),
    /// The prompt and what may be answered do not fit its context.
    Context,
    /// Its predicted quality is below the floor.
    Quality,
    /// Its guard-banded estimate is above the ceiling.
    Cost,
    /// It has no price, and there is a ceiling.
    UnknownPrice,
    /// Its p95 is above the latency asked for.
    Latency,
    /// It does not carry the data's label.
    DataScope,
    /// Its safety grade is below what is required.
    Safety,
    /// Every lane of it is ejected or paused.
    Health,
    /// The caller's budget does not cover it.
    Budget,
}

impl Dropped {
    /// The name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Lacks(_) => "capability",
            Self::Context => "context",
            Self::Quality => "quality",
            Self::Cost => "cost",
            Self::UnknownPrice => "unknown_price",
            Self::Latency => "latency",
            Self::DataScope => "data_scope",
            Self::Safety => "safety",
            Self::Health => "health",
            Self::Budget => "budget",
        }
    }
}

/// What a request is expected to use and cost at one model.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Forecast {
    /// Input tokens.
    pub input: u64,
    /// Output tokens, on average.
    pub output: u64,
    /// Output tokens, with the guard band.
    pub output_guarded: u64,
    /// What that costs, on average.
    pub cost: Option<MicroUsd>,
    /// What that costs, with the guard band: what is reserved, and compared with a ceiling.
    pub guarded: Option<MicroUsd>,
}

/// How a candidate was scored. Each part is from 0 to 1, more is better.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Terms {
    /// The expected quality.
    pub quality: f64,
    /// How cheap it is.
    pub cost: f64,
    /// How soon it is there.
    pub latency: f64,
    /// How sure it is to answer at all.
    pub reliability: f64,
    /// What not knowing it adds: the exploration term.
    pub bonus: f64,
    /// The whole.
    pub score: f64,
    /// The probability with which it was to be chosen.
    pub probability: f64,
}

/// One model that could have answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The router's name of the model.
    pub model: Arc<str>,
    /// What its tokens cost.
    pub price: Option<Price>,
    /// Its predicted quality for this kind of work.
    pub quality: f64,
    /// How long 95 of 100 of its answers take at most.
    pub latency_p95: Option<Duration>,
    /// What the request is expected to cost there.
    pub forecast: Forecast,
    /// Why it was dropped; `None` where it was considered.
    pub dropped: Option<Dropped>,
    /// How it was scored.
    pub terms: Terms,
}

/// A choice, and everything that it was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The exchange that it was made for (`x-atp-plan`).
    #[serde(with = "id_text")]
    pub id: RequestId,
    /// Whose request it was.
    pub tenant: Arc<str>,
    /// The name asked for.
    pub route: Arc<str>,
    /// The kind of work.
    pub cluster: Arc<str>,
    /// The first 16 hexadecimal digits of the prompt's SHA-256.
    pub prompt_hash: u64,
    /// How good the answer has to be.
    pub quality: Quality,
    /// What counted how much.
    pub weights: Weights,
    /// The ceiling that the caller set.
    pub max_cost: Option<MicroUsd>,
    /// The latency that the caller asked for.
    pub latency_slo: Option<Duration>,
    /// How the choice was made: a strategy, or `sticky`, `only`, `quality` where nothing was acceptable.
    pub strategy: Arc<str>,
    /// Why, in one sentence.
    pub reason: Arc<str>,
    /// Every candidate, in configured order.
    pub candidates: Vec<Candidate>,
    /// The order in which they are asked: places in `candidates`.
    pub order: Vec<usize>,
    /// Who plays what.
    pub roles: Vec<(Role, usize)>,
    /// Whether the first was chosen to learn about it, not because it looked best.
    pub explored: bool,
}

impl Plan {
    /// The candidate that is asked first.
    #[must_use]
    pub fn primary(&self) -> Option<&Candidate> {
        self.candidates.get(*self.order.first()?)
    }
}

/// What happened between the plan and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanEvent {
    /// Another candidate was asked, because of this.
    Escalate {
        /// Who.
        model: Arc<str>,
        /// `failure`, `latency`, `low_confidence`, `format`, `refusal`.
        reason: &'static str,
    },
    /// A challenger answers in the shadow.
    ChallengerSelected {
        /// Who.
        model: Arc<str>,
    },
}

/// What a chosen answer came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Upshot {
    /// The router's model that answered.
    pub model: Option<Arc<str>>,
    /// `served`, `refused`, `failed`, `cancelled`.
    pub outcome: &'static str,
    /// Whole micro-dollars, where known.
    pub cost: Option<MicroUsd>,
    /// Input and output tokens, where known.
    pub tokens: Option<(u64, u64)>,
    /// To the end of the answer.
    pub latency: Duration,
    /// The reward that was learnt from, from 0 to 1.
    pub reward: Option<f64>,
    /// How many other candidates were asked.
    pub escalations: u32,
}

/// A plan, and what is known of how it went.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The choice.
    pub plan: Arc<Plan>,
    /// What it came to; `None` while the answer is under way.
    pub result: Option<Upshot>,
    /// The last score that was told, from 0 to 1.
    pub score: Option<f64>,
}

/// What is told about an answer, by its request's id.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The request.
    pub id: RequestId,
    /// How good the answer was, from 0 to 1.
    pub score: Option<f64>,
    /// The request whose answer was not as good as this one's.
    pub better_than: Option<RequestId>,
    /// How long it took in the caller's eyes.
    pub latency: Option<Duration>,
    /// What it cost in the caller's books.
    pub cost: Option<MicroUsd>,
}

impl Observation {
    /// A score.
    #[must_use]
    pub fn scored(id: RequestId, score: f64) -> Self {
        Self { id, score: Some(score), better_than: None, latency: None, cost: None }
    }
}

/// Ids in the text of `x-request-id`, for `#[serde(with = "...")]`.
pub mod id_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::id::RequestId;

    /// Writes an id.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(id: &RequestId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    /// Reads one.
    ///
    /// # Errors
    /// Where the text is no id.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RequestId, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        RequestId::parse(&text).ok_or_else(|| serde::de::Error::custom("an id is `req_` and 32 hexadecimal digits"))
    }
}
