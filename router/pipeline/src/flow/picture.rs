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
    /// Everything at `now`; `named` is what was asked for behind patterns: each one's pool, its bounds, and the
    /// pattern's pool.
    pub(crate) fn view<'a>(
        &'a self,
        named: impl Iterator<Item = (Arc<Pool>, Queue, &'a Arc<Pool>)>,
        now: Instant,
    ) -> FlowView {
        let mut picture = Picture::default();
        picture.view.jain = 1.0;
        for entry in &self.pools {
            let one = one_pool(&entry.pool, &entry.rules, now);
            let used = one.pool.granted > 0 || one.pool.enqueued > 0 || one.pool.dropped > 0;
            if entry.of == Of::Model || used {
                picture.add(&entry.pool, &entry.pool, one, now);
            }
        }
        for (pool, rules, pattern) in named {
            picture.add(&pool, pattern, one_pool(&pool, &rules, now), now);
        }
        picture.view
    }
}

/// The picture so far, and which lanes are in it.
#[derive(Default)]
struct Picture {
    view: FlowView,
    places: HashMap<*const LaneCell, usize>,
}

impl Picture {
    /// Adds a pool that counts under the names of `pattern`, which has as many lanes.
    fn add(&mut self, pool: &Pool, pattern: &Pool, one: One, now: Instant) {
        let lanes = pool.lanes.iter().zip(&pattern.lanes).map(|(lane, of)| {
            *self.places.entry(Arc::as_ptr(lane)).or_insert_with(|| {
                self.view.lanes.push(LaneView { counts_as: Arc::clone(&of.model), ..one_lane(lane, now) });
                self.view.lanes.len() - 1
            })
        });
        let lanes = lanes.collect();
        self.view.pools.push(PoolView { lanes, counts_as: Arc::clone(&pattern.name), ..one.pool });
        self.view.jain = self.view.jain.min(one.jain);
        self.view.tenants.extend(one.tenants);
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
    let counts = pool.counts(&line);
    let known: HashMap<FlowId, _> = line.queue.flows().map(|flow| (flow.flow, flow)).collect();
    let wait = |share| line.waits.quantile(share).unwrap_or_default();
    let view = PoolView {
        model: Arc::clone(&pool.name),
        counts_as: Arc::clone(&pool.name),
        waiting: Qos::ALL.map(|qos| line.queue.len_of(qos)),
        max_waiting: rules.max_waiting,
        max_wait: rules.max_wait,
        granted: counts.granted + flows.iter().map(|flow| flow.granted.load(Ordering::Relaxed)).sum::<u64>(),
        enqueued: counts.enqueued,
        dequeued: counts.dequeued,
        dropped: counts.dropped,
        preempted: counts.preempted,
        sessions: known.values().map(|flow| flow.sessions).sum(),
        wait_p50: wait(0.50),
        wait_p95: wait(0.95),
        wait_p99: wait(0.99),
        longest_wait: counts.longest_wait,
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
        counts_as: Arc::clone(&lane.model),
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

/// Jain's index of what the tenants that wait were charged lately, each divided by its weight in the best of the
/// classes in which it waits.
fn jain(pool: &Pool, flows: &[Arc<FlowCell>], weights: &HashMap<FlowId, Weight>, now: Instant) -> f64 {
    let waits = |flow: &&Arc<FlowCell>| flow.waiting.load(Ordering::Relaxed) > 0;
    let mut tenants: HashMap<&str, (f64, u32)> = HashMap::new();
    for flow in flows.iter().filter(waits) {
        let weight = weights.get(&flow.id).copied().unwrap_or_default();
        let (share, best) = tenants.entry(&flow.tenant).or_default();
        *share += pool.recent(flow, now) / weight.as_f64();
        *best = (*best).max(flow.qos.factor());
    }
    let shares = tenants.into_values().map(|(share, best)| share / f64::from(best.max(1)));
    let (count, sum, squares) = shares
        .fold((0.0, 0.0, 0.0), |(count, sum, squares), share| (count + 1.0, sum + share, squares + share * share));
    if squares > 0.0 { sum * sum / (count * squares) } else { 1.0 }
}
