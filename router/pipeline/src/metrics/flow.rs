//! The metrics of sharing: counted where they happen only if nothing else knows them, else read from
//! the pools and lanes themselves when they are asked for, so that a request pays nothing.
//!
//! What was asked for behind a pattern counts under the pattern: sums where something is counted, the largest
//! where something is a time or a share. So the series are as many as the configuration has names.
//!
//! The names are the mission's. Its metrics of starvation have no counterpart: nobody starves in a queue
//! whose wait is bounded, so that there is nothing to boost and nothing to count.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use atp_core::Qos;
use prometheus::core::{Collector, Desc};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, proto};

use super::{Registry, add};
use crate::view::{FlowView, LaneView, PoolView};

/// Of the waits for a turn, in milliseconds: the mission's range.
const WAIT_BUCKETS_MS: [f64; 12] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 5_000.0, 30_000.0];

/// Who shows the pools and lanes; set once there are any.
type Source = Arc<OnceLock<Box<dyn Fn() -> FlowView + Send + Sync>>>;

/// The families.
#[derive(Clone)]
pub(crate) struct FlowMetrics {
    hedges: [IntCounter; HedgeOutcome::ALL.len()],
    pub(super) waits: HistogramVec,
    source: Source,
}

/// What became of a hedge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HedgeOutcome {
    /// The second target answered first.
    Won,
    /// The first one did after all.
    Lost,
    /// The second target failed.
    Failed,
    /// No other target had room.
    NoRoom,
    /// The budget of hedges was used up.
    Unaffordable,
}

impl HedgeOutcome {
    const ALL: [Self; 5] = [Self::Won, Self::Lost, Self::Failed, Self::NoRoom, Self::Unaffordable];

    const fn label(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failed => "failed",
            Self::NoRoom => "no_room",
            Self::Unaffordable => "unaffordable",
        }
    }
}

impl FlowMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Second tries beside slow first ones, by what became of them";
        let hedges = super::counters(registry, "atp_hedges_total", help, &["outcome"])?;
        let waits =
            HistogramOpts::new("fair_sched_wait_ms", "Waits for a turn in milliseconds, of those who had to wait")
                .buckets(WAIT_BUCKETS_MS.to_vec());
        let source = Source::default();
        add(registry, Picture::new(Arc::clone(&source))?)?;
        Ok(Self {
            hedges: HedgeOutcome::ALL.map(|outcome| hedges.with_label_values(&[outcome.label()])),
            waits: add(registry, HistogramVec::new(waits, &["model"])?)?,
            source,
        })
    }

    /// Says where the pools and lanes are to be seen.
    pub(crate) fn show(&self, source: impl Fn() -> FlowView + Send + Sync + 'static) {
        // The first one stays: metrics are of one pipeline.
        let _set = self.source.set(Box::new(source));
    }

    pub(crate) fn count_hedge(&self, outcome: HedgeOutcome) {
        if let Some(counter) = self.hedges.get(outcome as usize) {
            counter.inc();
        }
    }
}

/// What the pools and lanes show.
#[derive(Clone)]
struct Picture {
    source: Source,
    descs: Vec<Desc>,
}

/// One family: name, meaning, kind, labels.
pub(super) struct Family<T: 'static> {
    name: &'static str,
    help: &'static str,
    kind: proto::MetricType,
    value: fn(&T) -> f64,
}

pub(super) const fn counter<T>(name: &'static str, help: &'static str, value: fn(&T) -> f64) -> Family<T> {
    Family { name, help, kind: proto::MetricType::COUNTER, value }
}

pub(super) const fn gauge<T>(name: &'static str, help: &'static str, value: fn(&T) -> f64) -> Family<T> {
    Family { name, help, kind: proto::MetricType::GAUGE, value }
}

const POOL_LABELS: [&str; 1] = ["model"];
const LANE_LABELS: [&str; 2] = ["provider", "model"];

static POOLS: [Family<PoolView>; 11] = [
    counter("fair_sched_grants_total", "Turns granted, at once or after a wait", |pool| pool.granted as f64),
    counter("fair_sched_enqueued_total", "Requests that had to wait for a turn", |pool| pool.enqueued as f64),
    counter("fair_sched_dequeued_total", "Turns granted after a wait", |pool| pool.dequeued as f64),
    counter("fair_sched_dropped_total", "Requests refused for want of a turn", |pool| pool.dropped as f64),
    counter("preemptions_total", "Bronze requests that gave way to gold ones", |pool| pool.preempted as f64),
    gauge("fair_sched_queue_depth", "Requests that wait for a turn", |pool| pool.waiting.iter().sum::<usize>() as f64),
    gauge("fair_sched_weighted_sessions", "Sessions that wait or are ahead of others of their flow", |pool| {
        pool.sessions as f64
    }),
    gauge("fair_sched_wait_p50_ms", "Half of the waits for a turn were no longer", |pool| ms(pool.wait_p50)),
    gauge("fair_sched_wait_p95_ms", "95 of 100 waits for a turn were no longer", |pool| ms(pool.wait_p95)),
    gauge("fair_sched_wait_p99_ms", "99 of 100 waits for a turn were no longer", |pool| ms(pool.wait_p99)),
    gauge("fair_sched_wait_max_ms", "The longest wait that ended with a turn", |pool| ms(pool.longest_wait)),
];

static LANES: [Family<LaneView>; 5] = [
    gauge("flow_window_current", "Tries that a lane may carry now", |lane| f64::from(lane.limit)),
    gauge("flow_window_cap", "The most tries that a lane may ever carry", |lane| f64::from(lane.max)),
    counter("flow_window_adjustments_total", "Changes of what a lane may carry", |lane| lane.adjusted as f64),
    gauge("flow_active_streams", "Tries in flight", |lane| f64::from(lane.in_flight)),
    gauge("flow_window_utilization_pct", "Tries in flight per hundred that a lane may carry", |lane| {
        100.0 * f64::from(lane.in_flight) / f64::from(lane.limit.max(1))
    }),
];

