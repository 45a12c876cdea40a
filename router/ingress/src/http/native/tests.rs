//! The router's own endpoints on a real connection, in front of a gateway that is played by hand.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use atp_core::port::{BoxFuture, Gateway, ModelCard};
use atp_core::{
    Answer, AnswerBody, Candidate, Decision, Exchange, Finish, Forecast, FullBody, Hints, MicroUsd, Notes, Observation,
    Payload, Plan, PlanEvent, Price, Qos, Quality, RateFacts, Reply, Report, Role, Status, Terms, Upshot, Usage,
    Weights,
};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;
use crate::{Drain, Entrance, KeyRing, Limits, Settings, near};

const USAGE: Usage = Usage { input: 300, output: 100, cached_input: 0, reasoning: 0 };

/// What the gateway was asked.
#[derive(Debug)]
struct Seen {
    model: String,
    body: Value,
    stream: bool,
    qos: Qos,
    session: Option<String>,
    hints: Hints,
    headers: HeaderMap,
}

impl Seen {
    fn of(exchange: &Exchange) -> Self {
        let Payload::Rope(rope) = &exchange.payload else { panic!("a chat is held") };
        assert_eq!((exchange.operation, &*exchange.path), (Operation::Chat, "/chat/completions"));
        assert_eq!(exchange.fields.model.as_deref().unwrap_or("auto"), &*exchange.model);
        Self {
            model: exchange.model.to_string(),
            body: serde_json::from_slice(&rope.to_bytes()).unwrap(),
            stream: exchange.stream,
            qos: exchange.qos,
            session: exchange.session.as_deref().map(str::to_owned),
            hints: exchange.hints.as_deref().cloned().unwrap_or_default(),
            headers: exchange.headers.clone(),
        }
    }
}

/// Answers by the model's name; remembers what it was asked and told.
#[derive(Default)]
struct Played {
    calls: Mutex<Vec<Seen>>,
    plans: Mutex<Vec<Seen>>,
    observed: Mutex<Vec<Observation>>,
    refused: Mutex<Vec<&'static str>>,
    /// Bodies that have not been dropped.
    held: Arc<AtomicUsize>,
}

/// A stream of pieces; with none left it waits for ever, ends, or breaks.
struct Pieces {
    left: VecDeque<Bytes>,
    then: Then,
    ended: bool,
    report: Report,
    held: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum Then {
    End,
    Break(Error),
    Wait,
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AnswerBody for Pieces {
    fn poll_chunk(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(piece) = self.left.pop_front() {
            return Poll::Ready(Some(Ok(piece)));
        }
        self.ended = true;
        match self.then.clone() {
            Then::End => {
                self.report = Report { usage: Some(USAGE), finish: Some(Finish::Stop), ..Report::default() };
                Poll::Ready(None)
            }
            Then::Break(error) => Poll::Ready(Some(Err(error))),
            Then::Wait => Poll::Pending,
        }
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn cost(&self) -> Option<MicroUsd> {
        self.ended.then_some(MicroUsd(700))
    }
}

fn plan(exchange: &Exchange) -> Arc<Plan> {
    let candidate = |model: &str, input| Candidate {
        model: Arc::from(model),
        price: Some(Price { input, output: 4 * input, cached_input: input }),
        quality: 0.8,
        latency_p95: None,
        forecast: Forecast::default(),
        dropped: None,
        terms: Terms::default(),
    };
    Arc::new(Plan {
        id: exchange.id,
        tenant: Arc::clone(&exchange.caller.tenant),
        route: Arc::clone(&exchange.model),
        cluster: Arc::from("chat"),
        prompt_hash: 7,
        quality: Quality::Balanced,
        weights: Weights::of(Quality::Balanced),
        max_cost: None,
        latency_slo: None,
        strategy: Arc::from("contextual"),
        reason: Arc::from("it looked best"),
        candidates: vec![candidate("small", 1_000_000), candidate("large", 4_000_000)],
        order: vec![0, 1],
        roles: vec![(Role::Primary, 0), (Role::Fallback, 1)],
        explored: false,
    })
}

fn piece(text: &str) -> Bytes {
    Bytes::from(format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": text}}]})))
}

/// The only request that is remembered.
const KNOWN: &str = "req_0123456789ab7fffbfffffffffffffff";

impl Played {
    fn pieces(&self, pieces: impl IntoIterator<Item = Bytes>, then: Then) -> Answer {
        self.held.fetch_add(1, Ordering::SeqCst);
        let (left, held) = (pieces.into_iter().collect(), Arc::clone(&self.held));
        let body = Pieces { left, then, ended: false, report: Report::default(), held };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))]);
        Answer { status: StatusCode::OK, headers, limits: RateFacts::default(), body: Box::pin(body) }
    }

