//! What a run found, as values, as JSON and as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::plan::{Plan, Scenario};
use super::tally::Tally;

/// A distribution in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many values it is made of.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Half are at most this.
    pub p50: f64,
    /// Nine in ten are at most this.
    pub p90: f64,
    /// 99 in 100 are at most this.
    pub p99: f64,
    /// 999 in 1000 are at most this.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

impl Quantiles {
    /// Nothing when no value was recorded.
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let micros = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            mean: histogram.mean() / 1e3,
            p50: micros(0.5),
            p90: micros(0.9),
            p99: micros(0.99),
            p999: micros(0.999),
            max: histogram.max() as f64 / 1e3,
        })
    }
}

/// The result of one run. Times are in microseconds unless the name says otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Base URL that was asked.
    pub url: String,
    /// Model that was asked for.
    pub model: String,
    /// What was sent.
    pub scenario: Scenario,
    /// Requests under way, or connections at most when there is a rate.
    pub concurrency: usize,
    /// Requests a second that should have been sent; nothing for a closed loop.
    pub rate: Option<f64>,
    /// Length of the measured part, in seconds.
    pub seconds: f64,
    /// Answers that ended well within it.
    pub done: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Failures by kind.
    pub errors: BTreeMap<String, u64>,
    /// Good answers a second.
    pub throughput: f64,
    /// Megabytes of answer bodies a second.
    pub megabytes_per_second: f64,
    /// From the intended start to the end of the answer.
    pub latency: Option<Quantiles>,
    /// From the real start to the end of the answer; differs from `latency` by what requests waited
    /// for the generator or for a free connection. Open loops only.
    pub service: Option<Quantiles>,
    /// From the intended start to the first byte of a stream's body.
    pub first_byte: Option<Quantiles>,
    /// Between two arrivals of one stream.
    pub gap: Option<Quantiles>,
    /// Events per stream, the last `[DONE]` included.
    pub events_per_stream: Option<f64>,
    /// Connections opened.
    pub connects: u64,
    /// Open loops: requests that were due and never left, because all connections were busy.
    pub unsent: u64,
}

/// What a run knows beside its tally.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    pub(super) seconds: f64,
    pub(super) connects: u64,
    pub(super) unsent: u64,
}

impl Report {
    pub(super) fn of(plan: &Plan, tally: &Tally, ends: Ends) -> Self {
        let per_second = |amount: f64| if ends.seconds > 0.0 { amount / ends.seconds } else { 0.0 };
        Self {
            url: plan.url.clone(),
            model: plan.model.clone(),
            scenario: plan.scenario,
            concurrency: plan.concurrency,
            rate: plan.rate,
            seconds: ends.seconds,
            done: tally.done,
            failed: tally.failed,
            errors: tally.errors.clone(),
            throughput: per_second(tally.done as f64),
            megabytes_per_second: per_second(tally.bytes as f64 / 1e6),
            latency: Quantiles::of(&tally.latency),
            service: plan.rate.and_then(|_| Quantiles::of(&tally.service)),
            first_byte: Quantiles::of(&tally.first),
            gap: Quantiles::of(&tally.gap),
            events_per_stream: (tally.streams > 0).then(|| tally.events as f64 / tally.streams as f64),
            connects: ends.connects,
            unsent: ends.unsent,
        }
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mode = match self.rate {
            Some(rate) => format!("open loop, {rate} requests/s over at most {} connections", self.concurrency),
            None => format!("closed loop, {} under way", self.concurrency),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} · {} · {mode}", self.url, self.model);
        let _ = writeln!(
            text,
            "{} requests in {:.1} s · {:.0} requests/s · {:.1} MB/s · {} failed · {} connections opened",
            self.done, self.seconds, self.throughput, self.megabytes_per_second, self.failed, self.connects
        );
        if let Some(events) = self.events_per_stream {
            let _ = writeln!(text, "{events:.1} events per stream");
        }
        if self.unsent > 0 {
            let _ = writeln!(text, "{} requests were due and never left: the rate was not reached", self.unsent);
        }
        let _ = writeln!(
            text,
            "\n{:<22}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "mean", "p50", "p90", "p99", "p99.9", "max"
        );
        let rows = [
            ("latency", self.latency),
            ("without waiting", self.service),
            ("time to first byte", self.first_byte),
            ("gap between arrivals", self.gap),
        ];
        for (name, quantiles) in rows {
            let Some(q) = quantiles else { continue };
            let _ = write!(text, "{name:<22}");
            for value in [q.mean, q.p50, q.p90, q.p99, q.p999, q.max] {
                let _ = write!(text, "{:>10}", duration(value));
            }
            text.push('\n');
        }
        for (kind, count) in &self.errors {
            let _ = writeln!(text, "error: {kind}: {count}");
        }
        text
    }
}

/// Microseconds with a unit that keeps three digits or so.
fn duration(micros: f64) -> String {
    match micros {
        micros if micros < 1e3 => format!("{micros:.0} us"),
        micros if micros < 1e6 => format!("{:.2} ms", micros / 1e3),
        micros => format!("{:.2} s", micros / 1e6),
    }
}
