//! The sharing of models as JSON: queues, lanes, tenants, weights.
//!
//! Times are whole and broken milliseconds, tokens are counts, what is not known is `null`.

use std::collections::BTreeMap;
use std::time::Duration;

use atp_admin::FlowPart;
use atp_core::{Error, ErrorKind, Qos, Weight};
use atp_pipeline::Pipeline;
use atp_pipeline::view::{FlowView, LaneView, PoolView, TenantView, WeightView};
use serde_json::{Value, json};

use crate::config::nearest;

/// More names than this do not help whom mistyped one.
const MOST_NAMES: usize = 20;

/// The part that is asked for. `ended` counts the requests that have ended since the start.
pub(super) fn part(pipeline: &Pipeline, part: FlowPart, ended: impl FnOnce() -> u64) -> Value {
    match part {
        FlowPart::All => all(pipeline, ended()),
        FlowPart::Windows => json!({ "windows": pipeline.flow().lanes.iter().map(window).collect::<Vec<_>>() }),
        FlowPart::Breakers => breakers(&pipeline.flow()),
        FlowPart::Weights => weights(&pipeline.weights()),
        FlowPart::Served => served(&pipeline.flow(), &pipeline.weights()),
    }
}

/// Changes a tenant's weight.
pub(super) fn set_weight(pipeline: &Pipeline, tenant: &str, weight: Weight) -> Result<Value, Error> {
    let Some(before) = pipeline.set_weight(tenant, weight) else { return Err(unknown(tenant, &pipeline.weights())) };
    let (before, after) = (before.as_f64(), weight.as_f64());
    tracing::info!(tenant, before, after, "a tenant's weight was changed on the admin port");
    Ok(json!({ "tenant": tenant, "before": before, "after": after }))
}