    fn whole() -> Answer {
        let body = json!({"choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]});
        let report = Report { usage: Some(USAGE), finish: Some(Finish::Stop), ..Report::default() };
        let body = Box::pin(FullBody::new(Bytes::from(body.to_string()), report));
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Answer { status: StatusCode::OK, headers, limits: RateFacts::default(), body }
    }

    fn result(&self, exchange: &Exchange) -> Result<Answer, Error> {
        let hello =
            || [piece("Hel"), Bytes::from_static(b": a comment\n\n"), piece("lo"), Bytes::from("data: [DONE]\n\n")];
        match &*exchange.model {
            "broken" => Ok(self.pieces([piece("Hel")], Then::Break(Error::provider(ErrorKind::ProviderCut, "gone")))),
            "endless" => Ok(self.pieces([piece("Hel")], Then::Wait)),
            "deaf" => Ok(Self::whole()),
            "broke" => Err(Error::caller(ErrorKind::BudgetDenied, "the key's day is spent")),
            "down" => Err(Error::provider(ErrorKind::ProviderFailed, "status 500")),
            "none" => Err(Error::router(ErrorKind::NoModelsAvailable, "small: cost, large: health")),
            "busy" => Err(Error::router(ErrorKind::Backpressure, "the queue is full")
                .with_retry(atp_core::Retry::After(Duration::from_millis(1_500)))),
            "unknown" => Err(Error::caller(ErrorKind::ModelNotFound, "no such model")),
            _ if exchange.stream => Ok(self.pieces(hello(), Then::End)),
            _ => Ok(Self::whole()),
        }
    }
}

impl Gateway for Played {
    fn call(&self, exchange: Exchange) -> BoxFuture<'static, Reply> {
        self.calls.lock().unwrap().push(Seen::of(&exchange));
        let mut notes = Notes { attempts: 1, ..Notes::default() };
        if exchange.model.starts_with("auto") {
            notes.plan = Some(plan(&exchange));
            notes.chosen = Some(Arc::from("large"));
            notes.phase = Some(Status::Fallback);
            notes.events = vec![PlanEvent::Escalate { model: Arc::from("large"), reason: "failure" }];
        }
        if !exchange.stream {
            notes.cost = Some(MicroUsd(700));
        }
        Box::pin(std::future::ready(Reply { notes, result: self.result(&exchange) }))
    }

    fn refused(&self, _: Option<Operation>, error: &Error) {
        self.refused.lock().unwrap().push(error.kind().code());
    }

    fn models(&self) -> Vec<ModelCard> {
        Vec::new()
    }

    fn model(&self, _: &str) -> Option<ModelCard> {
        None
    }

    fn plan(&self, exchange: &Exchange) -> Result<Arc<Plan>, Error> {
        self.plans.lock().unwrap().push(Seen::of(exchange));
        if &*exchange.model == "none" {
            return Err(Error::router(ErrorKind::NoModelsAvailable, "small: cost"));
        }
        Ok(plan(exchange))
    }

    fn decision(&self, caller: &Caller, id: RequestId) -> Option<Arc<Decision>> {
        let ours = id.to_string() == KNOWN && (&*caller.tenant == "acme" || &*caller.tenant == "anonymous");
        ours.then(|| {
            let made = Plan { id, ..(*plan(&exchange())).clone() };
            let result = Upshot { model: Some(Arc::from("large")), outcome: "served", ..Upshot::default() };
            Arc::new(Decision { plan: Arc::new(made), result: Some(result), score: None })
        })
    }

    fn observe(&self, caller: &Caller, observation: &Observation) -> Result<(), Error> {
        if self.decision(caller, observation.id).is_none() {
            return Err(Error::caller(ErrorKind::NotFound, "no choice is remembered"));
        }
        self.observed.lock().unwrap().push(observation.clone());
        Ok(())
    }
}

/// An exchange to make a plan of.
fn exchange() -> Exchange {
    Exchange {
        id: RequestId::parse(KNOWN).unwrap(),
        caller: Arc::new(Caller::anonymous()),
        operation: Operation::Chat,
        model: Arc::from("auto"),
        method: Method::POST,
        path: Arc::from(""),
        headers: HeaderMap::new(),
        payload: Payload::Rope(atp_core::Rope::new()),
        fields: atp_core::Fields::default(),
        stream: false,
        qos: Qos::Silver,
        session: None,
        reuse: atp_core::Reuse::Allowed,
        restarts: atp_core::Restarts::Refused,
        patience: None,
        hints: None,
        received: crate::clock::now(),
    }
}

struct Scene {
    played: Arc<Played>,
    entrance: Entrance,
}

impl Scene {
    fn with(keys: KeyRing) -> Self {
        let played = Arc::new(Played::default());
        let settings = Settings { keys, limits: Limits { max_prompt_chars: Some(500), ..Limits::default() } };
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let entrance = Entrance::new(Arc::clone(&played) as _, settings, Arc::new(|_| None), Drain::new());
        Self { played, entrance }
    }

