//! The request that goes on with an answer: the caller's own, with the text so far as its last message.

use atp_core::{Field, Fields, Resume, Rope};
use bytes::Bytes;
use smallvec::SmallVec;

use crate::json::text::{Number, is_text, number};
use crate::json::view::{elements, members};
use crate::scan::scan;
use crate::splice::{Edit, json_string, splice};

/// How a vendor is told that the last message is the beginning of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefill {
    /// Not at all: it goes on with an assistant's message that stands last.
    #[default]
    Plain,
    /// By `"prefix": true` in the message.
    Prefix,
    /// By `"partial": true` in the message.
    Partial,
    /// By `"continue_final_message": true` and `"add_generation_prompt": false` in the request.
    FinalMessage,
}

impl Prefill {
    /// Every way, by its name in `vendors.toml`.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("plain", Self::Plain),
        ("prefix", Self::Prefix),
        ("partial", Self::Partial),
        ("continue_final_message", Self::FinalMessage),
    ];

    const fn in_message(self) -> &'static str {
        match self {
            Self::Prefix => ",\"prefix\":true",
            Self::Partial => ",\"partial\":true",
            Self::Plain | Self::FinalMessage => "",
        }
    }

    const fn in_request(self) -> &'static str {
        match self {
            Self::FinalMessage => "\"continue_final_message\":true,\"add_generation_prompt\":false,",
            Self::Plain | Self::Prefix | Self::Partial => "",
        }
    }
}

/// The chat request `rope` as one that goes on with `resume`, and its fields; `None` where it cannot be
/// gone on with: more choices than one, probabilities asked for, an answer that a grammar shapes (it would
/// begin again), a caller's own beginning of the answer, no tokens left.
#[must_use]
pub fn continued(rope: &Rope, resume: &Resume, prefill: Prefill) -> Option<(Rope, Fields)> {
    let body = rope.to_bytes();
    let end = end_of_messages(&body)?;
    let open = scan(rope).ok()?.open;
    let message =
        format!(",{{\"role\":\"assistant\",\"content\":{}{}}}", json_string(&resume.text), prefill.in_message());
    let longer = Rope::from(Bytes::from(
        [
            body.get(..open)?,
            prefill.in_request().as_bytes(),
            body.get(open..end)?,
            message.as_bytes(),
            body.get(end..)?,
        ]
        .concat(),
    ));
    let fields = scan(&longer).ok()?;
    let lowered = lowered(&longer, &fields, resume.tokens)?;
    let fields = scan(&lowered).ok()?;
    Some((lowered, fields))
}

/// Where the last bracket of `messages` stands, in a request that can be gone on with.
fn end_of_messages(body: &[u8]) -> Option<usize> {
    let mut messages = None;
    for member in members(body) {
        let member = member.ok()?;
        let bears = match member.key {
            key if is_text(key, "messages") => {
                messages = Some(member.value.clone());
                true
            }
            key if is_text(key, "n") => matches!(number(member.raw), Number::Whole(1)) || member.raw == b"null",
            key if is_text(key, "logprobs") => matches!(member.raw, b"false" | b"null"),
            key if is_text(key, "response_format") => is_plain(member.raw),
            key => !is_text(key, "continue_final_message") && !is_text(key, "add_generation_prompt"),
        };
        bears.then_some(())?;
    }
    let messages = messages?;
    let last = elements(body.get(messages.clone())?).last()?.ok()?;
    let own = members(last).map_while(Result::ok).any(|member| member.is("role") && is_text(member.raw, "assistant"));
    (!own).then(|| messages.end - 1)
}

/// Whether a response format leaves the model free.
fn is_plain(format: &[u8]) -> bool {
    let text = |member: &crate::json::view::Member<'_>| member.is("type") && is_text(member.raw, "text");
    format == b"null" || members(format).map_while(Result::ok).any(|member| text(&member))
}

/// The request with its limits lowered by what has been said already; `None` where nothing is left.
fn lowered(rope: &Rope, fields: &Fields, tokens: u64) -> Option<Rope> {
    let mut limits: SmallVec<[(Field, String); 2]> = SmallVec::new();
    for field in [Field::MaxTokens, Field::MaxCompletionTokens] {
        let Some(span) = fields.last(field) else { continue };
        let mut raw = Rope::new();
        rope.copy_range(span.value.clone(), &mut raw);
        if let Number::Whole(limit) = number(&raw.to_bytes()) {
            let left = limit.checked_sub(tokens).filter(|left| *left > 0)?;
            limits.push((field, left.to_string()));
        }
    }
    let edits: SmallVec<[Edit<'_>; 2]> = limits.iter().map(|(field, left)| Edit::Set(*field, left)).collect();
    Some(splice(rope, fields, &edits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resume(text: &str, tokens: u64) -> Resume {
        Resume { text: text.to_owned(), tokens, envelope: Bytes::new() }
    }

    fn asked(body: &str, prefill: Prefill) -> Option<String> {
        let rope = Rope::from(Bytes::copy_from_slice(body.as_bytes()));
        let (rope, fields) = continued(&rope, &resume("Say \"hi\"", 3), prefill)?;
        assert_eq!(Ok(fields), scan(&rope));
        Some(String::from_utf8(rope.to_bytes().to_vec()).unwrap())
    }

    #[test]
    fn the_text_so_far_is_the_last_message_and_all_else_stays() {
        let body = r#" {"model":"m", "messages": [ {"role":"user","content":"[]"} ] ,"max_tokens": 9,"x":[1]}"#;
        let cases = [
            (Prefill::Plain, "", ""),
            (Prefill::Prefix, "", r#","prefix":true"#),
            (Prefill::Partial, "", r#","partial":true"#),
            (Prefill::FinalMessage, r#""continue_final_message":true,"add_generation_prompt":false,"#, ""),
        ];
        for (prefill, request, message) in cases {
            let wanted = format!(
                r#" {{{request}"model":"m", "messages": [ {{"role":"user","content":"[]"}} ,{{"role":"assistant","content":"Say \"hi\""{message}}}] ,"max_tokens": 6,"x":[1]}}"#
            );
            assert_eq!(asked(body, prefill).unwrap(), wanted);
        }
        assert_eq!(Prefill::NAMES.len(), cases.len());
    }

    #[test]
    fn what_cannot_be_gone_on_with_is_not() {
        let with = |more: &str| {
            asked(&format!(r#"{{"messages":[{{"role":"user","content":"x"}}]{more}}}"#), Prefill::Plain).is_some()
        };
        for more in
            ["", r#","n":1"#, r#","logprobs":false"#, r#","response_format":{"type":"text"}"#, r#","max_tokens":4"#]
        {
            assert!(with(more), "{more}");
        }
        for more in [
            r#","n":2"#,
            r#","logprobs":true"#,
            r#","response_format":{"type":"json_object"}"#,
            r#","max_tokens":3"#,
            r#","max_completion_tokens":1"#,
            r#","continue_final_message":true"#,
            r#","messages":[]"#,
            r#","messages":[{"role":"user"},{"role":"assistant","content":"My"}]"#,
        ] {
            assert!(!with(more), "{more}");
        }
        assert!(asked("{}", Prefill::Plain).is_none());
    }
}
