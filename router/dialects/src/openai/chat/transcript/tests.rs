//! Streams that are cut and gone on with, at every place: what the caller reads is one answer.

use atp_core::{ErrorKind, Usage};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::openai::chat::{StreamTap, TapMode};

const LONG: &str = "A cat sat on the \"mat\",\nand \u{1f600} smiled: cat, cat, cat.";

/// The events of one provider's stream.
fn stream(id: &str, model: &str, pieces: &[&str], usage: Usage) -> Vec<String> {
    let event = |delta: Value, finish: Value| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
        let data = json!({ "id": id, "object": "chat.completion.chunk", "created": id.len(), "model": model,
            "choices": [choice], "x_of": model });
        format!("data: {data}\n\n")
    };
    let mut events = vec![event(json!({ "role": "assistant", "content": "" }), Value::Null)];
    events.extend(pieces.iter().map(|piece| event(json!({ "content": piece }), Value::Null)));
    events.push(event(json!({}), json!("stop")));
    let told = json!({ "prompt_tokens": usage.input, "completion_tokens": usage.output,
        "total_tokens": usage.total(), "prompt_tokens_details": { "cached_tokens": 0 } });
    let last = json!({ "id": id, "created": id.len(), "model": model, "choices": [], "usage": told });
    events.push(format!("data: {last}\n\n"));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// The text in pieces of `size` characters.
fn pieces(text: &str, size: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(size).map(|chunk| chunk.iter().collect()).collect()
}

fn refs(pieces: &[String]) -> Vec<&str> {
    pieces.iter().map(String::as_str).collect()
}

fn usage(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

/// Feeds bytes in chunks of `size`, and ends them where they end.
fn feed(tap: &mut StreamTap, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in bytes.chunks(size.max(1)) {
        tap.feed(Bytes::copy_from_slice(chunk), &mut out);
    }
    out.concat()
}

/// What a caller makes of a stream.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    text: String,
    ids: Vec<Value>,
    roles: usize,
    finishes: usize,
    usages: Vec<(u64, u64, u64)>,
    done: usize,
}

fn seen(stream: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let text = std::str::from_utf8(stream).unwrap();
    assert!(text.is_empty() || text.ends_with("\n\n"), "whole events alone: {text:?}");
    for data in text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
        if data == "[DONE]" {
            seen.done += 1;
            continue;
        }
        let event: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"));
        let id = json!([event["id"], event["created"], event["model"]]);
        if !seen.ids.contains(&id) {
            seen.ids.push(id);
        }
        if let Some(usage) = event["usage"].as_object() {
            let count = |name: &str| usage[name].as_u64().unwrap();
            seen.usages.push((count("prompt_tokens"), count("completion_tokens"), count("total_tokens")));
        }
        let choice = &event["choices"][0];
        seen.text.push_str(choice["delta"]["content"].as_str().unwrap_or(""));
        seen.roles += usize::from(choice["delta"]["role"].is_string());
        seen.finishes += usize::from(choice["finish_reason"].is_string());
    }
    seen
}

fn remembering() -> StreamTap {
    StreamTap::new(TapMode::Observe).remembering()
}

fn going_on(resume: &Resume, echo: Echo) -> StreamTap {
    StreamTap::new(TapMode::Observe).going_on(resume, echo)
}

/// Cuts a first stream behind `cut` bytes, and lets a second one go on with it.
fn joined(first: &[u8], cut: usize, size: usize, second: impl Fn(&Resume) -> (Vec<u8>, Echo)) -> Option<Seen> {
    let mut tap = remembering();
    let mut out = feed(&mut tap, &first[..cut], size);
    let resume = tap.resume()?;
    assert_eq!(seen(&out).text, resume.text, "what is remembered is what the caller has");
    let (rest, echo) = second(&resume);
    let mut tap = going_on(&resume, echo);
    out.extend(feed(&mut tap, &rest, size));
    let mut tail = Vec::new();
    tap.finish(&mut tail);
    out.extend(tail.concat());
    assert!(tap.report().complete && tap.resume().is_none());
    Some(seen(&out))
}

