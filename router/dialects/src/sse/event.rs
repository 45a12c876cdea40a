//! What one block says.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;
use smallvec::SmallVec;

/// The bytes of one event, up to and including the blank line behind it.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// The whole block.
    pub bytes: &'a [u8],
    /// Where it ends in the chunk at hand.
    pub end: usize,
    /// Whether it began in an earlier chunk.
    pub gathered: bool,
    /// Whether it is larger than the cap.
    pub oversized: bool,
    /// Whether it is known to be one line.
    pub(super) single: bool,
    /// Whether it is the first of the stream, where a byte order mark may stand.
    pub(super) first: bool,
}

/// The data lines of a block; most have one.
type Lines = SmallVec<[Range<usize>; 1]>;

/// The fields of an event.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// The value of the last `event` line.
    pub name: Option<&'a [u8]>,
    block: &'a [u8],
    lines: Lines,
}

impl<'a> Block<'a> {
    /// Reads the block's lines. Comments and fields other than `event` and `data` are left out.
    #[must_use]
    pub fn event(&self) -> Event<'a> {
        let mut event = Event { name: None, block: self.bytes, lines: Lines::new() };
        let mut at = if self.first && self.bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        if self.single && at == 0 {
            let blank = self.bytes.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            event.line(0..self.bytes.len() - blank);
            return event;
        }
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let len = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            event.line(at..at + len);
            // The LF of a CRLF reads as a blank line, which says nothing.
            at += len + 1;
        }
        event
    }
}

impl<'a> Event<'a> {
    fn line(&mut self, range: Range<usize>) {
        let line = self.block.get(range.clone()).unwrap_or_default();
        if let Some(value) = value(line, b"data") {
            self.lines.push(range.start + value..range.end);
        } else if let Some(value) = value(line, b"event") {
            self.name = line.get(value..);
        }
    }

    /// Whether there is a data line.
    #[must_use]
    pub fn has_data(&self) -> bool {
        !self.lines.is_empty()
    }

    /// The data: one line as it stands, more lines joined by line feeds.
    #[must_use]
    pub fn data(&self) -> Cow<'a, [u8]> {
        let line = |range: &Range<usize>| self.block.get(range.clone()).unwrap_or_default();
        match self.lines.as_slice() {
            [] => Cow::Borrowed(&[]),
            [only] => Cow::Borrowed(line(only)),
            many => Cow::Owned(many.iter().map(line).collect::<Vec<_>>().join(&b'\n')),
        }
    }

    /// Where the bytes `range` of [`Event::data`] stand in the block; the line ends between data
    /// lines are left out.
    #[must_use]
    pub fn locate(&self, range: Range<usize>) -> SmallVec<[Range<usize>; 1]> {
        let mut places = SmallVec::new();
        let mut data = 0;
        for line in &self.lines {
            let from = range.start.clamp(data, data + line.len()) - data;
            let to = range.end.clamp(data, data + line.len()) - data;
            if from < to {
                places.push(line.start + from..line.start + to);
            }
            data += line.len() + 1;
        }
        places
    }
}

/// Where the value of a line starts, where the line's field is `field`. One space behind the colon
/// does not belong to the value; a line without a colon has an empty value.
fn value(line: &[u8], field: &[u8]) -> Option<usize> {
    match line.strip_prefix(field)? {
        [] => Some(line.len()),
        [b':', b' ', ..] => Some(field.len() + 2),
        [b':', ..] => Some(field.len() + 1),
        _ => None,
    }
}
