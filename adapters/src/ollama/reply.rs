//! From Ollama's answers to OpenAI's: the whole ones, and what they share with streams.

use atp_core::{Error, ErrorKind, Finish, Report, Usage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) use crate::head::{Head, Shape, finish_name, usage_json};

/// What Ollama's compatible endpoint says, too.
pub(super) const FINGERPRINT: &str = "fp_ollama";

/// A whole answer, or one line of a stream.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Line {
    #[serde(default)]
    pub(super) message: Message,
    /// The text of `/api/generate`.
    #[serde(default)]
    pub(super) response: String,
    #[serde(default)]
    pub(super) done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    #[serde(default)]
    pub(super) logprobs: Option<Value>,
    /// An error told inside an answer.
    pub(super) error: Option<Value>,
}

/// The message of `/api/chat`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) content: String,
    #[serde(default)]
    pub(super) thinking: String,
    #[serde(default)]
    pub(super) tool_calls: Option<Vec<Call>>,
}

/// A tool call.
#[derive(Debug, Deserialize)]
pub(super) struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Value,
}

/// The answer of `/api/embed`.
#[derive(Debug, Deserialize)]
struct Embedded {
    embeddings: Vec<Vec<f32>>,
    #[serde(default)]
    prompt_eval_count: u64,
}

impl Line {
    /// Tokens, where the line tells them. Ollama leaves out a count of zero.
    pub(super) fn usage(&self) -> Option<Usage> {
        if self.prompt_eval_count.is_none() && self.eval_count.is_none() {
            return None;
        }
        let (input, output) = (self.prompt_eval_count.unwrap_or(0), self.eval_count.unwrap_or(0));
        Some(Usage { input, output, ..Usage::default() })
    }

    /// Why the model stopped, given whether it has called tools.
    pub(super) fn finish(&self, called: bool) -> Finish {
        match self.done_reason.as_deref() {
            _ if called => Finish::ToolCalls,
            Some("length") => Finish::Length,
            // "load" and "unload" answer requests without a message; older versions tell nothing.
            Some("load" | "unload") => Finish::Other,
            _ => Finish::Stop,
        }
    }
}

impl Call {
    /// The call in OpenAI's words. Ollama does not always name calls, so one is made of the
    /// answer's id and the place: unique, and fit for every vendor (letters, digits, `_`).
    pub(super) fn tool_call(&self, head: &Head, index: usize) -> Value {
        let id = self.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}_{index}", head.id));
        let arguments = if self.function.arguments.is_null() { json!({}) } else { self.function.arguments.clone() };
        json!({ "id": id, "type": "function",
            "function": { "name": self.function.name, "arguments": arguments.to_string() } })
    }
}

/// The error of an answer that tells one although its status said success.
pub(super) fn failure(told: &Value) -> Error {
    let text = told.as_str().map_or_else(|| told.to_string(), str::to_owned);
    Error::provider(ErrorKind::ProviderFailed, text)
}

/// The error of an answer that is not Ollama's.
pub(super) fn garbled(cause: impl std::fmt::Display) -> Error {
    Error::provider(ErrorKind::ProviderGarbled, "the provider's answer is not Ollama's").with_cause(cause)
}

/// OpenAI's token probabilities; Ollama's entries are the same.
pub(super) fn logprobs_json(logprobs: Option<Value>) -> Value {
    match logprobs {
        Some(Value::Array(content)) if !content.is_empty() => json!({ "content": content, "refusal": null }),
        _ => Value::Null,
    }
}

/// A whole answer.
///
/// # Errors
/// An error in its place, or something that is not Ollama's.
pub(super) fn whole(body: &[u8], head: &Head) -> Result<(Vec<u8>, Report), Error> {
    let line: Line = serde_json::from_slice(body).map_err(|error| garbled(&error))?;
    if let Some(error) = &line.error {
        return Err(failure(error));
    }
    if !line.done {
        return Err(garbled("it does not say that it is done"));
    }
    let calls = line.message.tool_calls.as_deref().unwrap_or_default();
    let finish = line.finish(!calls.is_empty());
    let mut choice = json!({ "index": 0, "finish_reason": finish_name(finish), "logprobs": null });
    if let Value::Object(choice) = &mut choice {
        match head.shape {
            Shape::Completion => choice.insert("text".to_owned(), json!(line.response)),
            Shape::Chat => {
                choice.insert("logprobs".to_owned(), logprobs_json(line.logprobs.clone()));
                choice.insert("message".to_owned(), message(&line.message, calls, head))
            }
        };
    }
    let usage = line.usage();
    let mut answer = head.envelope(false);
    answer.insert("choices".to_owned(), json!([choice]));
    answer.insert("usage".to_owned(), usage_json(usage.unwrap_or_default()));
    let report = Report { usage, finish: Some(finish), content: true, complete: true, failure: None };
    Ok((Value::Object(answer).to_string().into_bytes(), report))
}

fn message(message: &Message, calls: &[Call], head: &Head) -> Value {
    let content = if message.content.is_empty() && !calls.is_empty() { Value::Null } else { json!(message.content) };
    let mut out = json!({ "role": "assistant", "content": content, "refusal": null });
    if let Value::Object(out) = &mut out {
        if !message.thinking.is_empty() {
            out.insert("reasoning_content".to_owned(), json!(message.thinking));
        }
        if !calls.is_empty() {
            let calls = calls.iter().enumerate().map(|(index, call)| call.tool_call(head, index)).collect();
            out.insert("tool_calls".to_owned(), Value::Array(calls));
        }
    }
    out
}

/// Embeddings.
///
/// # Errors
/// Something that is not Ollama's.
pub(super) fn embeddings(body: &[u8], model: &str, base64: bool) -> Result<(Vec<u8>, Report), Error> {
    let embedded: Embedded = serde_json::from_slice(body).map_err(|error| garbled(&error))?;
    let encode = |vector: &[f32]| {
        if !base64 {
            return json!(vector);
        }
        let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        json!(STANDARD.encode(bytes))
    };
    let item = |(index, vector): (usize, &Vec<f32>)| json!({ "object": "embedding", "index": index, "embedding": encode(vector) });
    let data: Vec<Value> = embedded.embeddings.iter().enumerate().map(item).collect();
    let tokens = embedded.prompt_eval_count;
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    let answer = json!({ "object": "list", "data": data, "model": model, "usage": usage });
    let usage = Some(Usage { input: tokens, ..Usage::default() });
    let report = Report { usage, content: true, complete: true, ..Report::default() };
    Ok((answer.to_string().into_bytes(), report))
}
