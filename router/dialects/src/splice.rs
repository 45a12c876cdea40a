//! Changing members of a JSON body without touching any other byte.
//!
//! The result shares the memory of the body; only what is new is allocated.

use std::ops::Range;

use atp_core::{Field, Fields, Rope};
use bytes::Bytes;
use smallvec::SmallVec;

use crate::json::skip::is_space;
use crate::json::view::members;

#[cfg(test)]
mod tests;

/// One change. Where two edits name the same field the last one counts.
#[derive(Debug, Clone, Copy)]
pub enum Edit<'a> {
    /// Gives a field a new value, raw JSON: in the place of every occurrence, or as a new first
    /// member where there is none.
    Set(Field, &'a str),
    /// Takes every occurrence of a field out.
    Remove(Field),
    /// Gives every occurrence of a field another key, a raw JSON string. Its value stays.
    Rename(Field, &'a str),
}

impl Edit<'_> {
    const fn field(self) -> Field {
        match self {
            Self::Set(field, _) | Self::Remove(field) | Self::Rename(field, _) => field,
        }
    }
}

/// Applies `edits` to the body that `fields` was scanned from. Without edits the result is the same
/// rope.
#[must_use]
pub fn splice(rope: &Rope, fields: &Fields, edits: &[Edit<'_>]) -> Rope {
    if edits.is_empty() {
        return rope.clone();
    }
    let changes = changes(rope, fields, edits);
    let mut out = Rope::new();
    let mut at = 0;
    if let Some(insert) = insertion(rope, fields, edits, &changes) {
        rope.copy_range(0..fields.open, &mut out);
        out.push(Bytes::from(insert));
        at = fields.open;
    }
    for (range, value) in changes {
        rope.copy_range(at..range.start, &mut out);
        out.push(Bytes::copy_from_slice(value.as_bytes()));
        at = range.end;
    }
    rope.copy_range(at..rope.len(), &mut out);
    out
}

/// What stands in the place of which range; in body order, without overlap.
type Changes<'a> = SmallVec<[(Range<usize>, &'a str); 4]>;

fn changes<'a>(rope: &Rope, fields: &Fields, edits: &[Edit<'a>]) -> Changes<'a> {
    let mut changes = Changes::new();
    let mut removal = Removal::default();
    let byte = |at| byte_at(rope, at);
    for span in &fields.spans {
        match edits.iter().rev().find(|edit| edit.field() == span.field) {
            Some(Edit::Set(_, value)) => changes.push((span.value.clone(), value)),
            Some(Edit::Remove(_)) => {
                changes.push((removal.range(&byte, span.value.clone()), ""));
            }
            Some(Edit::Rename(_, key)) => changes.push((key_of(&byte, span.value.start), key)),
            None => {}
        }
    }
    changes
}

/// The new first members, with a comma behind them where another member follows.
fn insertion(rope: &Rope, fields: &Fields, edits: &[Edit<'_>], changes: &Changes<'_>) -> Option<String> {
    let mut text = String::new();
    for (index, edit) in edits.iter().enumerate() {
        let Edit::Set(field, value) = edit else { continue };
        let later = edits.iter().skip(index + 1).any(|later| later.field() == *field);
        if later || fields.last(*field).is_some() {
            continue;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.push('"');
        text.push_str(field.name());
        text.push_str("\":");
        text.push_str(value);
    }
    if text.is_empty() {
        return None;
    }
    if follows(rope, fields, changes) {
        text.push(',');
    }
    Some(text)
}

/// Whether a member is left once the changes are made.
fn follows(rope: &Rope, fields: &Fields, changes: &Changes<'_>) -> bool {
    if fields.empty {
        return false;
    }
    let mut at = fields.open;
    loop {
        if let Some((range, value)) = changes.iter().find(|(range, _)| range.start == at) {
            if !value.is_empty() {
                return true;
            }
            at = range.end;
            continue;
        }
        match byte_at(rope, at) {
            Some(byte) if is_space(byte) => at += 1,
            byte => return byte != Some(b'}'),
        }
    }
}

fn byte_at(rope: &Rope, mut at: usize) -> Option<u8> {
    for part in rope.parts() {
        match part.get(at) {
            Some(byte) => return Some(*byte),
            None => at -= part.len(),
        }
    }
    None
}

/// Takes members out of one object, in order, each with the comma that belongs to it.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    /// Behind the last removal that began at the object's first member: what follows is the first
    /// member now.
    first: Option<usize>,
}

impl Removal {
    /// The range to remove so that the member of the value at `value` is gone: with the comma in
    /// front of it where a member is left before it, else with the one behind it. `byte` reads the
    /// object. The key must hold no quote, not even an escaped one.
    pub(crate) fn range(&mut self, byte: &impl Fn(usize) -> Option<u8>, value: Range<usize>) -> Range<usize> {
        let key = key_of(byte, value.start).start;
        let before = back_over_space(byte, key);
        let is_first = self.first == Some(key) || before.checked_sub(1).and_then(byte) == Some(b'{');
        if !is_first {
            // The byte before the white space is the comma; white space before it goes too.
            return back_over_space(byte, before.saturating_sub(1))..value.end;
        }
        let behind = over_space(byte, value.end);
        let end = if byte(behind) == Some(b',') { over_space(byte, behind + 1) } else { value.end };
        self.first = Some(end);
        key..end
    }
}

/// The range of the key, quotes included, looking back from the value.
fn key_of(byte: &impl Fn(usize) -> Option<u8>, value: usize) -> Range<usize> {
    let colon = back_over_space(byte, value).saturating_sub(1);
    let end = back_over_space(byte, colon);
    // `at` moves back from the closing quote to the opening one.
    let mut at = end.saturating_sub(1);
    while at > 0 {
        at -= 1;
        if byte(at) == Some(b'"') {
            break;
        }
    }
    at..end
}

/// The smallest offset from which on there is only white space in front of `at`.
fn back_over_space(byte: &impl Fn(usize) -> Option<u8>, mut at: usize) -> usize {
    while at > 0 && byte(at - 1).is_some_and(is_space) {
        at -= 1;
    }
    at
}

fn over_space(byte: &impl Fn(usize) -> Option<u8>, mut at: usize) -> usize {
    while byte(at).is_some_and(is_space) {
        at += 1;
    }
    at
}

/// A raw JSON string literal, with quotes and escapes.
#[must_use]
pub fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                out.push_str("\\u00");
                let code = u32::from(control);
                out.extend([code >> 4, code & 0xf].into_iter().filter_map(|digit| char::from_digit(digit, 16)));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

/// The new raw value of `stream_options` that asks for usage: its other members are kept; what is
/// no object is replaced. To be used with [`Edit::Set`] of [`Field::StreamOptions`].
#[must_use]
pub fn with_include_usage(rope: &Rope, fields: &Fields) -> String {
    let mut text = String::from("{\"include_usage\":true");
    if let Some(span) = fields.last(Field::StreamOptions) {
        let mut value = Rope::new();
        rope.copy_range(span.value.clone(), &mut value);
        keep_others(&value.to_bytes(), &mut text);
    }
    text.push('}');
    text
}

fn keep_others(options: &[u8], text: &mut String) {
    for member in members(options).map_while(Result::ok).filter(|member| !member.is("include_usage")) {
        let (Ok(key), Ok(value)) = (std::str::from_utf8(member.key), std::str::from_utf8(member.raw)) else { continue };
        text.push(',');
        text.push_str(key);
        text.push(':');
        text.push_str(value);
    }
}
