//! One line for each answer to a choice: the mission's observation, schema version 2. It holds nothing of the
//! prompt but a hash of it.

use atp_core::port::{JournalFile, Kept};
use atp_core::{Candidate, Status, Upshot, Usage};
use serde::Serialize;

use super::chosen::Chosen;
use super::learn::Ended;
use super::signs;
use crate::pipeline::Shared;

/// The version of the lines.
const SCHEMA: u32 = 2;

#[derive(Serialize)]
struct Observation<'a> {
    schema_version: u32,
    /// Seconds since the Unix epoch.
    ts: f64,
    request_id: String,
    tenant: &'a str,
    route: &'a str,
    prompt_hash: String,
    cluster_hint: &'a str,
    task_type: &'a str,
    /// In the order in which they were to be asked.
    model_plan: Vec<&'a str>,
    /// The one that answered.
    primary_model: &'a str,
    bandit_primary: &'a str,
    bandit_strategy: &'a str,
    latency_s: f64,
    tokens_in: u64,
    tokens_out: u64,
    cost_usd: f64,
    /// Whether tokens and cost are known; where they are not they stand as 0.
    usage_known: bool,
    /// Against the dearest candidate with a price, at the same tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    savings_pct: Option<f64>,
    escalated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    format_ok: Option<bool>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<f64>,
    /// Where the model that answered stands in its life.
    phase: &'a str,
}

/// Writes the line of a choice that has come to its end.
pub(super) fn tell(shared: &Shared, chosen: &Chosen, ended: &Ended<'_>, upshot: &Upshot) {
    let Some(journal) = shared.journal.as_deref().filter(|journal| journal.takes(JournalFile::Observations)) else {
        return;
    };
    let (basis, plan) = (&chosen.basis, &chosen.basis.plan);
    let name = |place: &usize| plan.candidates.get(*place).map(|candidate| &*candidate.model);
    let first = plan.order.first().and_then(name).unwrap_or_default();
    let usage = ended.usage.unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a float exactly")]
    let ts = ended.unix_ms as f64 / 1e3;
    let line = Observation {
        schema_version: SCHEMA,
        ts,
        request_id: plan.id.to_string(),
        tenant: &plan.tenant,
        route: &basis.route,
        prompt_hash: format!("{:016x}", plan.prompt_hash),
        cluster_hint: &plan.cluster,
        task_type: basis.features.kind.label(),
        model_plan: plan.order.iter().filter_map(name).collect(),
        primary_model: upshot.model.as_deref().unwrap_or(first),
        bandit_primary: first,
        bandit_strategy: &plan.strategy,
        latency_s: ended.latency.as_secs_f64(),
        tokens_in: usage.input,
        tokens_out: usage.output,
        cost_usd: ended.charged.unwrap_or_default().as_usd(),
        usage_known: ended.usage.is_some() && ended.charged.is_some(),
        savings_pct: savings(&plan.candidates, &usage, ended),
        escalated: upshot.escalations > 0,
        format_ok: chosen.signs.and_then(|signs| signs::format_ok(&basis.features, &signs)),
        outcome: upshot.outcome,
        reward: upshot.reward,
        phase: phase(shared, chosen, upshot.model.as_deref().unwrap_or(first)).label(),
    };
    // A lost line is counted by who lost it.
    let _: Kept = journal.write(JournalFile::Observations, serde_json::to_string(&line).unwrap_or_default());
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn savings(candidates: &[Candidate], usage: &Usage, ended: &Ended<'_>) -> Option<f64> {
    let (cost, _) = ended.charged.zip(ended.usage)?;
    let prices = candidates.iter().filter_map(|candidate| candidate.price);
    let most = prices.map(|price| price.cost(usage).0).max().filter(|most| *most > 0)?;
    Some((1.0 - cost.0 as f64 / most as f64) * 100.0)
}

fn phase(shared: &Shared, chosen: &Chosen, model: &str) -> Status {
    let live = shared.live();
    let choice = live.choice(&chosen.basis.route);
    let arm = choice.and_then(|choice| choice.arms.get(choice.arm_of(model)?));
    arm.map_or(Status::Active, |arm| arm.route.known.status().unwrap_or(arm.facts.status))
}
