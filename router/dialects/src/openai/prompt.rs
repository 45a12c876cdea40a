//! How long a prompt is, in characters.

use std::ops::Range;

use atp_core::{Error, ErrorKind, Operation, Rope};

use crate::json::machine::{Machine, Sink};
use crate::json::view::{Malformed, Member, elements, members};
use crate::scan::ScanError;

/// Counts the Unicode characters of the text that a model reads: the contents of messages and
/// their text parts, prompts and inputs. Images, audio, files, token arrays and tool definitions
/// are not counted.
///
/// # Errors
///
/// [`ErrorKind::InvalidRequest`] where the body, or the part that holds the text, is not JSON.
pub fn chars(operation: Operation, body: &Rope) -> Result<u64, Error> {
    let mut machine = Machine::new(Prompt { operation, total: [0; 3], malformed: None });
    for part in body.parts() {
        machine.push(part);
    }
    let prompt = machine.finish()?;
    match prompt.malformed {
        Some(name) => {
            let text = format!("`{name}` is not valid JSON, so that its length cannot be checked");
            Err(Error::caller(ErrorKind::InvalidRequest, text).with_param(name))
        }
        None => Ok(prompt.total.iter().sum()),
    }
}

struct Prompt {
    operation: Operation,
    /// Characters of `messages`, `prompt` and `input`: of each the last occurrence counts.
    total: [u64; 3],
    malformed: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Name {
    Messages,
    Prompt,
    Input,
}

impl Sink for Prompt {
    type Name = Name;

    fn wants(&self, key: &[u8]) -> Option<Name> {
        let is = |name| crate::json::text::is_text(key, name);
        match self.operation {
            Operation::Chat => is("messages").then_some(Name::Messages),
            Operation::Completions | Operation::Images => is("prompt").then_some(Name::Prompt),
            Operation::Embeddings | Operation::Moderations | Operation::Audio => is("input").then_some(Name::Input),
            Operation::Raw if is("messages") => Some(Name::Messages),
            Operation::Raw if is("prompt") => Some(Name::Prompt),
            Operation::Raw => is("input").then_some(Name::Input),
        }
    }

    fn member(&mut self, name: Name, _: Range<usize>, raw: &[u8]) -> Result<(), ScanError> {
        let [messages, prompt, input] = &mut self.total;
        let (slot, field) = match name {
            Name::Messages => (messages, "messages"),
            Name::Prompt => (prompt, "prompt"),
            Name::Input => (input, "input"),
        };
        match text(raw, 0) {
            Ok(count) => *slot = count,
            Err(Malformed) => self.malformed = Some(field),
        }
        Ok(())
    }
}

/// How deep text is looked for: a list of messages, each with a list of parts, each with contents.
const DEPTH: u8 = 6;

/// Characters of a string, of an array of texts, or of an object that carries one.
fn text(raw: &[u8], depth: u8) -> Result<u64, Malformed> {
    match raw.first() {
        Some(b'"') => Ok(string(raw)),
        Some(b'[') if depth < DEPTH => elements(raw).map(|element| text(element?, depth + 1)).sum(),
        Some(b'{') if depth < DEPTH => object(raw, depth + 1),
        _ => Ok(0),
    }
}

/// A message carries `content`; a part carries `text` or `refusal`.
fn object(raw: &[u8], depth: u8) -> Result<u64, Malformed> {
    let mut total = [0; 3];
    let [content, plain, refusal] = &mut total;
    for member in members(raw) {
        let member: Member<'_> = member?;
        if member.is("content") {
            *content = text(member.raw, depth)?;
        } else if member.is("text") {
            *plain = text(member.raw, DEPTH)?;
        } else if member.is("refusal") {
            *refusal = text(member.raw, DEPTH)?;
        }
    }
    Ok(total.iter().sum())
}

/// Characters of a JSON string, without decoding it.
fn string(raw: &[u8]) -> u64 {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    // Every byte that does not continue a UTF-8 sequence begins a character.
    let mut count = inner.iter().filter(|byte| (**byte & 0xc0) != 0x80).count();
    let mut rest = inner;
    while let Some((at, escaped)) = escape(rest) {
        count = count.saturating_sub(escaped - 1);
        rest = rest.get(at + escaped..).unwrap_or_default();
    }
    count as u64
}

/// The place and length of the first escape, where it is one character; a surrogate pair is one.
fn escape(text: &[u8]) -> Option<(usize, usize)> {
    let at = memchr::memchr(b'\\', text)?;
    let pair = |at: usize| matches!(text.get(at..at + 3), Some([b'\\', b'u', b'd' | b'D']));
    let high = |at: usize| pair(at) && matches!(text.get(at + 3), Some(b'8' | b'9' | b'a' | b'b' | b'A' | b'B'));
    let len = match text.get(at + 1) {
        Some(b'u') if high(at) && pair(at + 6) => 12,
        Some(b'u') => 6,
        _ => 2,
    };
    Some((at, len.min(text.len() - at)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn count(operation: Operation, body: &serde_json::Value) -> u64 {
        chars(operation, &Rope::from(Bytes::from(body.to_string()))).unwrap()
    }

    #[test]
    fn text_counts_and_the_rest_does_not() {
        let chat = json!({"model": "mmm", "tools": [{"text": "no"}], "messages": [
            {"role": "system", "content": "grüß"},
            {"role": "user", "content": [{"type": "text", "text": "ab"}, {"type": "image_url", "image_url": {"url": "data:xx"}}]},
            {"role": "assistant", "content": null, "refusal": "no", "tool_calls": [{"function": {"arguments": "{}"}}]},
        ]});
        assert_eq!(count(Operation::Chat, &chat), 8);
        assert_eq!(count(Operation::Completions, &json!({"prompt": ["ab", "c"], "messages": [{"content": "x"}]})), 3);
        assert_eq!(count(Operation::Embeddings, &json!({"input": [[1, 2, 3]]})), 0);
        assert_eq!(count(Operation::Moderations, &json!({"input": [{"type": "text", "text": "abc"}]})), 3);
        assert_eq!(count(Operation::Raw, &json!({"prompt": "ab", "input": "c"})), 3);
    }

    #[test]
    fn escaped_names_and_characters_count_too() {
        let body = br#"{"m\u0065ssages":[{"c\u006fntent":"a\n\u00e9\ud83d\ude00"}]}"#;
        assert_eq!(chars(Operation::Chat, &Rope::from(Bytes::from_static(body))).unwrap(), 4);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let error =
            chars(Operation::Chat, &Rope::from(Bytes::from_static(b"{\"messages\":[{\"content\" 1}]}"))).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("messages")));
        assert!(chars(Operation::Chat, &Rope::from(Bytes::from_static(b"{"))).is_err());
    }

    proptest! {
        #[test]
        fn any_text_counts_its_characters(text: String) {
            prop_assert_eq!(count(Operation::Embeddings, &json!({"input": text})), text.chars().count() as u64);
        }
    }
}
