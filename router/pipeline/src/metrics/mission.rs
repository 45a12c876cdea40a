//! The metric names that the mission fixes, derived from the router's own when they are asked for,
//! so that a request pays for none of them and the two sets can never disagree.

use std::collections::BTreeMap;

use atp_core::ErrorKind;
use atp_core::port::Outcome;
use prometheus::core::{Collector, Desc};
use prometheus::{HistogramVec, IntCounterVec, proto};

/// `request_latency_ms`'s bounds, in milliseconds; each of them is also a bound of
/// `atp_request_duration_seconds`, from which it is made.
pub(super) const LATENCY_BUCKETS_MS: [f64; 7] = [50.0, 100.0, 200.0, 400.0, 800.0, 1_200.0, 2_000.0];

const LATENCY: (&str, &str) = ("request_latency_ms", "Latency of requests in milliseconds");
const CALLS: (&str, &str) = ("model_calls_total", "Requests by model");
/// The same by the name that the mission gives it among those of choosing.
const CALLS_CHOSEN: (&str, &str) = ("atp_router_model_calls", "Requests by model that was asked");
const PLAIN: [(&str, &str); 5] = [
    ("requests_total", "Requests"),
    ("requests_success_total", "Requests that were served"),
    ("requests_error_total", "Requests that were refused or failed"),
    ("requests_cancelled_total", "Requests whose caller left"),
    ("rate_limiter_dropped_total", "Requests refused by a key's rate limit"),
];

#[derive(Clone)]
pub(super) struct Mission {
    requests: IntCounterVec,
    duration: HistogramVec,
    descs: Vec<Desc>,
}

impl Mission {
    pub(super) fn new(requests: IntCounterVec, duration: HistogramVec) -> Result<Self, prometheus::Error> {
        let mut descs = Vec::new();
        for (name, help) in PLAIN.into_iter().chain([LATENCY]) {
            descs.push(desc(name, help, &[])?);
        }
        descs.push(desc(CALLS.0, CALLS.1, &["model"])?);
        descs.push(desc(CALLS_CHOSEN.0, CALLS_CHOSEN.1, &["model"])?);
        for kind in ErrorKind::ALL {
            descs.push(desc(&error_name(kind), &error_help(kind), &[])?);
        }
        Ok(Self { requests, duration, descs })
    }
}

impl Collector for Mission {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mut families = request_families(&self.requests.collect());
        families.extend(duration_families(&self.duration.collect()));
        families
    }
}

/// Sums over the series of `atp_requests_total`.
fn request_families(requests: &[proto::MetricFamily]) -> Vec<proto::MetricFamily> {
    let mut total = 0.0;
    let mut by_outcome: BTreeMap<&str, f64> = BTreeMap::new();
    let mut by_error: BTreeMap<&str, f64> = BTreeMap::new();
    for metric in requests.iter().flat_map(proto::MetricFamily::get_metric) {
        let count = metric.get_counter().get_value();
        total += count;
        *by_outcome.entry(label(metric, "outcome")).or_default() += count;
        *by_error.entry(label(metric, "error")).or_default() += count;
    }
    let outcome = |outcome: Outcome| by_outcome.get(outcome.label()).copied().unwrap_or(0.0);
    let error = |kind: ErrorKind| by_error.get(kind.code()).copied().unwrap_or(0.0);
    let sums = [
        total,
        outcome(Outcome::Served),
        outcome(Outcome::Refused) + outcome(Outcome::Failed),
        outcome(Outcome::Cancelled),
        error(ErrorKind::RateLimited),
    ];
    let plain = PLAIN.into_iter().zip(sums).map(|((name, help), sum)| counter(name, help, vec![(Vec::new(), sum)]));
    let errors =
        ErrorKind::ALL.map(|kind| counter(&error_name(kind), &error_help(kind), vec![(Vec::new(), error(kind))]));
    plain.chain(errors).collect()
}

/// Sums over the series of `atp_request_duration_seconds`.
fn duration_families(durations: &[proto::MetricFamily]) -> [proto::MetricFamily; 3] {
    let mut calls = Vec::new();
    let mut count = 0;
    let mut seconds = 0.0;
    let mut below = [0u64; LATENCY_BUCKETS_MS.len()];
    for metric in durations.iter().flat_map(proto::MetricFamily::get_metric) {
        let histogram = metric.get_histogram();
        count += histogram.get_sample_count();
        seconds += histogram.get_sample_sum();
        for (below, bound) in below.iter_mut().zip(LATENCY_BUCKETS_MS) {
            // The bounds are literals of the same decimals; half a thousandth tells them apart.
            let same = |bucket: &&proto::Bucket| (bucket.upper_bound() * 1_000.0 - bound).abs() < 0.0005;
            *below += histogram.get_bucket().iter().find(same).map_or(0, proto::Bucket::cumulative_count);
        }
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 calls")]
        calls.push((metric.get_label().to_vec(), histogram.get_sample_count() as f64));
    }
    let mut histogram = proto::Histogram::default();
    histogram.set_sample_count(count);
    histogram.set_sample_sum(seconds * 1_000.0);
    histogram.set_bucket(below.into_iter().zip(LATENCY_BUCKETS_MS).map(bucket).collect());
    let mut metric = proto::Metric::default();
    metric.set_histogram(histogram);
    let latency = family(LATENCY.0, LATENCY.1, proto::MetricType::HISTOGRAM, vec![metric]);
    [latency, counter(CALLS.0, CALLS.1, calls.clone()), counter(CALLS_CHOSEN.0, CALLS_CHOSEN.1, calls)]
}

fn bucket((below, bound): (u64, f64)) -> proto::Bucket {
    let mut bucket = proto::Bucket::default();
    bucket.set_cumulative_count(below);
    bucket.set_upper_bound(bound);
    bucket
}

fn counter(name: &str, help: &str, series: Vec<(Vec<proto::LabelPair>, f64)>) -> proto::MetricFamily {
    let metrics = series.into_iter().map(|(labels, value)| {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        let mut metric = proto::Metric::default();
        metric.set_label(labels);
        metric.set_counter(counter);
        metric
    });
    family(name, help, proto::MetricType::COUNTER, metrics.collect())
}

fn family(name: &str, help: &str, kind: proto::MetricType, metrics: Vec<proto::Metric>) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn label<'a>(metric: &'a proto::Metric, name: &str) -> &'a str {
    metric.get_label().iter().find(|pair| pair.name() == name).map_or("", proto::LabelPair::value)
}

fn desc(name: &str, help: &str, labels: &[&str]) -> Result<Desc, prometheus::Error> {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Desc::new(name.to_owned(), help.to_owned(), labels, std::collections::HashMap::new())
}

fn error_name(kind: ErrorKind) -> String {
    format!("error_code_{}_total", kind.code())
}

fn error_help(kind: ErrorKind) -> String {
    format!("Requests that ended with {}", kind.code())
}
