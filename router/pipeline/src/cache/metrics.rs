//! The metrics of reused answers.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::metrics::Registry;

use super::store::Change;

/// The families, by configured model.
#[derive(Clone)]
pub(crate) struct CacheFamilies {
    results: IntCounterVec,
    coalesced: IntCounterVec,
    evictions: IntCounterVec,
    entries: IntGaugeVec,
    bytes: IntGaugeVec,
}

/// The handles of one model.
pub(crate) struct CacheMetrics {
    pub(super) hits: IntCounter,
    pub(super) misses: IntCounter,
    pub(super) coalesced: IntCounter,
    evictions: IntCounter,
    entries: IntGauge,
    bytes: IntGauge,
}

impl CacheFamilies {
    /// Makes the families and registers them.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let results =
            Opts::new("atp_cache_total", "Requests that a kept answer could answer, by whether there was one");
        let coalesced = Opts::new("atp_coalesced_total", "Requests that were answered by the call of an identical one");
        let evictions = Opts::new("atp_cache_evictions_total", "Kept answers that had to make room for others");
        let entries = Opts::new("atp_cache_entries", "Answers that are kept");
        let bytes = Opts::new("atp_cache_bytes", "Bytes that kept answers take");
        let families = Self {
            results: IntCounterVec::new(results, &["model", "result"])?,
            coalesced: IntCounterVec::new(coalesced, &["model"])?,
            evictions: IntCounterVec::new(evictions, &["model"])?,
            entries: IntGaugeVec::new(entries, &["model"])?,
            bytes: IntGaugeVec::new(bytes, &["model"])?,
        };
        for counters in [&families.results, &families.coalesced, &families.evictions] {
            registry.register(Box::new(counters.clone()))?;
        }
        for gauges in [&families.entries, &families.bytes] {
            registry.register(Box::new(gauges.clone()))?;
        }
        Ok(families)
    }

    /// The handles of a model.
    pub(crate) fn of(&self, model: &str) -> CacheMetrics {
        CacheMetrics {
            hits: self.results.with_label_values(&[model, "hit"]),
            misses: self.results.with_label_values(&[model, "miss"]),
            coalesced: self.coalesced.with_label_values(&[model]),
            evictions: self.evictions.with_label_values(&[model]),
            entries: self.entries.with_label_values(&[model]),
            bytes: self.bytes.with_label_values(&[model]),
        }
    }
}

impl CacheMetrics {
    /// Counts what a change did. The gauges are sums of changes, so that shards need not be added up, and
    /// a model whose old cell lives on with the exchanges that began with it counts both.
    pub(super) fn changed(&self, change: Change) {
        if change.evicted > 0 {
            self.evictions.inc_by(change.evicted);
        }
        if (change.entries, change.bytes) != (0, 0) {
            self.entries.add(change.entries);
            self.bytes.add(change.bytes);
        }
    }
}
