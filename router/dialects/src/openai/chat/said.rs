//! The text that a chat answer says, taken out of its stream piece by piece, or out of a whole reply.
//!
//! Only the first choice counts: who reads text alone has asked for one. What a model thinks before it answers, tool
//! calls and sound are no text of the answer; a refusal is.

use std::borrow::Cow;

use crate::json::text::{Number, is_text, number, unquote};
use crate::json::view::{Malformed, elements, members};
use crate::sse::{Block, Decoder, Rest, Step};

/// Takes the text out of a stream of events, cut anywhere.
#[derive(Debug, Default)]
pub struct Said {
    decoder: Decoder,
}

impl Said {
    /// In front of the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes and adds what they say to `out`.
    pub fn feed(&mut self, chunk: &[u8], out: &mut String) {
        let mut at = 0;
        loop {
            match self.decoder.next(chunk, at) {
                Step::Block(block) => {
                    at = block.end;
                    say(&block, out);
                }
                Step::Tail(end) => at = end,
                Step::Rest(Rest::Overflow) => {
                    self.decoder.take_held();
                    return;
                }
                Step::Rest(_) => return,
            }
        }
    }

    /// The stream has ended: what its last event says, where the blank line behind it is missing.
    pub fn finish(&mut self, out: &mut String) {
        if let Some(block) = self.decoder.finish() {
            say(&block, out);
        }
    }
}

/// The text of a whole reply; `None` where it has none.
#[must_use]
pub fn said(reply: &[u8]) -> Option<String> {
    let mut text = String::new();
    event(reply, &mut text).ok()?;
    (!text.is_empty()).then_some(text)
}

fn say(block: &Block<'_>, out: &mut String) {
    let told = block.event();
    if told.name == Some(b"error") || !told.has_data() || block.oversized {
        return;
    }
    let before = out.len();
    if event(&told.data(), out).is_err() {
        // What is no chunk says nothing; the tap that reads beside judges it.
        out.truncate(before);
    }
}

/// A chunk, or a whole reply: they differ in the name of one member.
fn event(data: &[u8], out: &mut String) -> Result<(), Malformed> {
    if data.trim_ascii().starts_with(b"[DONE]") {
        return Ok(());
    }
    for member in members(data) {
        let member = member?;
        if member.key == b"\"choices\"" && member.raw.starts_with(b"[") {
            for choice in elements(member.raw) {
                self::choice(choice?, out)?;
            }
        }
    }
    Ok(())
}

fn choice(choice: &[u8], out: &mut String) -> Result<(), Malformed> {
    let (mut first, mut message) = (true, None);
    for member in members(choice) {
        let member = member?;
        match member.key {
            b"\"index\"" => first = matches!(number(member.raw), Number::Whole(0)),
            b"\"delta\"" | b"\"message\"" if member.raw.starts_with(b"{") => message = Some(member.raw),
            _ => {}
        }
    }
    match message.filter(|_| first) {
        Some(message) => self::message(message, out),
        None => Ok(()),
    }
}

fn message(message: &[u8], out: &mut String) -> Result<(), Malformed> {
    for member in members(message) {
        let member = member?;
        match member.key {
            b"\"content\"" if member.raw.starts_with(b"[") => {
                for part in elements(member.raw) {
                    self::part(part?, out)?;
                }
            }
            b"\"content\"" | b"\"refusal\"" => push(member.raw, out),
            _ => {}
        }
    }
    Ok(())
}

/// A part of a content that is a list: `{"type": "text", "text": ...}`.
fn part(part: &[u8], out: &mut String) -> Result<(), Malformed> {
    let (mut is_one, mut text) = (false, None);
    for member in members(part) {
        let member = member?;
        match member.key {
            b"\"type\"" => is_one = is_text(member.raw, "text"),
            b"\"text\"" => text = Some(member.raw),
            _ => {}
        }
    }
    if let Some(text) = text.filter(|_| is_one) {
        push(text, out);
    }
    Ok(())
}

/// A text, where it is one; half of a character is none.
fn push(raw: &[u8], out: &mut String) {
    if raw.starts_with(b"\"") {
        out.push_str(&unquote(raw).unwrap_or(Cow::Borrowed("\u{fffd}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        ": a comment\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\\u00fc\"}},{\"index\":1,\"delta\":{\"content\":\"no\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"ße\\n\"},\"index\":0}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: [DONE]\n\n",
    );

    fn read(pieces: &[&[u8]]) -> String {
        let (mut said, mut out) = (Said::new(), String::new());
        for piece in pieces {
            said.feed(piece, &mut out);
        }
        said.finish(&mut out);
        out
    }

    #[test]
    fn every_cut_says_the_same() {
        let bytes = STREAM.as_bytes();
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(read(&[head, tail]), "Grüße\n", "cut at {at}");
        }
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), "Grüße\n");
    }

    #[test]
    fn a_last_event_without_its_blank_line_is_read_too() {
        assert_eq!(read(&[b"data: {\"choices\":[{\"delta\":{\"content\":\"end\"}}]}"]), "end");
    }

    #[test]
    fn what_is_no_chunk_says_nothing() {
        for other in
            ["data: {\"choices\":[{\"delta\":{\"content\":\"a\"}},]}\n\n", "data: nonsense\n\n", "event: x\n\n"]
        {
            assert_eq!(read(&[other.as_bytes()]), "", "{other}");
        }
        assert_eq!(read(&[b"event: error\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"]), "");
    }

    #[test]
    fn a_whole_reply_says_its_content_its_parts_or_its_refusal() {
        let reply = |message: &str| said(format!(r#"{{"choices":[{{"index":0,"message":{message}}}]}}"#).as_bytes());
        assert_eq!(reply(r#"{"content":"hi"}"#).as_deref(), Some("hi"));
        let parts =
            r#"{"content":[{"type":"text","text":"a"},{"type":"image","text":"x"},{"type":"text","text":"b"}]}"#;
        assert_eq!(reply(parts).as_deref(), Some("ab"));
        assert_eq!(reply(r#"{"content":null,"refusal":"no"}"#).as_deref(), Some("no"));
        assert_eq!(reply(r#"{"content":null,"tool_calls":[]}"#), None);
        assert_eq!(said(b"<html>"), None);
    }
}
