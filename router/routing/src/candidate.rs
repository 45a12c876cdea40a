//! Which models a request may be answered by at all, and why the others not.
//!
//! What a model *is* ([`CandidateFacts`]) changes with the configuration; how it *stands*
//! ([`CandidateNow`]) with every request. A reason is *hard* where an answer would be wrong, refused or too
//! dear, and *soft* where it would only be less good or later than asked for: where only soft reasons are
//! left, the best of them answers after all.

use std::sync::Arc;

use atp_core::{Capabilities, Dropped, Forecast, Grade, MicroUsd, Price, Quality, Status, Weights};
use serde::{Deserialize, Serialize};

/// What the configuration says of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateFacts {
    /// Its name.
    pub model: Arc<str>,
    /// Its predicted quality, from 0 to 1; `None` where nobody has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// How many milliseconds 95 of 100 of its answers take at most, until that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<u64>,
    /// The tokens that prompt and answer may have together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// What it can do; `None` where nobody has said, so that it is taken to be able to do all that a chat may need. Other
    /// endpoints it serves only where that is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// How safe its answers are held to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<Grade>,
    /// The labels of the data that it may see; `None` where it may see all that carries none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Arc<str>>>,
    /// What its tokens cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

impl CandidateFacts {
    /// A model of which nothing is known but its name.
    #[must_use]
    pub fn named(model: impl Into<Arc<str>>) -> Self {
        Self {
            model: model.into(),
            quality: None,
            p95_ms: None,
            context: None,
            capabilities: None,
            safety: None,
            scopes: None,
            price: None,
        }
    }
}

/// How a model stands at the moment of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CandidateNow {
    /// Where it stands in its life.
    pub status: Status,
    /// What the request is expected to use and cost there.
    pub forecast: Forecast,
    /// How many milliseconds 95 of 100 of its answers take at most, as measured; `None` before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<u64>,
    /// Whether at least one of its lanes is neither ejected nor paused.
    pub healthy: bool,
    /// Whether a request would be served there without a wait worth the name.
    pub room: bool,
    /// Whether the caller's budget covers the guarded forecast.
    pub affordable: bool,
}

impl Default for CandidateNow {
    /// Active, healthy, with room, and nothing known of its cost and latency.
    fn default() -> Self {
        Self {
            status: Status::Active,
            forecast: Forecast::default(),
            p95_ms: None,
            healthy: true,
            room: true,
            affordable: true,
        }
    }
}

/// What a request asks of the model that answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// What it must be able to do.
    pub capabilities: Capabilities,
    /// The output tokens that the caller asked for at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// How good the answer has to be.
    pub quality: Quality,
    /// What counts how much.
    pub weights: Weights,
    /// The most that it may cost, as somebody asked for: a model without a price is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<MicroUsd>,
    /// The most that it may cost where nobody has asked for anything: a model without a price may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_cost: Option<MicroUsd>,
    /// How many milliseconds the whole answer may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo_ms: Option<u64>,
    /// The label that a model must carry to see the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_scope: Option<Arc<str>>,
    /// The least safety grade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<Grade>,
}

impl Needs {
    /// Nothing but a quality, with the weights that belong to it.
    #[must_use]
    pub fn of(quality: Quality) -> Self {
        Self {
            capabilities: Capabilities::default(),
            max_output: None,
            quality,
            weights: Weights::of(quality),
            max_cost: None,
            usual_cost: None,
            slo_ms: None,
            data_scope: None,
            safety: None,
        }
    }

    /// The ceiling that a known cost is compared with.
    #[must_use]
    pub fn ceiling(&self) -> Option<MicroUsd> {
        self.max_cost.or(self.usual_cost)
    }
}

/// The measured p95 of a model, else the configured one.
#[must_use]
pub fn p95_ms(facts: &CandidateFacts, now: &CandidateNow) -> Option<u64> {
    now.p95_ms.or(facts.p95_ms)
}

/// Why this model may not answer, whatever is learnt of it: the first reason that holds, the most lasting
/// first. Unknown facts are taken to be well, except where a ceiling or a label asks for knowledge.
#[must_use]
pub fn hard(needs: &Needs, facts: &CandidateFacts, now: &CandidateNow) -> Option<Dropped> {
    if matches!(now.status, Status::Shadow | Status::Retired) {
        return Some(Dropped::Status);
    }
    barred(needs, facts, now)
}

/// Why this model may not even see the request, or could not answer it: every hard reason but its status. A model that
/// answers in the shadow has to pass these as well.
#[must_use]
pub fn barred(needs: &Needs, facts: &CandidateFacts, now: &CandidateNow) -> Option<Dropped> {
    if let Some(lacking) = needs.capabilities.lacking_in(Capabilities::offered(facts.capabilities)) {
        return Some(Dropped::Lacks(lacking));
    }
    if !sees(facts, needs.data_scope.as_ref()) {
        return Some(Dropped::DataScope);
    }
    // A grade that nobody has given is below every grade that is required.
    if needs.safety.is_some_and(|least| facts.safety.is_none_or(|grade| grade < least)) {
        return Some(Dropped::Safety);
    }
    if facts.context.is_some_and(|room| tokens(needs, &now.forecast) > room) {
        return Some(Dropped::Context);
    }
    match (needs.ceiling(), now.forecast.guarded) {
        (Some(_), None) if needs.max_cost.is_some() => return Some(Dropped::UnknownPrice),
        (Some(most), Some(guarded)) if guarded > most => return Some(Dropped::Cost),
        _ => {}
    }
    if !now.affordable {
        return Some(Dropped::Budget);
    }
    (!now.healthy).then_some(Dropped::Health)
}

/// Why this model is worse than what was asked for; `quality` is what is expected of it now.
#[must_use]
pub fn soft(needs: &Needs, facts: &CandidateFacts, now: &CandidateNow, quality: f64) -> Option<Dropped> {
    if quality < needs.quality.floor() {
        return Some(Dropped::Quality);
    }
    late(needs, facts, now).then_some(Dropped::Latency)
}

/// Whether it takes longer than was asked for.
#[must_use]
pub fn late(needs: &Needs, facts: &CandidateFacts, now: &CandidateNow) -> bool {
    needs.slo_ms.zip(p95_ms(facts, now)).is_some_and(|(most, p95)| p95 > most)
}

/// Data without a label may go anywhere; data with one only to a model that carries it.
fn sees(facts: &CandidateFacts, label: Option<&Arc<str>>) -> bool {
    label.is_none_or(|label| facts.scopes.as_ref().is_some_and(|scopes| scopes.contains(label)))
}

/// The tokens that have to fit a context: what is asked, and what may be answered. Where the caller set no
/// bound that is the guarded forecast, because an answer that is cut is no answer.
fn tokens(needs: &Needs, forecast: &Forecast) -> u64 {
    forecast.input.saturating_add(needs.max_output.unwrap_or(forecast.output_guarded))
}

#[cfg(test)]
mod tests;
