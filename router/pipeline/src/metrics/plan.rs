//! The metrics of choosing: what routes have learnt is read from their minds when it is asked for; counted are
//! only escalations and what was given up, as believed, to learn.
//!
//! The names are the mission's.

use std::sync::{Arc, OnceLock};

use prometheus::core::{Collector, Desc};
use prometheus::{Histogram, HistogramOpts, IntCounter, proto};

use super::flow::{Family, counter, gauge};
use super::{Registry, add};
use crate::plan::Reason;
use crate::view::{ArmStatus, ModelStatus};

/// Of the believed regret, in per cent.
const REGRET_BUCKETS: [f64; 8] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// What routes know, at one moment.
#[derive(Default)]
pub(crate) struct Learnt {
    pub(crate) arms: Vec<ArmStatus>,
    pub(crate) models: Vec<ModelStatus>,
    /// Models that are configured.
    pub(crate) registry: usize,
    /// Choices that can be told about.
    pub(crate) remembered: usize,
}

/// Who shows it; set once there is anything.
type Source = Arc<OnceLock<Box<dyn Fn() -> Learnt + Send + Sync>>>;

/// The families.
#[derive(Clone)]
pub(crate) struct PlanMetrics {
    escalations: [IntCounter; Reason::ALL.len()],
    regret: Histogram,
    source: Source,
}

impl PlanMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Candidates that were asked after or beside the first one of a plan, by the reason";
        let escalations = super::counters(registry, "escalations_total", help, &["reason"])?;
        let escalations = Reason::ALL.map(|reason| escalations.with_label_values(&[reason.label()]));
        let regret = HistogramOpts::new(
            "regret_pct",
            "How much less than the best candidate the chosen one was believed to be worth, in per cent",
        );
        let source = Source::default();
        let unsure = escalations.get(Reason::LowConfidence as usize).cloned();
        add(registry, Picture::new(Arc::clone(&source), unsure)?)?;
        Ok(Self {
            escalations,
            regret: add(registry, Histogram::with_opts(regret.buckets(REGRET_BUCKETS.to_vec()))?)?,
            source,
        })
    }

    /// Says where it is to be seen what routes have learnt.
    pub(crate) fn show(&self, source: impl Fn() -> Learnt + Send + Sync + 'static) {
        // The first one stays: metrics are of one pipeline.
        let _set = self.source.set(Box::new(source));
    }

    /// Counts a candidate that is asked for this reason.
    pub(crate) fn escalates(&self, reason: Reason) {
        if let Some(counter) = self.escalations.get(reason as usize) {
            counter.inc();
        }
    }

    /// Counts a choice: what the best candidate was believed to be worth, and what the chosen one.
    pub(crate) fn chose(&self, best: f64, chosen: f64) {
        if best > 0.0 {
            self.regret.observe((100.0 * (best - chosen) / best).max(0.0));
        }
    }
}

static ARMS: [Family<ArmStatus>; 3] = [
    gauge("atp_router_ucb_score", "The upper confidence bound of a model's reward", |arm| {
        arm.exploit + arm.explore.unwrap_or_default()
    }),
    gauge("atp_router_ucb_exploit", "Its first term: the mean reward", |arm| arm.exploit),
    gauge("atp_router_ucb_explore", "Its second term: what being unsure adds", |arm| arm.explore.unwrap_or_default()),
];

static MODELS: [Family<ModelStatus>; 3] = [
    gauge("adapter_estimate_mape_tokens", "Mean absolute error of token estimates, as a share", |model| {
        model.accuracy.mape_tokens
    }),
    gauge("adapter_estimate_mape_usd", "Mean absolute error of cost estimates, as a share", |model| {
        model.accuracy.mape_usd
    }),
    gauge("adapter_estimate_under_rate", "The share of estimates that were too low by more than a fifth", |model| {
        model.accuracy.under_rate
    }),
];

static TOTALS: [Family<Learnt>; 2] = [
    gauge("model_registry_size", "Models that are configured", |learnt| learnt.registry as f64),
    gauge("atp_choices_remembered", "Choices that can still be asked about and scored", |learnt| {
        learnt.remembered as f64
    }),
];

static UNSURE: Family<IntCounter> = counter(
    "escalations_total_low_conf",
    "Answers whose model was not sure of them, so that another one was asked",
    |counter| counter.get() as f64,
);

#[derive(Clone)]
struct Picture {
    source: Source,
    unsure: Option<IntCounter>,
    descs: Vec<Desc>,
}

impl Picture {
    fn new(source: Source, unsure: Option<IntCounter>) -> Result<Self, prometheus::Error> {
        let mut descs = Vec::new();
        for family in &ARMS {
            descs.push(family.desc(&["route", "cluster", "model"])?);
        }
        for family in &MODELS {
            descs.push(family.desc(&["model"])?);
        }
        for family in &TOTALS {
            descs.push(family.desc(&[])?);
        }
        descs.push(UNSURE.desc(&[])?);
        Ok(Self { source, unsure, descs })
    }
}

impl Collector for Picture {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let learnt = self.source.get().map_or_else(Learnt::default, |source| source());
        let arm = |arm: &'_ ArmStatus| -> Vec<(&'static str, String)> {
            vec![
                ("route", arm.route.to_string()),
                ("cluster", arm.cluster.to_owned()),
                ("model", arm.model.to_string()),
            ]
        };
        let arms = ARMS.iter().map(|family| family.rows(&learnt.arms, arm));
        let model = |model: &'_ ModelStatus| vec![("model", model.model.to_string())];
        let models = MODELS.iter().map(|family| family.rows(&learnt.models, model));
        let totals = TOTALS.iter().map(|family| family.rows(std::slice::from_ref(&learnt), |_| Vec::new()));
        let unsure = UNSURE.rows(self.unsure.as_slice(), |_| Vec::new());
        arms.chain(models).chain(totals).chain([unsure]).collect()
    }
}
