//! What the control plane shows of the running router.

mod choice;
mod flow;
mod observations;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use atp_admin::{ChoicePart, Control, FlowPart, ObservationQuery, Readiness, Version};
use atp_core::port::{BoxFuture, Gateway, GroupBy};
use atp_core::{Error, ErrorKind, Status, Weight};
use atp_ingress::{Drain, Phase};
use atp_pipeline::Pipeline;
use atp_store::{Desk, Files};
use atp_telemetry::{BuildInfo, Metrics};
use serde_json::{Value, json};

use crate::clock;
use crate::config::Resolved;
use crate::config::resolved::{JournalSettings, Model};
use crate::fleet::Fleet;
use crate::gauges::Gauges;

/// The handles that the control plane reads.
pub(crate) struct Running {
    pub(crate) pipeline: Pipeline,
    pub(crate) config: Arc<ArcSwap<Resolved>>,
    pub(crate) build: BuildInfo,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) gauges: Gauges,
    /// Adapters in processes of their own.
    pub(crate) fleet: Fleet,
    pub(crate) desk: Desk,
    /// The journal; `None` where nothing is kept.
    pub(crate) files: Option<Arc<Files>>,
    /// Where observations are kept: those of the start, because that is where they are written.
    pub(crate) observations: JournalSettings,
    pub(crate) drain: Drain,
    pub(crate) started: Instant,
}

impl Control for Running {
    fn readiness(&self) -> Readiness {
        let readiness = Readiness::default();
        let readiness = match self.drain.phase() {
            Phase::Serving => readiness.pass("accepting"),
            Phase::Leaving | Phase::Closing | Phase::Ended => {
                readiness.fail("accepting", "the router is draining; send requests elsewhere")
            }
        };
        let readiness = if self.pipeline.ready() {
            readiness.pass("targets")
        } else {
            readiness.fail("targets", "no model has a target; add one under 'models' and reload")
        };
        let ledger = self.desk.store().stats();
        if ledger.up {
            readiness.pass("ledger")
        } else {
            let why = ledger.last_error.unwrap_or_default();
            readiness.warn("ledger", format!("usage rows cannot be written, requests go on: {why}"))
        }
    }

    fn version(&self) -> Version {
        Version {
            version: self.build.version,
            commit: self.build.commit,
            config: self.pipeline.version(),
            uptime: clock::now().saturating_duration_since(self.started),
            workers: self.config.load().workers,
        }
    }

    fn metrics_text(&self) -> String {
        let journal = self.files.as_ref().map(|files| files.stats());
        self.gauges.refresh(&self.desk.store().stats(), &journal.unwrap_or_default());
        self.metrics.render()
    }

    fn config(&self) -> Value {
        self.config.load().redacted_json()
    }

    fn adapters(&self) -> Value {
        self.fleet.shown()
    }

    fn models(&self) -> Value {
        let config = self.config.load();
        let models = crate::snapshot::described(&config).into_iter().zip(&config.models);
        let entry = |((name, targets), model): ((String, Vec<String>), &Model)| {
            let mut told = model.facts_json();
            if let Value::Object(fields) = &mut told {
                fields.insert("name".to_owned(), json!(name));
                fields.insert("targets".to_owned(), json!(targets));
            }
            told
        };
        json!({
            "models": models.map(entry).collect::<Vec<_>>(),
            "routes": config.routes_json(),
            "listed": self.pipeline.models().len(),
        })
    }

    fn ledger(&self) -> Value {
        serde_json::to_value(self.desk.store().stats()).unwrap_or_default()
    }

    fn usage_recent(&self, limit: usize) -> BoxFuture<'static, Result<Value, Error>> {
        let rows = self.desk.ask(move |store| store.recent(limit));
        Box::pin(async move { Ok(json!(rows.await?)) })
    }

    fn usage_totals(&self, by: GroupBy, since_ms: u64) -> BoxFuture<'static, Result<Value, Error>> {
        let totals = self.desk.ask(move |store| store.totals(since_ms, by));
        Box::pin(async move { Ok(json!(totals.await?)) })
    }

    fn flow(&self, part: FlowPart) -> Value {
        flow::part(&self.pipeline, part, || ended(&self.metrics))
    }

    fn set_weight(&self, tenant: &str, weight: Weight) -> Result<Value, Error> {
        flow::set_weight(&self.pipeline, tenant, weight)
    }

    fn choice(&self, part: ChoicePart) -> Value {
        choice::part(&self.pipeline, part)
    }

    fn pin(&self, model: &str, status: Option<Status>) -> Result<Value, Error> {
        choice::pin(&self.pipeline, model, status)
    }

    fn observation_schema(&self) -> Value {
        observations::schema()
    }

    fn observations(&self, wanted: ObservationQuery) -> BoxFuture<'static, Result<Value, Error>> {
        let settings = self.observations.clone();
        if !settings.enabled {
            let text = "observations are switched off: see `observations.enabled` in the configuration";
            return Box::pin(std::future::ready(Err(Error::caller(ErrorKind::NotFound, text))));
        }
        // The desk keeps disks away from serving threads; it need not ask its ledger.
        self.desk.ask(move |_| observations::read(&settings.path, &wanted))
    }

    fn unix_millis(&self) -> u64 {
        clock::unix().as_millis() as u64
    }
}

/// Requests that have ended since the start, however they did: the sum that is scraped as `requests_total`.
fn ended(metrics: &Metrics) -> u64 {
    let families = metrics.registry().gather();
    let found = families.iter().find(|family| family.name() == "requests_total");
    let sum: f64 =
        found.map_or(0.0, |family| family.get_metric().iter().map(|each| each.get_counter().get_value()).sum());
    // A count of requests, so neither negative nor near the bounds.
    sum as u64
}