#[test]
fn a_stream_that_is_cut_anywhere_is_gone_on_with_as_one() {
    let parts = pieces(LONG, 3);
    let first = stream("one", "m1", &refs(&parts), usage(9, 20)).concat();
    let mut resumed = 0;
    for cut in 0..first.len() {
        let told = joined(first.as_bytes(), cut, 7, |resume| {
            let rest = LONG.strip_prefix(&resume.text).unwrap();
            (
                stream("other", "m2", &refs(&pieces(rest, 2)), usage(9 + resume.tokens, 5)).concat().into(),
                Echo::Unlikely,
            )
        });
        let Some(told) = told else { continue };
        resumed += 1;
        assert_eq!((told.text.as_str(), told.roles, told.finishes, told.done), (LONG, 1, 1, 1), "cut at {cut}");
        assert_eq!(told.ids, [json!(["one", 3, "m1"])]);
        let [(input, output, total)] = told.usages[..] else { panic!("one usage: {told:?}") };
        assert_eq!((input, output), (9, total - 9), "the caller's prompt is what it was");
    }
    assert!(resumed > first.len() / 2, "{resumed} of {}", first.len());
}

#[test]
fn the_report_of_a_stream_that_goes_on_tells_its_own_usage() {
    let resume = Resume { text: LONG.to_owned(), tokens: 10, envelope: Bytes::from_static(b"{\"id\":\"one\"}") };
    let mut tap = going_on(&resume, Echo::Unlikely);
    let out = feed(&mut tap, stream("x", "m", &[" And"], usage(19, 1)).concat().as_bytes(), 1000);
    assert_eq!(tap.report().usage, Some(usage(19, 1)));
    assert_eq!(seen(&out).usages, [(9, 11, 20)]);
}

#[test]
fn a_repetition_is_trimmed_where_it_is_exact_and_whole() {
    let cases: [(&str, Echo, &str, &str); 7] = [
        // What was said before, what comes next, and what the caller gets of that.
        (LONG, Echo::Unlikely, " And then", " And then"),
        ("short", Echo::Unlikely, "short story", "short story"),
        ("short", Echo::Usual, "short story", " story"),
        ("0123456789abcdef", Echo::Unlikely, "0123456789abcdefg", "g"),
        ("0123456789abcdef", Echo::Unlikely, "0123456789abcdeX", "0123456789abcdeX"),
        ("0123456789abcdef", Echo::Usual, "0123456", "0123456"),
        ("0123456789abcdef", Echo::Usual, "0123456789abcdef", ""),
    ];
    for (text, echo, rest, wanted) in cases {
        for size in [1, 2, 5, 100] {
            let resume = Resume { text: text.to_owned(), tokens: 4, envelope: Bytes::from_static(b"{}") };
            let mut tap = going_on(&resume, echo);
            let events = stream("x", "m", &refs(&pieces(rest, size)), usage(1, 1));
            let cut = events.len() - 3;
            let out = feed(&mut tap, events[..cut].concat().as_bytes(), 11);
            // Cut again in the middle: what goes on then is what the caller has, and no more.
            let again = tap.resume().unwrap();
            assert_eq!(again.text, format!("{text}{}", seen(&out).text), "{rest:?} by {size}");
            let tail = feed(&mut tap, events[cut..].concat().as_bytes(), 11);
            assert_eq!(seen(&[out, tail].concat()).text, wanted, "{rest:?} after {text:?} by {size}");
        }
    }
}

#[test]
fn what_no_message_can_begin_with_is_not_gone_on_with() {
    let event = |choice: Value| format!("data: {}\n\n", json!({ "id": "x", "choices": [choice] }));
    let text = event(json!({ "index": 0, "delta": { "content": "Hello" } }));
    let after = |more: &str| {
        let mut tap = remembering();
        feed(&mut tap, format!("{text}{more}").as_bytes(), 50);
        tap.resume()
    };
    assert_eq!(after("").unwrap().text, "Hello");
    assert_eq!(after(": comment\n\n").unwrap().text, "Hello");
    for choice in [
        json!({ "index": 0, "delta": { "tool_calls": [{ "index": 0 }] } }),
        json!({ "index": 0, "delta": { "refusal": "no" } }),
        json!({ "index": 0, "delta": { "reasoning_content": "hm" } }),
        json!({ "index": 0, "delta": { "audio": { "id": "a" } } }),
        json!({ "index": 0, "delta": { "content": "x" }, "logprobs": { "content": [] } }),
        json!({ "index": 1, "delta": { "content": "x" } }),
        json!({ "index": 0, "delta": {}, "finish_reason": "stop" }),
    ] {
        assert_eq!(after(&event(choice.clone())), None, "{choice}");
    }
    assert_eq!(after("data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d\"}}]}\n\n"), None, "half a character");
    assert_eq!(StreamTap::new(TapMode::Observe).resume(), None);
}

