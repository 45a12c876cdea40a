//! Claims about answers.

use atp_core::Finish;
use serde_json::json;

use super::*;

fn reply(message: &serde_json::Value, reason: &str) -> String {
    json!({"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": {}}).to_string()
}

fn of(text: &str) -> Signs {
    signs(Operation::Chat, reply(&json!({"role": "assistant", "content": text}), "stop").as_bytes())
}

#[test]
fn a_plain_answer_shows_nothing_bad() {
    let expected = Signs { chars: 11, finish: Some(Finish::Stop), fences_closed: true, ..Signs::default() };
    assert_eq!(of("It is grüß."), expected);
}

#[test]
fn a_stream_shows_what_the_whole_answer_shows() {
    let chunk = |delta: serde_json::Value, reason: Option<&str>| {
        let chunk = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
        format!("data: {chunk}\r\n\r\n")
    };
    let other = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}}]}\n\n";
    let stream = [
        ": comment\n\n".to_owned(),
        chunk(json!({"role": "assistant", "content": ""}), None),
        chunk(json!({"content": "{\"a\""}), None),
        other.to_owned(),
        chunk(json!({"content": ": 1}"}), None),
        chunk(json!({}), Some("length")),
        "data: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let told = signs(Operation::Chat, stream.as_bytes());
    assert_eq!((told.chars, told.finish, told.json, told.refusal), (8, Some(Finish::Length), Some(true), false));
    assert_eq!(text(Operation::Chat, stream.as_bytes()).as_deref(), Some("{\"a\": 1}"));
}

#[test]
fn completions_have_their_text_elsewhere() {
    let body = br#"{"choices":[{"text":"one two","index":0,"logprobs":{"token_logprobs":[null,-0.6931471805599453]},"finish_reason":"stop"}]}"#;
    assert_eq!(text(Operation::Completions, body).as_deref(), Some("one two"));
    let confidence = signs(Operation::Completions, body).confidence.unwrap();
    assert!((confidence - 0.5).abs() < 1e-9);
}

#[test]
fn confidence_is_the_mean_probability_of_the_tokens() {
    let body = br#"{"choices":[{"message":{"content":"ab"},"logprobs":{"content":[{"token":"a","logprob":0.0},{"token":"b","logprob":-0.6931471805599453,"top_logprobs":[{"logprob":-9}]}]}}]}"#;
    let confidence = signs(Operation::Chat, body).confidence.unwrap();
    assert!((confidence - 0.75).abs() < 1e-9, "{confidence}");
    assert_eq!(of("x").confidence, None);
}

#[test]
fn what_declines_is_told_from_what_regrets() {
    for declines in [
        "I'm sorry, but I can't assist with that.",
        "I’m sorry, I can’t help with that request.",
        "I cannot provide instructions for that.",
        "I can't do that.",
        "**I'm unable to** fulfill this request.",
        "Sorry, but as an AI language model, I cannot generate such content.",
        "Unfortunately, I'm not able to share that information.",
        "I won't help you write malware.",
        "Es tut mir leid, aber dabei kann ich dir nicht helfen.",
        "Ich kann dir dabei nicht weiterhelfen.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "Lo siento, pero no puedo ayudarte con eso.",
    ] {
        assert!(of(declines).refusal, "{declines}");
    }
    for answers in [
        "I'm sorry to hear that your flight was cancelled. You can ask for a refund.",
        "I can't help but notice that the loop never ends.",
        "I cannot stress enough how important tests are.",
        "Sorry for the confusion! The answer is 42.",
        "The phrase \"I can't assist with that\" is a refusal.",
        "Sure, here is the help text.",
        "I will not go into detail here: the proof is on page 3.",
        "Unfortunately the train was late.",
        "",
    ] {
        assert!(!of(answers).refusal, "{answers}");
    }
    let own = reply(&json!({"content": null, "refusal": "No."}), "stop");
    assert!(signs(Operation::Chat, own.as_bytes()).refusal);
    let none = reply(&json!({"content": "Yes.", "refusal": null}), "stop");
    assert!(!signs(Operation::Chat, none.as_bytes()).refusal);
}

#[test]
fn json_is_told_from_broken_json_and_from_prose() {
    for whole in
        ["{\"a\": [1, 2]}", " [1, 2] ", "[]", "{}", "```json\n{\"a\": 1}\n```", "```\n[\"x\"]\n```", "[{\"a\":null}]"]
    {
        assert_eq!(of(whole).json, Some(true), "{whole}");
    }
    for broken in
        ["{\"a\": [1, 2}", "{\"a\": 1", "[\"x\", ]", "```json\n{\"a\": 1\n```", "{\"a\": 1} and more", "[1, 2,]", "{"]
    {
        assert_eq!(of(broken).json, Some(false), "{broken}");
    }
    for prose in [
        "Hello.",
        "[1] Smith et al.",
        "{name} is here",
        "42",
        "\"quoted\"",
        "```rust\nfn main() {}\n```",
        "",
        "[Note] x",
    ] {
        assert_eq!(of(prose).json, None, "{prose}");
    }
}

#[test]
fn fences_are_counted_by_their_lines() {
    assert!(of("```rust\nlet x = 1;\n```\ndone").fences_closed);
    assert!(!of("Look:\n```rust\nlet x = 1;\n").fences_closed);
    assert!(of("Use ``` for fences, as in ```this```.").fences_closed);
}

#[test]
fn calls_of_tools_are_seen_in_replies_and_streams() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = reply(&json!({"content": null, "tool_calls": [call]}), "tool_calls");
    let told = signs(Operation::Chat, body.as_bytes());
    assert_eq!((told.tool_calls, told.finish, told.chars), (true, Some(Finish::ToolCalls), 0));
    assert_eq!(text(Operation::Chat, body.as_bytes()), None);
    let empty = reply(&json!({"content": "x", "tool_calls": [], "function_call": null}), "stop");
    assert!(!signs(Operation::Chat, empty.as_bytes()).tool_calls);
    let chunk = b"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n";
    assert!(signs(Operation::Chat, chunk).tool_calls);
}

#[test]
fn parts_of_a_content_are_one_text() {
    let body = reply(&json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}), "stop");
    assert_eq!(text(Operation::Chat, body.as_bytes()).as_deref(), Some("ab"));
}

#[test]
fn what_has_no_text_is_not_judged() {
    let body = br#"{"data":[{"embedding":[0.1]}]}"#;
    assert_eq!(signs(Operation::Embeddings, body), Signs { fences_closed: true, ..Signs::default() });
    assert_eq!(text(Operation::Embeddings, body), None);
}

proptest::proptest! {
    #[test]
    fn any_bytes_have_signs(bytes: Vec<u8>) {
        let told = signs(Operation::Chat, &bytes);
        let said = text(Operation::Raw, &bytes).unwrap_or_default();
        proptest::prop_assert_eq!(told.chars, said.chars().count() as u64);
    }

    #[test]
    fn the_text_is_the_text(content: String) {
        let body = reply(&json!({"content": content}), "stop");
        let told = signs(Operation::Chat, body.as_bytes());
        proptest::prop_assert_eq!(told.chars, content.chars().count() as u64);
        let expected = Some(content).filter(|content| !content.is_empty());
        proptest::prop_assert_eq!(text(Operation::Chat, body.as_bytes()), expected);
    }
}