    fn open() -> Self {
        Self::with(KeyRing::open())
    }

    /// Keys `acme-key` (gold, quality fast by default) and `other-key` (bronze), of these tenants.
    fn keyed() -> Self {
        let caller = |name: &str, qos| {
            let hints = Hints { quality: Some(Quality::Fast), ..Hints::default() };
            let (key, tenant) = (Arc::from(name), Arc::from(name));
            let hints = (name == "acme").then(|| Box::new(hints));
            Arc::new(Caller { key, tenant, qos, hints, ..Caller::anonymous() })
        };
        let digest = |key: &str| -> [u8; 32] { Sha256::digest(key.as_bytes()).into() };
        let keys = [("acme-key", caller("acme", Qos::Gold)), ("other-key", caller("other", Qos::Bronze))];
        Self::with(KeyRing::new(keys.map(|(key, caller)| (digest(key), caller))))
    }

    /// Status, head in lower case, and body.
    async fn send(&self, method: &str, path: &str, extra: &str, body: &str) -> (u16, String, String) {
        let (head, rest) = near::asked(self.entrance.clone(), &format!("{method} {path}"), extra, body).await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        (status, head.to_lowercase(), if chunked { unchunked(&rest) } else { rest })
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, String, Value) {
        self.post_with(path, "", body).await
    }

    async fn post_with(&self, path: &str, extra: &str, body: &Value) -> (u16, String, Value) {
        let (status, head, text) = self.send("POST", path, extra, &body.to_string()).await;
        let read = serde_json::from_str(&text).unwrap_or_else(|_| Value::Array(lines(&text)));
        (status, head, read)
    }

