//! What the comparison found, as values that serialise.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Options;
use super::scenario::Row;

/// One slice of one gateway. Times are in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Processor time of the gateway per answered request.
    pub cpu_us: Option<f64>,
    /// Part of it in the kernel, 0 to 1.
    pub system_part: Option<f64>,
    /// Time that the gateway was ready and had no processor, as a part of the time that it had one.
    /// Its threads may wait for each other; much more means that other work was on its core.
    pub waited_part: Option<f64>,
    /// Context switches of the gateway per answered request.
    pub switches: Option<f64>,
    /// Answers a second.
    pub throughput: f64,
    /// Latency that half of the requests stay within.
    pub p50: f64,
    /// Latency that 99 in 100 stay within.
    pub p99: f64,
    /// Latency that 999 in 1000 stay within.
    pub p999: f64,
    /// Time to the first byte of a stream, half.
    pub first_p50: Option<f64>,
    /// Time to the first byte of a stream, 99 in 100.
    pub first_p99: Option<f64>,
    /// Answered requests.
    pub done: u64,
    /// Failed requests.
    pub failed: u64,
    /// Requests that were due and never left.
    pub unsent: u64,
    /// Failures by kind.
    pub errors: BTreeMap<String, u64>,
    /// Whether so few failed that the figures mean something.
    pub trusted: bool,
}

/// Median and range over the rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The middle value.
    pub median: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Spread {
    /// Nothing when there are no values.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), low, high })
    }
}

/// All slices of one row and gateway.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Id of the row.
    pub row: String,
    /// Title of the row.
    pub title: String,
    /// Name of the gateway.
    pub gateway: String,
    /// One for each round.
    pub samples: Vec<Sample>,
    /// System calls per request, when they were counted.
    pub syscalls: Option<f64>,
    /// Largest processor time aimed at, as a multiple of nginx's.
    pub cpu_aim: Option<f64>,
    /// Largest p50 and p99 aimed at, as multiples of nginx's.
    pub latency_aim: Option<f64>,
}

impl Measured {
    /// Median and range of one figure.
    #[must_use]
    pub fn spread(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(figure))
    }

    /// Failed requests of all rounds.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.samples.iter().map(|sample| sample.failed).sum()
    }
}

/// Memory of one gateway, in KiB.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MemoryResult {
    /// Name of the gateway.
    pub gateway: String,
    /// Resident after the start.
    pub idle_kib: u64,
    /// Streams that should have been open.
    pub streams_asked: usize,
    /// Streams that were open.
    pub streams_open: usize,
    /// Why others were not, at most ten.
    pub stream_failures: Vec<String>,
    /// Resident with the streams open.
    pub streams_kib: u64,
    /// Added by each open stream.
    pub kib_per_stream: Option<f64>,
    /// Resident some time after the streams were closed.
    pub after_streams_kib: u64,
    /// The most that was resident under large prompts, above what was before.
    pub prompts_peak_kib: u64,
    /// Bytes of the prompts that were under way, in KiB.
    pub prompts_in_flight_kib: u64,
    /// Large prompts that failed.
    pub prompts_failed: u64,
    /// Resident some time after the large prompts.
    pub after_prompts_kib: u64,
}

/// Everything that one run found.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// When the run began, in UTC.
    pub date: String,
    /// Kernel and processor.
    pub machine: String,
    /// Names of the gateways, in the order of the table.
    pub gateways: Vec<String>,
    /// Rounds.
    pub rounds: usize,
    /// Length of a slice, in seconds.
    pub slice_seconds: f64,
    /// Requests a second of the open loop.
    pub rate: f64,
    /// Seconds after which memory was looked at again.
    pub settle_seconds: f64,
    /// Rows by gateways.
    pub measured: Vec<Measured>,
    /// One for each gateway.
    pub memory: Vec<MemoryResult>,
}

impl Comparison {
    pub(super) fn new(options: &Options, gateways: Vec<String>) -> Self {
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string(),
            machine: machine(),
            gateways,
            rounds: options.rounds,
            slice_seconds: options.slice.as_secs_f64(),
            rate: options.rate,
            settle_seconds: options.settle.as_secs_f64(),
            measured: Vec::new(),
            memory: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, row: &Row, gateway: &str, sample: Sample) {
        if let Some(measured) = self.find_mut(row.id, gateway) {
            measured.samples.push(sample);
            return;
        }
        self.measured.push(Measured {
            row: row.id.to_owned(),
            title: row.title.to_owned(),
            gateway: gateway.to_owned(),
            samples: vec![sample],
            syscalls: None,
            cpu_aim: row.cpu_aim,
            latency_aim: row.latency_aim,
        });
    }

    pub(super) fn set_syscalls(&mut self, row: &Row, gateway: &str, calls: f64) {
        if let Some(measured) = self.find_mut(row.id, gateway) {
            measured.syscalls = Some(calls);
        }
    }

    fn find_mut(&mut self, row: &str, gateway: &str) -> Option<&mut Measured> {
        self.measured.iter_mut().find(|measured| measured.row == row && measured.gateway == gateway)
    }

    /// What one gateway did in one row.
    #[must_use]
    pub fn find(&self, row: &str, gateway: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.row == row && measured.gateway == gateway)
    }
}

fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    format!("Linux {}, {count} x {}", kernel.trim(), model.trim_start_matches([' ', '\t', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, low: 1.0, high: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { median: 2.5, low: 1.0, high: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }
}
