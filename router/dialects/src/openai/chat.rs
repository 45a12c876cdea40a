//! Reading along an answer: usage, why the model stopped, and errors told inside a success.

mod ask;
mod failure;
mod glance;
mod keys;
mod prefill;
mod reader;
mod reply;
mod said;
mod shape;
#[cfg(test)]
mod tests;
mod transcript;
mod usage;

use std::ops::Range;

use atp_core::{Error, Report, Resume};
use bytes::Bytes;

use crate::sse::{Block, Decoder, Rest, Step};
use reader::{Reader, Verdict};
use transcript::Transcript;

pub use ask::{Delivery, Question};
pub use prefill::{Prefill, continued};
pub(in crate::openai) use reader::finish_reason;
pub use reply::read_reply;
pub use said::{Said, said};
pub use transcript::Echo;

/// What a tap does to the stream beside reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapMode {
    /// A chat or completion stream, passed on as it is.
    Observe,
    /// A chat or completion stream for which the router, not the caller, asked for usage: the
    /// usage-only chunk and the `usage` members of the others are taken out.
    StripUsage,
    /// A stream that is not chat chunks (raw, images, audio), passed on as it is. Usage and errors
    /// are read where they can be recognised; its end is taken for its proper end, because only its
    /// own dialect knows better.
    Foreign,
}

/// Reads along one stream of server-sent events.
///
/// While the tap observes, each chunk goes out at once and unchanged. While it strips, an event
/// that is not complete is held back until it is, or until it is larger than
/// [`crate::sse::DEFAULT_CAP`]; chunks without anything to strip go out as they are, others are
/// copied once into one new piece.
#[derive(Debug)]
pub struct StreamTap {
    mode: TapMode,
    decoder: Decoder,
    reader: Reader,
    /// Where the stream may be gone on with, or goes on with another.
    transcript: Option<Box<Transcript>>,
}

impl StreamTap {
    /// In front of the first byte.
    #[must_use]
    pub fn new(mode: TapMode) -> Self {
        Self { mode, decoder: Decoder::default(), reader: Reader::new(mode), transcript: None }
    }

    /// Remembers what a chat stream says, so that another one can go on with it. Only whole events go out
    /// then, and none that tells an error: [`StreamTap::broken`] tells it.
    #[must_use]
    pub fn remembering(mut self) -> Self {
        self.transcript = Some(Box::new(Transcript::new()));
        self
    }

    /// Makes a chat stream the rest of one that broke off, and remembers both.
    #[must_use]
    pub fn going_on(mut self, resume: &Resume, echo: Echo) -> Self {
        self.transcript = Some(Box::new(Transcript::going_on(resume, echo)));
        self
    }

    /// What another stream needs to go on with this one, where one can and the tap remembers.
    #[must_use]
    pub fn resume(&self) -> Option<Resume> {
        self.transcript.as_ref()?.resume()
    }

    /// The error that has ended a stream that is remembered.
    #[must_use]
    pub fn broken(&self) -> Option<&Error> {
        self.transcript.as_ref().and(self.reader.report().failure.as_ref())
    }

    /// Tells how many choices were asked for (`n`). A stream that ends without `[DONE]` is complete
    /// once that many have a finish reason; one, unless told otherwise.
    #[must_use]
    pub fn expecting(mut self, choices: u64) -> Self {
        self.reader.expect(choices);
        self
    }

    /// Reads the next chunk. At most one piece is added to `out`: the chunk itself, or what is left
    /// of it and of what was held back; none where all of it is held back.
    pub fn feed(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) {
        let mut piece = if self.mode == TapMode::StripUsage { self.strip(&chunk) } else { self.observe(chunk) };
        if let Some(transcript) = &mut self.transcript {
            piece = transcript.feed(&piece);
        }
        if !piece.is_empty() {
            out.push(piece);
        }
    }

