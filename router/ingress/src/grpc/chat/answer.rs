//! A whole answer of OpenAI's dialect as a message. What has no field goes into `extra_json`.

use atp_core::{Error, Usage};
use atp_proto::router::v1 as pb;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::garbled;
use crate::grpc::json::Members;

/// Reads an answer.
pub(super) fn read(bytes: &[u8]) -> Result<pb::ChatResponse, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| garbled("is not UTF-8"))?;
    let mut answer = Members::read(text).ok_or_else(|| garbled("is not a JSON object"))?;
    let choices = answer.take("choices").unwrap_or("[]");
    let choices: Vec<Members<'_>> =
        serde_json::from_str(choices).map_err(|_| garbled("has choices that are no list"))?;
    answer.take("object");
    Ok(pb::ChatResponse {
        id: answer.take_text("id").unwrap_or_default(),
        created: answer.take_as("created").unwrap_or_default(),
        model: answer.take_text("model").unwrap_or_default(),
        choices: choices.into_iter().enumerate().map(|(place, each)| choice(place, each)).collect(),
        usage: told(&mut answer),
        routing: None,
        extra_json: answer.rest(),
    })
}

/// The provider's own account of its tokens.
pub(super) fn told(answer: &mut Members<'_>) -> Option<pb::Usage> {
    let account = answer.take("usage")?;
    Some(pb::Usage { provider_json: account.to_owned(), ..pb::Usage::default() })
}

/// What was used, as the router has read it, beside the provider's own account.
pub(in crate::grpc) fn usage(read: Option<Usage>, told: Option<pb::Usage>) -> Option<pb::Usage> {
    let provider_json = told.as_ref().map(|told| told.provider_json.clone()).unwrap_or_default();
    match read {
        Some(Usage { input, output, cached_input, reasoning }) => Some(pb::Usage {
            input_tokens: input,
            output_tokens: output,
            cached_input_tokens: cached_input,
            reasoning_tokens: reasoning,
            provider_json,
        }),
        None => told,
    }
}

fn choice(place: usize, mut from: Members<'_>) -> pb::Choice {
    let index = from.take_as("index").unwrap_or(place as u32);
    let message = from.take_as::<Members<'_>>("message").map(message);
    let (finish_reason, finish_reason_text) = finish(&mut from);
    let logprobs = logprobs(&mut from);
    pb::Choice {
        index,
        message,
        finish_reason: finish_reason.into(),
        finish_reason_text,
        logprobs,
        extra_json: from.rest(),
    }
}

/// Why it ended, and the provider's own word for that.
pub(super) fn finish(from: &mut Members<'_>) -> (pb::FinishReason, String) {
    use pb::FinishReason as Reason;
    let Some(word) = from.take_text("finish_reason").filter(|word| !word.is_empty()) else {
        return (Reason::Unspecified, String::new());
    };
    let reason = match word.as_str() {
        "stop" | "eos" | "end_turn" | "stop_sequence" => Reason::Stop,
        "length" | "max_tokens" | "model_length" => Reason::Length,
        "tool_calls" | "function_call" | "tool_use" => Reason::ToolCalls,
        "content_filter" => Reason::ContentFilter,
        _ => Reason::Other,
    };
    (reason, word)
}

fn message(mut from: Members<'_>) -> pb::Message {
    let role = role(&mut from).unwrap_or(pb::Role::Assistant);
    let text = from.take_text("content");
    let parts = if text.is_none() { from.take_as::<Vec<&RawValue>>("content") } else { None };
    let calls = from.take_as::<Vec<&RawValue>>("tool_calls").unwrap_or_default();
    pb::Message {
        role: role.into(),
        text,
        parts: parts.unwrap_or_default().into_iter().map(|raw| part(raw.get())).collect(),
        name: from.take_text("name"),
        tool_calls: calls.into_iter().map(|raw| call(raw.get())).collect(),
        tool_call_id: from.take_text("tool_call_id"),
        reasoning: reasoning(&mut from),
        refusal: from.take_text("refusal"),
        extra_json: from.rest(),
    }
}

/// A role that has a field; another word stays.
pub(super) fn role(from: &mut Members<'_>) -> Option<pb::Role> {
    let word: String = from.take_as("role")?;
    Some(match word.as_str() {
        "system" => pb::Role::System,
        "developer" => pb::Role::Developer,
        "user" => pb::Role::User,
        "tool" => pb::Role::Tool,
        _ => pb::Role::Assistant,
    })
}

/// What was thought, by either of its names; where both say the same, once.
pub(super) fn reasoning(from: &mut Members<'_>) -> Option<String> {
    let Some(first) = from.take_text("reasoning_content") else { return from.take_text("reasoning") };
    let again = from.0.iter().any(|(name, value)| {
        name == "reasoning" && serde_json::from_str::<String>(value.get()).is_ok_and(|second| second == first)
    });
    if again {
        from.take("reasoning");
    }
    Some(first)
}

fn part(raw: &str) -> pb::Part {
    use pb::part::Kind;
    let text = Members::read(raw).and_then(|mut members| {
        let is_text = members.take_text("type").as_deref() == Some("text");
        let text = members.take_text("text").filter(|_| is_text)?;
        Some(pb::Part { kind: Some(Kind::Text(text)), extra_json: members.rest() })
    });
    text.unwrap_or_else(|| pb::Part { kind: Some(Kind::OtherJson(raw.to_owned())), extra_json: String::new() })
}

