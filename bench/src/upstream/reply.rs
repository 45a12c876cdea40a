//! The bytes that the scripted upstream answers with, built once per shape and then only copied.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// When every reply was "created": a fixed moment, so that the same request gives the same bytes.
const CREATED: u64 = 1_700_000_000;
/// Identity of every reply, for the same reason.
const ID: &str = "chatcmpl-scripted";
/// Dimensions of an embedding: with 100 inputs a reply of some 600 KB of decimal numbers.
const DIMENSIONS: u32 = 512;

/// What a cached reply depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// A chat reply in one piece with so many choices.
    Chat { choices: u32 },
    /// The same for `/completions`.
    Text,
    /// A reply that calls so many tools.
    Tools { calls: u32 },
    /// A chat stream of so many content chunks for each of so many choices.
    ChatStream { chunks: u32, choices: u32, usage: Usage },
    /// The same for `/completions`.
    TextStream { chunks: u32, usage: Usage },
    /// A stream that calls so many tools.
    ToolsStream { calls: u32, usage: Usage },
    /// Embeddings of so many inputs, as decimal numbers.
    Floats { inputs: u32 },
    /// Embeddings of so many inputs, as base64 of little-endian `f32`.
    Base64 { inputs: u32 },
    /// The list of models.
    Models,
}

/// Whether a stream tells its usage before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Usage {
    Told,
    Untold,
}

/// A reply as it leaves: pieces that may be paced, or all of it.
pub(super) struct Reply {
    /// Head (with the first piece), each content event, and last the end of the stream.
    pub(super) pieces: Vec<Vec<u8>>,
    /// The same bytes in one.
    pub(super) whole: Vec<u8>,
}

impl Reply {
    fn of_pieces(pieces: Vec<Vec<u8>>) -> Self {
        let whole = pieces.concat();
        Self { pieces, whole }
    }
}

/// Replies built so far.
#[derive(Default)]
pub(super) struct Replies {
    built: Mutex<HashMap<Shape, Arc<Reply>>>,
}

impl Replies {
    pub(super) fn get(&self, shape: Shape) -> Arc<Reply> {
        // Only finished replies enter the map, so a poisoned lock hides nothing.
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(built.entry(shape).or_insert_with(|| Arc::new(build(shape))))
    }
}

/// A whole answer with `content-length` and further header lines, each ending in CRLF.
pub(super) fn sized(status: u16, content_type: &str, extra: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nx-request-id: req_scripted\r\n{extra}\r\n",
        reason(status),
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A JSON answer with status 200.
pub(super) fn ok(body: &Value) -> Vec<u8> {
    sized(200, "application/json", "", body.to_string().as_bytes())
}

/// The head that begins every event stream.
pub(super) const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
cache-control: no-cache\r\nx-request-id: req_scripted\r\ntransfer-encoding: chunked\r\n\r\n";
/// The end of a chunked body.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// `payload` as one chunk of a chunked body.
pub(super) fn chunk(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:x}\r\n", payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// One server-sent event with JSON data, as one chunk.
pub(super) fn event(data: &Value) -> Vec<u8> {
    chunk(format!("data: {data}\n\n").as_bytes())
}

/// A short reply after which the connection closes, as its head says.
pub(super) fn farewell() -> Vec<u8> {
    let body = json!({"id": ID, "object": "chat.completion", "created": CREATED, "model": "scripted",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "bye"}, "finish_reason": "stop"}],
        "usage": usage(1)});
    sized(200, "application/json", "connection: close\r\n", body.to_string().as_bytes())
}

/// An error as proxies in between send it: a web page.
pub(super) fn page(status: u16) -> Vec<u8> {
    let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1><hr>proxy</body></html>");
    sized(status, "text/html", "", page.as_bytes())
}

/// A stream of bytes that are no events, no JSON and partly no text, with a proper end.
pub(super) fn garbage() -> Vec<u8> {
    let mut bytes = STREAM_HEAD.to_vec();
    let lines = [
        &b"data: {not json at all\n\n"[..],
        b"\xff\xfe\x00\x01\n",
        b"event\n:::\n\n",
        b"data:\ndata\n\n\r\r\n",
        b"retry: soon\n\n",
    ];
    bytes.extend(lines.into_iter().flat_map(chunk));
    bytes.extend_from_slice(LAST_CHUNK);
    bytes
}

/// An error body in OpenAI's shape.
pub(super) fn error_body(status: u16) -> Value {
    let (kind, code) = match status {
        400 | 413 | 422 => ("invalid_request_error", "invalid_value"),
        401 => ("invalid_request_error", "invalid_api_key"),
        403 => ("permission_error", "forbidden"),
        404 => ("invalid_request_error", "model_not_found"),
        429 => ("rate_limit_error", "rate_limit_exceeded"),
        503 => ("server_error", "overloaded"),
        _ => ("server_error", "internal_error"),
    };
    json!({"error": {"message": format!("the script asks for {status}"), "type": kind, "param": null, "code": code}})
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Scripted",
    }
}

