//! What the pipeline is told about choosing among models.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Capabilities, Grade, MicroUsd, Price, Status, Weights};
use atp_routing::bandit::Strategy;
use atp_routing::candidate::CandidateFacts;
use atp_routing::decide::MindRules;
use atp_routing::sticky::StickyRules;

/// What choosing goes by, of one model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelFacts {
    /// Its predicted quality, from 0 to 1; `None` where nobody has said.
    pub quality: Option<f64>,
    /// How long 95 of 100 of its answers take at most, until that is measured.
    pub latency_p95: Option<Duration>,
    /// The tokens that prompt and answer may have together.
    pub context: Option<u64>,
    /// What it can do; `None` where nobody has said, so that it is taken to be able to do all that a chat may need. Other
    /// endpoints it serves only where that is said.
    pub capabilities: Option<Capabilities>,
    /// How safe its answers are held to be.
    pub safety: Option<Grade>,
    /// Where it stands in its life.
    pub status: Status,
    /// Where it runs.
    pub region: Option<Arc<str>>,
    /// The labels of the data that it may see; `None` where it may see all that carries none.
    pub data_scopes: Option<Vec<Arc<str>>>,
}

impl ModelFacts {
    /// These facts as a choice is made from them.
    #[must_use]
    pub fn candidate(&self, model: Arc<str>, price: Option<Price>) -> CandidateFacts {
        CandidateFacts {
            quality: self.quality,
            p95_ms: self.latency_p95.map(millis),
            context: self.context,
            capabilities: self.capabilities,
            safety: self.safety,
            scopes: self.data_scopes.clone(),
            price,
            ..CandidateFacts::named(model)
        }
    }
}

/// A name behind which the router chooses a model.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteRules {
    /// The name to ask for; `NAME:fast`, `NAME:balanced` and `NAME:high` ask for it with a quality.
    pub name: Arc<str>,
    /// Whether it is listed among the models; the route `auto` that nobody configured is not.
    pub listed: bool,
    /// The models that it chooses among, by their names; at least one, none of them a pattern.
    pub candidates: Vec<Arc<str>>,
    /// How.
    pub manner: Manner,
    /// What counts how much; by the quality that was asked for, where nothing is configured.
    pub weights: Option<Weights>,
    /// The largest share of requests that is spent on learning about models that do not look best, from 0 to 1.
    pub explore: f64,
    /// How many answers the configured quality of a model counts for.
    pub prior_weight: f64,
    /// After how long what was learnt counts half.
    pub half_life: Duration,
    /// The least safety grade.
    pub safety: Option<Grade>,
    /// Where the next candidate is asked although the first has answered.
    pub escalation: Escalation,
    /// What keeps to the same model.
    pub sticky: Sticky,
    /// A model that answers in the shadow, to be compared.
    pub experiment: Option<Experiment>,
}

impl RouteRules {
    /// What the route's mind goes by; `candidates` in the order of the rules.
    #[must_use]
    pub fn mind(&self, candidates: Vec<CandidateFacts>) -> MindRules {
        let Sticky { session, prefix, ttl } = self.sticky;
        MindRules {
            route: Arc::clone(&self.name),
            candidates,
            strategy: match &self.manner {
                Manner::One(strategy) => *strategy,
                Manner::Several(_) => Strategy::default(),
            },
            explore: self.explore,
            prior_weight: self.prior_weight,
            half_life_ms: millis(self.half_life),
            sticky: StickyRules { session, prefix, ttl_ms: millis(ttl) },
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How a route chooses.
#[derive(Debug, Clone, PartialEq)]
pub enum Manner {
    /// One model answers.
    One(Strategy),
    /// Several do, and one answer is made of theirs.
    Several(Ensemble),
}

/// Where the next candidate is asked although the first has answered; the caller sees one answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Escalation {
    /// Whether it is done at all beyond failures: on an answer of the wrong form and on refusals.
    pub enabled: bool,
    /// The mean probability of its tokens below which an answer is not trusted, where it is told.
    pub min_confidence: f64,
    /// Whether streams are held back until they can be judged. Otherwise a stream goes on once it has begun.
    pub hold_streams: bool,
}

impl Default for Escalation {
    fn default() -> Self {
        Self { enabled: true, min_confidence: 0.6, hold_streams: false }
    }
}

/// What keeps to the same model, so that a provider's prompt cache stays warm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sticky {
    /// Requests of one session.
    pub session: bool,
    /// Requests with the same beginning.
    pub prefix: bool,
    /// For how long after the last one.
    pub ttl: Duration,
}

impl Default for Sticky {
    fn default() -> Self {
        Self { session: true, prefix: true, ttl: Duration::from_secs(600) }
    }
}

/// A model that answers in the shadow of the one that was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Who; `None` takes the cheapest candidate that is predicted to be better by 0.02 at no more than 1.5 times the cost.
    pub challenger: Option<Arc<str>>,
    /// The share of requests that it answers too, from 0 to 1.
    pub share: f64,
    /// What it may cost in a day.
    pub max_usd_per_day: MicroUsd,
    /// Who compares.
    pub judge: Judge,
}

/// Who compares two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judge {
    /// A model, by its name.
    Model(Arc<str>),
    /// What the answers show by themselves: whole, of the right form, not refused; of two equals the cheaper.
    Signs,
}

/// Several models answer, and one answer is made of theirs.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    /// How the answer is made.
    pub mode: EnsembleMode,
    /// How many are asked.
    pub size: usize,
    /// The agreement from which two answers count as the same, from 0 to 1.
    pub agree: f64,
    /// How long the others are waited for after the first has answered.
    pub patience: Duration,
}

/// How one answer is made of several.
#[derive(Debug, Clone, PartialEq)]
pub enum EnsembleMode {
    /// The first that comes to its end well.
    FirstWin,
    /// One of the largest group that agrees; the best of them where none does.
    Quorum,
    /// The group with the largest sum of weights (predicted quality).
    Weighted,
    /// A model chooses, for at most so much; above that, the first wins.
    Arbiter {
        /// Who.
        model: Arc<str>,
        /// The most that asking it may cost.
        max_cost: MicroUsd,
    },
}
