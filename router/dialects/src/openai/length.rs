//! The proper end of a stream that may go on no longer.
//!
//! One more chunk with the finish reason `length`, for every choice that was seen last, and the sign of the
//! end: what client libraries read as an answer that reached its limit. The chunk has the id, model and time of
//! those before it, which some clients check.

use std::collections::BTreeSet;

use atp_core::Operation;
use bytes::Bytes;

use crate::json::text::{Number, number};
use crate::json::view::{elements, members};
use crate::sse::{Decoder, Step};

/// Members that are alike in all chunks of a stream, and what stands for one that was not seen.
const ENVELOPE: [(&str, Option<&str>); 4] =
    [("id", Some("\"chatcmpl-atp\"")), ("created", Some("0")), ("model", Some("\"\"")), ("system_fingerprint", None)];
/// Choices beyond are not ended: nobody asks for so many.
const MOST: u64 = 128;

/// What ends a stream of which `last` was passed on last: whole events, best more than one. Empty for operations
/// whose streams have no such end.
#[must_use]
pub fn length(operation: Operation, last: &[u8]) -> Bytes {
    let (object, said) = match operation {
        Operation::Chat | Operation::Raw => ("chat.completion.chunk", "\"delta\":{}"),
        Operation::Completions => ("text_completion", "\"text\":\"\""),
        Operation::Embeddings | Operation::Moderations | Operation::Images | Operation::Audio => return Bytes::new(),
    };
    let seen = Seen::of(last);
    let mut out = String::with_capacity(320);
    // Behind an event that no blank line has ended, one does; more of them say nothing.
    if !last.is_empty() && !last.ends_with(b"\n\n") && !last.ends_with(b"\r\n\r\n") {
        out.push_str("\n\n");
    }
    out.push_str("data: {");
    for (value, (name, missing)) in seen.envelope.iter().zip(ENVELOPE) {
        if let Some(value) = value.as_deref().or(missing) {
            out.push_str(&format!("\"{name}\":{value},"));
        }
    }
    let choice = |index| format!("{{\"index\":{index},{said},\"logprobs\":null,\"finish_reason\":\"length\"}}");
    let choices: Vec<String> = seen.choices.into_iter().map(choice).collect();
    out.push_str(&format!("\"object\":\"{object}\",\"choices\":[{}]}}\n\ndata: [DONE]\n\n", choices.join(",")));
    Bytes::from(out)
}

/// What the last chunks tell.
struct Seen {
    /// Raw values of the envelope's members.
    envelope: [Option<String>; ENVELOPE.len()],
    /// The choices that have said something and have not been ended; the first one where none has.
    choices: BTreeSet<u64>,
}

impl Seen {
    fn of(last: &[u8]) -> Self {
        let mut seen = Self { envelope: Default::default(), choices: BTreeSet::new() };
        let mut ended = BTreeSet::new();
        let mut decoder = Decoder::default();
        let mut at = 0;
        loop {
            match decoder.next(last, at) {
                Step::Block(block) => {
                    at = block.end;
                    seen.chunk(&block.event().data(), &mut ended);
                }
                Step::Tail(end) => at = end,
                Step::Rest(_) => break,
            }
        }
        if let Some(block) = decoder.finish() {
            seen.chunk(&block.event().data(), &mut ended);
        }
        seen.choices.retain(|choice| !ended.contains(choice));
        if seen.choices.is_empty() && ended.is_empty() {
            seen.choices.insert(0);
        }
        seen
    }

    fn chunk(&mut self, data: &[u8], ended: &mut BTreeSet<u64>) {
        for member in members(data).map_while(Result::ok) {
            if member.is("choices") {
                for choice in elements(member.raw).map_while(Result::ok) {
                    self.choice(choice, ended);
                }
            } else if let Some((value, _)) =
                self.envelope.iter_mut().zip(ENVELOPE).find(|(_, (name, _))| member.is(name))
                && member.raw != b"null"
            {
                *value = std::str::from_utf8(member.raw).ok().map(str::to_owned);
            }
        }
    }

    fn choice(&mut self, raw: &[u8], ended: &mut BTreeSet<u64>) {
        let member = |name| members(raw).map_while(Result::ok).find(|member| member.is(name));
        let index = match member("index").map(|index| number(index.raw)) {
            Some(Number::Whole(index)) if index < MOST => index,
            None => 0,
            Some(_) => return,
        };
        self.choices.insert(index);
        if member("finish_reason").is_some_and(|reason| reason.raw.starts_with(b"\"")) {
            ended.insert(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":17,\"model\":\"gpt \\\"x\\\"\",\
        \"system_fingerprint\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";

    /// The chunk in front of `[DONE]`.
    fn last_chunk(operation: Operation, last: &str) -> serde_json::Value {
        let whole = [last.as_bytes(), &length(operation, last.as_bytes())].concat();
        let text = String::from_utf8(whole).unwrap().replace("\r\n", "\n");
        let events: Vec<_> = text.split("\n\n").map(str::trim).filter(|event| !event.is_empty()).collect();
        let [.., chunk, "data: [DONE]"] = events[..] else { panic!("{text}") };
        serde_json::from_str(chunk.strip_prefix("data: ").unwrap()).unwrap()
    }

    #[test]
    fn the_last_chunk_is_one_of_its_stream() {
        let expected = serde_json::json!({"id": "chatcmpl-1", "created": 17, "model": "gpt \"x\"",
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": {}, "logprobs": null, "finish_reason": "length"}]});
        assert_eq!(last_chunk(Operation::Chat, CHUNK), expected);
        assert_eq!(last_chunk(Operation::Chat, CHUNK.trim_end()), expected);
        assert_eq!(last_chunk(Operation::Chat, &CHUNK.replace('\n', "\r\n")), expected);
        // Half of an event in front of a whole one is passed over.
        assert_eq!(last_chunk(Operation::Chat, &format!("ent\":\"x\"}}]}}\n\n{CHUNK}")), expected);
    }

    #[test]
    fn every_choice_that_goes_on_is_ended_and_no_other() {
        let of = |index: u64, reason: &str| {
            CHUNK
                .replace("\"index\":0", &format!("\"index\":{index}"))
                .replace("_reason\":null", &format!("_reason\":{reason}"))
        };
        let last = [of(0, "null"), of(2, "null"), of(1, "\"stop\""), of(u64::MAX, "null")].concat();
        let chunk = last_chunk(Operation::Chat, &last);
        let ended: Vec<_> = chunk["choices"].as_array().unwrap().iter().map(|choice| choice["index"].clone()).collect();
        assert_eq!(ended, [0, 2]);
    }

    #[test]
    fn completions_have_a_form_of_their_own_and_nothing_else_has_an_end() {
        let chunk = last_chunk(Operation::Completions, "");
        assert_eq!((&chunk["object"], &chunk["choices"][0]["text"]), (&"text_completion".into(), &"".into()));
        assert_eq!((&chunk["id"], &chunk["created"], &chunk["model"]), (&"chatcmpl-atp".into(), &0.into(), &"".into()));
        assert!(length(Operation::Embeddings, CHUNK.as_bytes()).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn whatever_was_passed_on_the_end_is_read(last: Vec<u8>) {
            let end = length(Operation::Chat, &last);
            let text = std::str::from_utf8(&end).unwrap();
            let chunk = text.trim_start().strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\ndata: [DONE]\n\n"));
            proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(chunk.unwrap()).is_ok());
        }
    }
}
