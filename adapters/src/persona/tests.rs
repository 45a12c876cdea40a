//! What the upstream gets, and what comes back of what it says.

use std::sync::{Arc, Mutex};

use atp_core::port::{Provider, Try};
use atp_core::{Answer, Continuity, Error, ErrorKind, Finish, Operation, Payload, Report, Retry, Rope, Timeouts};
use atp_privacy::{Action, Class, Filter, Guard};
use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::conformance::exchange;
use crate::conformance::far_side::{Act, FarSide, chunk, head, sized};
use crate::conformance::openai::adapter;
use crate::http_client::Origin;

/// A persona in front of a far side that says what it is told to, and remembers what it got.
struct Stage {
    provider: Personas,
    got: Arc<Mutex<Vec<String>>>,
    _far_side: FarSide,
}

fn stage(guard: Guard, tools: Tools, says: impl Fn(&Value) -> Vec<Act> + Send + Sync + 'static) -> Stage {
    let got = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&got);
    let far_side = FarSide::start(move |body| {
        keep.lock().unwrap().push(body.to_owned());
        says(&serde_json::from_str(body).unwrap())
    });
    let upstream = Arc::new(adapter(Origin::parse(&far_side.url("/v1")).unwrap()));
    let persona = Persona {
        name: Arc::from("doctor"),
        role: String::from("doctor"),
        prompt: String::from("You are a doctor; [EMAIL_1] stands for an address."),
        tools,
        qos: None,
        guard,
    };
    let provider = Personas::new(Arc::from("docs"), upstream, Arc::from("up-model"), &[Arc::new(persona)]);
    Stage { provider, got, _far_side: far_side }
}

fn everything() -> Guard {
    Filter::ALL.into_iter().fold(Guard::default(), |guard, filter| guard.filtering(filter, Action::Mask))
}

fn search_alone() -> Tools {
    Tools::Named([String::from("search")].into())
}

impl Stage {
    async fn call(&self, operation: Operation, body: &str) -> Result<Answer, Error> {
        let rope = Rope::from(Bytes::copy_from_slice(body.as_bytes()));
        let mut exchange = exchange(operation, &rope);
        exchange.headers.insert("x-patient", "jane@example.com".parse().unwrap());
        let (payload, timeouts) = (Payload::Rope(rope), Timeouts::default());
        let model = exchange.fields.model.clone().unwrap_or_else(|| "doctor".into());
        let attempt =
            Try { exchange: &exchange, model: &model, payload, continuity: Continuity::None, ceiling: None, timeouts };
        self.provider.call(attempt).await
    }

    fn got(&self) -> Value {
        serde_json::from_str(self.got.lock().unwrap().last().unwrap()).unwrap()
    }
}

async fn drain(answer: &mut Answer) -> (String, Option<Error>, Report) {
    let mut bytes = Vec::new();
    let error = loop {
        match std::future::poll_fn(|cx| answer.body.as_mut().poll_chunk(cx)).await {
            None => break None,
            Some(Err(error)) => break Some(error),
            Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
        }
    };
    (String::from_utf8(bytes).unwrap(), error, answer.body.report().clone())
}

fn reply(message: &Value, reason: &str) -> Vec<Act> {
    let body = json!({ "id": "r", "choices": [{ "index": 0, "message": message, "finish_reason": reason }] });
    vec![Act::Write(sized("200 OK", "", &body.to_string()))]
}

fn event(delta: &Value, reason: &Value) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
    format!(
        "data: {}\n\n",
        json!({ "id": "r", "object": "chat.completion.chunk", "model": "up-model", "choices": [choice] })
    )
}

const TELLS: &str = r#"{ "model":"doctor", "user":"joe@example.org", "messages":[
  {"role":"system","content":"Mail: jane\u0040example.com"},
  {"role":"user","content":[{"type":"text","text":"I am jane@example.com, MRN: 00123456, card 4111 1111 1111 1111"}]},
  {"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"search","arguments":"{\"mail\":\"joe@example.org\"}"}}]}
 ], "x":1.0e0 }"#;