    fn seen(&self) -> Seen {
        self.played.calls.lock().unwrap().pop().expect("the gateway was called")
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut out = String::new();
    loop {
        let (size, behind) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return out;
        }
        out.push_str(&behind[..size]);
        rest = &behind[size + 2..];
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

fn kinds(messages: &Value) -> Vec<&str> {
    messages.as_array().unwrap().iter().map(|message| message["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_ask_is_a_plan_its_events_chunks_and_a_final_message() {
    let scene = Scene::open();
    let (status, head, told) = scene.post("/v1/ask", &json!({"prompt": "Hi", "quality": "balanced"})).await;
    assert_eq!((status, kinds(&told)), (200, vec!["plan", "event", "chunk", "chunk", "final"]));
    assert!(head.contains("content-type: application/x-ndjson"), "{head}");
    assert!(head.contains("x-atp-chosen-model: large"), "{head}");
    let id = told[0]["plan_id"].as_str().unwrap();
    assert!(head.contains(&format!("x-atp-plan: {id}")) && head.contains(&format!("x-request-id: {id}")), "{head}");
    assert_eq!(
        told[0]["roles"],
        json!([{"role": "primary", "model": "small"}, {"role": "fallback", "model": "large"}])
    );
    assert_eq!(told[1], json!({"type": "event", "event": "escalate", "model": "large", "reason": "failure"}));
    assert_eq!(told[2], json!({"type": "chunk", "seq": 1, "text": "Hel", "model": "large"}));
    assert_eq!((&told[3]["seq"], &told[3]["text"]), (&json!(2), &json!("lo")));
    let last = &told[4];
    assert_eq!((&last["text"], &last["model_used"]), (&json!("Hello"), &json!("large")));
    assert_eq!(
        (&last["tokens_in"], &last["tokens_out"], &last["cost_usd"]),
        (&json!(300), &json!(100), &json!(0.0007))
    );
    assert_eq!((&last["savings_pct"], &last["escalation_count"]), (&json!(75.0), &json!(1)));
    assert_eq!(scene.played.held.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn each_message_is_a_chunk_of_its_own() {
    let scene = Scene::open();
    let (_, text) = near::asked(scene.entrance.clone(), "POST /v1/ask", "", r#"{"prompt":"Hi"}"#).await;
    let mut rest = text.as_str();
    let mut messages = 0;
    while let Some((size, behind)) = rest.split_once("\r\n").filter(|(size, _)| *size != "0") {
        let size = usize::from_str_radix(size, 16).unwrap();
        assert!(serde_json::from_str::<Value>(&behind[..size]).is_ok(), "{}", &behind[..size]);
        messages += 1;
        rest = &behind[size + 2..];
    }
    assert_eq!(messages, 5);
}

#[tokio::test]
async fn who_accepts_events_gets_events() {
    let scene = Scene::open();
    let body = json!({"prompt": "Hi"}).to_string();
    let (status, head, text) = scene.send("POST", "/v1/ask", "accept: text/event-stream\r\n", &body).await;
    assert!(status == 200 && head.contains("content-type: text/event-stream"), "{head}");
    let events: Vec<_> = text.split_terminator("\n\n").collect();
    assert!(
        events.len() == 5 && events.iter().all(|event| event.starts_with("data: {") && !event.contains('\n')),
        "{text}"
    );
    assert!(text.ends_with("\n\n"));
}

#[tokio::test]
async fn an_answer_in_one_piece_holds_everything() {
    let scene = Scene::open();
    let (status, head, told) = scene.post("/v1/ask", &json!({"prompt": "Hi", "stream": false})).await;
    assert_eq!(status, 200, "{told}");
    assert!(head.contains("content-type: application/json") && head.contains("x-atp-cost-usd: 0.000700"), "{head}");
    assert_eq!(
        (&told["text"], &told["response"], &told["model_used"]),
        (&json!("Hello"), &json!("Hello"), &json!("large"))
    );
    assert_eq!((&told["tokens_in"], &told["cost_usd"]), (&json!(300), &json!(0.0007)));
    assert_eq!(told["metadata"]["plan"]["plan_id"], told["metadata"]["request_id"]);
    assert!(!scene.seen().stream);
}

#[tokio::test]
async fn a_provider_that_does_not_stream_is_read_all_the_same() {
    let (_, _, told) = Scene::open().post("/v1/ask", &json!({"prompt": "Hi", "model": "deaf"})).await;
    assert_eq!(kinds(&told), ["plan", "chunk", "final"]);
    assert_eq!(
        (&told[1]["text"], &told[2]["text"], &told[2]["model_used"]),
        (&json!("Hello"), &json!("Hello"), &json!("deaf"))
    );
    assert_eq!((&told[0]["plan_id"], &told[2]["savings_pct"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn an_ask_is_a_chat_to_what_is_behind() {
    let scene = Scene::open();
    let ask = json!({"prompt": "Hi", "system": "Be brief", "max_tokens": 9, "session_id": "s-1", "quality": "fast"});
    scene.post_with("/v1/ask", "user-agent: curl\r\naccept: */*\r\nx-atp-session: other\r\n", &ask).await;
    let seen = scene.seen();
    let messages = json!([{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]);
    assert_eq!(seen.body, json!({"model": "auto", "messages": messages, "max_completion_tokens": 9, "stream": true}));
    assert_eq!((seen.model.as_str(), seen.stream, seen.qos), ("auto", true, Qos::Bronze));
    assert_eq!(seen.session.as_deref(), Some("s-1"));
    assert_eq!(seen.headers["accept"], "text/event-stream");
    assert_eq!(seen.headers["user-agent"], "curl");
    let hints = seen.hints;
    assert_eq!((hints.quality, hints.latency_slo), (Some(Quality::Fast), Some(Duration::from_millis(2_000))));
    assert_eq!((hints.max_cost, hints.usual_cost), (None, Some(MicroUsd(50_000))));
}

#[tokio::test]
async fn body_then_header_then_key_say_what_is_wanted_and_the_key_bounds_the_class() {
    let scene = Scene::keyed();
    let acme = "authorization: Bearer acme-key\r\n";
    scene.post_with("/v1/ask", acme, &json!({"prompt": "Hi", "tenant": "acme"})).await;
    let seen = scene.seen();
    assert_eq!((seen.hints.quality, seen.qos), (Some(Quality::Fast), Qos::Bronze));
    scene.post_with("/v1/ask", &format!("{acme}x-atp-quality: high\r\n"), &json!({"prompt": "Hi"})).await;
    let seen = scene.seen();
    assert_eq!((seen.hints.quality, seen.qos), (Some(Quality::High), Qos::Gold));
    scene
        .post_with("/v1/ask", &format!("{acme}x-atp-qos: silver\r\n"), &json!({"prompt": "Hi", "quality": "high"}))
        .await;
    assert_eq!(scene.seen().qos, Qos::Silver);
    scene.post_with("/v1/ask", acme, &json!({"prompt": "Hi", "model": "auto:high"})).await;
    assert_eq!(scene.seen().qos, Qos::Gold);
    scene.post_with("/v1/ask", "x-api-key: other-key\r\n", &json!({"prompt": "Hi", "quality": "high"})).await;
    assert_eq!(scene.seen().qos, Qos::Bronze);
}

#[tokio::test]
async fn hints_reach_a_chat_by_its_headers() {
    let scene = Scene::open();
    let chat = json!({"model": "auto", "messages": []});
    let extra =
        "x-atp-max-cost-usd: 0.02\r\nx-atp-latency-slo-ms: 900\r\nx-session-id: s\r\nx-data-scope: internal\r\n";
    let (status, head, _) = scene.post_with("/v1/chat/completions", extra, &chat).await;
    assert!(status == 200 && head.contains("x-atp-plan: req_"), "{head}");
    let seen = scene.seen();
    assert_eq!((seen.hints.max_cost, seen.hints.usual_cost), (Some(MicroUsd(20_000)), None));
    assert_eq!(
        (seen.hints.latency_slo, seen.hints.data_scope.as_deref()),
        (Some(Duration::from_millis(900)), Some("internal"))
    );
    assert_eq!((seen.session.as_deref(), seen.headers.get("x-data-scope")), (Some("s"), None));
    let (status, head, told) = scene.post_with("/v1/chat/completions", "x-atp-quality: best\r\n", &chat).await;
    assert!(status == 422 && head.contains("x-atp-error: validation_error"), "{head}");
    assert!(told["error"]["message"].as_str().unwrap().contains("fast, balanced or high"), "{told}");
}

#[tokio::test]
async fn every_refusal_has_its_code_its_status_and_its_way_out() {
    let scene = Scene::open();
    let long = "x".repeat(600);
    let cases = [
        (json!({"prompt": "p", "quality": "best"}), 422, "validation_error", "`quality` is \"best\""),
        (json!({}), 422, "validation_error", "`prompt` is missing"),
        (json!({"prompt": long}), 413, "prompt_too_large", "prompt_too_large: "),
        (json!({"prompt": "p", "model": "none"}), 503, "no_models_available", "small: cost"),
        (json!({"prompt": "p", "model": "broke"}), 429, "backpressure", "budget_denied: "),
        (json!({"prompt": "p", "model": "busy"}), 429, "backpressure", "the queue is full"),
        (json!({"prompt": "p", "model": "unknown"}), 404, "model_not_found", "no such model"),
        (json!({"prompt": "p", "model": "down"}), 502, "external_service_error", "provider_failed: "),
        (json!("p"), 400, "invalid_request", "it takes a JSON object"),
    ];
    for (body, status, code, detail) in cases {
        let (got, head, told) = scene.post("/v1/ask", &body).await;
        assert_eq!((got, &told["error"]), (status, &json!(code)), "{body}: {told}");
        assert!(told["detail"].as_str().unwrap().contains(detail), "{told}");
        assert!(head.contains(&format!("x-atp-error: {code}")), "{head}");
        assert!(head.contains("content-type: application/json") && head.contains("x-request-id: req_"), "{head}");
        assert_eq!(head.contains("retry-after: 2"), body["model"] == "busy", "{head}");
    }
    // What the gateway refused it has counted itself.
    let counted = ["validation_error", "validation_error", "prompt_too_large", "invalid_request"];
    assert_eq!(*scene.played.refused.lock().unwrap(), counted);
    let (status, head, told) = scene.send("GET", "/v1/ask", "", "").await;
    assert!(status == 405 && head.contains("x-atp-error: invalid_request") && told.contains("use POST"), "{told}");
}

#[tokio::test]
async fn the_last_message_tells_where_the_model_stands_in_its_life() {
    let scene = Scene::open();
    let (_, _, told) = scene.post("/v1/ask", &json!({"prompt": "Hi"})).await;
    assert_eq!(told.as_array().unwrap().last().unwrap()["phase"], "fallback");
    let (_, _, told) = scene.post("/v1/ask", &json!({"prompt": "Hi", "stream": false})).await;
    assert_eq!(told["phase"], "fallback");
}

#[tokio::test]
async fn a_plan_is_made_for_no_longer_prompt_than_an_answer() {
    let scene = Scene::open();
    let long = "x".repeat(600);
    let chat = json!({"model": "auto", "messages": [{"role": "user", "content": &long}]});
    let parts = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": &long}]}]});
    let system = json!({"prompt": "p", "system": &long});
    for body in [json!({"prompt": &long}), chat, parts, system] {
        let (status, head, told) = scene.post("/v1/plan", &body).await;
        assert_eq!((status, &told["error"]), (413, &json!("prompt_too_large")), "{body}: {told}");
        assert!(head.contains("x-atp-error: prompt_too_large"), "{head}");
        assert!(told["detail"].as_str().unwrap().contains("at most 500"), "{told}");
    }
    assert!(scene.played.plans.lock().unwrap().is_empty(), "nobody has planned them");
    let (status, _, _) = scene.post("/v1/plan", &json!({"prompt": "x".repeat(500)})).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_a_final_message_that_says_so() {
    let scene = Scene::open();
    let (status, _, told) = scene.post("/v1/ask", &json!({"prompt": "Hi", "model": "broken"})).await;
    assert_eq!((status, kinds(&told)), (200, vec!["plan", "chunk", "final"]));
    let last = &told[2];
    assert_eq!((&last["aborted"], &last["error"]), (&json!(true), &json!("external_service_error")));
    assert_eq!((&last["model_used"], &last["cost_usd"]), (&json!("broken"), &json!(0.0007)));
    assert!(last["detail"].as_str().unwrap().starts_with("provider_cut: "), "{last}");
}

#[tokio::test]
async fn who_leaves_ends_the_providers_work() {
    let scene = Scene::open();
    let (mut near, far) = duplex(64 << 10);
    let connection = hyper::server::conn::http1::Builder::new();
    let served = connection.serve_connection(TokioIo::new(far), scene.entrance.clone());
    let leaving = async {
        let body = r#"{"prompt":"Hi","model":"endless"}"#;
        let head = format!("POST /v1/ask HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        near.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        while !text.contains("\"chunk\"") {
            let mut room = [0; 4096];
            let read = near.read(&mut room).await.unwrap();
            text.push_str(std::str::from_utf8(&room[..read]).unwrap());
        }
        assert_eq!(
            scene.played.held.load(Ordering::SeqCst),
            1,
            "the plan and the first words are there before the end"
        );
        drop(near);
    };
    let _ = tokio::join!(served, leaving);
    assert_eq!(scene.played.held.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_tenant_that_is_named_is_the_keys_own() {
    let scene = Scene::keyed();
    let ask = json!({"prompt": "Hi", "tenant": "other"});
    let (status, _, told) = scene.post_with("/v1/ask", "x-api-key: acme-key\r\n", &ask).await;
    assert_eq!((status, &told["error"]), (403, &json!("permission_denied")));
    assert_eq!(scene.post("/v1/ask", &ask).await.0, 401);
    let scene = Scene::open();
    let (status, _, told) = scene.post("/v1/ask", &ask).await;
    assert_eq!(status, 200);
    assert!(told[0]["notes"][0].as_str().unwrap().contains("tenant has no effect"), "{told}");
}

#[tokio::test]
async fn a_plan_asks_nobody() {
    let scene = Scene::open();
    let (status, head, told) = scene.post("/v1/plan", &json!({"prompt": "Hi", "quality": "high"})).await;
    assert_eq!((status, &told["selected_model"]), (200, &json!("small")));
    assert!(!head.contains("x-atp-plan"), "nothing of it is remembered: {head}");
    let chat = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let (status, _, told) = scene.post_with("/v1/plan", "x-atp-quality: high\r\n", &chat).await;
    assert_eq!((status, &told["metadata"]["route"]), (200, &json!("auto")));
    let (status, _, told) = scene.post("/v1/plan", &json!({"prompt": "Hi", "model": "none"})).await;
    assert_eq!((status, &told["error"]), (503, &json!("no_models_available")));
    assert!(scene.played.calls.lock().unwrap().is_empty());
    let plans = scene.played.plans.lock().unwrap();
    let [asked, chatted, _] = plans.as_slice() else { panic!("three plans") };
    assert_eq!((asked.hints.quality, chatted.hints.quality), (Some(Quality::High), Some(Quality::High)));
    assert_eq!((asked.hints.usual_cost, chatted.hints.usual_cost), (Some(MicroUsd(50_000)), None));
}

#[tokio::test]
async fn what_is_told_of_an_answer_arrives() {
    let scene = Scene::open();
    let (status, _, told) = scene.post("/v1/feedback", &json!({"request_id": KNOWN, "thumbs": "up"})).await;
    assert_eq!((status, told), (200, json!({"status": "ok", "message": "the score was taken"})));
    let observed = json!({"request_id": KNOWN, "model": "large", "latency_ms": 12, "tokens": 3});
    let (status, _, told) = scene.post("/v1/observe", &observed).await;
    assert_eq!((status, told["notes"].as_array().unwrap().len()), (200, 1));
    let seen = scene.played.observed.lock().unwrap().clone();
    assert_eq!((seen[0].score, seen[1].latency), (Some(1.0), Some(Duration::from_millis(12))));
    let wrong = json!({"request_id": KNOWN, "model": "small", "latency_ms": 12});
    let (status, _, told) = scene.post("/v1/observe", &wrong).await;
    assert_eq!(status, 422, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("was answered by \"large\""), "{told}");
    let unknown = json!({"request_id": KNOWN.replace('0', "1"), "score": 1});
    let (status, _, told) = scene.post("/v1/feedback", &unknown).await;
    assert_eq!((status, &told["error"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn a_decision_is_told_to_its_own_tenant() {
    let scene = Scene::keyed();
    let path = format!("/v1/decisions/{KNOWN}");
    let (status, _, told) = scene.send("GET", &path, "x-api-key: acme-key\r\n", "").await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &told["id"], &told["result"]["model_used"]), (200, &json!(KNOWN), &json!("large")));
    for (path, key) in [(path.as_str(), "other-key"), ("/v1/decisions/req_1", "acme-key")] {
        let (status, head, told) = scene.send("GET", path, &format!("x-api-key: {key}\r\n"), "").await;
        assert!(status == 404 && head.contains("x-atp-error: not_found"), "{told}");
    }
    assert_eq!(scene.send("GET", &path, "", "").await.0, 401);
}
