//! The metrics of the request path.
//!
//! Every label is a configured name or an enum, never text of a caller: a wildcard model counts
//! under its pattern, a raw provider under `providers/NAME`. What a request touches is resolved once
//! per snapshot; only failures look labels up.
//!
//! The names that the mission fixes are not counted a second time: a collector, in
//! `metrics/mission.rs`, derives them from these when they are asked for.

mod experiments;
mod flow;
mod in_flight;
mod mission;
mod money;
mod plan;
mod registrar;

use std::sync::Arc;

use atp_core::port::Outcome;
use atp_core::{Error, ErrorKind, MicroUsd, Operation, Usage};
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts};

use crate::attempt::Way;
use crate::cache::CacheFamilies;
use crate::lane::TryOutcome;
use crate::permit::Permits;

pub(crate) use self::experiments::ExperimentMetrics;
pub(crate) use self::flow::{FlowMetrics, HedgeOutcome};
pub(crate) use self::money::MoneyMetrics;
pub(crate) use self::plan::{Learnt, PlanMetrics};
pub use self::registrar::Registrar;

/// What the families of this crate are registered at.
pub(crate) type Registry = dyn Registrar;

/// Of the exchange's duration, in seconds: the mission's bounds (50 ms to 2 s), finer ones below for
/// fast models, coarser ones above for long answers.
const DURATION_BUCKETS: [f64; 17] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 2.0, 5.0, 15.0, 60.0, 180.0, 600.0];

/// Of the router's own work, in seconds: from 5 us, where a good machine is, to where something is
/// badly wrong.
const OVERHEAD_BUCKETS: [f64; 13] = [5e-6, 1e-5, 2e-5, 3e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 5e-2, 0.5];

/// The families of the request path.
#[derive(Clone)]
pub struct PipelineMetrics {
    requests: IntCounterVec,
    served: [IntCounter; Operation::ALL.len()],
    routes: RouteFamilies,
    lanes: LaneFamilies,
    retries: IntCounterVec,
    rescues: IntCounterVec,
    pub(crate) budget_exhausted: IntCounter,
    pub(crate) overhead: Histogram,
    config_version: IntGauge,
    pub(crate) cache: CacheFamilies,
    pub(crate) permits: Arc<Permits>,
    pub(crate) flow: FlowMetrics,
    pub(crate) money: MoneyMetrics,
    pub(crate) plan: PlanMetrics,
    pub(crate) experiments: ExperimentMetrics,
}

/// What is counted by configured model.
#[derive(Clone)]
struct RouteFamilies {
    duration: HistogramVec,
    first_token: HistogramVec,
    unknown_price: IntCounterVec,
    unknown_usage: IntCounterVec,
}

/// What is counted by configured model and provider.
#[derive(Clone)]
struct LaneFamilies {
    tokens: IntCounterVec,
    cost: IntCounterVec,
    attempts: IntCounterVec,
}

/// The handles of one route.
#[derive(Clone)]
pub(crate) struct RouteMetrics {
    pub(crate) duration: Histogram,
    pub(crate) first_token: Histogram,
    /// Waits for a turn, in milliseconds.
    pub(crate) waits: Histogram,
    pub(crate) unknown_price: IntCounter,
    pub(crate) unknown_usage: IntCounter,
}

/// The handles of one lane.
#[derive(Clone)]
pub(crate) struct LaneMetrics {
    outcomes: [IntCounter; 4],
    input: IntCounter,
    output: IntCounter,
    cached: IntCounter,
    reasoning: IntCounter,
    cost: IntCounter,
}

