//! Claims about single events and replies; `golden/` holds whole streams.

use atp_core::{Error, ErrorKind, Finish, Operation, Retry, Rope, Side, Usage};

use super::*;

fn fed(mode: TapMode, chunks: &[&str]) -> (Vec<Bytes>, StreamTap) {
    let mut tap = StreamTap::new(mode);
    let mut out = Vec::new();
    chunks.iter().for_each(|chunk| tap.feed(Bytes::copy_from_slice(chunk.as_bytes()), &mut out));
    (out, tap)
}

fn report(events: &str) -> Report {
    fed(TapMode::Observe, &[events]).1.report().clone()
}

fn reply(operation: Operation, body: &str) -> Report {
    read_reply(operation, &Rope::from(Bytes::copy_from_slice(body.as_bytes())))
}

#[test]
fn observed_chunks_go_out_at_once_and_are_not_copied() {
    let chunk = Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"con");
    let mut tap = StreamTap::new(TapMode::Observe);
    let mut out = Vec::new();
    tap.feed(chunk.clone(), &mut out);
    assert_eq!((out[0].as_ptr(), out[0].len()), (chunk.as_ptr(), chunk.len()));
}

#[test]
fn stripped_chunks_without_usage_are_not_copied_either() {
    let chunk = Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"cho");
    let mut tap = StreamTap::new(TapMode::StripUsage);
    let mut out = Vec::new();
    tap.feed(chunk.clone(), &mut out);
    assert_eq!((out[0].as_ptr(), &out[0][..]), (chunk.as_ptr(), &chunk[..chunk.len() - 11]));
    tap.finish(&mut out);
    assert_eq!(out.concat(), chunk);
}

#[test]
fn an_event_beyond_the_cap_is_let_through_in_order() {
    let huge = format!("data: {{\"usage\":null,\"x\":\"{}\"}}\n\n", "y".repeat(crate::sse::DEFAULT_CAP));
    let stream = format!("data: {{\"usage\":null,\"a\":1}}\n\n{huge}data: {{\"b\":1,\"usage\":null}}\n\n");
    let expected = format!("data: {{\"a\":1}}\n\n{huge}data: {{\"b\":1}}\n\n");
    for size in [1000, 65_536, 3_000_000] {
        let mut tap = StreamTap::new(TapMode::StripUsage);
        let mut out = Vec::new();
        for chunk in stream.as_bytes().chunks(size) {
            tap.feed(Bytes::copy_from_slice(chunk), &mut out);
        }
        tap.finish(&mut out);
        assert!(out.concat() == expected.as_bytes(), "chunks of {size}");
    }
}

