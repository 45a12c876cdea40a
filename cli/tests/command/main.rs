//! The real binary, as a person and as a program run it, against a router that is played by hand.

#[cfg(test)]
mod far;
#[cfg(test)]
mod served;

use far::{Far, run, run_with_input};
use serde_json::{Value, json};

const LIST: &str = r#"{"object":"list","data":[{"id":"gpt-*","object":"model","created":1,"owned_by":"openai"},{"id":"m","object":"model","created":1,"owned_by":"up"}]}"#;

fn list() -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{LIST}", LIST.len())
}

/// Chunked, with each event in a chunk of its own.
fn stream(events: &[&str]) -> String {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nx-request-id: req_7\r\n\
                x-atp-provider: up\r\nx-atp-model: real-m\r\nx-atp-attempts: 1\r\nx-atp-cost-usd: 0.000012\r\n\r\n";
    let chunk = |event: &&str| format!("{:x}\r\ndata: {event}\n\n\r\n", event.len() + 8);
    format!("{head}{}0\r\n\r\n", events.iter().map(chunk).collect::<String>())
}

const HELLO: [&str; 6] = [
    r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    r#"{"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}"#,
    r#"{"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#,
    r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#,
    "[DONE]",
];

fn refusal(status: &str, code: &str, message: &str) -> String {
    let body = json!({"error": {"message": message, "type": "t", "param": null, "code": code}}).to_string();
    format!(
        "HTTP/1.1 {status}\r\nx-atp-error: {code}\r\nx-request-id: req_9\r\nretry-after: 3\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

#[test]
fn models_are_a_table_for_people_and_json_for_programs() {
    let far = Far::play(vec![list(), list()]);
    let people = run(&["models", "--url", &far.url, "--key", "k1"]);
    assert_eq!((people.code, people.out.as_str()), (Some(0), "MODEL  OWNED BY\ngpt-*  openai\nm      up\n"));
    let programs = run(&["models", "--url", &far.url, "--json"]);
    assert_eq!(json_of(&programs.out), json_of(LIST));
    let asked = far.asked();
    assert!(
        asked[0].starts_with("GET /v1/models HTTP/1.1\r\n") && asked[0].contains("\r\nauthorization: Bearer k1\r\n")
    );
    assert!(!asked[1].contains("authorization"), "{}", asked[1]);
}

#[test]
fn an_answer_streams_to_standard_output_and_its_facts_to_standard_error() {
    let far = Far::play(vec![list(), stream(&HELLO)]);
    let done = run(&["ask", "--url", &far.url, "--system", "be brief", "--max-tokens", "9", "say", "hello"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "Hello\n"), "{}", done.err);
    assert!(done.err.starts_with("real-m · up · 7 tokens in, 2 out · $0.000012 · first token after "), "{}", done.err);
    assert!(!done.err.contains('\x1b') && done.err.lines().count() == 1, "{:?}", done.err);
    let asked = far.asked();
    let body = asked[1].split_once("\r\n\r\n").map(|(_, body)| json_of(body));
    let expected = json!({
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "say hello"}],
        "max_tokens": 9,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    assert_eq!(body, Some(expected), "the first model that is no pattern is asked");
}

#[test]
fn json_is_one_object_with_all_of_it() {
    let far = Far::play(vec![stream(&HELLO)]);
    let done = run(&["ask", "--url", &far.url, "-m", "m", "--json", "hello"]);
    let told = json_of(&done.out);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    assert_eq!(told["answer"], "Hello");
    assert_eq!(
        (&told["model"], &told["provider"], &told["request_id"]),
        (&json!("real-m"), &json!("up"), &json!("req_7"))
    );
    assert_eq!(
        (&told["input_tokens"], &told["output_tokens"], &told["cost_usd"]),
        (&json!(7), &json!(2), &json!(0.000_012))
    );
    assert!(told["time_to_first_token_ms"].as_f64() <= told["total_ms"].as_f64(), "{told}");
}

#[test]
fn the_question_comes_from_a_pipe() {
    for arguments in [&["ask", "-m", "m"][..], &["ask", "-m", "m", "-"]] {
        let far = Far::play(vec![stream(&HELLO)]);
        let mut all = arguments.to_vec();
        all.extend(["--url", &far.url]);
        let done = run_with_input(&all, "what\nis \"this\"?");
        assert_eq!(done.out, "Hello\n", "{}", done.err);
        assert!(far.asked()[0].contains(r#""content":"what\nis \"this\"?""#));
    }
}

#[test]
fn an_answer_in_one_piece_is_asked_for_without_a_stream() {
    let body = r#"{"choices":[{"message":{"role":"assistant","content":"Hi\u001b[2J"},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    let far = Far::play(vec![format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())]);
    let done = run(&["ask", "--url", &far.url, "-m", "m", "--no-stream", "hi"]);
    assert_eq!(done.out, "Hi\x1b[2J\n", "a file keeps every byte; only a terminal is spared");
    assert!(done.err.contains("cost unknown") && done.err.contains("cut at its token limit"), "{}", done.err);
    assert!(!far.asked()[0].contains("stream"));
}

#[test]
fn a_refusal_is_message_code_and_way_out() {
    let text = refusal("404 Not Found", "model_not_found", "the model \"x\" is not configured");
    let far = Far::play(vec![text.clone(), text]);
    let done = run(&["ask", "--url", &far.url, "-m", "x", "hi"]);
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""));
    let expected = "error: the model \"x\" is not configured (model_not_found, HTTP 404, request req_9)\n  \
                    hint: `atp models` lists the models of this router\n";
    assert_eq!(done.err, expected);
    let done = run(&["ask", "--url", &far.url, "-m", "x", "--json", "hi"]);
    let error = &json_of(&done.out)["error"];
    assert_eq!((done.code, &error["code"], &error["status"]), (Some(1), &json!("model_not_found"), &json!(404)));
}

#[test]
fn a_refusal_that_says_when_is_passed_on() {
    let far = Far::play(vec![refusal("429 Too Many Requests", "rate_limited", "too fast")]);
    let done = run(&["ask", "--url", &far.url, "-m", "m", "hi"]);
    assert!(done.err.contains("hint: try again in 3 s"), "{}", done.err);
}

#[test]
fn what_arrived_before_an_error_is_kept() {
    let far = Far::play(vec![stream(&[HELLO[1], r#"{"error":{"message":"boom","code":"provider_cut"}}"#])]);
    let done = run(&["ask", "--url", &far.url, "-m", "m", "hi"]);
    assert_eq!((done.code, done.out.as_str()), (Some(1), "Hel\n"));
    assert!(done.err.starts_with("error: boom (provider_cut)\n"), "{}", done.err);
}

#[test]
fn a_cut_answer_is_not_taken_for_a_whole_one() {
    let whole = stream(&HELLO[..3]);
    let unfinished = whole.clone();
    let torn = whole.trim_end_matches("0\r\n\r\n").to_owned();
    for (text, says) in [(unfinished, "without its last event"), (torn, "closed the connection before")] {
        let far = Far::play(vec![text]);
        let done = run(&["ask", "--url", &far.url, "-m", "m", "hi"]);
        assert_eq!((done.code, done.out.as_str()), (Some(1), "Hello\n"));
        assert!(done.err.contains(says), "{}", done.err);
    }
}

#[test]
fn nobody_there_says_how_to_start_a_router() {
    let far = Far::nobody();
    for arguments in [&["models"][..], &["ask", "hi"], &["load"]] {
        let mut all = arguments.to_vec();
        all.extend(["--url", &far]);
        let done = run(&all);
        assert_eq!(done.code, Some(1), "{}", done.err);
        assert!(done.err.contains("no router answers at http://127.0.0.1:"), "{}", done.err);
        assert!(done.err.contains("start one with `atp up`"), "{}", done.err);
    }
}

#[test]
fn https_is_refused_with_what_to_use_instead() {
    let done = run(&["ask", "--url", "https://127.0.0.1:1", "hi"]);
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("plain http only") && done.err.contains("curl"), "{}", done.err);
}

#[test]
fn schema_version_and_completions_print_what_programs_read() {
    let schema = json_of(&run(&["schema"]).out);
    assert!(schema["properties"]["providers"].is_object());
    let version = json_of(&run(&["version", "--json"]).out);
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let commit = version["commit"].as_str().unwrap_or("unknown commit");
    assert_eq!(run(&["version"]).out, format!("atp {} ({commit})\n", env!("CARGO_PKG_VERSION")));
    // Known wherever the sources are a repository with its history.
    let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/../.git");
    assert!(version["commit"].is_string() || !std::path::Path::new(repository).exists(), "{version}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(&["completions", shell]).out.contains("completions"), "{shell}");
    }
}
