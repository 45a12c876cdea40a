//! What a provider's error body says, in any of the shapes in use.

use serde_json::{Map, Value};

/// The parts of an error.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Words {
    pub(crate) message: Option<String>,
    /// `type`.
    pub(crate) kind: Option<String>,
    pub(crate) param: Option<String>,
    /// `code`, or `status` where that is a name.
    pub(crate) code: Option<String>,
    /// All members of the error object.
    pub(crate) members: Map<String, Value>,
    /// Whether the body is OpenAI's shape: an object under `error`.
    pub(crate) nested: bool,
}

/// Reads an error body. `None` where it is not JSON or tells no error.
///
/// Known shapes: OpenAI's; Gemini's list of one such; an object with `error` as text (Ollama, with
/// `code` beside it: xAI); the members of the error at the top (older vLLM, Mistral); `detail` as
/// text, list or object (`FastAPI`).
pub(crate) fn read(body: &[u8]) -> Option<Words> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let value = match value {
        Value::Array(list) => list.into_iter().next()?,
        other => other,
    };
    let Value::Object(mut top) = value else { return None };
    match top.remove("error") {
        Some(Value::Object(inner)) => Some(words(inner, true)),
        Some(Value::String(text)) => Some(Words { message: Some(text), ..words(top, false) }),
        _ => match top.get("detail").or_else(|| top.get("errors")) {
            Some(detail) => Some(Words { message: detail_text(detail), ..Words::default() }),
            None => Some(words(top, false)).filter(|words| words.message.is_some()),
        },
    }
}

fn words(members: Map<String, Value>, nested: bool) -> Words {
    let text = |name: &str| match members.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let code = match members.get("code") {
        // llama.cpp and OpenRouter tell a number.
        Some(Value::Number(number)) => text("status").or_else(|| Some(number.to_string())),
        _ => text("code").or_else(|| text("status")),
    };
    let message = text("message").or_else(|| members.get("message").and_then(detail_text));
    Words {
        message,
        kind: text("type"),
        param: text("param"),
        code,
        members: if nested { members } else { Map::new() },
        nested,
    }
}

/// The text of a `detail`: itself, or the `msg` or `message` of its first entry.
fn detail_text(detail: &Value) -> Option<String> {
    match detail {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => list.first().and_then(detail_text),
        Value::Object(entry) => ["msg", "message", "detail"].iter().find_map(|name| match entry.get(*name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(deeper @ (Value::Object(_) | Value::Array(_))) => detail_text(deeper),
            _ => None,
        }),
        _ => None,
    }
}

/// Whether a body already is what OpenAI's clients expect, to the letter.
pub(crate) fn is_exact(body: &[u8]) -> bool {
    let Ok(Value::Object(top)) = serde_json::from_slice::<Value>(body) else { return false };
    let Some(Value::Object(error)) = top.get("error") else { return false };
    let optional = |name: &str| matches!(error.get(name), Some(Value::Null | Value::String(_)));
    matches!(error.get("message"), Some(Value::String(_)))
        && matches!(error.get("type"), Some(Value::String(_)))
        && optional("param")
        && optional("code")
}

impl Words {
    /// The HTTP status that the error tells inside, as a number.
    pub(crate) fn status(&self) -> Option<u16> {
        let number = |name: &str| self.members.get(name).and_then(Value::as_u64);
        let told = number("code").or_else(|| number("status")).and_then(|code| u16::try_from(code).ok());
        told.or_else(|| self.code.as_deref().and_then(|code| code.parse().ok()))
            .filter(|code| (400..600).contains(code))
    }

    /// Whether `type` or `code` is one of `names`.
    pub(crate) fn is_any(&self, names: &[&str]) -> bool {
        [&self.kind, &self.code].into_iter().flatten().any(|word| names.contains(&word.as_str()))
    }
}
