//! What happened in a run: one row per request, one per lane and moment, tokens per source and moment.

use std::time::{Duration, Instant};

use crate::provider::Meter;
use crate::stats::sorted;

/// The length of a moment.
pub(crate) const MOMENT: Duration = Duration::from_millis(500);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Not over when the run ended.
    Open,
    Served,
    /// The queue was full, or the wait too long.
    TurnedAway,
    /// No lane could be asked.
    Unavailable,
    /// Every try failed or was refused by its provider.
    Failed,
    /// Given up for a gold one while it was being answered.
    Preempted,
    /// The caller left.
    Left,
}

/// One request's row. Times are seconds since the start.
#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub(crate) source: usize,
    pub(crate) arrived: f64,
    /// When the try began that was answered.
    pub(crate) began: Option<f64>,
    pub(crate) first: Option<f64>,
    pub(crate) over: Option<f64>,
    pub(crate) tries: u32,
    pub(crate) fate: Fate,
}

impl JobRow {
    /// From the arrival to the first token.
    pub(crate) fn to_first(&self) -> Option<f64> {
        self.first.map(|first| first - self.arrived)
    }

    /// From the arrival to the beginning of the try that was answered.
    pub(crate) fn waited(&self) -> Option<f64> {
        self.began.map(|began| began - self.arrived)
    }

    /// From the beginning of the try to its first token.
    pub(crate) fn at_provider(&self) -> Option<f64> {
        self.first.zip(self.began).map(|(first, began)| first - began)
    }
}

/// What has been counted on a lane since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) tries: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
}

/// A lane at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneRow {
    pub(crate) limit: u32,
    pub(crate) in_flight: u32,
    pub(crate) line: usize,
    pub(crate) slots: Option<u32>,
    pub(crate) meter: Meter,
    pub(crate) counts: Counts,
}

/// The books of a run.
#[derive(Debug)]
pub(crate) struct Tally {
    origin: Instant,
    pub(crate) jobs: Vec<JobRow>,
    /// Per lane, a row per moment, the first at zero.
    pub(crate) lanes: Vec<Vec<LaneRow>>,
    /// Per source, tokens delivered in each moment.
    pub(crate) served: Vec<Vec<f64>>,
    /// Requests that waited in the pool, at each moment.
    pub(crate) waiting: Vec<usize>,
    /// Tokens that a second lane was asked for and nobody got.
    pub(crate) spent_twice: f64,
    /// Slots still taken when everything was over, over all lanes; anything but zero is a leak.
    pub(crate) left_over: u32,
    /// Bronze requests that made way for gold.
    pub(crate) preempted: u64,
}

impl Tally {
    pub(crate) fn new(origin: Instant, sources: usize, lanes: usize) -> Self {
        Self {
            origin,
            jobs: Vec::new(),
            lanes: vec![Vec::new(); lanes],
            served: vec![Vec::new(); sources],
            waiting: Vec::new(),
            spent_twice: 0.0,
            left_over: 0,
            preempted: 0,
        }
    }

    /// Seconds since the start.
    pub(crate) fn time(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.origin).as_secs_f64()
    }

    pub(crate) fn deliver(&mut self, source: usize, tokens: u64, now: Instant) {
        let moment = moment_of(self.time(now));
        let Some(row) = self.served.get_mut(source) else { return };
        if row.len() <= moment {
            row.resize(moment + 1, 0.0);
        }
        if let Some(cell) = row.get_mut(moment) {
            *cell += tokens as f64;
        }
    }

    /// Tokens of a source delivered between two times.
    pub(crate) fn tokens(&self, source: usize, from: f64, to: f64) -> f64 {
        let row = self.served.get(source).map(Vec::as_slice).unwrap_or_default();
        row.iter().take(moment_of(to)).skip(moment_of(from)).sum()
    }

    /// Times to the first token of a source's requests that arrived between two times, sorted.
    pub(crate) fn first_tokens(&self, source: usize, from: f64, to: f64) -> Vec<f64> {
        let asked = self.jobs.iter().filter(|job| job.source == source && (from..to).contains(&job.arrived));
        sorted(asked.filter_map(JobRow::to_first))
    }

    /// How many of a source's requests that arrived between two times came to this end.
    pub(crate) fn count(&self, source: usize, fate: Fate, from: f64, to: f64) -> usize {
        let asked = self.jobs.iter().filter(|job| job.source == source && (from..to).contains(&job.arrived));
        asked.filter(|job| job.fate == fate).count()
    }

    /// The row of a lane at a time.
    pub(crate) fn lane_at(&self, lane: usize, at: f64) -> Option<&LaneRow> {
        self.lanes.get(lane)?.get(moment_of(at))
    }

    /// Work done between two times as a share of what all lanes could have done.
    pub(crate) fn goodput(&self, from: f64, to: f64) -> f64 {
        let (mut used, mut room) = (0.0, 0.0);
        for lane in 0..self.lanes.len() {
            let (Some(before), Some(after)) = (self.lane_at(lane, from), self.lane_at(lane, to)) else { continue };
            used += after.meter.used - before.meter.used;
            room += after.meter.room - before.meter.room;
        }
        if room == 0.0 { 0.0 } else { used / room }
    }

    /// Tries between two times that the providers refused, as a share.
    pub(crate) fn refused(&self, from: f64, to: f64) -> f64 {
        let (mut refused, mut tries) = (0u64, 0u64);
        for lane in 0..self.lanes.len() {
            let (Some(before), Some(after)) = (self.lane_at(lane, from), self.lane_at(lane, to)) else { continue };
            refused += after.counts.refused - before.counts.refused;
            tries += after.counts.tries - before.counts.tries;
        }
        if tries == 0 { 0.0 } else { refused as f64 / tries as f64 }
    }

    /// Tries on all lanes between two times.
    pub(crate) fn tries(&self, from: f64, to: f64) -> u64 {
        let lanes = 0..self.lanes.len();
        let of =
            |at| -> u64 { lanes.clone().filter_map(|lane| self.lane_at(lane, at)).map(|row| row.counts.tries).sum() };
        of(to) - of(from)
    }
}

impl Tally {
    /// The longest line at any provider between two times.
    pub(crate) fn longest_line(&self, from: f64, to: f64) -> usize {
        let rows = self.lanes.iter().flat_map(|rows| rows.iter().take(moment_of(to)).skip(moment_of(from)));
        rows.map(|row| row.line).max().unwrap_or_default()
    }
}

fn moment_of(at: f64) -> usize {
    (at / MOMENT.as_secs_f64()).round().max(0.0) as usize
}