    /// The upstream body has ended. At most one piece is added to `out`: what was held back.
    ///
    /// The report is final then: complete, or with a failure that says why not.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) {
        let mut piece = Bytes::new();
        if let Some(block) = self.decoder.finish() {
            let verdict = self.reader.read_last(&block);
            if self.mode == TapMode::StripUsage {
                let mut output = Output::new(Bytes::new(), block.bytes.len());
                output.gathered(block.bytes, verdict);
                piece = output.finish(0);
            }
        }
        self.decoder.take_held();
        self.reader.end();
        if let Some(transcript) = &mut self.transcript {
            // What the tap held back itself is part of what the transcript may let go now.
            let fed = transcript.feed(&piece);
            piece = [fed, transcript.finish(self.reader.report().complete)].concat().into();
        }
        out.extend(Some(piece).filter(|piece| !piece.is_empty()));
    }

    /// What has been learned from the chunks fed so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        self.reader.report()
    }

    fn observe(&mut self, chunk: Bytes) -> Bytes {
        let mut at = 0;
        loop {
            match self.decoder.next(&chunk, at) {
                Step::Block(block) => {
                    at = block.end;
                    read(&mut self.reader, &block);
                }
                Step::Tail(end) => at = end,
                Step::Rest(Rest::Overflow) => {
                    self.decoder.take_held();
                    return chunk;
                }
                Step::Rest(_) => return chunk,
            }
        }
    }

    fn strip(&mut self, chunk: &Bytes) -> Bytes {
        let mut output = Output::new(chunk.clone(), chunk.len());
        let mut at = 0;
        loop {
            match self.decoder.next(chunk, at) {
                Step::Block(block) => {
                    let verdict = read(&mut self.reader, &block);
                    if block.gathered {
                        output.gathered(block.bytes, verdict);
                        output.from = block.end;
                    } else {
                        output.here(at..block.end, verdict);
                    }
                    at = block.end;
                }
                Step::Tail(end) => at = end,
                Step::Rest(Rest::Held) => return output.finish(at),
                Step::Rest(Rest::Passing) => return output.finish(chunk.len()),
                Step::Rest(Rest::Overflow) => {
                    // Something can be held only if no block has ended in this chunk, so that
                    // nothing of this chunk has gone out before it.
                    output.gathered(&self.decoder.take_held(), Verdict::Keep);
                    return output.finish(chunk.len());
                }
            }
        }
    }
}

/// Reads a block, unless it is too large.
fn read(reader: &mut Reader, block: &Block<'_>) -> Verdict {
    if block.oversized { Verdict::Keep } else { reader.read(block) }
}

/// One piece of output: the chunk itself for as long as nothing in it changes.
struct Output {
    chunk: Bytes,
    /// The chunk's bytes from here on have not been copied yet.
    from: usize,
    /// The changed copy, once something has changed.
    copy: Vec<u8>,
    room: usize,
}

impl Output {
    const fn new(chunk: Bytes, room: usize) -> Self {
        Self { chunk, from: 0, copy: Vec::new(), room }
    }

    /// A block that lies in `place` of the chunk has been judged.
    fn here(&mut self, place: Range<usize>, verdict: Verdict) {
        match verdict {
            Verdict::Keep => {}
            Verdict::Drop => self.cut(place),
            Verdict::Cut(ranges) => {
                for range in ranges {
                    self.cut(place.start + range.start..place.start + range.end);
                }
            }
        }
    }

    /// A block that began in an earlier chunk has been judged.
    fn gathered(&mut self, bytes: &[u8], verdict: Verdict) {
        self.make_room(bytes.len());
        let mut at = 0;
        match verdict {
            Verdict::Keep => {}
            Verdict::Drop => return,
            Verdict::Cut(ranges) => {
                for range in ranges {
                    self.copy.extend_from_slice(bytes.get(at..range.start).unwrap_or_default());
                    at = range.end;
                }
            }
        }
        self.copy.extend_from_slice(bytes.get(at..).unwrap_or_default());
    }

    fn cut(&mut self, range: Range<usize>) {
        self.make_room(0);
        self.copy.extend_from_slice(self.chunk.get(self.from..range.start).unwrap_or_default());
        self.from = range.end;
    }

    fn make_room(&mut self, more: usize) {
        if self.copy.capacity() == 0 {
            self.copy.reserve(self.room + more);
        }
    }

    /// The piece, with the chunk's bytes up to `end`.
    fn finish(mut self, end: usize) -> Bytes {
        let end = end.min(self.chunk.len());
        if self.copy.is_empty() {
            return self.chunk.slice(self.from.min(end)..end);
        }
        self.copy.extend_from_slice(self.chunk.get(self.from..end).unwrap_or_default());
        Bytes::from(self.copy)
    }
}
