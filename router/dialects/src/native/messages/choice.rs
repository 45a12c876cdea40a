//! Plans and decisions as messages.

use std::time::Duration;

use atp_core::{Candidate, Capability, Decision, Dropped, Forecast, MicroUsd, Plan, Terms};
use serde::Serialize;

/// Dollars.
pub(super) fn usd(cost: MicroUsd) -> f64 {
    cost.as_usd()
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn hash(hash: u64) -> String {
    format!("{hash:016x}")
}

#[derive(Serialize)]
struct Role<'a> {
    role: &'static str,
    model: &'a str,
}

fn roles(plan: &Plan) -> Vec<Role<'_>> {
    let named = |(role, place): &(atp_core::Role, usize)| {
        plan.candidates.get(*place).map(|candidate| Role { role: role.label(), model: &candidate.model })
    };
    plan.roles.iter().filter_map(named).collect()
}

/// What a thousand tokens cost there, in dollars, in the mix of input and output that is expected of this request; in
/// equal parts where nothing is expected.
fn cost_per_1k(candidate: &Candidate) -> Option<f64> {
    let price = candidate.price?;
    let Forecast { input, output, .. } = candidate.forecast;
    let (input, output) = if input + output == 0 { (1.0, 1.0) } else { (input as f64, output as f64) };
    let per_million = (price.input as f64 * input + price.output as f64 * output) / (input + output);
    Some((per_million / 1e3).round() / 1e6)
}

#[derive(Serialize)]
struct Brief<'a> {
    model: &'a str,
    cost_per_1k: Option<f64>,
    quality_pred: Option<f64>,
    latency_p95: Option<f64>,
}

impl<'a> Brief<'a> {
    fn new(candidate: &'a Candidate) -> Self {
        Self {
            model: &candidate.model,
            cost_per_1k: cost_per_1k(candidate),
            quality_pred: Some(candidate.quality),
            latency_p95: candidate.latency_p95.map(millis),
        }
    }
}

/// The first line of an ask.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    r#type: &'static str,
    candidates: Vec<Brief<'a>>,
    cluster_hint: Option<&'a str>,
    prompt_hash: Option<String>,
    reason: &'a str,
    roles: Vec<Role<'a>>,
    plan_id: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

impl<'a> Line<'a> {
    pub(super) fn new(plan: Option<&'a Plan>, model: &'a str, notes: &'a [String]) -> Self {
        let Some(plan) = plan else { return Self::by_name(model, notes) };
        Self {
            r#type: "plan",
            candidates: considered(plan).map(Brief::new).collect(),
            cluster_hint: Some(&plan.cluster),
            prompt_hash: Some(hash(plan.prompt_hash)),
            reason: &plan.reason,
            roles: roles(plan),
            plan_id: Some(plan.id.to_string()),
            notes,
        }
    }

    fn by_name(model: &'a str, notes: &'a [String]) -> Self {
        Self {
            r#type: "plan",
            candidates: vec![Brief { model, cost_per_1k: None, quality_pred: None, latency_p95: None }],
            cluster_hint: None,
            prompt_hash: None,
            reason: "asked for by its name",
            roles: vec![Role { role: atp_core::Role::Primary.label(), model }],
            plan_id: None,
            notes,
        }
    }
}

/// Who may answer, in the order in which they are asked; behind them who plays another role.
fn considered(plan: &Plan) -> impl Iterator<Item = &Candidate> {
    let others = plan.roles.iter().map(|(_, place)| place).filter(|place| !plan.order.contains(place));
    plan.order.iter().chain(others).filter_map(|place| plan.candidates.get(*place))
}

#[derive(Serialize)]
struct Expected {
    input_tokens: u64,
    output_tokens: u64,
    output_tokens_guarded: u64,
    cost_usd: Option<f64>,
    cost_usd_guarded: Option<f64>,
}

#[derive(Serialize)]
struct Stats {
    cost_per_1k: Option<f64>,
    quality_pred: f64,
    latency_p95: Option<f64>,
    /// Micro-dollars per million tokens, as they are configured.
    prices: Option<atp_core::Price>,
    forecast: Expected,
}

