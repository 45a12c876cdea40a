//! The last message of an ask, and an ask's answer in one piece.

use std::time::Duration;

use atp_core::{Error, Finish, MicroUsd, Plan, PlanEvent, Status, Usage};
use serde::Serialize;

use super::choice::{Line, millis, usd};
use crate::native::errors;

/// An answer that has come to its end, and everything that is known of it.
#[derive(Debug)]
pub struct Answered<'a> {
    /// Its whole text.
    pub text: &'a str,
    /// The router's name of the model that answered.
    pub model: &'a str,
    /// Tokens as the provider reported them.
    pub usage: Option<Usage>,
    /// Why the model stopped.
    pub finish: Option<Finish>,
    /// What it cost, answers that were given up included.
    pub cost: Option<MicroUsd>,
    /// From the request's head to its end.
    pub latency: Duration,
    /// Where that model stood in its life when its answer began.
    pub phase: Option<Status>,
    /// Why this model answered, where the router chose it.
    pub plan: Option<&'a Plan>,
    /// What happened on the way.
    pub events: &'a [PlanEvent],
}

impl Answered<'_> {
    fn escalations(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, PlanEvent::Escalate { .. })).count()
    }

    /// By how much less it cost than the same tokens at the dearest candidate that was acceptable, in percent; below
    /// zero where an escalation made it dearer.
    fn savings(&self) -> Option<f64> {
        let (usage, cost) = (self.usage?, self.cost?);
        let acceptable = self.plan?.candidates.iter().filter(|candidate| candidate.dropped.is_none());
        let prices = acceptable.filter_map(|candidate| candidate.price);
        let dearest = prices.map(|price| price.cost(&usage).as_usd()).max_by(f64::total_cmp)?;
        (dearest > 0.0).then(|| ((1.0 - cost.as_usd() / dearest) * 1e4).round() / 1e2)
    }

    /// Whether it is whole: not cut at a limit or by a filter, and no code fence left open.
    fn format_ok(&self) -> Option<bool> {
        let cut = matches!(self.finish, Some(Finish::Length | Finish::ContentFilter));
        let open = self.text.lines().filter(|line| line.trim_start().starts_with("```")).count() % 2 == 1;
        (!self.text.is_empty()).then_some(!cut && !open)
    }

    /// False where the provider's filter ended it; nobody else has looked.
    fn safety_ok(&self) -> Option<bool> {
        (self.finish == Some(Finish::ContentFilter)).then_some(false)
    }
}

#[derive(Serialize)]
struct Final<'a> {
    r#type: &'static str,
    text: &'a str,
    model_used: &'a str,
    tokens_in: Option<u64>,
    tokens_out: Option<u64>,
    cost_usd: Option<f64>,
    savings_pct: Option<f64>,
    escalation_count: usize,
    quality_score: Option<f64>,
    cluster_hint: Option<&'a str>,
    energy_kwh: Option<f64>,
    co2e_grams: Option<f64>,
    tool_success: Option<bool>,
    format_ok: Option<bool>,
    safety_ok: Option<bool>,
    phase: Option<&'static str>,
    latency_ms: f64,
    finish_reason: Option<&'static str>,
}

impl<'a> Final<'a> {
    fn new(answered: &Answered<'a>) -> Self {
        Self {
            r#type: "final",
            text: answered.text,
            model_used: answered.model,
            tokens_in: answered.usage.map(|usage| usage.input),
            tokens_out: answered.usage.map(|usage| usage.output),
            cost_usd: answered.cost.map(usd),
            savings_pct: answered.savings(),
            escalation_count: answered.escalations(),
            // Scores come later, by feedback; energy, and whether tools worked, nobody measures.
            quality_score: None,
            cluster_hint: answered.plan.map(|plan| &*plan.cluster),
            energy_kwh: None,
            co2e_grams: None,
            tool_success: None,
            format_ok: answered.format_ok(),
            safety_ok: answered.safety_ok(),
            phase: answered.phase.map(Status::label),
            latency_ms: millis(answered.latency),
            finish_reason: answered.finish.map(Finish::label),
        }
    }
}

/// The last message of an answer that came to its end.
#[must_use]
pub fn final_message<'a>(answered: &Answered<'a>) -> impl Serialize + 'a {
    Final::new(answered)
}

#[derive(Serialize)]
struct Aborted<'a> {
    r#type: &'static str,
    aborted: bool,
    error: &'static str,
    detail: String,
    model_used: &'a str,
    tokens_in: Option<u64>,
    tokens_out: Option<u64>,
    cost_usd: Option<f64>,
    escalation_count: usize,
    latency_ms: f64,
}

/// The last message of an answer that broke off, after the head has gone out.
#[must_use]
pub fn aborted<'a>(answered: &Answered<'a>, error: &Error) -> impl Serialize + 'a {
    Aborted {
        r#type: "final",
        aborted: true,
        error: errors::code(error),
        detail: errors::detail(error),
        model_used: answered.model,
        tokens_in: answered.usage.map(|usage| usage.input),
        tokens_out: answered.usage.map(|usage| usage.output),
        cost_usd: answered.cost.map(usd),
        escalation_count: answered.escalations(),
        latency_ms: millis(answered.latency),
    }
}

#[derive(Serialize)]
struct Metadata<'a> {
    request_id: &'a str,
    plan: Line<'a>,
}

#[derive(Serialize)]
struct Whole<'a, E> {
    #[serde(flatten)]
    last: Final<'a>,
    /// The text once more, by the name that older clients know.
    response: &'a str,
    events: Vec<E>,
    metadata: Metadata<'a>,
}

/// An answer in one piece: the final message, with plan and events beside it.
#[must_use]
pub fn whole_answer<'a>(answered: &Answered<'a>, request_id: &'a str, notes: &'a [String]) -> impl Serialize + 'a {
    Whole {
        last: Final::new(answered),
        response: answered.text,
        events: answered.events.iter().map(super::event).collect(),
        metadata: Metadata { request_id, plan: Line::new(answered.plan, answered.model, notes) },
    }
}
