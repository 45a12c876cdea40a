//! The state of sharing as plain values, put together from the cells when somebody asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use atp_core::{Qos, Weight};
use atp_routing::control::State;
use atp_routing::fair_queue::FlowId;

use super::flow_cell::FlowCell;
use super::lane::LaneCell;
use super::pool::Pool;
use super::registry::{Of, Registry};
use crate::snapshot::Queue;
use crate::view::{FlowView, LaneView, PoolView, TenantView};

/// How long a minute takes in nanoseconds: limits are told per minute.
const MINUTE: u64 = 60_000_000_000;

impl Registry {
    /// Everything at `now`.
    pub(crate) fn view(&self, now: Instant) -> FlowView {
        let mut view = FlowView { jain: 1.0, ..FlowView::default() };
        let mut places = HashMap::new();
        for entry in &self.pools {
            let pool = &entry.pool;
            let One { pool: pool_view, tenants, jain } = one_pool(pool, &entry.rules, now);
            let used = pool_view.granted > 0 || pool_view.enqueued > 0 || pool_view.dropped > 0;
            if entry.of == Of::Provider && !used {
                continue;
            }
            let lanes = pool.lanes.iter().map(|lane| {
                *places.entry(Arc::as_ptr(lane)).or_insert_with(|| {
                    view.lanes.push(one_lane(lane, now));
                    view.lanes.len() - 1
                })
            });
            let lanes = lanes.collect();
            view.pools.push(PoolView { lanes, ..pool_view });
            view.jain = view.jain.min(jain);
            view.tenants.extend(tenants);
        }
        view
    }
}

/// One pool's part of the picture.
struct One {
    pool: PoolView,
    tenants: Vec<TenantView>,
    jain: f64,
}

fn one_pool(pool: &Pool, rules: &Queue, now: Instant) -> One {
    let flows = pool.all_flows();
    let line = pool.line();
    let known: HashMap<FlowId, _> = line.queue.flows().map(|flow| (flow.flow, flow)).collect();
    let wait = |share| line.waits.quantile(share).unwrap_or_default();
    let view = PoolView {
        model: Arc::clone(&pool.name),
        waiting: Qos::ALL.map(|qos| line.queue.len_of(qos)),
        max_waiting: rules.max_waiting,
        max_wait: rules.max_wait,
        granted: flows.iter().map(|flow| flow.granted.load(Ordering::Relaxed)).sum(),
        enqueued: line.counts.enqueued,
        dequeued: line.counts.dequeued,
        dropped: line.counts.dropped,
        preempted: line.counts.preempted,
        sessions: known.values().map(|flow| flow.sessions).sum(),
        wait_p50: wait(0.50),
        wait_p95: wait(0.95),
        wait_p99: wait(0.99),
        longest_wait: line.counts.longest_wait,
        drain_tokens_per_second: line.drain.rates(now).map(|(tokens, _)| tokens),
        lanes: Vec::new(),
    };
    drop(line);
    let tenants = flows.iter().filter_map(|flow| {
        let known = known.get(&flow.id)?;
        Some(TenantView {
            tenant: Arc::clone(&flow.tenant),
            qos: flow.qos,
            model: Arc::clone(&pool.name),
            weight: known.weight,
            served_tokens: flow.served.load(Ordering::Relaxed),
            charged_tokens: known.charged,
            in_flight: flow.in_flight.load(Ordering::Relaxed),
            waiting: flow.waiting.load(Ordering::Relaxed),
        })
    });
    let mut tenants: Vec<TenantView> = tenants.collect();
    tenants.sort_by(|one, other| (&one.tenant, one.qos).cmp(&(&other.tenant, other.qos)));
    let weights = known.into_iter().map(|(flow, known)| (flow, known.weight)).collect();
    One { pool: view, tenants, jain: jain(pool, &flows, &weights, now) }
}

fn one_lane(lane: &LaneCell, now: Instant) -> LaneView {
    let control = lane.view(now);
    let per_minute = |ns: u64| MINUTE.checked_div(ns);
    LaneView {
        provider: Arc::clone(&lane.provider),
        model: Arc::clone(&lane.model),
        state: match control.state {
            State::Serving => "serving",
            State::Ejected => "ejected",
            State::Probing => "probing",
        },
        in_flight: lane.load().in_flight,
        limit: control.limit,
        min: control.rules.min,
        max: control.rules.max,
        grown: lane.counts.grown.load(Ordering::Relaxed),
        cuts: lane.counts.cuts.load(Ordering::Relaxed),
        adjusted: lane.counts.adjusted.load(Ordering::Relaxed),
        rest: control.rest,
        first_token_p50: control.p50_first_token,
        first_token_p95: control.p95_first_token,
        tokens_per_minute: control.rate.and_then(|pace| per_minute(pace.ns_per_token)),
        requests_per_minute: control.rate.and_then(|pace| per_minute(pace.ns_per_request)),
        failures: lane.counts.failures.load(Ordering::Relaxed),
    }
}

/// Jain's index of what the flows that wait were charged lately, each divided by its share.
fn jain(pool: &Pool, flows: &[Arc<FlowCell>], weights: &HashMap<FlowId, Weight>, now: Instant) -> f64 {
    let waiting = flows.iter().filter(|flow| flow.waiting.load(Ordering::Relaxed) > 0);
    let shares = waiting.map(|flow| {
        let weight = weights.get(&flow.id).copied().unwrap_or_default();
        pool.recent(flow, now) / (weight.as_f64() * f64::from(flow.qos.factor()))
    });
    let (count, sum, squares) = shares
        .fold((0.0, 0.0, 0.0), |(count, sum, squares), share| (count + 1.0, sum + share, squares + share * share));
    if squares > 0.0 { sum * sum / (count * squares) } else { 1.0 }
}
