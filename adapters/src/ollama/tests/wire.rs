//! The adapter on a real socket, against a server played by hand.

use atp_core::{Caller, Continuity, Exchange, Fields, RequestId, Restarts, Reuse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::http_client::{ClientSettings, Origin};

use super::*;

/// Plays one answer and returns the request that was read.
async fn play(answer: &str, operation: Operation, path: &str, body: &str) -> (String, Result<Answer, Error>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = HttpClient::new(Origin::parse(&url).unwrap(), ClientSettings::default(), 1).unwrap();
    let config = OllamaConfig { name: Arc::from("local"), api_key: Some(Secret::new("key")), headers: Vec::new() };
    let provider = Ollama::new(config, client).unwrap();
    let exchange = Exchange {
        id: RequestId::from_parts(1_700_000_000_000, 5),
        caller: Arc::new(Caller::anonymous()),
        operation,
        model: Arc::from("router-name"),
        method: if body.is_empty() { Method::GET } else { Method::POST },
        path: Arc::from(path),
        headers: HeaderMap::new(),
        payload: Payload::Rope(Rope::new()),
        fields: Fields::default(),
        stream: false,
        qos: atp_core::Qos::default(),
        session: None,
        reuse: Reuse::Allowed,
        restarts: Restarts::Refused,
        patience: None,
        hints: None,
        received: tokio::time::Instant::now().into_std(),
    };
    let payload = Payload::Rope(Rope::from(Bytes::from(body.to_owned())));
    let attempt = Try {
        exchange: &exchange,
        model: "llama3.2",
        payload,
        continuity: Continuity::None,
        ceiling: None,
        timeouts: Timeouts::default(),
    };
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while !is_whole(&read) {
            let mut piece = [0; 4096];
            let count = socket.read(&mut piece).await.unwrap();
            assert!(count > 0, "the request ended early");
            read.extend_from_slice(&piece[..count]);
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        // Kept open until the answer has been read to its end.
        (String::from_utf8(read).unwrap(), socket)
    };
    let ((request, _socket), answer) = tokio::join!(server, provider.call(attempt));
    (request, answer)
}

fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn drain(answer: &mut Answer) -> (String, Option<Error>) {
    let mut text = String::new();
    loop {
        match std::future::poll_fn(|cx| answer.body.as_mut().poll_chunk(cx)).await {
            None => return (text, None),
            Some(Err(error)) => return (text, Some(error)),
            Some(Ok(bytes)) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
        }
    }
}

const CHAT: &str = r#"{ "messages": [ { "role": "user", "content": "hi" } ], "user": "ada" }"#;

#[tokio::test]
async fn a_chat_goes_to_the_own_endpoint_and_comes_back_in_openais_words() {
    let answer = http("200 OK", include_str!("../golden/reply.ollama.json"));
    let (request, answer) = play(&answer, Operation::Chat, "/chat/completions", CHAT).await;
    assert!(request.starts_with("POST /api/chat HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer key\r\n"), "{request}");
    let mut answer = answer.unwrap();
    assert_eq!(answer.headers["x-atp-losses"], "user");
    assert_eq!(answer.headers["content-type"], "application/json");
    let usage = answer.body.report().usage.unwrap();
    assert_eq!((usage.input, usage.output), (11, 18));
    let body = golden(&drain(&mut answer).await.0);
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["created"], 1_700_000_000);
}

#[tokio::test]
async fn a_stream_comes_as_events() {
    let lines = include_str!("../golden/stream.ollama.ndjson");
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{lines}\r\n0\r\n\r\n",
        lines.len()
    );
    let body = CHAT.replace("\"user\": \"ada\"", "\"stream\": true");
    let (request, answer) = play(&answer, Operation::Chat, "/chat/completions", &body).await;
    assert!(request.contains("\"stream\":true"), "{request}");
    let mut answer = answer.unwrap();
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let (text, error) = drain(&mut answer).await;
    assert!(error.is_none() && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(events(&text).iter().all(|event| event.get("usage").is_none()), "no usage unless asked for");
    assert!(answer.body.report().complete);
    assert_eq!(answer.body.report().usage.unwrap().total(), 35, "known to the books all the same");
}

#[tokio::test]
async fn events_before_garbage_are_given_before_the_error() {
    let lines = "{\"message\":{\"content\":\"half\"},\"done\":false}\n<html>\n";
    let body = CHAT.replace("\"user\": \"ada\"", "\"stream\": true");
    let (_, answer) = play(&http("200 OK", lines), Operation::Chat, "/chat/completions", &body).await;
    let (text, error) = drain(&mut answer.unwrap()).await;
    assert_eq!(events(&text)[1]["choices"][0]["delta"]["content"], "half");
    assert_eq!(error.unwrap().kind(), ErrorKind::ProviderGarbled);
}

#[tokio::test]
async fn refusals_are_classified_and_kept() {
    let answer = http("404 Not Found", r#"{"error":"model 'llama3.2' not found"}"#);
    let (_, answer) = play(&answer, Operation::Embeddings, "/embeddings", r#"{ "input": "a" }"#).await;
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::ProviderRejected, Retry::Elsewhere));
    assert_eq!(error.public(), "model 'llama3.2' not found");
    assert_eq!(error.provider_reply().unwrap().status, 404);
}

#[tokio::test]
async fn anything_else_below_its_address_is_passed_through() {
    let (request, answer) = play(&http("200 OK", r#"{"models":[]}"#), Operation::Raw, "/api/tags?x=1", "").await;
    assert!(request.starts_with("GET /api/tags?x=1 HTTP/1.1\r\n"), "{request}");
    let (text, error) = drain(&mut answer.unwrap()).await;
    assert!(error.is_none());
    assert_eq!(text, r#"{"models":[]}"#);
}

#[tokio::test]
async fn a_base_url_of_the_compatible_endpoint_is_refused_with_the_way_out() {
    let origin = Origin::parse("http://127.0.0.1:11434/v1").unwrap();
    let client = HttpClient::new(origin, ClientSettings::default(), 1).unwrap();
    let config = OllamaConfig { name: Arc::from("local"), api_key: None, headers: Vec::new() };
    let error = Ollama::new(config, client).err().unwrap();
    assert!(error.0.contains("kind openai"), "{error}");
}