#[test]
fn an_error_ends_the_stream_and_does_not_go_out() {
    let hello = "data: {\"id\":\"x\",\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";
    for (error, kind) in [
        ("data: {\"error\":{\"message\":\"boom\",\"code\":500}}\n\n", ErrorKind::ProviderFailed),
        ("event: error\ndata: {\"message\":\"boom\"}\n\n", ErrorKind::ProviderFailed),
        ("data: <html>\n\n", ErrorKind::ProviderGarbled),
    ] {
        for size in [1, 1000] {
            let mut tap = remembering();
            let out = feed(&mut tap, format!("{hello}{error}{hello}").as_bytes(), size);
            assert_eq!(String::from_utf8(out).unwrap(), hello);
            assert_eq!(tap.broken().map(atp_core::Error::kind), Some(kind));
            assert_eq!(tap.resume().unwrap().text, "Hello");
        }
    }
}

#[test]
fn an_event_beyond_the_cap_goes_out_and_ends_the_memory() {
    let huge = format!("data: {{\"choices\":[],\"x\":\"{}\"}}\n\n", "y".repeat(crate::sse::DEFAULT_CAP));
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    for size in [1000, 65_536, 3_000_000] {
        let mut tap = remembering();
        let all = format!("{text}{huge}{text}");
        let out = feed(&mut tap, all.as_bytes(), size);
        assert!(out == all.as_bytes(), "chunks of {size}");
        assert_eq!(tap.resume(), None);
    }
}

proptest! {
    #[test]
    fn the_answer_is_the_beginning_and_the_rest_and_nothing_twice(
        text in "[a-c \"\\\\\n\u{e4}\u{1f600}]{1,60}",
        rest in "[a-c \"\\\\\n\u{e4}\u{1f600}]{0,60}",
        first_size in 1usize..6,
        rest_size in 1usize..6,
        cut in 0usize..10_000,
        chunk in 1usize..300,
        echoes: bool,
        strip: bool,
    ) {
        let all = stream("one", "m1", &refs(&pieces(&text, first_size)), usage(9, 9)).concat();
        let mode = if strip { TapMode::StripUsage } else { TapMode::Observe };
        let mut tap = StreamTap::new(mode).remembering();
        let mut out = feed(&mut tap, &all.as_bytes()[..cut % all.len()], chunk);
        let Some(resume) = tap.resume() else { return Ok(()) };
        let begun = resume.text.clone();
        // A rest that happens to repeat the beginning is the one thing that cannot be told from an echo.
        prop_assume!(echoes || !rest.starts_with(&begun));
        let told = if echoes { format!("{begun}{rest}") } else { rest.clone() };
        let echo = if echoes { Echo::Usual } else { Echo::Unlikely };
        let mut tap = StreamTap::new(mode).going_on(&resume, echo);
        let second = stream("two", "m2", &refs(&pieces(&told, rest_size)), usage(19, 9)).concat();
        out.extend(feed(&mut tap, second.as_bytes(), chunk));
        let mut tail = Vec::new();
        tap.finish(&mut tail);
        out.extend(tail.concat());
        let seen = seen(&out);
        prop_assert_eq!(seen.text, format!("{begun}{rest}"));
        prop_assert_eq!((seen.roles, seen.finishes, seen.done, seen.ids.len()), (1, 1, 1, 1));
        prop_assert_eq!(seen.usages.len(), usize::from(!strip));
    }
}
