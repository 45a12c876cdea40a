//! Metrics plumbing: one registry, the process's own numbers, the text that is scraped, and the
//! catalogue of everything that is registered.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{IntGauge, Opts, Registry, TextEncoder};

use catalogue::Family;
use process::ProcessCollector;

mod catalogue;
mod process;
#[cfg(test)]
mod tests;

/// What is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildInfo {
    /// The version of the program.
    pub version: &'static str,
    /// The commit that it was built from, where the build knew it.
    pub commit: Option<&'static str>,
}

/// The process's metrics.
pub struct Metrics {
    registry: Registry,
    described: Mutex<BTreeMap<String, Family>>,
}

impl Metrics {
    /// A registry with the process's numbers and what is running in it.
    ///
    /// # Errors
    /// None that a right program can meet: the names below are valid and registered once.
    pub fn new(build: &BuildInfo) -> prometheus::Result<Self> {
        let metrics = Self { registry: Registry::new(), described: Mutex::new(BTreeMap::new()) };
        metrics.register(ProcessCollector::new()?)?;
        let info = Opts::new("atp_build_info", "What is running; always 1.")
            .const_label("version", build.version)
            .const_label("commit", build.commit.unwrap_or("unknown"));
        metrics.register(IntGauge::with_opts(info)?)?.set(1);
        let version =
            Opts::new("router_version", "The version of the router; always 1.").const_label("version", build.version);
        metrics.register(IntGauge::with_opts(version)?)?.set(1);
        Ok(metrics)
    }

    /// Registers metrics and returns them. Metrics of labels without any value yet are scraped as
    /// nothing, but stand in the catalogue all the same.
    ///
    /// # Errors
    /// Where a name is taken or not valid.
    pub fn register<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.add(Box::new(collector.clone()))?;
        Ok(collector)
    }

    /// Registers what somebody else keeps.
    ///
    /// # Errors
    /// Where a name is taken or not valid.
    pub fn add(&self, collector: Box<dyn Collector>) -> prometheus::Result<()> {
        let families = catalogue::families(collector.as_ref());
        self.registry.register(collector)?;
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        described.extend(families.into_iter().map(|family| (family.name.clone(), family)));
        Ok(())
    }

    /// The registry itself.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything in the text format that Prometheus scrapes. Takes some hundred microseconds: call
    /// it on the control plane.
    #[must_use]
    pub fn render(&self) -> String {
        let families = self.registry.gather();
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_else(|fault| format!("# the metrics cannot be shown: {fault}\n"))
    }

    /// Every family that was registered here and not in the bare registry, as a Markdown table sorted by
    /// name: the same for the same program.
    #[must_use]
    pub fn catalogue(&self) -> String {
        catalogue::table(self.described.lock().unwrap_or_else(PoisonError::into_inner).values())
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// One of what a gauge counts: taken when made, given back when dropped.
#[derive(Debug)]
pub struct GaugeGuard(IntGauge);

impl GaugeGuard {
    /// Counts one more.
    #[must_use]
    pub fn enter(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