#[tokio::test]
async fn what_leaves_has_the_prompt_first_and_no_personal_data() {
    let stage = stage(everything(), search_alone(), |_| {
        reply(
            &json!({ "role": "assistant", "content": "Dear [EMAIL_3], [MEDICAL_RECORD_1] and [EMAIL_1]. [CARD_1]" }),
            "stop",
        )
    });
    let mut answer = stage.call(Operation::Chat, TELLS).await.unwrap();
    let sent = stage.got.lock().unwrap()[0].clone();
    for value in ["jane", "joe", "00123456", "4111"] {
        assert!(!sent.contains(value), "{value} in {sent}");
    }
    assert!(sent.contains(r#""x":1.0e0"#) && sent.contains(r#""model":"up-model""#), "{sent}");
    let got = stage.got();
    // The prompt speaks of the first placeholder itself, so numbers begin behind it; `user` comes first in the body.
    assert_eq!(got["messages"][0]["content"], "You are a doctor; [EMAIL_1] stands for an address.\n\nMail: [EMAIL_3]");
    assert_eq!(got["messages"][1]["content"][0]["text"], "I am [EMAIL_3], MRN: [MEDICAL_RECORD_1], card [CARD_1]");
    assert_eq!(got["messages"][2]["tool_calls"][0]["function"]["arguments"], r#"{"mail":"[EMAIL_2]"}"#);
    assert_eq!(got["user"], "[EMAIL_2]");
    assert_eq!(answer.headers["x-atp-masked"], "email=2, card=1, medical_record=1");
    let (text, ..) = drain(&mut answer).await;
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        told["choices"][0]["message"]["content"],
        "Dear jane@example.com, 00123456 and [EMAIL_1]. 4111 1111 1111 1111"
    );
}

#[tokio::test]
async fn a_kind_that_is_blocked_is_named_and_nothing_leaves() {
    let guard = everything().minding(Class::Card, Action::Block);
    let stage = stage(guard, Tools::All, |_| unreachable!());
    let error = stage.call(Operation::Chat, TELLS).await.unwrap_err();
    assert_eq!((error.kind(), error.retry(), error.param()), (ErrorKind::PolicyDenied, Retry::Never, Some("messages")));
    assert!(error.public().contains("`card`") && error.public().contains("`doctor`"), "{error}");
    assert!(!format!("{error:?}").contains("4111") && stage.got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn only_chats_of_a_known_persona_are_answered() {
    let stage = stage(everything(), Tools::All, |_| unreachable!());
    for operation in Operation::ALL.into_iter().filter(|operation| *operation != Operation::Chat) {
        // A call to the provider as it is names no model of its own.
        let body = if operation == Operation::Raw { TELLS.replace("\"doctor\"", "\"\"") } else { TELLS.to_owned() };
        let error = stage.call(operation, &body).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::InvalidRequest, Retry::Never), "{operation:?}");
    }
    for (body, kind, param) in [
        (r#"{"model":"nurse","messages":[]}"#, ErrorKind::ModelNotFound, Some("model")),
        (r#"{"model":"doctor"}"#, ErrorKind::InvalidRequest, Some("messages")),
        (r#"{"model":"doctor","messages":["\ud83d"]}"#, ErrorKind::InvalidRequest, None),
    ] {
        let error = stage.call(Operation::Chat, body).await.unwrap_err();
        assert_eq!((error.kind(), error.param()), (kind, param), "{body}");
    }
}

#[tokio::test]
async fn a_tool_outside_of_the_list_is_neither_offered_nor_called() {
    let stage = stage(Guard::default(), search_alone(), |asked| {
        let call =
            |name: &str| json!({ "id": "1", "type": "function", "function": { "name": name, "arguments": "{}" } });
        let calls = if asked["x"] == 1 { vec![call("rm")] } else { vec![call("rm"), call("search")] };
        reply(&json!({ "role": "assistant", "content": null, "tool_calls": calls }), "tool_calls")
    });
    let tools = r#"[{"type":"function","function":{"name":"rm"}},{"type":"function","function":{"name":"search"}}]"#;
    let body = format!(r#"{{"model":"doctor","messages":[],"tools":{tools}}}"#);
    let mut answer = stage.call(Operation::Chat, &body).await.unwrap();
    assert_eq!(stage.got()["tools"], json!([{ "type": "function", "function": { "name": "search" } }]));
    let (text, _, report) = drain(&mut answer).await;
    assert!(text.contains("search") && !text.contains("rm\""), "{text}");
    assert_eq!(report.finish, Some(Finish::ToolCalls));
    // It says nothing but what may not be passed on.
    let error = stage.call(Operation::Chat, &body.replace("}]", "}], \"x\":1")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::PolicyDenied, Retry::Elsewhere));
    let forced = body.replace("]}", r#"],"tool_choice":{"type":"function","function":{"name":"rm"}}}"#);
    let error = stage.call(Operation::Chat, &forced).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("tool_choice")));
    assert!(error.public().contains("`rm`"), "{error}");
}

/// A stream of `text` in pieces of `size` letters, sent in pieces of bytes of their own.
fn pieces(text: &str, size: usize, bytes: usize) -> Vec<Act> {
    let letters: Vec<char> = text.chars().collect();
    let mut stream = event(&json!({ "role": "assistant", "content": "" }), &Value::Null);
    for piece in letters.chunks(size) {
        stream += &event(&json!({ "content": piece.iter().collect::<String>() }), &Value::Null);
    }
    stream += &event(&json!({}), &json!("stop"));
    stream += "data: [DONE]\n\n";
    let mut acts = vec![Act::Write(head("text/event-stream"))];
    acts.extend(stream.as_bytes().chunks(bytes).map(|part| Act::Write(chunk(std::str::from_utf8(part).unwrap()))));
    acts.push(Act::Write("0\r\n\r\n".into()));
    acts
}

fn content(text: &str) -> String {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| {
        let value: Value = serde_json::from_str(data).unwrap();
        value["choices"][0]["delta"]["content"].as_str().unwrap_or("").to_owned()
    })
    .collect()
}

#[tokio::test]
async fn a_stream_that_cuts_placeholders_anywhere_tells_values_whole() {
    const SAID: &str = "[EMAIL_3]: see [EMAIL_2], [EMAIL_1] [CARD_1]. And [EMAI";
    let stage = stage(everything(), search_alone(), |asked| {
        let size = usize::try_from(asked["n_letters"].as_u64().unwrap()).unwrap();
        pieces(SAID, size, if size == 5 { 7 } else { 1 << 20 })
    });
    for size in 1..=12 {
        let body = TELLS.replace("\"x\":1.0e0", &format!("\"stream\":true,\"n_letters\":{size}"));
        let mut answer = stage.call(Operation::Chat, &body).await.unwrap();
        let (text, error, report) = drain(&mut answer).await;
        assert!(error.is_none() && report.complete && report.finish == Some(Finish::Stop), "{error:?}");
        assert_eq!(content(&text), "jane@example.com: see joe@example.org, [EMAIL_1] 4111 1111 1111 1111. And [EMAI");
        let last = event(&json!({}), &json!("stop")) + "data: [DONE]\n\n";
        assert!(text.ends_with(&last), "{text}");
    }
}

#[tokio::test]
async fn what_waits_for_the_rest_of_a_placeholder_is_no_content_yet() {
    let stage = stage(everything(), search_alone(), |_| {
        let events =
            [event(&json!({ "content": "[EMAIL" }), &Value::Null), event(&json!({ "content": "_3]" }), &Value::Null)];
        let mut acts = vec![Act::Write(head("text/event-stream"))];
        acts.extend(events.map(|event| Act::Write(chunk(&event))));
        acts.push(Act::Close);
        acts
    });
    let mut answer = stage.call(Operation::Chat, &TELLS.replace("1.0e0", "1, \"stream\":true")).await.unwrap();
    let mut read = String::new();
    let mut seen = Vec::new();
    while let Some(Ok(chunk)) = std::future::poll_fn(|cx| answer.body.as_mut().poll_chunk(cx)).await {
        read += std::str::from_utf8(&chunk).unwrap();
        seen.push((!content(&read).is_empty(), answer.body.report().content));
    }
    assert!(
        seen.iter().all(|(told, report)| told == report) && content(&read) == "jane@example.com",
        "{seen:?} {read}"
    );
    assert!(!answer.body.report().complete && answer.body.resume().is_none());
}

#[tokio::test]
async fn a_stream_that_only_calls_what_it_may_not_ends_in_an_error() {
    let stage = stage(Guard::default(), search_alone(), |_| {
        let call =
            json!({ "tool_calls": [{ "index": 0, "id": "1", "function": { "name": "rm", "arguments": "{}" } }] });
        let events = event(&call, &Value::Null) + &event(&json!({}), &json!("tool_calls")) + "data: [DONE]\n\n";
        vec![Act::Write(head("text/event-stream")), Act::Write(chunk(&events) + "0\r\n\r\n")]
    });
    let mut answer = stage.call(Operation::Chat, r#"{"model":"doctor","stream":true,"messages":[]}"#).await.unwrap();
    let (text, error, report) = drain(&mut answer).await;
    assert_eq!(error.unwrap().kind(), ErrorKind::PolicyDenied);
    assert!(!text.contains("rm") && !report.complete && !report.content, "{text} {report:?}");
}

#[tokio::test]
async fn no_header_of_the_caller_goes_past_the_filters() {
    let stage = stage(everything(), Tools::All, |_| reply(&json!({ "content": "hi" }), "stop"));
    let rope = Rope::from(Bytes::from_static(br#"{"model":"doctor","messages":[]}"#));
    let mut exchange = exchange(Operation::Chat, &rope);
    exchange.headers.insert("x-patient", "jane@example.com".parse().unwrap());
    exchange.headers.insert("user-agent", "test".parse().unwrap());
    let timeouts = Timeouts::default();
    let attempt = Try {
        exchange: &exchange,
        model: "doctor",
        payload: Payload::Rope(rope),
        continuity: Continuity::None,
        ceiling: None,
        timeouts,
    };
    let prepared = super::request::prepare(attempt, stage.provider.persona("doctor").unwrap()).unwrap();
    assert_eq!(prepared.exchange.headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["user-agent"]);
}
