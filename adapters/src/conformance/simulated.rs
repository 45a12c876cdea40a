//! The simulated provider: scenes are settings, and time is paused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use atp_core::port::Provider;

use super::{Ask, PATIENT, Scene, Stage, call};
use crate::simulated::{Distribution, Simulated, SimulatedConfig, SimulatedModel, SimulatedRateLimit};

#[derive(Default)]
pub(super) struct InProcess(Mutex<Option<Arc<Simulated>>>);

impl Stage for InProcess {
    async fn provider(&self, scene: Scene) -> Arc<dyn Provider> {
        let mut model = SimulatedModel {
            time_to_first_token_ms: Distribution::Constant(10.0),
            tokens_per_second: Distribution::Constant(200.0),
            capacity: Some(8),
            ..SimulatedModel::default()
        };
        match scene {
            Scene::Serve | Scene::Bounded => {}
            Scene::Long => model.output_tokens = Distribution::Constant(20_000.0),
            Scene::Overloaded => model.rate_limit = Some(SimulatedRateLimit { requests_per_second: 0.5, burst: 1 }),
            Scene::Failed => model.error_rate = 1.0,
            Scene::Rejected => model.context_tokens = 16,
            Scene::Silent => model.time_to_first_token_ms = Distribution::Constant(1e9),
            Scene::Stalled => model.stall_rate = 1.0,
            Scene::Cut => model.cut_rate = 1.0,
            Scene::Told => model.stream_error_rate = 1.0,
        }
        let models = [("m".to_owned(), model)].into_iter().collect();
        let provider = Arc::new(Simulated::new(Arc::from("sim"), SimulatedConfig { seed: 1, models }).unwrap());
        *self.0.lock().unwrap() = Some(Arc::clone(&provider));
        let provider: Arc<dyn Provider> = provider;
        if scene == Scene::Overloaded {
            drop(call(&provider, Ask::Stream, PATIENT).await.unwrap());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        provider
    }

    fn work(&self) -> usize {
        self.0.lock().unwrap().as_ref().map_or(0, |provider| provider.serving("m"))
    }

    fn words(&self, _: bool) -> Option<String> {
        None
    }
}

super::all_claims!(InProcess::default(), paused: true);
