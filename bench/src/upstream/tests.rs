//! Every script, seen by a hand-written client on a real socket.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Options, Stats, Upstream};
use crate::http1::{ChunkDecoder, Framing, Shape, fields, first_line, head_length};

fn upstream() -> Upstream {
    Upstream::start(Options { record: 4, ..Options::default() }).expect("a free port")
}

struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back: the head as text, the body without its framing.
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head[9..12].parse().expect("a status")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("json")
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    fn header(&self, name: &str) -> Option<String> {
        let (_, value) = fields(self.head.as_bytes()).find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))?;
        Some(String::from_utf8(value.to_vec()).expect("text"))
    }
}

impl Caller {
    fn new(upstream: &Upstream) -> Self {
        let stream = TcpStream::connect(upstream.address()).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a legal timeout");
        Self { stream, buffer: Vec::new() }
    }

    fn send(&mut self, path: &str, extra: &str, body: &str) {
        let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\n{extra}content-length: {}\r\n\r\n", body.len());
        self.stream.write_all(format!("{head}{body}").as_bytes()).expect("it reads");
    }

    fn chat(&mut self, model: &str, stream: bool) -> Result<Answer, ErrorKind> {
        let body = format!(r#"{{"messages":[],"stream":{stream},"model":"{model}"}}"#);
        self.send("/v1/chat/completions", "", &body);
        self.answer()
    }

    fn get(&mut self, path: &str) -> Answer {
        self.stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).expect("it reads");
        self.answer().expect("an answer")
    }

    fn fill(&mut self) -> Result<usize, ErrorKind> {
        let mut piece = [0; 65536];
        let read = self.stream.read(&mut piece).map_err(|error| error.kind())?;
        self.buffer.extend_from_slice(&piece[..read]);
        Ok(read)
    }

    /// Reads one answer; an early end is `UnexpectedEof`.
    fn answer(&mut self) -> Result<Answer, ErrorKind> {
        let length = loop {
            if let Some(length) = head_length(&self.buffer) {
                break length;
            }
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof);
            }
        };
        let head: Vec<u8> = self.buffer.drain(..length).collect();
        let mut body = Vec::new();
        let mut decoder = ChunkDecoder::default();
        let framing = Shape::of(&head).expect("a legal head").framing;
        loop {
            match framing {
                Framing::Length(length) => {
                    let missing = usize::try_from(length).expect("small") - body.len();
                    let take = missing.min(self.buffer.len());
                    body.extend(self.buffer.drain(..take));
                    if take == missing {
                        break;
                    }
                }
                _ => {
                    let used = decoder.feed(&self.buffer, |piece| body.extend_from_slice(piece)).expect("legal chunks");
                    self.buffer.drain(..used);
                    if decoder.is_done() {
                        break;
                    }
                }
            }
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof);
            }
        }
        Ok(Answer { head: String::from_utf8(head).expect("text"), body })
    }
}

/// Waits for a state that must come soon, and says how long it took.
fn within(limit: Duration, upstream: &Upstream, wanted: impl Fn(&Stats) -> bool) -> Duration {
    let start = Instant::now();
    while !wanted(&upstream.stats()) {
        assert!(start.elapsed() < limit, "{:?}", upstream.stats());
        std::thread::yield_now();
    }
    start.elapsed()
}

#[test]
fn one_connection_answers_many_requests() {
    let upstream = upstream();
    let mut caller = Caller::new(&upstream);
    for _ in 0..3 {
        let answer = caller.chat("fast", false).expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.json()["choices"][0]["finish_reason"], "stop");
        assert!(caller.chat("stream64", true).expect("a stream").text().ends_with("data: [DONE]\n\n"));
    }
    let stats = upstream.stats();
    assert_eq!((stats.requests_total, stats.requests_played, stats.connections_total), (6, 6, 1));
    assert_eq!((stats.requests_open, stats.streams_open, stats.connections_open), (0, 0, 1));
}

#[test]
fn a_stream_has_so_many_chunks_however_it_is_paced() {
    let upstream = upstream();
    let mut caller = Caller::new(&upstream);
    let mut texts = Vec::new();
    for model in ["stream5", "stream5-burst", "stream5-paced:3"] {
        texts.push(caller.chat(model, true).expect("a stream").body);
    }
    assert_eq!(std::str::from_utf8(&texts[0]).expect("text").matches("data: ").count(), 5 + 2);
    assert!(texts.iter().all(|text| *text == texts[0]));
}