fn call(raw: &str) -> pb::ToolCall {
    use pb::tool_call::Kind;
    let function = Members::read(raw).and_then(|mut members| {
        let mut function = members.take_as::<Members<'_>>("function")?;
        let other = members.take_text("type").is_some_and(|word| word != "function");
        let id = members.take_text("id").unwrap_or_default();
        let called = pb::FunctionCall {
            name: function.take_text("name")?,
            arguments: arguments(&mut function),
            extra_json: function.rest(),
        };
        (!other).then(|| pb::ToolCall { id, kind: Some(Kind::Function(called)), extra_json: members.rest() })
    });
    function.unwrap_or_else(|| {
        let id = Members::read(raw).and_then(|mut members| members.take_text("id")).unwrap_or_default();
        pb::ToolCall { id, kind: Some(Kind::OtherJson(raw.to_owned())), extra_json: String::new() }
    })
}

/// A function's arguments: a text, or with some providers the JSON itself.
pub(super) fn arguments(function: &mut Members<'_>) -> String {
    match function.take_text("arguments") {
        Some(text) => text,
        None => function.take("arguments").unwrap_or_default().to_owned(),
    }
}

#[derive(Deserialize)]
struct Tokens {
    content: Option<Vec<Token>>,
    refusal: Option<Vec<Token>>,
}

#[derive(Deserialize)]
struct Token {
    token: String,
    logprob: f64,
    bytes: Option<Vec<u8>>,
    top_logprobs: Option<Vec<Token>>,
}

/// How likely its tokens were. A shape that is not OpenAI's stays, to be told as it is.
pub(super) fn logprobs(from: &mut Members<'_>) -> Option<pb::Logprobs> {
    let Tokens { content, refusal } = from.take_as("logprobs")?;
    let all = |tokens: Option<Vec<Token>>| tokens.unwrap_or_default().into_iter().map(token).collect();
    Some(pb::Logprobs { content: all(content), refusal: all(refusal) })
}

fn token(from: Token) -> pb::TokenLogprob {
    pb::TokenLogprob {
        token: from.token,
        logprob: from.logprob,
        bytes: Bytes::from(from.bytes.unwrap_or_default()),
        top: from.top_logprobs.unwrap_or_default().into_iter().map(token).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_field_is_told_as_it_is() {
        let bytes = br#"{"id":"c-1","object":"chat.completion","created":7,"model":"m-2","system_fingerprint":"fp","choices":[
            {"index":0,"message":{"role":"assistant","content":null,"refusal":null,"annotations":[{"a":1.50}],
            "reasoning":"hm","reasoning_content":"hm","tool_calls":[{"id":"t1","type":"function","extra_content":{"s":"x"},
            "function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"t2","type":"custom","custom":{"name":"c","input":"x"}}]},
            "finish_reason":"tool_use","content_filter_results":{"hate":{}}}],"usage":{"prompt_tokens":3}}"#;
        let answer = read(bytes).unwrap();
        assert_eq!((answer.id.as_str(), answer.created, answer.model.as_str()), ("c-1", 7, "m-2"));
        assert_eq!(answer.extra_json, r#"{"system_fingerprint":"fp"}"#);
        assert_eq!(usage(None, answer.usage).unwrap().provider_json, r#"{"prompt_tokens":3}"#);
        let [choice] = answer.choices.as_slice() else { panic!("{:?}", answer.choices) };
        assert_eq!(choice.finish_reason(), pb::FinishReason::ToolCalls);
        assert_eq!(
            (choice.finish_reason_text.as_str(), choice.extra_json.as_str()),
            ("tool_use", r#"{"content_filter_results":{"hate":{}}}"#)
        );
        let message = choice.message.as_ref().unwrap();
        assert_eq!((message.text.as_deref(), message.reasoning.as_deref()), (None, Some("hm")));
        assert_eq!(message.extra_json, r#"{"annotations":[{"a":1.50}]}"#);
        let [first, second] = message.tool_calls.as_slice() else { panic!("{:?}", message.tool_calls) };
        assert_eq!(first.extra_json, r#"{"extra_content":{"s":"x"}}"#);
        assert!(matches!(&second.kind, Some(pb::tool_call::Kind::OtherJson(json)) if json.contains("custom")));
    }

    #[test]
    fn likely_tokens_have_types() {
        let bytes = br#"{"choices":[{"message":{"content":[{"type":"text","text":"a","z":1},{"type":"thinking"}]},
            "logprobs":{"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-1}]}]}}]}"#;
        let answer = read(bytes).unwrap();
        let tokens = &answer.choices[0].logprobs.as_ref().unwrap().content;
        assert_eq!((tokens[0].bytes.as_ref(), tokens[0].top[0].logprob), (&b"a"[..], -1.0));
        let parts = &answer.choices[0].message.as_ref().unwrap().parts;
        assert_eq!((parts.len(), parts[0].extra_json.as_str()), (2, r#"{"z":1}"#));
        assert!(read(b"[]").is_err() && read(b"\xff").is_err() && read(br#"{"choices":7}"#).is_err());
    }
}