static TOTALS: [Family<FlowView>; 7] = [
    gauge("fair_q_depth_gold", "Gold requests that wait for a turn", |view| depth(view, Qos::Gold)),
    gauge("fair_q_depth_silver", "Silver requests that wait for a turn", |view| depth(view, Qos::Silver)),
    gauge("fair_q_depth_bronze", "Bronze requests that wait for a turn", |view| depth(view, Qos::Bronze)),
    gauge("fair_sched_jains_index", "How even the weighted shares of those are who wait; 1 is perfectly", |view| {
        view.jain
    }),
    gauge("flow_window_size", "Tries that all lanes may carry together", |view| {
        view.lanes.iter().map(|lane| f64::from(lane.limit)).sum()
    }),
    gauge("flow_active_sessions", "Tenants, by class and model, with requests in flight or waiting", |view| {
        view.tenants.iter().filter(|tenant| tenant.in_flight > 0 || tenant.waiting > 0).count() as f64
    }),
    gauge("circuits_open", "Lanes that are left alone because they failed", |view| {
        view.lanes.iter().filter(|lane| lane.state != "serving").count() as f64
    }),
];

/// One pool for each configured name.
fn configured_pools(pools: &[PoolView]) -> Vec<PoolView> {
    merged(
        pools,
        |pool| Arc::clone(&pool.counts_as),
        |sum, pool| {
            sum.granted += pool.granted;
            sum.enqueued += pool.enqueued;
            sum.dequeued += pool.dequeued;
            sum.dropped += pool.dropped;
            sum.preempted += pool.preempted;
            sum.sessions += pool.sessions;
            for (sum, waiting) in sum.waiting.iter_mut().zip(pool.waiting) {
                *sum += waiting;
            }
            sum.wait_p50 = sum.wait_p50.max(pool.wait_p50);
            sum.wait_p95 = sum.wait_p95.max(pool.wait_p95);
            sum.wait_p99 = sum.wait_p99.max(pool.wait_p99);
            sum.longest_wait = sum.longest_wait.max(pool.longest_wait);
        },
    )
}

/// One lane for each provider and configured name.
fn configured_lanes(lanes: &[LaneView]) -> Vec<LaneView> {
    merged(
        lanes,
        |lane| (Arc::clone(&lane.provider), Arc::clone(&lane.counts_as)),
        |sum, lane| {
            sum.limit = sum.limit.saturating_add(lane.limit);
            sum.max = sum.max.saturating_add(lane.max);
            sum.adjusted += lane.adjusted;
            sum.in_flight += lane.in_flight;
        },
    )
}

/// The rows of one key made one, in the order in which they come.
fn merged<T: Clone, K: Eq + Hash>(rows: &[T], key: impl Fn(&T) -> K, add: impl Fn(&mut T, &T)) -> Vec<T> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut all: Vec<T> = Vec::new();
    for row in rows {
        let place = *places.entry(key(row)).or_insert(all.len());
        match all.get_mut(place) {
            Some(sum) => add(sum, row),
            None => all.push(row.clone()),
        }
    }
    all
}

fn depth(view: &FlowView, qos: Qos) -> f64 {
    view.pools.iter().filter_map(|pool| pool.waiting.get(qos as usize)).sum::<usize>() as f64
}

fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

impl Picture {
    fn new(source: Source) -> Result<Self, prometheus::Error> {
        let mut descs = Vec::new();
        for family in &POOLS {
            descs.push(family.desc(&POOL_LABELS)?);
        }
        for family in &LANES {
            descs.push(family.desc(&LANE_LABELS)?);
        }
        for family in &TOTALS {
            descs.push(family.desc(&[])?);
        }
        Ok(Self { source, descs })
    }
}

impl Collector for Picture {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let view = self.source.get().map_or_else(FlowView::default, |source| source());
        let (pools, lanes) = (configured_pools(&view.pools), configured_lanes(&view.lanes));
        let pools = POOLS.iter().map(|family| family.rows(&pools, |pool| vec![("model", pool.counts_as.to_string())]));
        let lanes = LANES.iter().map(|family| {
            family.rows(&lanes, |lane| {
                vec![("provider", lane.provider.to_string()), ("model", lane.counts_as.to_string())]
            })
        });
        let totals = TOTALS.iter().map(|family| family.rows(std::slice::from_ref(&view), |_| Vec::new()));
        pools.chain(lanes).chain(totals).collect()
    }
}

impl<T> Family<T> {
    /// What a registry is told of it.
    pub(super) fn desc(&self, labels: &[&str]) -> Result<Desc, prometheus::Error> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, std::collections::HashMap::new())
    }

    /// The family with a series for each row.
    pub(super) fn rows(&self, rows: &[T], labels: impl Fn(&T) -> Vec<(&'static str, String)>) -> proto::MetricFamily {
        let metric = |row: &T| {
            let mut metric = proto::Metric::default();
            let pairs = labels(row).into_iter().map(|(name, value)| {
                let mut pair = proto::LabelPair::default();
                pair.set_name(name.to_owned());
                pair.set_value(value);
                pair
            });
            metric.set_label(pairs.collect());
            let value = (self.value)(row);
            if self.kind == proto::MetricType::COUNTER {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            } else {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            metric
        };
        let mut family = proto::MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(rows.iter().map(metric).collect());
        family
    }
}
