//! What only the whole server can count: connections, tasks, the ledger's state, reloads.

use std::sync::Arc;

use arc_swap::ArcSwap;
use atp_core::port::Provider;
use atp_ingress::listen::Connections;
use atp_store::LedgerStats;
use atp_telemetry::Metrics;
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts};

use crate::tasks::Tasks;

/// Gauges that are set when somebody asks for them, and the counters of reloads.
pub(crate) struct Gauges {
    connections: IntGauge,
    tasks: IntGauge,
    upstream: IntGaugeVec,
    ledger_up: IntGauge,
    ledger_queued: IntGauge,
    ledger_written: IntGauge,
    ledger_lost: IntGauge,
    /// Reloads that took effect.
    pub(crate) reloads: IntCounter,
    /// Reloads that were refused.
    pub(crate) refused: IntCounter,
    /// 1 while the file that was read last is in force.
    pub(crate) valid: IntGauge,
    open: Connections,
    running: Tasks,
    providers: Arc<ArcSwap<Vec<Arc<dyn Provider>>>>,
}

impl Gauges {
    /// Registers the families.
    pub(crate) fn register(
        metrics: &Metrics,
        open: Connections,
        running: Tasks,
        providers: Arc<ArcSwap<Vec<Arc<dyn Provider>>>>,
    ) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| metrics.register(IntGauge::new(name, help)?);
        let counter = |name: &str, help: &str| metrics.register(IntCounter::new(name, help)?);
        let upstream = Opts::new("atp_upstream_connections", "Connections open to a provider, idle ones included.");
        let gauges = Self {
            connections: gauge("atp_connections", "Callers' connections open now.")?,
            tasks: gauge("atp_tasks", "Answers read on after their callers have left.")?,
            upstream: metrics.register(IntGaugeVec::new(upstream, &["provider"])?)?,
            ledger_up: gauge("atp_ledger_up", "1 while the last attempt to write usage rows succeeded.")?,
            ledger_queued: gauge("atp_ledger_queued_rows", "Usage rows that wait to be written.")?,
            ledger_written: gauge("atp_ledger_written_rows", "Usage rows written since the start.")?,
            ledger_lost: gauge("atp_ledger_lost_rows", "Usage rows dropped since the start.")?,
            reloads: counter("atp_config_reloads_total", "Configurations put in force while running.")?,
            refused: counter("atp_config_reloads_refused_total", "Configurations refused while running.")?,
            valid: gauge("atp_config_valid", "1 while the file that was read last is in force.")?,
            open,
            running,
            providers,
        };
        gauges.valid.set(1);
        Ok(gauges)
    }

    /// Reads what they show.
    pub(crate) fn refresh(&self, ledger: &LedgerStats) {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let long = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.connections.set(whole(self.open.open()));
        self.tasks.set(whole(self.running.running()));
        for provider in self.providers.load().iter() {
            self.upstream.with_label_values(&[provider.name().as_ref()]).set(whole(provider.connections()));
        }
        self.ledger_up.set(i64::from(ledger.up));
        self.ledger_queued.set(whole(ledger.queued));
        self.ledger_written.set(long(ledger.written));
        self.ledger_lost.set(long(ledger.lost));
    }
}