#[derive(Serialize)]
struct Weighed<'a> {
    model: &'a str,
    stats: Stats,
    /// Why it was not considered.
    dropped: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<&'static str>,
    /// How it was scored, where it was.
    terms: Option<&'a Terms>,
}

impl<'a> Weighed<'a> {
    fn new(candidate: &'a Candidate) -> Self {
        let Forecast { input, output, output_guarded, cost, guarded } = candidate.forecast;
        Self {
            model: &candidate.model,
            stats: Stats {
                cost_per_1k: cost_per_1k(candidate),
                quality_pred: candidate.quality,
                latency_p95: candidate.latency_p95.map(millis),
                prices: candidate.price,
                forecast: Expected {
                    input_tokens: input,
                    output_tokens: output,
                    output_tokens_guarded: output_guarded,
                    cost_usd: cost.map(usd),
                    cost_usd_guarded: guarded.map(usd),
                },
            },
            dropped: candidate.dropped.map(Dropped::label),
            lacks: candidate.dropped.and_then(lacking).map(Capability::label),
            terms: candidate.dropped.is_none().then_some(&candidate.terms),
        }
    }
}

fn lacking(dropped: Dropped) -> Option<Capability> {
    match dropped {
        Dropped::Lacks(capability) => Some(capability),
        _ => None,
    }
}

#[derive(Serialize)]
struct Metadata<'a> {
    plan_id: String,
    route: &'a str,
    strategy: &'a str,
    quality: &'static str,
    weights: atp_core::Weights,
    max_cost_usd: Option<f64>,
    latency_slo_ms: Option<f64>,
    /// The models in the order in which they are asked.
    order: Vec<&'a str>,
    explored: bool,
}

/// A whole plan.
#[derive(Serialize)]
pub(super) struct Whole<'a> {
    selected_model: Option<&'a str>,
    candidates: Vec<Weighed<'a>>,
    reasoning: &'a str,
    roles: Vec<Role<'a>>,
    cluster_hint: &'a str,
    prompt_hash: String,
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

impl<'a> Whole<'a> {
    pub(super) fn new(plan: &'a Plan, notes: &'a [String]) -> Self {
        let name = |place: &usize| plan.candidates.get(*place).map(|candidate| &*candidate.model);
        Self {
            selected_model: plan.primary().map(|candidate| &*candidate.model),
            candidates: plan.candidates.iter().map(Weighed::new).collect(),
            reasoning: &plan.reason,
            roles: roles(plan),
            cluster_hint: &plan.cluster,
            prompt_hash: hash(plan.prompt_hash),
            metadata: Metadata {
                plan_id: plan.id.to_string(),
                route: &plan.route,
                strategy: &plan.strategy,
                quality: plan.quality.label(),
                weights: plan.weights,
                max_cost_usd: plan.max_cost.map(usd),
                latency_slo_ms: plan.latency_slo.map(millis),
                order: plan.order.iter().filter_map(name).collect(),
                explored: plan.explored,
            },
            notes,
        }
    }
}

#[derive(Serialize)]
struct Result<'a> {
    model_used: Option<&'a str>,
    outcome: &'static str,
    cost_usd: Option<f64>,
    tokens_in: Option<u64>,
    tokens_out: Option<u64>,
    latency_ms: f64,
    reward: Option<f64>,
    escalation_count: u32,
}

/// A decision, and how it went.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    id: String,
    tenant: &'a str,
    plan: Whole<'a>,
    /// Null while the answer is under way.
    result: Option<Result<'a>>,
    /// The last score that was told.
    score: Option<f64>,
}

impl<'a> Told<'a> {
    pub(super) fn new(decision: &'a Decision) -> Self {
        let result = decision.result.as_ref().map(|upshot| Result {
            model_used: upshot.model.as_deref(),
            outcome: upshot.outcome,
            cost_usd: upshot.cost.map(usd),
            tokens_in: upshot.tokens.map(|(input, _)| input),
            tokens_out: upshot.tokens.map(|(_, output)| output),
            latency_ms: millis(upshot.latency),
            reward: upshot.reward,
            escalation_count: upshot.escalations,
        });
        Self {
            id: decision.plan.id.to_string(),
            tenant: &decision.plan.tenant,
            plan: Whole::new(&decision.plan, &[]),
            result,
            score: decision.score,
        }
    }
}