#[test]
fn usage_is_told_when_it_is_asked_for() {
    let upstream = upstream();
    let mut caller = Caller::new(&upstream);
    let body = r#"{"model":"stream3","stream":true,"stream_options":{"include_usage":true}}"#;
    caller.send("/v1/chat/completions", "", body);
    assert_eq!(caller.answer().expect("a stream").text().matches("prompt_tokens\"").count(), 1);
    assert!(!caller.chat("stream3", true).expect("a stream").text().contains("prompt_tokens"));
}

#[test]
fn an_echo_proves_which_bytes_arrived() {
    let upstream = upstream();
    let mut caller = Caller::new(&upstream);
    let body = r#"{"model":"echo","x":"abc"}"#;
    caller.send("/v1/chat/completions?a=b", "x-own: yes\r\n", body);
    let echo = caller.answer().expect("an answer").json()["echo"].clone();
    assert_eq!(echo["path"], "/v1/chat/completions?a=b");
    assert_eq!(echo["body_bytes"], body.len());
    assert_eq!(echo["body"], body);
    assert_eq!(echo["headers"][1], serde_json::json!(["x-own", "yes"]));
    // The same bytes in chunks are the same body.
    let (start, end) = body.split_at(7);
    let chunked = format!(
        "POST /v1/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{start}\r\n{:x}\r\n{end}\r\n0\r\n\r\n",
        end.len()
    );
    caller.stream.write_all(chunked.as_bytes()).expect("it reads");
    let other = caller.answer().expect("an answer").json()["echo"].clone();
    assert_eq!(other["body_sha256"], echo["body_sha256"]);
    assert_eq!(other["chunked"], true);
    assert_eq!(upstream.recorded().len(), 2);
}

#[test]
fn a_large_body_is_read_and_its_model_found() {
    let upstream = upstream();
    let mut caller = Caller::new(&upstream);
    for bytes in [300_000, 3_000_000] {
        let prompt = "x".repeat(bytes);
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{prompt}"}}],"model":"status-409"}}"#);
        caller.send("/v1/chat/completions", "", &body);
        let status = caller.answer().expect("an answer").status();
        // Beyond what is kept, the end of the body is not seen any more.
        assert_eq!(status, if bytes < 1_000_000 { 409 } else { 200 });
    }
    assert!(upstream.stats().body_bytes_in > 3_300_000);
}

#[test]
fn error_replies_have_their_status_and_headers() {
    let upstream = upstream();
    let mut caller = Caller::new(&upstream);
    let answer = caller.chat("status-429:2", false).expect("an answer");
    assert_eq!((answer.status(), answer.header("retry-after").as_deref()), (429, Some("2")));
    assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
    let answer = caller.chat("status-401", false).expect("an answer");
    assert_eq!((answer.status(), answer.header("retry-after")), (401, None));
    let answer = caller.chat("html-502", false).expect("an answer");
    assert_eq!((answer.status(), answer.header("content-type").as_deref()), (502, Some("text/html")));
    let statuses: Vec<_> = (0..6).map(|_| caller.chat("flaky:3", false).expect("an answer").status()).collect();
    assert_eq!(statuses, [200, 200, 500, 200, 200, 500]);
}

#[test]
fn a_wrong_header_is_told_with_what_there_is() {
    let upstream = upstream();
    let mut caller = Caller::new(&upstream);
    caller.send("/v1/chat/completions", "x-script: nonsense\r\n", "{}");
    let answer = caller.answer().expect("an answer");
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("stream<N>"), "{}", answer.text());
    caller.send("/v1/chat/completions", "x-script: status-503\r\n", r#"{"model":"fast"}"#);
    assert_eq!(caller.answer().expect("an answer").status(), 503);
}

#[test]
fn broken_answers_break_as_named() {
    let upstream = upstream();
    let broken = |model: &str, stream: bool| Caller::new(&upstream).chat(model, stream).err();
    assert_eq!(broken("reset", false), Some(ErrorKind::ConnectionReset));
    assert_eq!(broken("no-answer", false), Some(ErrorKind::UnexpectedEof));
    assert_eq!(broken("cut-body", false), Some(ErrorKind::UnexpectedEof));
    assert_eq!(broken("cut-chunk:2", true), Some(ErrorKind::UnexpectedEof));
    assert_eq!(broken("reset-stream", true), Some(ErrorKind::ConnectionReset));
    let mut caller = Caller::new(&upstream);
    caller.chat("close-idle", false).expect("a good answer first");
    assert_eq!(caller.fill(), Ok(0), "and then a closed connection");
}

