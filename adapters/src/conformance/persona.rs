//! Personas in front of OpenAI's dialect, on real sockets: with every filter and without any tool, so that each
//! answer is read event by event.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use atp_core::port::Provider;
use atp_privacy::{Action, Filter, Guard};

use super::far_side::FarSide;
use super::openai::{adapter, script, served};
use super::{Scene, Stage};
use crate::http_client::Origin;
use crate::persona::{Persona, Personas, Tools};

#[derive(Default)]
struct Sockets(Mutex<Option<Arc<FarSide>>>);

impl Stage for Sockets {
    async fn provider(&self, scene: Scene) -> Arc<dyn Provider> {
        let far_side = Arc::new(FarSide::start(move |body| {
            assert!(body.contains(r#""content":"You are a geologist.""#) && body.contains(r#""model": "up-model""#));
            script(scene, body)
        }));
        let origin = Origin::parse(&far_side.url("/v1")).unwrap();
        *self.0.lock().unwrap() = Some(far_side);
        let guard =
            Filter::ALL.into_iter().fold(Guard::default(), |guard, filter| guard.filtering(filter, Action::Mask));
        let persona = Persona {
            name: Arc::from("m"),
            role: String::from("geologist"),
            prompt: String::from("You are a geologist."),
            tools: Tools::Named(BTreeSet::new()),
            qos: None,
            guard,
        };
        Arc::new(Personas::new(Arc::from("p"), Arc::new(adapter(origin)), Arc::from("up-model"), &[Arc::new(persona)]))
    }

    fn work(&self) -> usize {
        self.0.lock().unwrap().as_ref().map_or(0, |far_side| far_side.working())
    }

    fn words(&self, asked: bool) -> Option<String> {
        Some(served(asked))
    }
}

super::all_claims!(Sockets::default(), paused: false);
