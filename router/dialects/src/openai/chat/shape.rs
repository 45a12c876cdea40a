//! Recognising a content event by its likeness to the last one.
//!
//! Providers build the events of a stream from one template: they differ in the text they carry
//! and in nothing else. Once an event has been found to say nothing new, another with the same
//! bytes around other strings says nothing new either: what stands inside a string is no key. To
//! compare two events costs a fraction of searching one.

use std::ops::Range;

use memchr::memchr;
use smallvec::SmallVec;

use crate::json::skip::{Quoted, skip_space};

/// Keys whose strings may differ.
const TEXTS: [&[u8]; 7] = [
    b"\"content\"",
    b"\"text\"",
    b"\"reasoning_content\"",
    b"\"reasoning\"",
    b"\"arguments\"",
    // Padding of random length: OpenAI's, and Mistral's.
    b"\"obfuscation\"",
    b"\"p\"",
];

/// The largest event that is remembered, in bytes: content events are small.
const LARGEST: usize = 2048;

/// To learn a shape costs about as much as this many matches save.
const PRICE: u8 = 4;
/// The credit that a stream starts with, and the most it can save.
const CREDIT: u8 = 16;

/// The last event that said nothing new.
#[derive(Debug)]
pub(super) struct Shape {
    bytes: Vec<u8>,
    /// What stands around the strings, in order; from the opening quote of one string to the
    /// closing quote of the next. Empty while nothing is known.
    fixed: SmallVec<[Range<usize>; 3]>,
    /// What is to be taken out, and the part of `fixed` that it stands in.
    cut: Option<(usize, Range<usize>)>,
    /// Goes up with each match and down with each lesson, so that a stream whose events are not
    /// alike stops learning.
    credit: u8,
}

impl Shape {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), fixed: SmallVec::new(), cut: None, credit: CREDIT }
    }

    /// Whether `data` has the shape; and then, what of it is to be taken out.
    pub(super) fn matches(&mut self, data: &[u8]) -> Option<Option<Range<usize>>> {
        let last = self.fixed.len().checked_sub(1)?;
        let mut at = 0;
        let mut cut = None;
        for (index, place) in self.fixed.iter().enumerate() {
            let fixed = self.bytes.get(place.clone())?;
            if !data.get(at..)?.starts_with(fixed) {
                return None;
            }
            if let Some((part, range)) = &self.cut
                && *part == index
            {
                cut = Some(at + (range.start - place.start)..at + (range.end - place.start));
            }
            at += fixed.len();
            if index < last {
                at = Quoted::default().skip(data, at)?;
            }
        }
        if at != data.len() {
            return None;
        }
        self.credit = CREDIT.min(self.credit + 1);
        Some(cut)
    }

    /// Remembers an event that said nothing new, and of which `cut` was taken out.
    pub(super) fn learn(&mut self, data: &[u8], cut: Option<Range<usize>>) {
        if self.credit < PRICE || data.len() > LARGEST {
            return;
        }
        self.credit -= PRICE;
        self.fixed.clear();
        self.cut = None;
        let Some(fixed) = around_texts(data) else { return };
        if let Some(cut) = cut {
            let Some(part) = fixed.iter().position(|part| part.start <= cut.start && cut.end <= part.end) else {
                return;
            };
            self.cut = Some((part, cut));
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(data);
        self.fixed = fixed;
    }
}

/// What stands around the strings that may differ; `None` where there is none, or one does not end.
fn around_texts(data: &[u8]) -> Option<SmallVec<[Range<usize>; 3]>> {
    let mut fixed = SmallVec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = memchr(b'"', data.get(at..)?) {
        let start = at + found;
        at = Quoted::default().skip(data, start + 1)?;
        let colon = skip_space(data, at);
        if data.get(colon) != Some(&b':') || !TEXTS.contains(&data.get(start..at)?) {
            continue;
        }
        let value = skip_space(data, colon + 1);
        if data.get(value) == Some(&b'"') {
            fixed.push(from..value + 1);
            from = Quoted::default().skip(data, value + 1)?;
            at = from;
        }
    }
    fixed.push(from..data.len());
    (fixed.len() > 1).then_some(fixed)
}
