//! Walking a request body: which of its members hold what.

use std::borrow::Cow;

use atp_core::{Capability, Operation};

use super::tally::{Speaker, Tally};
use super::tools;
use crate::json::text::{Number, number, unquote};
use crate::json::view::{Member, elements, members};

/// How deep parts of contents are looked into.
const DEPTH: u8 = 4;

/// Reads a body. Where a name stands twice both are counted: that is rare, and no reason for a second walk.
pub(super) fn read(operation: Operation, body: &[u8], tally: &mut Tally) {
    for member in members(body).map_while(Result::ok) {
        match operation {
            Operation::Chat => chat(&member, tally),
            Operation::Completions | Operation::Images => plain(&member, "prompt", tally),
            Operation::Embeddings | Operation::Moderations | Operation::Audio => plain(&member, "input", tally),
            Operation::Raw => {
                chat(&member, tally);
                plain(&member, "prompt", tally);
                plain(&member, "input", tally);
            }
        }
    }
}

fn chat(member: &Member<'_>, tally: &mut Tally) {
    if member.is("messages") {
        for message in elements(member.raw).map_while(Result::ok) {
            read_message(message, tally);
        }
        tally.primed();
    } else if member.is("tools") || member.is("functions") {
        let (count, tokens) = tools::count(member.raw, tally.counter());
        tally.tools(count, tokens);
    } else if member.is("response_format") {
        tally.form(is_json_format(member.raw));
    } else if member.is("modalities") && elements(member.raw).any(|each| each == Ok(&b"\"audio\""[..])) {
        tally.need(Capability::Audio);
    }
}

/// The member `name` of operations that have one text, or a list of them.
fn plain(member: &Member<'_>, name: &str, tally: &mut Tally) {
    if member.is(name) {
        plain_text(member.raw, tally, 0);
    }
}

fn plain_text(raw: &[u8], tally: &mut Tally, depth: u8) {
    match raw.first() {
        Some(b'"') => tally.text(Speaker::User, &decoded(raw)),
        // A list of texts, of parts, or of tokens that somebody else has made.
        Some(b'[') if depth < DEPTH => {
            for element in elements(raw).map_while(Result::ok) {
                match element.first() {
                    Some(b'0'..=b'9') => tally.made_tokens(u64::from(matches!(number(element), Number::Whole(_)))),
                    Some(b'{') => part(element, Speaker::User, tally),
                    _ => plain_text(element, tally, depth + 1),
                }
            }
        }
        _ => {}
    }
}

/// One message: its role decides who speaks, wherever it stands among the members.
fn read_message(raw: &[u8], tally: &mut Tally) {
    let all = || members(raw).map_while(Result::ok);
    let speaker = all().filter(|member| member.is("role")).last().map_or(Speaker::Other, |role| speaker(role.raw));
    tally.message(speaker);
    for member in all() {
        if member.is("content") || member.is("refusal") {
            content(member.raw, speaker, tally);
        } else if member.is("name") && member.raw.starts_with(b"\"") {
            tally.name(&decoded(member.raw));
        } else if member.is("tool_calls") {
            elements(member.raw).map_while(Result::ok).for_each(|call| tool_call(call, tally));
        } else if member.is("function_call") {
            function(member.raw, tally);
        }
    }
}

fn speaker(raw: &[u8]) -> Speaker {
    match raw {
        b"\"system\"" | b"\"developer\"" => Speaker::System,
        b"\"user\"" => Speaker::User,
        _ => Speaker::Other,
    }
}

fn content(raw: &[u8], speaker: Speaker, tally: &mut Tally) {
    match raw.first() {
        Some(b'"') => tally.text(speaker, &decoded(raw)),
        Some(b'[') => elements(raw).map_while(Result::ok).for_each(|each| part(each, speaker, tally)),
        _ => {}
    }
}

/// One part of a content: by its members, because its `type` may stand behind them.
fn part(raw: &[u8], speaker: Speaker, tally: &mut Tally) {
    for member in members(raw).map_while(Result::ok) {
        if (member.is("text") || member.is("refusal")) && member.raw.starts_with(b"\"") {
            tally.text(speaker, &decoded(member.raw));
        } else if member.is("image_url") {
            tally.image();
        } else if member.is("input_audio") {
            tally.need(Capability::Audio);
        }
    }
}

fn tool_call(raw: &[u8], tally: &mut Tally) {
    for member in members(raw).map_while(Result::ok).filter(|member| member.is("function")) {
        function(member.raw, tally);
    }
}

/// A call that the model has made: its words count, but are nobody's.
fn function(raw: &[u8], tally: &mut Tally) {
    for member in members(raw).map_while(Result::ok) {
        if (member.is("name") || member.is("arguments")) && member.raw.starts_with(b"\"") {
            tally.text(Speaker::Other, &decoded(member.raw));
        }
    }
}

/// Whether a response format is JSON.
fn is_json_format(raw: &[u8]) -> bool {
    let kind = members(raw).map_while(Result::ok).filter(|member| member.is("type")).last();
    kind.is_some_and(|kind| matches!(kind.raw, b"\"json_object\"" | b"\"json_schema\""))
}

/// The text of a JSON string; of one that is none (half of a surrogate pair, bad escapes), what can be read.
pub(super) fn decoded(raw: &[u8]) -> Cow<'_, str> {
    unquote(raw).unwrap_or_else(|_| {
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        String::from_utf8_lossy(inner)
    })
}
