//! Requests, replies and streams, without a socket.

use super::*;

const STREAM: &str = include_str!("../golden/stream.ollama.ndjson");

fn chat(request: &Value) -> Result<Translated, Error> {
    request::chat(request.to_string().as_bytes(), "llama3.2")
}

fn user(more: &Value) -> Value {
    let mut request = json!({ "messages": [ { "role": "user", "content": "hi" } ] });
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

#[test]
fn a_rich_chat_request_is_translated_and_its_losses_are_told() {
    let translated = chat(&golden(include_str!("../golden/chat.openai.json"))).unwrap();
    assert_eq!(translated.body, golden(include_str!("../golden/chat.ollama.json")));
    let losses: Vec<&str> = translated.losses.iter().map(String::as_str).collect();
    assert_eq!(losses, ["messages.name", "metadata", "parallel_tool_calls", "tool_choice", "user"]);
    assert!(translated.stream && translated.include_usage);
}

#[test]
fn a_plain_chat_request_loses_nothing_and_says_that_it_is_no_stream() {
    let translated = chat(&user(&json!({ "model": "x" }))).unwrap();
    assert!(translated.losses.is_empty());
    let expected = json!({ "model": "llama3.2", "messages": [ { "role": "user", "content": "hi" } ], "options": {}, "stream": false });
    assert_eq!(translated.body, expected);
}

#[test]
fn tool_choice_is_carried_as_far_as_it_can_be() {
    let tools = json!([ { "type": "function", "function": { "name": "a" } } ]);
    let with = |choice: &str| chat(&user(&json!({ "tools": tools, "tool_choice": choice }))).unwrap();
    assert_eq!(with("auto").body["tools"], tools);
    assert!(with("auto").losses.is_empty());
    assert_eq!(with("none").body.get("tools"), None);
    assert!(with("none").losses.is_empty());
    assert_eq!(with("required").body["tools"], tools);
    assert!(with("required").losses.contains("tool_choice"));
}

#[test]
fn efforts_and_formats_have_their_counterparts() {
    let think = |effort: &str| chat(&user(&json!({ "reasoning_effort": effort }))).unwrap().body["think"].clone();
    assert_eq!([think("none"), think("medium"), think("xhigh")], [json!(false), json!("medium"), json!("high")]);
    assert_eq!(chat(&user(&json!({ "think": true }))).unwrap().body["think"], true);
    let format = |kind: &str| chat(&user(&json!({ "response_format": { "type": kind } }))).unwrap().body;
    assert_eq!(format("json_object")["format"], "json");
    assert_eq!(format("text").get("format"), None);
}

#[test]
fn what_ollama_cannot_do_may_be_done_elsewhere_and_what_is_wrong_is_wrong() {
    let part = |part: Value| json!({ "messages": [ { "role": "user", "content": [part] } ] });
    let elsewhere = [
        (user(&json!({ "n": 2 })), "n"),
        (user(&json!({ "modalities": ["text", "audio"] })), "modalities"),
        (user(&json!({ "tools": [ { "type": "custom" } ] })), "tools"),
        (part(json!({ "type": "input_audio" })), "messages"),
        (part(json!({ "type": "image_url", "image_url": { "url": "https://example.com/a.png" } })), "messages"),
    ];
    for (request, param) in elsewhere {
        let error = chat(&request).unwrap_err();
        assert_eq!(
            (error.param(), error.retry(), error.side()),
            (Some(param), Retry::Elsewhere, Side::Caller),
            "{request}"
        );
    }
    let call = json!({ "id": "1", "function": { "name": "f", "arguments": "{" } });
    let never = [
        (json!({}), "messages"),
        (json!({ "messages": [ { "role": "robot" } ] }), "messages"),
        (json!({ "messages": [ { "role": "assistant", "tool_calls": [call] } ] }), "messages"),
        (user(&json!({ "reasoning_effort": "huge" })), "reasoning_effort"),
        (user(&json!({ "temperature": "hot" })), "temperature"),
        (user(&json!({ "seed": 1.5 })), "seed"),
        (user(&json!({ "max_tokens": "5" })), "max_tokens"),
        (user(&json!({ "stop": [1] })), "stop"),
        (user(&json!({ "response_format": { "type": "json_schema" } })), "response_format"),
    ];
    for (request, param) in never {
        let error = chat(&request).unwrap_err();
        assert_eq!((error.param(), error.retry()), (Some(param), Retry::Never), "{request}");
    }
    assert!(request::chat(b"[1]", "m").unwrap_err().public().contains("no JSON object"));
    let robot = chat(&json!({ "messages": [ { "role": "robot" } ] })).unwrap_err();
    assert!(robot.public().starts_with("a role is \"robot\", expected system, "), "{robot}");
}

#[test]
fn completions_and_embeddings_are_translated() {
    let generate = |body: Value| request::generate(body.to_string().as_bytes(), "m");
    let translated = generate(json!({ "prompt": ["once"], "suffix": "end", "max_tokens": 4, "best_of": 1 })).unwrap();
    let expected =
        json!({ "model": "m", "prompt": "once", "suffix": "end", "options": { "num_predict": 4 }, "stream": false });
    assert_eq!(translated.body, expected);
    assert!(translated.losses.contains("best_of"));
    assert_eq!(generate(json!({ "prompt": [1, 2] })).unwrap_err().retry(), Retry::Elsewhere);
    assert_eq!(generate(json!({})).unwrap_err().retry(), Retry::Never);
    let embed = |body: Value| request::embed(body.to_string().as_bytes(), "m");
    let translated = embed(json!({ "input": ["a", "b"], "dimensions": 8, "encoding_format": "base64" })).unwrap();
    assert_eq!(translated.body, json!({ "model": "m", "input": ["a", "b"], "dimensions": 8 }));
    assert!(translated.base64);
    assert_eq!(embed(json!({ "input": [[1]] })).unwrap_err().retry(), Retry::Elsewhere);
    assert_eq!(embed(json!({ "input": "a", "encoding_format": "hex" })).unwrap_err().param(), Some("encoding_format"));
}

#[test]
fn a_reply_is_translated_with_its_report() {
    let (body, report) = reply::whole(include_bytes!("../golden/reply.ollama.json"), &head(Shape::Chat)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), golden(include_str!("../golden/reply.openai.json")));
    let usage = report.usage.unwrap();
    assert_eq!((usage.input, usage.output, report.finish), (11, 18, Some(Finish::ToolCalls)));
    assert!(report.complete && report.content);
    let text = br#"{"response":"once","done":true,"done_reason":"length","eval_count":1}"#;
    let (body, report) = reply::whole(text, &head(Shape::Completion)).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["object"], &body["choices"][0]["text"]), (&json!("text_completion"), &json!("once")));
    assert_eq!((&body["choices"][0]["finish_reason"], report.usage.unwrap().output), (&json!("length"), 1));
}