fn unknown(tenant: &str, known: &[WeightView]) -> Error {
    let names: Vec<&str> = known.iter().map(|known| &*known.tenant).collect();
    let near = nearest(tenant, names.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let listed = names.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let more = if names.len() > MOST_NAMES { ", ..." } else { "" };
    let text = format!("no key belongs to a tenant `{tenant}`; there are {listed}{more}{near}");
    Error::caller(ErrorKind::NotFound, text).with_param("tenant")
}

fn all(pipeline: &Pipeline, ended: u64) -> Value {
    let view = pipeline.flow();
    let budget = pipeline.retry_budget();
    json!({
        "requests": { "ended": ended, "in_flight": pipeline.in_flight() },
        "retry_budget": { "balance": budget.balance, "per_mille": budget.per_mille, "floor": budget.floor },
        "jain": view.jain,
        "pools": view.pools.iter().map(|each| pool(each, &view.lanes)).collect::<Vec<_>>(),
        "lanes": view.lanes.iter().map(lane).collect::<Vec<_>>(),
        "tenants": view.tenants.iter().map(tenant).collect::<Vec<_>>(),
    })
}

/// `provider/model`; the provider alone where it is asked as it is, for whatever model.
fn name(lane: &LaneView) -> String {
    if lane.model.is_empty() { lane.provider.to_string() } else { format!("{}/{}", lane.provider, lane.model) }
}

fn ms(span: Duration) -> f64 {
    // To the microsecond: more digits would be noise.
    (span.as_secs_f64() * 1e6).round() / 1e3
}

fn pool(pool: &PoolView, lanes: &[LaneView]) -> Value {
    let waiting = |qos: Qos| pool.waiting.get(qos as usize).copied().unwrap_or_default();
    json!({
        "model": &*pool.model,
        "waiting": { "gold": waiting(Qos::Gold), "silver": waiting(Qos::Silver), "bronze": waiting(Qos::Bronze) },
        "max_waiting": pool.max_waiting,
        "max_wait_ms": ms(pool.max_wait),
        "granted": pool.granted,
        "enqueued": pool.enqueued,
        "dequeued": pool.dequeued,
        "dropped": pool.dropped,
        "preempted": pool.preempted,
        "sessions": pool.sessions,
        "wait_ms": {
            "p50": ms(pool.wait_p50),
            "p95": ms(pool.wait_p95),
            "p99": ms(pool.wait_p99),
            "max": ms(pool.longest_wait),
        },
        "drain_tokens_per_second": pool.drain_tokens_per_second,
        "lanes": pool.lanes.iter().filter_map(|place| lanes.get(*place)).map(name).collect::<Vec<_>>(),
    })
}

fn lane(lane: &LaneView) -> Value {
    json!({
        "lane": name(lane),
        "provider": &*lane.provider,
        "model": &*lane.model,
        "state": lane.state,
        "in_flight": lane.in_flight,
        "limit": lane.limit,
        "min": lane.min,
        "max": lane.max,
        "grown": lane.grown,
        "cuts": lane.cuts,
        "adjusted": lane.adjusted,
        "rest_ms": lane.rest.map(ms),
        "first_token_ms": { "p50": lane.first_token_p50.map(ms), "p95": lane.first_token_p95.map(ms) },
        "tokens_per_minute": lane.tokens_per_minute,
        "requests_per_minute": lane.requests_per_minute,
        "failures": lane.failures,
    })
}

fn tenant(tenant: &TenantView) -> Value {
    json!({
        "tenant": &*tenant.tenant,
        "qos": tenant.qos.label(),
        "model": &*tenant.model,
        "weight": tenant.weight.as_f64(),
        "effective_weight": tenant.weight.as_f64() * f64::from(tenant.qos.factor()),
        "served_tokens": tenant.served_tokens,
        "charged_tokens": tenant.charged_tokens,
        "in_flight": tenant.in_flight,
        "waiting": tenant.waiting,
    })
}

fn window(lane: &LaneView) -> Value {
    let used = if lane.limit == 0 { 0.0 } else { f64::from(lane.in_flight) / f64::from(lane.limit) };
    json!({
        "lane": name(lane),
        "in_flight": lane.in_flight,
        "limit": lane.limit,
        "min": lane.min,
        "max": lane.max,
        "grown": lane.grown,
        "cuts": lane.cuts,
        "adjusted": lane.adjusted,
        "utilization_pct": (used * 1000.0).round() / 10.0,
        "tokens_per_minute": lane.tokens_per_minute,
        "requests_per_minute": lane.requests_per_minute,
    })
}

fn breakers(view: &FlowView) -> Value {
    let row = |lane: &LaneView| {
        json!({
            "lane": name(lane),
            "state": lane.state,
            "failures": lane.failures,
            "rest_ms": lane.rest.map(ms),
        })
    };
    let open = view.lanes.iter().filter(|lane| lane.state != "serving").count();
    json!({ "breakers": view.lanes.iter().map(row).collect::<Vec<_>>(), "open": open })
}

fn weights(weights: &[WeightView]) -> Value {
    let row = |each: &WeightView| {
        json!({
            "tenant": &*each.tenant,
            "session": &*each.tenant,
            "weight": each.weight.as_f64(),
            "configured": each.configured.as_f64(),
        })
    };
    let factors: BTreeMap<&str, u32> = Qos::ALL.into_iter().map(|qos| (qos.label(), qos.factor())).collect();
    json!({ "weights": weights.iter().map(row).collect::<Vec<_>>(), "class_factors": factors })
}

/// One row per tenant over all models and classes, the one that was served most first.
fn served(view: &FlowView, weights: &[WeightView]) -> Value {
    let mut sums: BTreeMap<&str, (u64, u64, Weight)> = BTreeMap::new();
    for each in weights {
        sums.insert(&each.tenant, (0, 0, each.weight));
    }
    for each in &view.tenants {
        let (served, charged, _) = sums.entry(&each.tenant).or_insert((0, 0, each.weight));
        *served = served.saturating_add(each.served_tokens);
        *charged = charged.saturating_add(each.charged_tokens);
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    // Equals stay in the order of their names.
    rows.sort_by_key(|(_, (served, ..))| std::cmp::Reverse(*served));
    let row = |(tenant, (served, charged, weight)): (&str, (u64, u64, Weight))| {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 tokens")]
        let per_weight = served as f64 / weight.as_f64();
        json!({
            "tenant": tenant,
            "session": tenant,
            "served": served,
            "charged": charged,
            "weight": weight.as_f64(),
            "served_per_weight": (per_weight * 1000.0).round() / 1000.0,
        })
    };
    json!({ "served": rows.into_iter().map(row).collect::<Vec<_>>(), "jain": view.jain })
}

#[cfg(test)]
mod tests;
