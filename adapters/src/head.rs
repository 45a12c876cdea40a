//! What all parts of an answer in OpenAI's dialect say alike, for adapters that make the answer themselves.

use std::sync::Arc;

use atp_core::{Finish, Usage};
use serde_json::{Map, Value, json};

/// Which answer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `chat.completion`.
    Chat,
    /// `text_completion`.
    Completion,
}

/// What all parts of an answer say alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) shape: Shape,
    /// The part of the id behind its prefix.
    pub(crate) id: String,
    /// Seconds since the Unix epoch.
    pub(crate) created: u64,
    /// The provider's name for the model.
    pub(crate) model: String,
    /// OpenAI's `system_fingerprint`: what made the answer.
    pub(crate) fingerprint: Arc<str>,
}

impl Head {
    /// The members that every answer and chunk begins with.
    pub(crate) fn envelope(&self, chunk: bool) -> Map<String, Value> {
        let (prefix, object) = match (self.shape, chunk) {
            (Shape::Chat, false) => ("chatcmpl", "chat.completion"),
            (Shape::Chat, true) => ("chatcmpl", "chat.completion.chunk"),
            (Shape::Completion, _) => ("cmpl", "text_completion"),
        };
        let members = [
            ("id", json!(format!("{prefix}-{}", self.id))),
            ("object", json!(object)),
            ("created", json!(self.created)),
            ("model", json!(self.model)),
            ("system_fingerprint", json!(&*self.fingerprint)),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// OpenAI's name of a reason.
pub(crate) fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
        Finish::Stop | Finish::Other => "stop",
    }
}

/// OpenAI's usage.
pub(crate) fn usage_json(usage: Usage) -> Value {
    json!({ "prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.total() })
}

/// Writes one server-sent event.
pub(crate) fn event(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    // Writing a value to memory does not fail.
    let _ = serde_json::to_writer(&mut *out, value);
    out.extend_from_slice(b"\n\n");
}