#[test]
fn odd_streams_are_as_odd_as_named() {
    let upstream = upstream();
    let mut caller = Caller::new(&upstream);
    let answer = caller.chat("error-in-200:2", true).expect("a stream");
    assert_eq!(answer.status(), 200);
    assert!(answer.text().contains("\"overloaded\"") && !answer.text().contains("[DONE]"));
    let answer = caller.chat("garbage-sse", true).expect("a stream");
    assert!(std::str::from_utf8(&answer.body).is_err());
    let answer = caller.chat("long-line:3MB", true).expect("a stream");
    assert_eq!(answer.body.iter().filter(|byte| **byte == b'x').count(), 3_000_000);
    assert_eq!(answer.text().matches('\n').count(), 4);
}

#[test]
fn slow_scripts_take_their_time() {
    let upstream = upstream();
    for (model, least) in [("slow-head:150", 150), ("slow-body:2", 100), ("stream5-paced:20", 90)] {
        let start = Instant::now();
        Caller::new(&upstream).chat(model, model.starts_with("stream")).expect("an answer");
        assert!(start.elapsed() >= Duration::from_millis(least), "{model}: {:?}", start.elapsed());
    }
    let start = Instant::now();
    let prompt = "x".repeat(100_000);
    let mut caller = Caller::new(&upstream);
    caller.send("/v1/chat/completions", "", &format!(r#"{{"model":"slow-read:30","prompt":"{prompt}"}}"#));
    assert_eq!(caller.answer().expect("an answer").status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(60), "{:?}", start.elapsed());
}

#[test]
fn a_body_may_be_refused_before_it_is_read() {
    let upstream = upstream();
    let mut caller = Caller::new(&upstream);
    let head = "POST /v1/chat/completions HTTP/1.1\r\nx-script: early-413\r\ncontent-length: 1000000\r\n\r\n";
    caller.stream.write_all(head.as_bytes()).expect("it reads");
    let answer = caller.answer().expect("an answer without a body sent");
    assert_eq!((answer.status(), answer.header("connection").as_deref()), (413, Some("close")));
}

#[test]
fn a_caller_that_leaves_is_noticed_at_once_in_every_phase() {
    let upstream = upstream();
    for (model, first_bytes) in
        [("hang-head", false), ("slow-head:60000", false), ("hang-stream", true), ("idle", true)]
    {
        let before = upstream.stats().requests_left;
        let mut caller = Caller::new(&upstream);
        let body = format!(r#"{{"model":"{model}","stream":true}}"#);
        caller.send("/v1/chat/completions", "", &body);
        within(Duration::from_secs(5), &upstream, |stats| stats.requests_open == 1);
        if first_bytes {
            assert!(caller.fill().expect("first bytes") > 0);
        }
        drop(caller);
        let took = within(Duration::from_secs(5), &upstream, |stats| stats.requests_left == before + 1);
        assert!(took < Duration::from_millis(50), "{model}: {took:?}");
        let stats = upstream.stats();
        assert_eq!((stats.requests_open, stats.streams_open), (0, 0), "{model}");
    }
}

#[test]
fn figures_are_told_without_counting_who_asks() {
    let upstream = upstream();
    Caller::new(&upstream).chat("fast", false).expect("an answer");
    within(Duration::from_secs(5), &upstream, |stats| stats.connections_open == 0);
    let mut asker = Caller::new(&upstream);
    let stats = asker.get("/_stats").json();
    assert_eq!((&stats["requests_total"], &stats["connections_open"]), (&Value::from(1), &Value::from(0)));
    assert_eq!(asker.get("/_requests").json()[0]["path"], "/v1/chat/completions");
    assert_eq!(asker.get("/_reset").json()["requests_total"], 0);
}

#[test]
fn models_embeddings_tools_and_choices_are_served() {
    let upstream = upstream();
    let mut caller = Caller::new(&upstream);
    assert!(caller.get("/v1/models").json()["data"].as_array().is_some_and(|list| list.len() > 3));
    caller.send("/v1/embeddings", "", r#"{"model":"embed7","input":["a"],"encoding_format":"base64"}"#);
    let embeddings = caller.answer().expect("an answer").json();
    assert_eq!(embeddings["data"].as_array().map(Vec::len), Some(7));
    assert!(embeddings["data"][6]["embedding"].is_string());
    let tools = caller.chat("tools:2", false).expect("an answer").json();
    assert_eq!(tools["choices"][0]["message"]["tool_calls"].as_array().map(Vec::len), Some(2));
    assert!(caller.chat("tools", true).expect("a stream").text().contains("\"finish_reason\":\"tool_calls\""));
    assert_eq!(caller.chat("n2", false).expect("an answer").json()["choices"].as_array().map(Vec::len), Some(2));
    let first = caller.chat("fast", false).expect("an answer");
    assert_eq!(first_line(first.head.as_bytes()), b"HTTP/1.1 200 OK");
}
