//! The adapter for OpenAI's dialect, on real sockets.

use std::sync::{Arc, Mutex};

use atp_core::port::Provider;

use super::far_side::{Act, FarSide, chunk, head, sized};
use super::{Scene, Stage};
use crate::http_client::{ClientSettings, HttpClient, Origin};
use crate::openai_compatible::{AuthStyle, OpenAiCompatible, OpenAiConfig, Quirks};

const WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Slowly."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

const ROLE: &str = "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const TOKEN: &str =
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Slowly\"},\"finish_reason\":null}]}\n\n";
const END: &str = "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n";
const SHORT: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Slowly"},"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;
const SHORT_END: &str =
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n";
const SHORT_USAGE: &str = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1,\"total_tokens\":10}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const FAILED: &str =
    "data: {\"error\":{\"message\":\"it broke\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";

#[derive(Default)]
pub(super) struct Sockets(Mutex<Option<Arc<FarSide>>>);

pub(super) fn script(scene: Scene, body: &str) -> Vec<Act> {
    let stream = body.contains(r#""stream": true"#);
    let error = |code: &str| format!(r#"{{"error":{{"message":"no","type":"{code}","param":null,"code":null}}}}"#);
    let begun = || vec![Act::Write(head("text/event-stream")), Act::Write(chunk(ROLE)), Act::Write(chunk(TOKEN))];
    let after = |mut acts: Vec<Act>, more: Vec<Act>| {
        acts.extend(more);
        acts
    };
    if scene == Scene::Bounded && body.contains(r#""max_completion_tokens":1"#) {
        return match stream {
            true => after(begun(), vec![Act::Write(chunk(&[SHORT_END, SHORT_USAGE, DONE].concat()) + "0\r\n\r\n")]),
            false => vec![Act::Write(sized("200 OK", "", SHORT))],
        };
    }
    match (scene, stream) {
        (Scene::Serve | Scene::Bounded | Scene::Long | Scene::Told, false) => {
            vec![Act::Write(sized("200 OK", "", WHOLE))]
        }
        (Scene::Serve | Scene::Bounded, true) => {
            let usage = if body.contains("include_usage") { USAGE } else { "" };
            // The end comes in one piece with the last chunk's size line cut off from it.
            let rest = chunk(&[END, usage, DONE].concat()) + "0\r\n\r\n";
            after(begun(), vec![Act::Write(rest)])
        }
        (Scene::Long, true) => after(begun(), vec![Act::Repeat(chunk(TOKEN))]),
        (Scene::Overloaded, _) => {
            vec![Act::Write(sized("429 Too Many Requests", "retry-after: 2\r\n", &error("requests")))]
        }
        (Scene::Failed, _) => vec![Act::Write(sized("500 Internal Server Error", "", &error("server_error")))],
        (Scene::Rejected, _) => vec![Act::Write(sized("400 Bad Request", "", &error("invalid_request_error")))],
        (Scene::Silent, _) => vec![Act::Hang],
        (Scene::Stalled, true) => after(begun(), vec![Act::Hang]),
        (Scene::Cut, true) => after(begun(), vec![Act::Close]),
        (Scene::Stalled | Scene::Cut, false) => {
            let whole = sized("200 OK", "", WHOLE);
            let half = whole[..whole.len() - 10].to_owned();
            vec![Act::Write(half), if scene == Scene::Cut { Act::Close } else { Act::Hang }]
        }
        (Scene::Told, true) => after(begun(), vec![Act::Write(chunk(FAILED) + "0\r\n\r\n")]),
    }
}

/// The bytes of a served stream.
pub(super) fn served(asked: bool) -> String {
    [ROLE, TOKEN, END, if asked { USAGE } else { "" }, DONE].concat()
}

/// The adapter towards a far side.
pub(crate) fn adapter(origin: Origin) -> OpenAiCompatible {
    let config = OpenAiConfig {
        name: Arc::from("up"),
        api_key: None,
        auth: AuthStyle::Bearer,
        headers: Vec::new(),
        query: String::new(),
        quirks: Quirks::default(),
        whole_answer_cap: 1 << 20,
    };
    let client = HttpClient::new(origin, ClientSettings::default(), 1).unwrap();
    OpenAiCompatible::new(config, client).unwrap()
}

impl Stage for Sockets {
    async fn provider(&self, scene: Scene) -> Arc<dyn Provider> {
        let far_side = Arc::new(FarSide::start(move |body| script(scene, body)));
        let origin = Origin::parse(&far_side.url("/v1")).unwrap();
        *self.0.lock().unwrap() = Some(far_side);
        Arc::new(adapter(origin))
    }

    fn work(&self) -> usize {
        self.0.lock().unwrap().as_ref().map_or(0, |far_side| far_side.working())
    }

    fn words(&self, asked: bool) -> Option<String> {
        Some(served(asked))
    }
}

super::all_claims!(Sockets::default(), paused: false);