#[test]
fn a_reply_that_is_none_is_an_error() {
    let kind = |body: &str| reply::whole(body.as_bytes(), &head(Shape::Chat)).unwrap_err().kind();
    assert_eq!(kind(r#"{"error":"model runner has stopped"}"#), ErrorKind::ProviderFailed);
    assert_eq!(kind(r#"{"message":{"content":"half"},"done":false}"#), ErrorKind::ProviderGarbled);
    assert_eq!(kind("<html>"), ErrorKind::ProviderGarbled);
}

#[test]
fn embeddings_keep_their_numbers_in_both_encodings() {
    let body = br#"{"model":"m","embeddings":[[0.5,-1.25],[0.0,3.0]],"prompt_eval_count":8}"#;
    let (float, report) = reply::embeddings(body, "m", false).unwrap();
    let float: Value = serde_json::from_slice(&float).unwrap();
    assert_eq!(float["data"][1], json!({ "object": "embedding", "index": 1, "embedding": [0.0, 3.0] }));
    assert_eq!(report.usage.unwrap().input, 8);
    let (base, _) = reply::embeddings(body, "m", true).unwrap();
    let base: Value = serde_json::from_slice(&base).unwrap();
    // 0.5 is 0x3f000000 and -1.25 is 0xbfa00000, lowest byte first.
    assert_eq!(base["data"][0]["embedding"], "AAAAPwAAoL8=");
    assert_eq!(base["usage"], json!({ "prompt_tokens": 8, "total_tokens": 8 }));
}

fn decode(pieces: &[&[u8]]) -> (String, Report, Result<(), Error>) {
    let mut decoder = Decoder::new(head(Shape::Chat), true);
    let mut out = Vec::new();
    let fed = pieces.iter().try_for_each(|piece| decoder.feed(piece, &mut out));
    let end = fed.and_then(|()| decoder.finish(&mut out));
    (String::from_utf8(out).unwrap(), decoder.report().clone(), end)
}

#[test]
fn a_stream_is_translated_to_the_same_events_wherever_it_is_cut() {
    let (whole, report, end) = decode(&[STREAM.as_bytes()]);
    end.unwrap();
    let expected = golden(include_str!("../golden/stream.openai.json"));
    let envelope = json!({ "id": "chatcmpl-01", "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": "llama3.2", "system_fingerprint": "fp_ollama" });
    for (mut event, expected) in events(&whole).into_iter().zip(expected.as_array().unwrap()) {
        for (name, value) in envelope.as_object().unwrap() {
            assert_eq!(event.as_object_mut().unwrap().remove(name).as_ref(), Some(value));
        }
        let mut expected = expected.clone();
        expected.as_object_mut().unwrap().entry("usage").or_insert(Value::Null);
        assert_eq!(event, expected);
    }
    assert_eq!(events(&whole).len(), expected.as_array().unwrap().len());
    assert!(whole.ends_with("data: [DONE]\n\n"));
    assert_eq!((report.finish, report.usage.unwrap().total()), (Some(Finish::ToolCalls), 35));
    assert!(report.complete && report.content && report.failure.is_none());
    for at in 0..=STREAM.len() {
        let (head, tail) = STREAM.as_bytes().split_at(at);
        let (cut, _, end) = decode(&[head, tail]);
        end.unwrap();
        assert_eq!(cut, whole, "cut at byte {at}");
    }
    // The last line's end may be missing.
    assert_eq!(decode(&[STREAM.trim_end().as_bytes()]).0, whole);
}

#[test]
fn a_stream_that_ends_early_is_cut_and_garbage_is_garbled() {
    let short = STREAM.lines().take(3).collect::<Vec<_>>().join("\n");
    let (text, report, end) = decode(&[short.as_bytes()]);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ProviderCut);
    assert!(!report.complete && !text.contains("[DONE]"));
    assert_eq!(decode(&[b"not json\n"]).2.unwrap_err().kind(), ErrorKind::ProviderGarbled);
    assert_eq!(decode(&[&vec![b' '; 17 << 20]]).2.unwrap_err().kind(), ErrorKind::ProviderGarbled);
}

#[test]
fn an_error_line_is_told_and_reported() {
    let (text, report, end) = decode(&[b"{\"error\":\"an error was encountered\"}\n"]);
    end.unwrap();
    assert_eq!(events(&text)[0]["error"]["message"], "an error was encountered");
    assert_eq!(report.failure.unwrap().kind(), ErrorKind::ProviderFailed);
    assert!(!report.complete && !report.content);
}
