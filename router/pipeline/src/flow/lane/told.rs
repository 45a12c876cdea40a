//! What a lane tells and nothing is decided by: counters, and spans for whoever listens.

use std::sync::atomic::{AtomicU32, AtomicU64 as Told, Ordering as Telling};
use std::time::Instant;

use atp_routing::control::{Change, Ended, Published, Verdict, Why};

use super::LaneCell;

/// What is only told.
#[derive(Debug, Default)]
pub(in crate::flow) struct Counts {
    pub(in crate::flow) grown: Told,
    pub(in crate::flow) cuts: Told,
    pub(in crate::flow) adjusted: Told,
    /// Failures in a row.
    pub(in crate::flow) failures: AtomicU32,
}

impl Counts {
    /// Goes on with what another has counted.
    pub(super) fn inherit(&self, other: &Self) {
        for (own, other) in [(&self.grown, &other.grown), (&self.cuts, &other.cuts), (&self.adjusted, &other.adjusted)]
        {
            own.fetch_add(other.load(Telling::Relaxed), Telling::Relaxed);
        }
    }
}

impl LaneCell {
    /// Tells what a decision has changed: to counters, and to whoever listens.
    pub(super) fn tell(&self, change: Change) {
        self.counts.adjusted.fetch_add(1, Telling::Relaxed);
        match change.why {
            Why::Grown => _ = self.counts.grown.fetch_add(1, Telling::Relaxed),
            Why::Overload | Why::Queueing => _ = self.counts.cuts.fetch_add(1, Telling::Relaxed),
            _ => {}
        }
        let _span = tracing::debug_span!(
            "window.update",
            provider = &*self.provider,
            model = &*self.model,
            "window.before" = change.before,
            "window.after" = change.after,
            "window.delta" = i64::from(change.after) - i64::from(change.before),
            why = ?change.why,
        );
    }

    /// Tells what the end of a try has taught.
    pub(super) fn tell_feedback(&self, now: Instant, sample: &Ended<'_>, published: &Published) {
        let before = published.change.map_or(published.limit, |change| change.before);
        let _span = tracing::debug_span!(
            "aimd.feedback",
            "aimd.session" = &*self.provider,
            model = &*self.model,
            before,
            after = published.limit,
            latency_ms = now.saturating_duration_since(sample.began).as_secs_f64() * 1_000.0,
            ok = sample.verdict == Verdict::Served,
        );
    }

    pub(super) fn count_failures(&self, verdict: Verdict) {
        match verdict {
            Verdict::Failed | Verdict::TimedOut | Verdict::BadKey => {
                self.counts.failures.fetch_add(1, Telling::Relaxed);
            }
            Verdict::Served if self.counts.failures.load(Telling::Relaxed) != 0 => {
                self.counts.failures.store(0, Telling::Relaxed);
            }
            Verdict::Served | Verdict::Overloaded { .. } | Verdict::Cancelled => {}
        }
    }
}
