//! The adapter for Ollama's own API, on real sockets.

use std::sync::{Arc, Mutex};

use atp_core::port::Provider;

use super::far_side::{Act, FarSide, chunk, head, sized};
use super::{Scene, Stage};
use crate::http_client::{ClientSettings, HttpClient, Origin};
use crate::ollama::{Ollama, OllamaConfig};

const WHOLE: &str = r#"{"model":"m","message":{"role":"assistant","content":"Slowly."},"done":true,"done_reason":"stop","prompt_eval_count":9,"eval_count":2}"#;
const TOKEN: &str = "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Slowly\"},\"done\":false}\n";
const END: &str = "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":9,\"eval_count\":2}\n";
const SHORT: &str = r#"{"model":"m","message":{"role":"assistant","content":"Slowly"},"done":true,"done_reason":"length","prompt_eval_count":9,"eval_count":1}"#;
const SHORT_END: &str = "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"length\",\"prompt_eval_count\":9,\"eval_count\":1}\n";

#[derive(Default)]
pub(super) struct Sockets(Mutex<Option<Arc<FarSide>>>);

fn script(scene: Scene, body: &str) -> Vec<Act> {
    let stream = body.contains(r#""stream":true"#);
    let error = r#"{"error":"no"}"#;
    let begun = || vec![Act::Write(head("application/x-ndjson")), Act::Write(chunk(TOKEN))];
    let after = |mut acts: Vec<Act>, more: Vec<Act>| {
        acts.extend(more);
        acts
    };
    if scene == Scene::Bounded && body.contains(r#""num_predict":1"#) {
        return match stream {
            true => after(begun(), vec![Act::Write(chunk(SHORT_END) + "0\r\n\r\n")]),
            false => vec![Act::Write(sized("200 OK", "", SHORT))],
        };
    }
    match (scene, stream) {
        (Scene::Serve | Scene::Bounded | Scene::Long | Scene::Told, false) => {
            vec![Act::Write(sized("200 OK", "", WHOLE))]
        }
        (Scene::Serve | Scene::Bounded, true) => after(begun(), vec![Act::Write(chunk(END) + "0\r\n\r\n")]),
        (Scene::Long, true) => after(begun(), vec![Act::Repeat(chunk(TOKEN))]),
        (Scene::Overloaded, _) => vec![Act::Write(sized("429 Too Many Requests", "retry-after: 2\r\n", error))],
        (Scene::Failed, _) => vec![Act::Write(sized("500 Internal Server Error", "", error))],
        (Scene::Rejected, _) => vec![Act::Write(sized("400 Bad Request", "", error))],
        (Scene::Silent, _) => vec![Act::Hang],
        (Scene::Stalled, true) => after(begun(), vec![Act::Hang]),
        (Scene::Cut, true) => after(begun(), vec![Act::Close]),
        (Scene::Stalled | Scene::Cut, false) => {
            let whole = sized("200 OK", "", WHOLE);
            let half = whole[..whole.len() - 10].to_owned();
            vec![Act::Write(half), if scene == Scene::Cut { Act::Close } else { Act::Hang }]
        }
        (Scene::Told, true) => after(begun(), vec![Act::Write(chunk("{\"error\":\"it broke\"}\n") + "0\r\n\r\n")]),
    }
}

impl Stage for Sockets {
    async fn provider(&self, scene: Scene) -> Arc<dyn Provider> {
        let far_side = Arc::new(FarSide::start(move |body| script(scene, body)));
        let origin = Origin::parse(&far_side.url("")).unwrap();
        *self.0.lock().unwrap() = Some(far_side);
        let config = OllamaConfig { name: Arc::from("local"), api_key: None, headers: Vec::new() };
        let client = HttpClient::new(origin, ClientSettings::default(), 1).unwrap();
        Arc::new(Ollama::new(config, client).unwrap())
    }

    fn work(&self) -> usize {
        self.0.lock().unwrap().as_ref().map_or(0, |far_side| far_side.working())
    }

    fn words(&self, _: bool) -> Option<String> {
        None
    }
}

super::all_claims!(Sockets::default(), paused: false);
