//! The routes of a configuration, as what they decide by: for who makes choices again, or tries other rules on them.

use std::path::Path;
use std::sync::Arc;

use atp_core::Weights;
use atp_dialects::openai;
use atp_pipeline::{Parts, Pipeline, PipelineMetrics};
use atp_routing::decide::MindRules;
use atp_store::MemoryLedger;
use atp_telemetry::{BuildInfo, Metrics};

use crate::fleet::Fleet;
use crate::providers::{self, With};
use crate::run::Described;
use crate::start::StartError;
use crate::tasks::Tasks;
use crate::{reload, snapshot};

/// What one route decides by.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedRoute {
    /// Its candidates and how it chooses among them.
    pub rules: MindRules,
    /// What counts how much, where that is configured.
    pub weights: Option<Weights>,
}

/// The routes of a configuration file, or of the embedded defaults. They are made by the very code that serves, and
/// nobody is asked.
///
/// # Errors
/// Every problem of the file, or the provider that cannot be made.
pub fn load_routes(file: Option<&Path>) -> Result<Vec<LoadedRoute>, StartError> {
    let config = reload::load(file).map_err(StartError::Config)?;
    let fleet = Fleet::offline(&config).map_err(StartError::other)?;
    let wired =
        providers::wire(&config.providers, &[], &With { workers: 1, fleet: &fleet }).map_err(StartError::Other)?;
    let told = snapshot::pipeline(&config, &wired, snapshot::Moment { version: 1, created: 0, spent: Vec::new() });
    let metrics = Metrics::new(&BuildInfo { version: "", commit: None }).map_err(StartError::other)?;
    let parts = Parts {
        ledger: Arc::new(MemoryLedger::new(1, 1)),
        metrics: PipelineMetrics::register(&Described(Arc::new(metrics))).map_err(StartError::other)?,
        spawn: Arc::new(|work| Tasks::default().start(work)),
        dialect: openai::port(),
        journal: None,
    };
    let pipeline = Pipeline::new(parts, &told).map_err(StartError::other)?;
    Ok(pipeline.minds().into_iter().map(|(rules, weights)| LoadedRoute { rules, weights }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_routes_are_what_they_decide_by() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("atp.yaml");
        let text = "providers: { s: { kind: simulated } }\nmodels:\n  a: { targets: [ { provider: s, model: sim-fast } ], quality: 0.7 }\n  \
                    b: { targets: [ { provider: s, model: sim-high } ], latency_p95_ms: 900 }\nroutes:\n  r: { candidates: [ b, a ], \
                    explore: 10%, half_life: 2h, weights: { quality: 1 } }\n";
        std::fs::write(&file, text).unwrap();
        let routes = load_routes(Some(&file)).unwrap();
        let [route, auto] = routes.as_slice() else { panic!("{routes:?}") };
        let names =
            |route: &LoadedRoute| route.rules.candidates.iter().map(|each| each.model.to_string()).collect::<Vec<_>>();
        assert_eq!((names(route), names(auto)), (vec!["b".into(), "a".into()], vec!["a".into(), "b".into()]));
        assert_eq!((route.rules.explore, route.rules.half_life_ms), (0.1, 7_200_000));
        assert_eq!((route.rules.candidates[1].quality, route.rules.candidates[0].p95_ms), (Some(0.7), Some(900)));
        assert_eq!(route.rules.candidates[1].price.map(|price| price.input), Some(100_000));
        assert_eq!((route.weights.map(|weights| weights.quality), auto.weights), (Some(1.0), None));
    }

    #[test]
    fn a_wrong_file_is_told_with_its_problems() {
        assert!(matches!(load_routes(Some(Path::new("/does/not/exist.yaml"))), Err(StartError::Config(_))));
    }
}