#[test]
fn content_is_more_than_a_role() {
    let delta = |delta: &str| report(&format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n")).content;
    for none in
        ["{}", r#"{"role":"assistant","content":""}"#, r#"{"content":null,"tool_calls":[ ]}"#, r#"{"audio":{ }}"#]
    {
        assert!(!delta(none), "{none}");
    }
    for some in [
        r#"{"content":" "}"#,
        r#"{"reasoning_content":"x"}"#,
        r#"{"reasoning":"x"}"#,
        r#"{"refusal":"no"}"#,
        r#"{"tool_calls":[{"index":0}]}"#,
    ] {
        assert!(delta(some), "{some}");
    }
    assert!(report("data: {\"choices\":[{\"text\":\"x\"}]}\n\n").content);
    assert!(!report(": comment\n\ndata:\n\nevent: ping\n\n").content);
}

#[test]
fn names_inside_content_are_no_keys() {
    let told = report(concat!(
        r#"data: {"choices":[{"delta":{"content":"x"}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{"content":"\"error\": \"x\", \"usage\": {\"prompt_tokens\": 1}"}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{"content":"\"finish_reason\":\"stop\""}}]}"#,
        "\n\n"
    ));
    assert!(told.failure.is_none() && told.usage.is_none() && told.finish.is_none());
}

#[test]
fn a_stream_is_complete_once_every_choice_has_ended() {
    let end = |index: u8| format!("data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":\"stop\"}}]}}\n\n");
    for (events, complete) in [(end(0), false), (end(0) + &end(1), true), ("data: [DONE]".to_owned(), true)] {
        let mut tap = StreamTap::new(TapMode::Observe).expecting(2);
        tap.feed(Bytes::from(events), &mut Vec::new());
        tap.finish(&mut Vec::new());
        assert_eq!(tap.report().complete, complete);
        assert_eq!(tap.report().failure.as_ref().map(Error::kind), (!complete).then_some(ErrorKind::ProviderCut));
    }
}

#[test]
fn done_is_known_before_the_body_ends() {
    assert!(report("data: [DONE]\n\n").complete);
}

#[test]
fn a_foreign_stream_ends_where_it_ends() {
    let stream = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\"}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":7,",
        "\"output_tokens\":2,\"output_tokens_details\":{\"reasoning_tokens\":1}}}}\n\nevent: x\ndata: plain text\n\n",
    );
    let (_, mut tap) = fed(TapMode::Foreign, &[stream]);
    tap.finish(&mut Vec::new());
    let told = tap.report();
    assert_eq!(told.usage, Some(Usage { input: 7, output: 2, cached_input: 0, reasoning: 1 }));
    assert!(told.complete && told.failure.is_none());
}

#[test]
fn a_failure_carries_the_providers_words() {
    let told = report("data: {\"error\":{\"message\":\"slow down\",\"type\":\"requests\",\"code\":429}}\n\n");
    let failure = told.failure.unwrap();
    assert_eq!(
        (failure.kind(), failure.side(), failure.retry()),
        (ErrorKind::ProviderOverloaded, Side::Provider, Retry::Elsewhere)
    );
    assert_eq!(failure.public(), "slow down");
    assert_eq!(failure.provider_reply().unwrap().status, 429);
    let told = report("data: {\"error\":\"gone\"}\n\n").failure.unwrap();
    assert_eq!((told.kind(), told.public()), (ErrorKind::ProviderFailed, "gone"));
}

#[test]
fn a_garbled_line_is_told_to_the_log_and_not_to_the_caller() {
    let failure = report("data: <html>secret</html>\n\n").failure.unwrap();
    assert_eq!(failure.kind(), ErrorKind::ProviderGarbled);
    assert!(!failure.public().contains("secret") && failure.cause().unwrap().contains("secret"));
}

#[test]
fn replies_tell_usage_finish_and_errors() {
    let chat = r#"{"id":"x","choices":[{"index":0,"message":{"content":"\"usage\":{}"},"finish_reason":"tool_calls"}],
        "usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3}}}"#;
    let told = reply(Operation::Chat, chat);
    assert_eq!(told.usage, Some(Usage { input: 9, output: 4, cached_input: 3, reasoning: 0 }));
    assert_eq!((told.finish, told.complete, told.content), (Some(Finish::ToolCalls), true, true));

    let embeddings = r#"{"object":"list","data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    assert_eq!(reply(Operation::Embeddings, embeddings).usage.map(|usage| (usage.input, usage.output)), Some((8, 0)));
    let images = r#"{"data":[{"b64_json":"x"}],"usage":{"total_tokens":30,"input_tokens":10,"output_tokens":20}}"#;
    assert_eq!(reply(Operation::Images, images).usage.map(|usage| usage.total()), Some(30));
    assert_eq!(reply(Operation::Moderations, r#"{"results":[{"flagged":false}]}"#).usage, None);
    let failed = reply(Operation::Chat, r#"{"error":{"message":"no","code":502}}"#);
    assert_eq!(failed.failure.map(|failure| failure.kind()), Some(ErrorKind::ProviderFailed));
    assert!(reply(Operation::Chat, r#"{"error":null,"choices":[]}"#).complete);
    let flat = reply(Operation::Chat, r#"{"object":"error","message":"bad","code":400}"#).failure.unwrap();
    assert_eq!((flat.kind(), flat.public()), (ErrorKind::ProviderRejected, "bad"));
}

#[test]
fn a_reply_that_is_cut_or_no_json_is_a_failure() {
    for body in ["", "<html>", "{\"choices\":[", "[]"] {
        let told = reply(Operation::Chat, body);
        assert_eq!(told.failure.map(|failure| failure.kind()), Some(ErrorKind::ProviderGarbled), "{body}");
        assert!(!told.complete);
    }
    assert!(reply(Operation::Audio, "WEBVTT").complete);
}

#[test]
fn anthropics_cached_tokens_are_input() {
    let body = r#"{"type":"message","usage":{"input_tokens":5,"cache_read_input_tokens":100,"cache_creation_input_tokens":20,"output_tokens":3}}"#;
    let usage = reply(Operation::Raw, body).usage.unwrap();
    assert_eq!(usage, Usage { input: 125, output: 3, cached_input: 100, reasoning: 0 });
}

#[test]
fn events_of_one_shape_may_still_tell_news() {
    let event = |content: &str, rest: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}}{rest}}}],\"usage\":null}}\n\n")
    };
    let dull = event("word", ",\"finish_reason\":null").repeat(5);
    let tricky = event("a\\\"},\\\"finish_reason\\\":\\\"stop\\\"\\\\", ",\"finish_reason\":null");
    assert_eq!(report(&(dull.clone() + &tricky)).finish, None);
    assert_eq!(report(&(dull.clone() + &event("", ",\"finish_reason\":\"stop\""))).finish, Some(Finish::Stop));
    let broken = dull.clone() + "data: {\"choices\":[{\"delta\":{\"content\":\"word\n\n";
    assert!(report(&broken).failure.is_some());
    // A string that ends early leaves something behind the shape, or in it.
    let early = dull + &event("x\"},\"finish_reason\":\"length\",\"y\":{\"z\":\"", ",\"finish_reason\":null");
    assert_eq!(report(&early).finish, Some(Finish::Length));
}

#[test]
fn shapes_with_two_texts_are_stripped_alike() {
    let event = |content: &str, usage: &str, padding: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}}}}]{usage},\"obfuscation\":\"{padding}\"}}\n\n"
        )
    };
    let texts = ["a", "", "longer \\\"usage\\\":null", "\u{e4}\\\\", "{\\\"usage\\\":null}"];
    let stream: String = texts.map(|text| event(text, ",\"usage\":null", text)).concat();
    let expected: String = texts.map(|text| event(text, "", text)).concat();
    let (out, _) = fed(TapMode::StripUsage, &[&stream]);
    assert_eq!(String::from_utf8(out.concat()).unwrap(), expected);
}

#[test]
fn a_stream_whose_events_are_not_alike_stops_learning() {
    let mut shape = shape::Shape::new();
    let learned = |data: String, shape: &mut shape::Shape| {
        shape.learn(data.as_bytes(), None);
        shape.matches(data.as_bytes()).is_some()
    };
    // Learning once and matching once loses credit, until it is used up.
    let lessons =
        (0..50).filter(|created| learned(format!("{{\"created\":{created},\"content\":\"x\"}}"), &mut shape)).count();
    assert!((3..10).contains(&lessons), "{lessons}");
}
