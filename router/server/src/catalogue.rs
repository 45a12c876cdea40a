//! The page of metrics, made from what is registered: docs/metrics.md.

use std::sync::Arc;

use arc_swap::ArcSwap;
use atp_ingress::listen::Connections;
use atp_pipeline::PipelineMetrics;
use atp_telemetry::{BuildInfo, Metrics};

use crate::config::tests::{assert_file, root};
use crate::fleet::Counts;
use crate::gauges::Gauges;
use crate::run::Described;
use crate::tasks::Tasks;

const INTRO: &str = include_str!("catalogue/intro.md");

#[test]
fn the_page_of_metrics_is_fresh() {
    let metrics = Arc::new(Metrics::new(&BuildInfo { version: "", commit: None }).unwrap());
    PipelineMetrics::register(&Described(Arc::clone(&metrics))).unwrap();
    let providers = Arc::<ArcSwap<_>>::default();
    Gauges::register(&metrics, Connections::new(1), Tasks::default(), providers).unwrap();
    Counts::register(&metrics).unwrap();
    assert_file(&root().join("docs/metrics.md"), &format!("{INTRO}{}", metrics.catalogue()));
}
