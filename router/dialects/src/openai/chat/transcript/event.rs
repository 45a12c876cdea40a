//! One event of a chat stream, as far as a transcript is concerned.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::json::skip::skip_space;
use crate::json::text::{Number, is_text, number, unquote};
use crate::json::view::{Member, elements, members};
use crate::openai::chat::reader::{finish_reason, is_filled};

/// Members that are alike in all events of a stream, and that differ between streams.
const ENVELOPE: [&str; 3] = ["id", "created", "model"];

/// What one event says.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    /// It tells an error.
    pub(super) error: bool,
    /// It says what no beginning of a message can hold.
    pub(super) spoils: bool,
    /// It says why the model stopped.
    pub(super) finish: bool,
    pub(super) content: Option<Content<'a>>,
    /// Where the value of `role` stands.
    pub(super) role: Option<Range<usize>>,
    /// Where a usage object stands.
    pub(super) usage: Option<Range<usize>>,
    /// Where the members of the envelope stand, by their place in it.
    pub(super) envelope: [Option<Range<usize>>; ENVELOPE.len()],
}

/// A text that is added to the answer.
#[derive(Debug)]
pub(super) struct Content<'a> {
    pub(super) text: Cow<'a, str>,
    /// Where its literal stands.
    pub(super) place: Range<usize>,
}

/// What of an event has gone out.
pub(super) enum Told {
    Nothing,
    Event(Said),
}

/// Text that has gone out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Bytes of the text so far that have been said a second time.
    pub(super) withheld: usize,
    /// The pieces in which all of it came.
    pub(super) pieces: u64,
    /// What follows that.
    pub(super) text: String,
}

impl<'a> Event<'a> {
    /// Reads the data of an event; `None` where it is none of a chat stream.
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let mut told = Self::default();
        let mut choices = None;
        for member in members(data) {
            let member = member.ok()?;
            if let Some(place) = ENVELOPE.iter().position(|name| member.is(name))
                && let Some(slot) = told.envelope.get_mut(place)
            {
                *slot = Some(member.value);
                continue;
            }
            match member.key {
                b"\"choices\"" => choices = Some(member),
                b"\"usage\"" if member.raw.starts_with(b"{") => told.usage = Some(member.value),
                b"\"error\"" => told.error |= is_filled(member.raw),
                b"\"object\"" | b"\"type\"" => told.error |= is_text(member.raw, "error"),
                b"\"x_groq\"" => {
                    told.error |= has_error(member.raw);
                }
                _ => {}
            }
        }
        if let Some(choices) = choices.filter(|choices| choices.raw.starts_with(b"[")) {
            told.choices(&choices)?;
        }
        Some(told)
    }

    /// `choices` is an array.
    fn choices(&mut self, choices: &Member<'a>) -> Option<()> {
        for (place, choice) in elements(choices.raw).enumerate() {
            let choice = choice.ok()?;
            // Only the first one can be gone on with, so the places of the others do not matter.
            self.spoils |= place > 0;
            let from = choices.value.start + skip_space(choices.raw, 1);
            for member in members(choice) {
                let member = member.ok()?;
                match member.key {
                    b"\"index\"" => self.spoils |= !matches!(number(member.raw), Number::Whole(0)),
                    b"\"delta\"" if member.raw.starts_with(b"{") => self.delta(&member, from)?,
                    b"\"finish_reason\"" => self.finish |= finish_reason(member.raw).is_some(),
                    b"\"logprobs\"" | b"\"message\"" | b"\"text\"" => self.spoils |= is_filled(member.raw),
                    b"\"error\"" => self.error |= is_filled(member.raw),
                    _ => {}
                }
            }
        }
        Some(())
    }

    /// `from` is where the choice begins whose member this is.
    fn delta(&mut self, delta: &Member<'a>, from: usize) -> Option<()> {
        let from = from + delta.value.start;
        for member in members(delta.raw) {
            let member = member.ok()?;
            let place = from + member.value.start..from + member.value.end;
            match member.key {
                b"\"role\"" => self.role = Some(place),
                b"\"content\"" if member.raw.starts_with(b"\"") => match unquote(member.raw) {
                    Ok(text) => self.content = Some(Content { text, place }),
                    Err(_) => self.spoils = true,
                },
                // Reasoning, tool calls, refusals, images, and what nobody has thought of yet.
                _ => self.spoils |= is_filled(member.raw),
            }
        }
        Some(())
    }
}

fn has_error(object: &[u8]) -> bool {
    members(object).map_while(Result::ok).any(|member| member.is("error") && is_filled(member.raw))
}

/// The envelope of the stream that an event belongs to: an object with its members, raw as they came.
pub(super) fn envelope(data: &[u8]) -> Bytes {
    let mut out = Vec::from(*b"{");
    for member in members(data).map_while(Result::ok).filter(|member| ENVELOPE.iter().any(|name| member.is(name))) {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(member.key);
        out.push(b':');
        out.extend_from_slice(member.raw);
    }
    out.push(b'}');
    Bytes::from(out)
}

/// The raw values of an envelope, by their place in [`Event::envelope`].
pub(super) fn values(envelope: &[u8]) -> [Option<&[u8]>; ENVELOPE.len()] {
    let mut values = [None; ENVELOPE.len()];
    for member in members(envelope).map_while(Result::ok) {
        if let Some(place) = ENVELOPE.iter().position(|name| member.is(name))
            && let Some(slot) = values.get_mut(place)
        {
            *slot = Some(member.raw);
        }
    }
    values
}