fn build(shape: Shape) -> Reply {
    match shape {
        Shape::Chat { choices } => Reply::of_pieces(vec![ok(&chat(choices))]),
        Shape::Text => Reply::of_pieces(vec![ok(&json!({
            "id": ID, "object": "text_completion", "created": CREATED, "model": "scripted",
            "choices": [{"index": 0, "text": prose(600), "logprobs": null, "finish_reason": "stop"}], "usage": usage(128),
        }))]),
        Shape::Tools { calls } => Reply::of_pieces(vec![ok(&tools(calls))]),
        Shape::ChatStream { chunks, choices, usage } => {
            stream(&chat_events(chunks, choices), usage, chunks, "chat.completion.chunk")
        }
        Shape::TextStream { chunks, usage } => stream(&text_events(chunks), usage, chunks, "text_completion"),
        Shape::ToolsStream { calls, usage } => stream(&tool_events(calls), usage, 12, "chat.completion.chunk"),
        Shape::Floats { inputs } => {
            Reply::of_pieces(vec![sized(200, "application/json", "", embeddings(inputs, floats).as_bytes())])
        }
        Shape::Base64 { inputs } => {
            Reply::of_pieces(vec![sized(200, "application/json", "", embeddings(inputs, packed).as_bytes())])
        }
        Shape::Models => {
            let names = ["fast", "stream64", "stream64-paced", "echo", "tools", "embed100"];
            let data: Vec<_> = names
                .iter()
                .map(|name| json!({"id": name, "object": "model", "created": CREATED, "owned_by": "scripted"}))
                .collect();
            Reply::of_pieces(vec![ok(&json!({"object": "list", "data": data}))])
        }
    }
}

fn usage(completion: u32) -> Value {
    json!({"prompt_tokens": 250, "completion_tokens": completion, "total_tokens": 250 + completion,
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}})
}

fn prose(bytes: usize) -> String {
    "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(bytes).collect()
}

/// A chat reply whose body is some 1 KB when it has one choice.
fn chat(choices: u32) -> Value {
    let choices: Vec<_> = (0..choices)
        .map(|index| {
            json!({"index": index, "message": {"role": "assistant", "content": prose(620), "refusal": null},
                "logprobs": null, "finish_reason": "stop"})
        })
        .collect();
    json!({"id": ID, "object": "chat.completion", "created": CREATED, "model": "scripted", "choices": choices,
        "usage": usage(128), "system_fingerprint": "fp_scripted"})
}

/// A reply that describes something as text, with `echo` beside it for programs.
pub(super) fn echo(echo: &Value) -> Vec<u8> {
    ok(&json!({"id": ID, "object": "chat.completion", "created": CREATED, "model": "scripted",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "echo"}, "finish_reason": "stop"}],
        "usage": usage(1), "echo": echo}))
}

fn tool_call(index: u32) -> Value {
    json!({"id": format!("call_{index}"), "type": "function",
        "function": {"name": "get_weather", "arguments": format!("{{\"city\":\"Paris\",\"day\":{index}}}")}})
}

fn tools(calls: u32) -> Value {
    let calls: Vec<_> = (0..calls).map(tool_call).collect();
    json!({"id": ID, "object": "chat.completion", "created": CREATED, "model": "scripted",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": calls},
            "logprobs": null, "finish_reason": "tool_calls"}],
        "usage": usage(20)})
}

fn delta(index: u32, delta: &Value, finish: Option<&str>) -> Value {
    json!({"id": ID, "object": "chat.completion.chunk", "created": CREATED, "model": "scripted",
        "choices": [{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish}]})
}

/// Content chunks (the first of a choice with its role), then one finish chunk per choice.
fn chat_events(chunks: u32, choices: u32) -> Vec<Value> {
    let content = (0..chunks).flat_map(|number| {
        (0..choices).map(move |index| match number {
            0 => delta(index, &json!({"role": "assistant", "content": "token0 "}), None),
            _ => delta(index, &json!({"content": format!("token{number} ")}), None),
        })
    });
    content.chain((0..choices).map(|index| delta(index, &json!({}), Some("stop")))).collect()
}

