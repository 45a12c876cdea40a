//! The body of a chat request that the router makes itself, of a question in another dialect.

use bytes::Bytes;
use serde::Serialize;

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Whom it is for.
    pub model: &'a str,
    /// Instructions that come before it.
    pub system: Option<&'a str>,
    /// What is asked.
    pub prompt: &'a str,
    /// The most output tokens.
    pub max_tokens: Option<u64>,
}

/// How its answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As a stream of events.
    Stream,
    /// In one piece.
    Whole,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

impl Question<'_> {
    /// The body. Vendors that know the older name of the limit alone are told it by the adapters.
    #[must_use]
    pub fn body(&self, delivery: Delivery) -> Bytes {
        let system = self.system.map(|content| Message { role: "system", content });
        let user = Message { role: "user", content: self.prompt };
        let body = Body {
            model: self.model,
            messages: system.into_iter().chain([user]).collect(),
            max_completion_tokens: self.max_tokens,
            stream: (delivery == Delivery::Stream).then_some(true),
        };
        // Texts, a number and a flag: nothing in it can fail to serialise.
        Bytes::from(serde_json::to_vec(&body).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_chat_of_one_turn() {
        let bare = Question { model: "m", system: None, prompt: "a\"b", max_tokens: None };
        let wanted = r#"{"model":"m","messages":[{"role":"user","content":"a\"b"}]}"#;
        assert_eq!(bare.body(Delivery::Whole), wanted);
        let full = Question { system: Some("s"), max_tokens: Some(9), ..bare }.body(Delivery::Stream);
        let scanned = crate::scan::scan(&full.into()).unwrap();
        assert_eq!((scanned.model.as_deref(), scanned.stream, scanned.max_tokens), (Some("m"), Some(true), Some(9)));
    }
}
