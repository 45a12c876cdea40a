//! What only the whole server can count: connections, tasks, the state of ledger and journal, reloads.

use std::sync::Arc;

use arc_swap::ArcSwap;
use atp_core::port::Provider;
use atp_ingress::listen::Connections;
use atp_store::LedgerStats;
use atp_store::journal::{FileCounts, JournalStats};
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
    journal_up: IntGauge,
    journal_queued: IntGauge,
    journal_written: IntGaugeVec,
    journal_lost: IntGaugeVec,
    rotated: IntCounter,
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
        let by_file = |name: &str, help: &str| metrics.register(IntGaugeVec::new(Opts::new(name, help), &["file"])?);
        let upstream = Opts::new("atp_upstream_connections", "Connections open to a provider, idle ones included.");
        let gauges = Self {
            connections: gauge("atp_connections", "Callers' connections open now.")?,
            tasks: gauge("atp_tasks", "Answers read on after their callers have left.")?,
            upstream: metrics.register(IntGaugeVec::new(upstream, &["provider"])?)?,
            ledger_up: gauge("atp_ledger_up", "1 while the last attempt to write usage rows succeeded.")?,
            ledger_queued: gauge("atp_ledger_queued_rows", "Usage rows that wait to be written.")?,
            ledger_written: gauge("atp_ledger_written_rows", "Usage rows written since the start.")?,
            ledger_lost: gauge("atp_ledger_lost_rows", "Usage rows dropped since the start.")?,
            journal_up: gauge("atp_journal_up", "1 while the last attempt to write lines of decisions succeeded.")?,
            journal_queued: gauge("atp_journal_queued_lines", "Lines of decisions that wait to be written.")?,
            journal_written: by_file("atp_journal_written_lines", "Lines written since the start.")?,
            journal_lost: by_file("atp_journal_lost_lines", "Lines dropped since the start.")?,
            rotated: counter(
                "atp_router_observation_files_rotated_total",
                "Files of observations that were full, or whose day was over.",
            )?,
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
    pub(crate) fn refresh(&self, ledger: &LedgerStats, journal: &JournalStats) {
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
        self.journal_up.set(i64::from(journal.up));
        self.journal_queued.set(whole(journal.queued));
        for (gauges, counts) in [(&self.journal_written, journal.written), (&self.journal_lost, journal.lost)] {
            let FileCounts { decisions, observations, lifecycle } = counts;
            for (file, count) in [("decisions", decisions), ("observations", observations), ("lifecycle", lifecycle)] {
                gauges.with_label_values(&[file]).set(long(count));
            }
        }
        self.rotated.inc_by(journal.rotated.observations.saturating_sub(self.rotated.get()));
    }
}