fn text_events(chunks: u32) -> Vec<Value> {
    let text = |text: String, finish: Option<&str>| {
        json!({"id": ID, "object": "text_completion", "created": CREATED, "model": "scripted",
            "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}]})
    };
    (0..chunks).map(|number| text(format!("token{number} "), None)).chain([text(String::new(), Some("stop"))]).collect()
}

/// Each call begins with its name; its arguments follow in two pieces.
fn tool_events(calls: u32) -> Vec<Value> {
    let mut events = vec![delta(0, &json!({"role": "assistant", "content": null}), None)];
    for index in 0..calls {
        let begin = json!({"index": index, "id": format!("call_{index}"), "type": "function",
            "function": {"name": "get_weather", "arguments": ""}});
        events.push(delta(0, &json!({"tool_calls": [begin]}), None));
        for piece in ["{\"city\":\"Paris\",".to_owned(), format!("\"day\":{index}}}")] {
            events.push(delta(0, &json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), None));
        }
    }
    events.push(delta(0, &json!({}), Some("tool_calls")));
    events
}

/// Events as pieces of a chunked stream. What ends the stream leaves in one piece with the last
/// event, as servers do that close right after it.
fn stream(events: &[Value], usage: Usage, completion: u32, object: &str) -> Reply {
    let mut pieces: Vec<Vec<u8>> = events.iter().map(event).collect();
    let mut end = pieces.pop().unwrap_or_default();
    if usage == Usage::Told {
        end.extend(event(&json!({"id": ID, "object": object, "created": CREATED, "model": "scripted", "choices": [],
            "usage": self::usage(completion)})));
    }
    end.extend(chunk(b"data: [DONE]\n\n"));
    end.extend_from_slice(LAST_CHUNK);
    pieces.push(end);
    if let Some(first) = pieces.first_mut() {
        first.splice(0..0, STREAM_HEAD.iter().copied());
    }
    Reply::of_pieces(pieces)
}

/// A deterministic number between -1 and 1.
fn component(input: u32, dimension: u32) -> f32 {
    let mixed = input.wrapping_mul(DIMENSIONS).wrapping_add(dimension).wrapping_mul(2_654_435_761) >> 8;
    (mixed as f32 / 8_388_608.0) - 1.0
}

fn floats(input: u32) -> String {
    let mut text = String::from("[");
    for dimension in 0..DIMENSIONS {
        let comma = if dimension == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{:.8}", component(input, dimension));
    }
    text.push(']');
    text
}

fn packed(input: u32) -> String {
    let bytes: Vec<u8> = (0..DIMENSIONS).flat_map(|dimension| component(input, dimension).to_le_bytes()).collect();
    format!("\"{}\"", STANDARD.encode(bytes))
}

fn embeddings(inputs: u32, vector: fn(u32) -> String) -> String {
    let mut text = String::from("{\"object\":\"list\",\"data\":[");
    for index in 0..inputs {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{{\"object\":\"embedding\",\"index\":{index},\"embedding\":{}}}", vector(index));
    }
    let tokens = inputs * 8;
    let _ =
        write!(text, "],\"model\":\"scripted\",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}}}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{ChunkDecoder, head_length};

    fn payload(bytes: &[u8]) -> String {
        let body = &bytes[head_length(bytes).expect("a head")..];
        let mut decoder = ChunkDecoder::default();
        let mut out = Vec::new();
        decoder.feed(body, |piece| out.extend_from_slice(piece)).expect("legal chunks");
        assert!(decoder.is_done());
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn every_stream_event_is_json_and_the_usage_is_told_on_request_only() {
        for (usage, told) in [(Usage::Told, 1), (Usage::Untold, 0)] {
            let reply = build(Shape::ChatStream { chunks: 64, choices: 1, usage });
            let text = payload(&reply.whole);
            let events: Vec<_> =
                text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").expect("data")).collect();
            assert_eq!(events.len(), 64 + 1 + told + 1);
            assert_eq!(reply.pieces.len(), 65);
            assert_eq!(events.last(), Some(&"[DONE]"));
            let values: Vec<Value> =
                events[..events.len() - 1].iter().map(|text| serde_json::from_str(text).expect("json")).collect();
            assert_eq!(values.iter().filter(|value| value.get("usage").is_some()).count(), told);
        }
    }

    #[test]
    fn a_chat_reply_is_one_kilobyte() {
        let reply = build(Shape::Chat { choices: 1 });
        let body = reply.whole.len() - head_length(&reply.whole).expect("a head");
        assert!((1000..1100).contains(&body), "{body} bytes");
    }

    #[test]
    fn embeddings_are_the_same_vectors_in_both_encodings() {
        let body = |shape| {
            let reply = build(shape);
            let at = head_length(&reply.whole).expect("a head");
            serde_json::from_slice::<Value>(&reply.whole[at..]).expect("json")
        };
        let floats = body(Shape::Floats { inputs: 3 });
        let packed = body(Shape::Base64 { inputs: 3 });
        let bytes = STANDARD.decode(packed["data"][2]["embedding"].as_str().expect("text")).expect("base64");
        for (at, four) in bytes.chunks(4).enumerate() {
            let number = f64::from(f32::from_le_bytes(four.try_into().expect("four bytes")));
            let shown = floats["data"][2]["embedding"][at].as_f64().expect("a number");
            assert!((number - shown).abs() < 1e-7, "{number} {shown}");
        }
        let size = build(Shape::Floats { inputs: 100 }).whole.len();
        assert!((550_000..650_000).contains(&size), "{size} bytes");
    }
}
