//! Choosing and money as JSON, laid out as the file is.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Capability, Grade, MicroUsd, Weights};
use serde_json::{Map, Value, json};

use super::super::super::value::show_span;
use super::super::{
    Budget, Ensemble, EnsembleMode, Experiment, JournalSettings, Judge, Manner, ModelFacts, Money, RouteRules, strategy,
};

/// What is known of a model, into its fields.
pub(super) fn facts_into(fields: &mut Map<String, Value>, facts: &ModelFacts) {
    let labels = |list: &Vec<Arc<str>>| list.iter().map(|label| json!(&**label)).collect::<Value>();
    let names = |capabilities: &atp_core::Capabilities| {
        let held = Capability::ALL.into_iter().filter(|each| capabilities.has(*each));
        held.map(|each| json!(each.label())).collect::<Value>()
    };
    let told = json!({
        "quality": facts.quality,
        "latency_p95_ms": facts.latency_p95.map(millis),
        "context": facts.context,
        "capabilities": facts.capabilities.as_ref().map(names),
        "safety": facts.safety.map(Grade::label),
        "status": facts.status.label(),
        "region": facts.region.as_deref(),
        "data_scopes": facts.data_scopes.as_ref().map(labels),
    });
    if let Value::Object(told) = told {
        fields.extend(told);
    }
}

/// Whole milliseconds, as the file writes them.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Dollars as the file writes them.
pub(super) fn usd(amount: MicroUsd) -> f64 {
    amount.as_usd()
}

/// A share in percent, without the noise behind the sixth digit.
fn percent(share: f64) -> String {
    format!("{}%", (share * 1e8).round() / 1e6)
}

/// A route; that which nobody configured has no list of candidates.
pub(super) fn route_json(route: &RouteRules) -> Value {
    let ensemble = match &route.manner {
        Manner::One(_) => None,
        Manner::Several(ensemble) => Some(ensemble_json(ensemble)),
    };
    let names = || route.candidates.iter().map(|name| json!(&**name)).collect::<Value>();
    json!({
        "name": &*route.name,
        // Who they are follows from the models, which stand beside it.
        "candidates": if route.listed { names() } else { json!("every model") },
        "strategy": strategy(route),
        "explore": percent(route.explore),
        "half_life": show_span(route.half_life),
        "prior_weight": route.prior_weight,
        "weights": route.weights.map(|Weights { quality, cost, latency }| {
            json!({ "quality": quality, "cost": cost, "latency": latency })
        }),
        "safety": route.safety.map(Grade::label),
        "escalation": {
            "enabled": route.escalation.enabled,
            "min_confidence": route.escalation.min_confidence,
            "hold_streams": route.escalation.hold_streams,
        },
        "sticky": {
            "session": route.sticky.session,
            "prefix": route.sticky.prefix,
            "ttl": show_span(route.sticky.ttl),
        },
        "experiment": route.experiment.as_ref().map(experiment_json),
        "ensemble": ensemble,
    })
}

fn experiment_json(experiment: &Experiment) -> Value {
    let judge = match &experiment.judge {
        Judge::Model(model) => json!({ "model": &**model }),
        Judge::Signs => json!("signs"),
    };
    json!({
        "challenger": experiment.challenger.as_deref(),
        "share": percent(experiment.share),
        "max_usd_per_day": usd(experiment.max_usd_per_day),
        "judge": judge,
    })
}

fn ensemble_json(ensemble: &Ensemble) -> Value {
    let mode = match &ensemble.mode {
        EnsembleMode::FirstWin => json!("first_win"),
        EnsembleMode::Quorum => json!("quorum"),
        EnsembleMode::Weighted => json!("weighted"),
        EnsembleMode::Arbiter { model, max_cost } => {
            json!({ "arbiter": { "model": &**model, "max_usd": usd(*max_cost) } })
        }
    };
    json!({
        "mode": mode,
        "size": ensemble.size,
        "agree": ensemble.agree,
        "patience": show_span(ensemble.patience),
    })
}

/// The tenants that have a budget.
pub(super) fn tenants_json(money: &Money) -> Value {
    let tenant =
        |(name, budgets): &(Arc<str>, Vec<Budget>)| json!({ "name": &**name, "budget": budgets_json(budgets) });
    money.tenants.iter().map(tenant).collect()
}

/// Budgets, in the order of the file.
pub(super) fn budgets_json(budgets: &[Budget]) -> Value {
    let budget = |each: &Budget| json!({ "usd": each.cost.map(usd), "tokens": each.tokens, "per": each.per.label() });
    budgets.iter().map(budget).collect()
}

/// Files of lines.
pub(super) fn journal_json(journal: &JournalSettings) -> Value {
    json!({
        "enabled": journal.enabled,
        "path": journal.path,
        "max_file": journal.max_file,
        "keep": journal.keep.map(show_span),
    })
}
