//! What a run adds up while it goes.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::client::{Failure, Sample};
use super::plan::Streamed;

/// Highest latency that is told apart, in nanoseconds: ten minutes.
const HIGHEST: u64 = 600_000_000_000;

/// When the measured part of a run begins and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) begin: Instant,
    pub(super) end: Instant,
}

impl Window {
    pub(super) fn holds(&self, moment: Instant) -> bool {
        moment >= self.begin && moment < self.end
    }
}

pub(super) struct Tally {
    /// From the intended start to the end of the answer.
    pub(super) latency: Histogram<u64>,
    /// From the real start to the end of the answer (open loops).
    pub(super) service: Histogram<u64>,
    /// From the intended start to the first byte of a stream's body.
    pub(super) first: Histogram<u64>,
    /// Between arrivals of a stream.
    pub(super) gap: Histogram<u64>,
    pub(super) errors: BTreeMap<String, u64>,
    /// Answers that ended well within the window, whenever they began: what throughput and cost
    /// are counted by.
    pub(super) done: u64,
    /// Failures within the window.
    pub(super) failed: u64,
    pub(super) events: u64,
    pub(super) streams: u64,
    pub(super) bytes: u64,
}

/// The moments of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    pub(super) intended: Instant,
    pub(super) started: Instant,
    pub(super) ended: Instant,
}

impl Tally {
    pub(super) fn new() -> anyhow::Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, HIGHEST, 3);
        Ok(Self {
            latency: histogram()?,
            service: histogram()?,
            first: histogram()?,
            gap: histogram()?,
            errors: BTreeMap::new(),
            done: 0,
            failed: 0,
            events: 0,
            streams: 0,
            bytes: 0,
        })
    }

    /// Latencies count for what was meant to start within the window, even if it ended later, so
    /// that the slowest are not left out; throughput counts what ended within it.
    pub(super) fn note(&mut self, window: Window, moments: Moments, streamed: Streamed, sample: &Sample) {
        let Moments { intended, started, ended } = moments;
        if window.holds(ended) {
            self.done += 1;
            self.bytes += sample.bytes;
        }
        if !window.holds(intended) {
            return;
        }
        self.latency.saturating_record(nanos(intended, ended));
        self.service.saturating_record(nanos(started, ended));
        if streamed == Streamed::Yes {
            self.streams += 1;
            self.events += sample.events;
            if let Some(first) = sample.first {
                self.first.saturating_record(nanos(intended, first));
            }
            for gap in &sample.gaps {
                self.gap.saturating_record(*gap);
            }
        }
    }

    pub(super) fn note_failure(&mut self, window: Window, moments: Moments, failure: &Failure) {
        if window.holds(moments.ended) || window.holds(moments.intended) {
            self.failed += 1;
            *self.errors.entry(failure.kind()).or_default() += 1;
        }
    }
}

fn nanos(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}