impl PipelineMetrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    ///
    /// Where a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = counters(
            registry,
            "atp_requests_total",
            "Requests by operation, outcome, error code and whose fault it was",
            &["operation", "outcome", "error", "side"],
        )?;
        let routes = RouteFamilies::register(registry)?;
        let permits = Permits::new();
        add(registry, in_flight::InFlight::new(Arc::clone(&permits))?)?;
        add(registry, mission::Mission::new(requests.clone(), routes.duration.clone())?)?;
        let overhead = HistogramOpts::new("atp_overhead_seconds", "The router's own work, providers' time excluded")
            .buckets(OVERHEAD_BUCKETS.to_vec());
        let exhausted = IntCounter::new(
            "atp_retry_budget_exhausted_total",
            "Tries that were not made because the gateway's retry budget was used up",
        )?;
        let retries = counters(
            registry,
            "atp_retries_total",
            "Tries after the first of an exchange, by the error code that caused them",
            &["reason"],
        )?;
        let rescues = counters(
            registry,
            "atp_streams_broken_total",
            "Streams that broke off after content and were to be gone on with, by the way",
            &["way"],
        )?;
        let version = IntGauge::new("atp_config_version", "The number of the configuration in force")?;
        let served = |operation: Operation| [operation.label(), Outcome::Served.label(), "", ""];
        Ok(Self {
            served: Operation::ALL.map(|operation| requests.with_label_values(&served(operation))),
            requests,
            routes,
            lanes: LaneFamilies::register(registry)?,
            retries,
            rescues,
            budget_exhausted: add(registry, exhausted)?,
            overhead: add(registry, Histogram::with_opts(overhead)?)?,
            config_version: add(registry, version)?,
            cache: CacheFamilies::register(registry)?,
            permits,
            flow: FlowMetrics::register(registry)?,
            money: MoneyMetrics::register(registry)?,
            plan: PlanMetrics::register(registry)?,
            experiments: ExperimentMetrics::register(registry)?,
        })
    }

    /// The handles of a route.
    pub(crate) fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics {
            duration: self.routes.duration.with_label_values(&[name]),
            first_token: self.routes.first_token.with_label_values(&[name]),
            waits: self.flow.waits.with_label_values(&[name]),
            unknown_price: self.routes.unknown_price.with_label_values(&[name]),
            unknown_usage: self.routes.unknown_usage.with_label_values(&[name]),
        }
    }

    /// The handles of a lane.
    pub(crate) fn lane(&self, provider: &str, route: &str) -> LaneMetrics {
        let tokens = |direction| self.lanes.tokens.with_label_values(&[route, provider, direction]);
        LaneMetrics {
            outcomes: TryOutcome::ALL
                .map(|outcome| self.lanes.attempts.with_label_values(&[provider, route, outcome.label()])),
            input: tokens("input"),
            output: tokens("output"),
            cached: tokens("cached"),
            reasoning: tokens("reasoning"),
            cost: self.lanes.cost.with_label_values(&[route, provider]),
        }
    }

    /// Counts an exchange, or a request that did not become one.
    pub(crate) fn count(&self, operation: Option<Operation>, outcome: Outcome, error: Option<&Error>) {
        if let (Outcome::Served, Some(operation)) = (outcome, operation)
            && let Some(served) = self.served.get(operation as usize)
        {
            served.inc();
            return;
        }
        let (code, side) = match (error, outcome) {
            (Some(error), _) => (error.kind().code(), error.side().label()),
            (None, Outcome::Cancelled) => (ErrorKind::Cancelled.code(), atp_core::Side::Caller.label()),
            (None, _) => ("", ""),
        };
        let operation = operation.map_or("none", Operation::label);
        self.requests.with_label_values(&[operation, outcome.label(), code, side]).inc();
    }

    /// Tells which configuration is in force.
    pub(crate) fn set_version(&self, version: u64) {
        self.config_version.set(i64::try_from(version).unwrap_or(i64::MAX));
    }

    /// Counts a stream that broke off and is to be gone on with.
    pub(crate) fn count_rescue(&self, way: &Way) {
        self.rescues.with_label_values(&[way.label()]).inc();
    }

    /// Counts a try after the first of an exchange.
    pub(crate) fn count_retry(&self, reason: ErrorKind) {
        self.retries.with_label_values(&[reason.code()]).inc();
    }
}

impl RouteFamilies {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            duration: histograms(
                registry,
                "atp_request_duration_seconds",
                "From the request's head to the end of its answer",
            )?,
            first_token: histograms(
                registry,
                "atp_time_to_first_token_seconds",
                "From the request's head to the first content of a stream",
            )?,
            unknown_price: counters(
                registry,
                "atp_unknown_price_total",
                "Answers with known usage whose model has no price, so that their cost is unknown",
                &["model"],
            )?,
            unknown_usage: counters(
                registry,
                "atp_unknown_usage_total",
                "Answers whose provider told no usage, so that their tokens and cost are unknown",
                &["model"],
            )?,
        })
    }
}

impl LaneFamilies {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            tokens: counters(
                registry,
                "atp_tokens_total",
                "Tokens as providers told them; cached is part of input, reasoning of output",
                &["model", "provider", "direction"],
            )?,
            cost: counters(registry, "atp_cost_microusd_total", "Cost in micro-dollars", &["model", "provider"])?,
            attempts: counters(
                registry,
                "atp_upstream_attempts_total",
                "Tries at providers by how they ended",
                &["provider", "model", "outcome"],
            )?,
        })
    }
}

impl LaneMetrics {
    /// Counts a try.
    pub(crate) fn count(&self, outcome: TryOutcome) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.inc();
        }
    }

    /// Counts tokens; what is zero touches nothing.
    pub(crate) fn count_usage(&self, usage: &Usage) {
        let counts = [
            (&self.input, usage.input),
            (&self.output, usage.output),
            (&self.cached, usage.cached_input),
            (&self.reasoning, usage.reasoning),
        ];
        for (counter, tokens) in counts {
            if tokens > 0 {
                counter.inc_by(tokens);
            }
        }
    }

    /// Counts money.
    pub(crate) fn count_cost(&self, cost: MicroUsd) {
        if cost.0 > 0 {
            self.cost.inc_by(cost.0);
        }
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    add(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn histograms(registry: &Registry, name: &str, help: &str) -> Result<HistogramVec, prometheus::Error> {
    add(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec()), &["model"])?)
}
