//! Server-sent events (WHATWG HTML, section 9.2), decoded beside the bytes: chunks may be cut
//! anywhere, lines may end in LF, CRLF or CR, data may span lines.
//!
//! The unit is the *block*: the lines of one event up to and including the blank line that ends
//! it. A block keeps its bytes, so that it can be passed on, dropped or changed in place.

mod event;
mod split;

#[cfg(test)]
mod tests;

pub use event::{Block, Event};
use split::Splitter;

/// The largest block that is gathered and looked into, in bytes. Content events have some hundred
/// bytes; images as base64 some hundred thousand.
pub const DEFAULT_CAP: usize = 1024 * 1024;

/// What comes next in a chunk.
#[derive(Debug)]
pub enum Step<'a> {
    /// A block has ended.
    Block(Block<'a>),
    /// A block larger than the cap has ended at this offset of the chunk. Its earlier part was not
    /// gathered.
    Tail(usize),
    /// The chunk is used up; what has become of its last, unended block.
    Rest(Rest),
}

/// What has become of a block that does not end in this chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It is gathered, and comes whole when it has ended.
    Held,
    /// It has just outgrown the cap: [`Decoder::take_held`] gives back what earlier chunks brought
    /// of it; what this chunk brought was not gathered.
    Overflow,
    /// It had outgrown the cap before.
    Passing,
}

/// Cuts a stream of chunks into blocks.
#[derive(Debug)]
pub struct Decoder {
    splitter: Splitter,
    held: Vec<u8>,
    /// `held` is the block told last; it goes with the next step.
    told: bool,
    /// The current block has outgrown the cap.
    passing: bool,
    /// No block has ended yet.
    first: bool,
    cap: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(DEFAULT_CAP)
    }
}

impl Decoder {
    /// In front of the first byte. A block larger than `cap` bytes is not looked into.
    #[must_use]
    pub const fn new(cap: usize) -> Self {
        Self { splitter: Splitter::new(), held: Vec::new(), told: false, passing: false, first: true, cap }
    }

    /// Reads on at offset `at` of `chunk`: 0 for a new chunk, else the end of the last step. The
    /// same chunk must be given until [`Step::Rest`] comes.
    pub fn next<'a>(&'a mut self, chunk: &'a [u8], at: usize) -> Step<'a> {
        if std::mem::take(&mut self.told) {
            self.held.clear();
        }
        match self.splitter.next(chunk, at) {
            Some((end, single)) => self.block(chunk, at..end, single),
            None => Step::Rest(self.rest(chunk.get(at..).unwrap_or_default())),
        }
    }

    fn block<'a>(&'a mut self, chunk: &'a [u8], here: std::ops::Range<usize>, single: bool) -> Step<'a> {
        let end = here.end;
        let first = std::mem::take(&mut self.first);
        if std::mem::take(&mut self.passing) {
            return Step::Tail(end);
        }
        let part = chunk.get(here).unwrap_or_default();
        let gathered = !self.held.is_empty();
        let bytes = if gathered {
            self.held.extend_from_slice(part);
            self.told = true;
            &self.held
        } else {
            part
        };
        Step::Block(Block { bytes, end, gathered, oversized: bytes.len() > self.cap, single, first })
    }

    fn rest(&mut self, tail: &[u8]) -> Rest {
        if self.passing {
            return Rest::Passing;
        }
        if self.held.len() + tail.len() > self.cap {
            self.passing = true;
            return Rest::Overflow;
        }
        self.held.extend_from_slice(tail);
        Rest::Held
    }

    /// Takes out what has been gathered of a block that will not come whole.
    pub fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// The stream has ended: the last block, where the blank line behind it is missing.
    pub fn finish(&mut self) -> Option<Block<'_>> {
        if std::mem::take(&mut self.told) {
            self.held.clear();
        }
        if self.held.is_empty() {
            return None;
        }
        let first = std::mem::take(&mut self.first);
        self.told = true;
        Some(Block { bytes: &self.held, end: 0, gathered: true, oversized: false, single: false, first })
    }
}
