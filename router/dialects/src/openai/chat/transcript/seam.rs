//! Where one stream goes on with another: the second one's events, made to look like the first one's.

use std::ops::Range;

use atp_core::Resume;
use bytes::Bytes;
use smallvec::SmallVec;

use super::event::{self, Event, Said, Told};
use crate::json::text::{Number, number};
use crate::json::view::members;
use crate::splice::{Removal, json_string};

/// Whether a vendor begins its answer with the beginning that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Echo {
    /// It does not, as far as is known. Only a long repetition is taken for one, because a short one may
    /// be meant.
    #[default]
    Unlikely,
    /// It does.
    Usual,
}

/// From how many bytes on a repetition by a vendor that is not known for it is no accident.
const NO_ACCIDENT: usize = 16;

/// The rest of a stream, by another provider.
#[derive(Debug)]
pub(super) struct Seam {
    envelope: Bytes,
    /// What the caller has counts as output for him, and was input for this provider.
    tokens: u64,
    watch: Option<Watch>,
}

/// A repetition of the text so far, as far as it goes. It is withheld until it is whole, and then gone,
/// or turns out to be none.
#[derive(Debug, Default)]
struct Watch {
    /// Bytes of the text that have been repeated.
    matched: usize,
    pieces: u64,
    events: Vec<u8>,
}

/// What stands in the place of which range of an event's data, in any order.
type Changes = SmallVec<[(Range<usize>, Vec<u8>); 6]>;

impl Seam {
    pub(super) fn new(resume: &Resume, echo: Echo) -> Self {
        let watched = echo == Echo::Usual || resume.text.len() >= NO_ACCIDENT;
        Self { envelope: resume.envelope.clone(), tokens: resume.tokens, watch: watched.then(Watch::default) }
    }

    /// Passes on what is no event of the answer: a comment.
    pub(super) fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.watch.as_mut().filter(|watch| watch.matched > 0) {
            Some(watch) => watch.events.extend_from_slice(bytes),
            None => out.extend_from_slice(bytes),
        }
    }

    /// Passes on an event whose data is `data`, after what `text` says so far.
    pub(super) fn join(&mut self, data: &[u8], told: &Event<'_>, text: &str, out: &mut Vec<u8>) -> Told {
        let said = told.content.as_ref().map_or("", |content| &*content.text);
        if said.is_empty() {
            return self.join_wordless(data, told, out);
        }
        let Some(watch) = &mut self.watch else {
            self.write(data, told, None, out);
            return Told::Event(Said { pieces: 1, text: said.to_owned(), ..Said::default() });
        };
        let rest = text.get(watch.matched..).unwrap_or_default();
        if let Some(more) = said.strip_prefix(rest) {
            // All of it has been repeated; what follows is new.
            let more = more.to_owned();
            self.watch = None;
            if !more.is_empty() || told.finish || told.spoils {
                self.write(data, told, Some(&more), out);
            }
            return Told::Event(Said { pieces: u64::from(!more.is_empty()), text: more, ..Said::default() });
        }
        if rest.starts_with(said) && !told.finish {
            watch.matched += said.len();
            watch.pieces += 1;
            let mut events = std::mem::take(&mut watch.events);
            self.write(data, told, None, &mut events);
            if let Some(watch) = &mut self.watch {
                watch.events = events;
            }
            return Told::Nothing;
        }
        let mut released = self.release(out).unwrap_or_default();
        self.write(data, told, None, out);
        released.pieces += 1;
        released.text = said.to_owned();
        Told::Event(released)
    }

    /// An event without text: a role, a reason to stop, a usage.
    fn join_wordless(&mut self, data: &[u8], told: &Event<'_>, out: &mut Vec<u8>) -> Told {
        let ends = told.finish || told.spoils;
        let released = if ends { self.release(out) } else { None };
        // A second role, or a text without a letter, is the beginning of an answer that has begun already.
        let begins = told.role.is_some() || told.content.is_some();
        if ends || told.usage.is_some() || !begins {
            self.write(data, told, None, out);
        }
        released.map_or(Told::Nothing, Told::Event)
    }

    /// What was withheld goes out: it was no repetition, or not a whole one.
    pub(super) fn release(&mut self, out: &mut Vec<u8>) -> Option<Said> {
        let watch = self.watch.take()?;
        out.extend_from_slice(&watch.events);
        Some(Said { withheld: watch.matched, pieces: watch.pieces, text: String::new() })
    }

    /// Writes an event as one of the stream that broke off, with `content` in the place of its own.
    fn write(&self, data: &[u8], told: &Event<'_>, content: Option<&str>, out: &mut Vec<u8>) {
        let mut changes = Changes::new();
        for (own, value) in told.envelope.iter().zip(event::values(&self.envelope)) {
            if let (Some(own), Some(value)) = (own, value) {
                changes.push((own.clone(), value.to_vec()));
            }
        }
        if let Some(role) = &told.role {
            let range = Removal::default().range(&|at| data.get(at).copied(), role.clone());
            changes.push((range, Vec::new()));
        }
        if let (Some(own), Some(content)) = (&told.content, content) {
            changes.push((own.place.clone(), json_string(content).into_bytes()));
        }
        if let Some(usage) = &told.usage {
            self.count(data, usage, &mut changes);
        }
        changes.sort_by_key(|(range, _)| range.start);
        out.extend_from_slice(b"data: ");
        let mut at = 0;
        for (range, value) in changes {
            one_line(data.get(at..range.start).unwrap_or_default(), out);
            out.extend_from_slice(&value);
            at = range.end.max(at);
        }
        one_line(data.get(at..).unwrap_or_default(), out);
        out.extend_from_slice(b"\n\n");
    }

    /// The usage as the caller knows it: what was said before is output, and no input.
    fn count(&self, data: &[u8], usage: &Range<usize>, changes: &mut Changes) {
        let Some(raw) = data.get(usage.clone()) else { return };
        let whole = |wanted: &[&str]| {
            let found = members(raw).map_while(Result::ok).find(|member| wanted.iter().any(|name| member.is(name)))?;
            let Number::Whole(count) = number(found.raw) else { return None };
            Some((usage.start + found.value.start..usage.start + found.value.end, count))
        };
        let (input, output) =
            (whole(&["prompt_tokens", "input_tokens"]), whole(&["completion_tokens", "output_tokens"]));
        if let (Some((input, asked)), Some((output, said))) = (input, output) {
            let moved = self.tokens.min(asked);
            changes.push((input, (asked - moved).to_string().into_bytes()));
            changes.push((output, said.saturating_add(moved).to_string().into_bytes()));
        }
    }
}

/// Line feeds between the data lines of an event are white space between tokens.
fn one_line(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
}
