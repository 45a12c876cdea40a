//! What a stream has said so far, so that another can go on where it breaks off; and that other stream,
//! made to look like the first one's rest.
//!
//! A transcript stands behind a tap and lets whole events through alone: what the caller has is then
//! exactly what is remembered here, wherever the stream is cut. An event that tells an error does not go
//! out either; it ends the stream, and whoever drives it decides what comes of that.

mod event;
mod seam;

use atp_core::Resume;
use bytes::Bytes;

use self::event::{Event, Told};
use self::seam::Seam;
use crate::sse::{Block, Decoder, Rest, Step};

pub use self::seam::Echo;

/// The longest text that is remembered, in bytes: more than any model says in one answer.
const LONGEST: usize = 1 << 20;

/// The text of one answer, over all streams that brought it.
#[derive(Debug)]
pub(super) struct Transcript {
    decoder: Decoder,
    text: String,
    tokens: u64,
    envelope: Bytes,
    /// Something was said that no beginning of a message can hold: a tool call, another choice, a refusal.
    spoiled: bool,
    /// The model has said why it stopped.
    finished: bool,
    /// An error has been told; nothing more goes out.
    stopped: bool,
    seam: Option<Seam>,
}

/// What becomes of an event.
enum Fate {
    Passes,
    /// It is dropped, or stands changed in the output already.
    Done,
}

impl Transcript {
    /// In front of an answer.
    pub(super) fn new() -> Self {
        Self {
            decoder: Decoder::default(),
            text: String::new(),
            tokens: 0,
            envelope: Bytes::new(),
            spoiled: false,
            finished: false,
            stopped: false,
            seam: None,
        }
    }

    /// In front of a stream that goes on with `resume`.
    pub(super) fn going_on(resume: &Resume, echo: Echo) -> Self {
        Self {
            text: resume.text.clone(),
            tokens: resume.tokens,
            envelope: resume.envelope.clone(),
            seam: Some(Seam::new(resume, echo)),
            ..Self::new()
        }
    }

    /// What another stream needs to go on, where one can.
    pub(super) fn resume(&self) -> Option<Resume> {
        let fit = !self.spoiled && !self.finished && !self.text.is_empty();
        fit.then(|| Resume { text: self.text.clone(), tokens: self.tokens, envelope: self.envelope.clone() })
    }

    /// Takes in what the tap let through, and tells what goes out of it.
    pub(super) fn feed(&mut self, chunk: &Bytes) -> Bytes {
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut out = Vec::new();
        let mut at = 0;
        loop {
            match decoder.next(chunk, at) {
                Step::Block(block) => {
                    at = block.end;
                    self.block(&block, &mut out);
                }
                // What is too large to be looked into goes out as it is, and cannot be gone on with.
                Step::Tail(end) => {
                    out.extend_from_slice(chunk.get(at..end).unwrap_or_default());
                    at = end;
                }
                Step::Rest(Rest::Held) => break,
                Step::Rest(rest) => {
                    self.spoiled = true;
                    if rest == Rest::Overflow {
                        out.extend_from_slice(&decoder.take_held());
                    }
                    out.extend_from_slice(chunk.get(at..).unwrap_or_default());
                    break;
                }
            }
        }
        self.decoder = decoder;
        if out == *chunk { chunk.clone() } else { Bytes::from(out) }
    }

    /// The stream has ended, `complete` or not: what goes out still.
    pub(super) fn finish(&mut self, complete: bool) -> Bytes {
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut out = Vec::new();
        if complete {
            if let Some(block) = decoder.finish() {
                self.block(&block, &mut out);
            }
            self.release(&mut out);
        }
        Bytes::from(out)
    }

    fn block(&mut self, block: &Block<'_>, out: &mut Vec<u8>) {
        if self.stopped {
            return;
        }
        if matches!(self.judge(block, out), Fate::Passes) {
            match &mut self.seam {
                Some(seam) => seam.pass(block.bytes, out),
                None => out.extend_from_slice(block.bytes),
            }
        }
    }

    fn judge(&mut self, block: &Block<'_>, out: &mut Vec<u8>) -> Fate {
        let event = block.event();
        let data = event.data();
        let trimmed = data.trim_ascii();
        if block.oversized {
            self.spoiled = true;
            return Fate::Passes;
        }
        if trimmed.is_empty() {
            return Fate::Passes;
        }
        if trimmed.starts_with(b"[DONE]") {
            self.finished = true;
            self.release(out);
            return Fate::Passes;
        }
        let told = Event::read(&data).filter(|_| event.name != Some(b"error"));
        let Some(told) = told.filter(|told| !told.error) else {
            self.stopped = true;
            return Fate::Done;
        };
        if self.seam.is_some() {
            self.join(&data, &told, out);
            return Fate::Done;
        }
        self.note(&told);
        // Some vendors begin with events about the prompt that have no name and no model yet.
        if self.envelope.is_empty() && (told.role.is_some() || told.content.is_some()) {
            self.envelope = event::envelope(&data);
        }
        Fate::Passes
    }

    /// An event of a stream that goes on.
    fn join(&mut self, data: &[u8], told: &Event<'_>, out: &mut Vec<u8>) {
        let Some(seam) = &mut self.seam else { return };
        match seam.join(data, told, &self.text, out) {
            Told::Nothing => {}
            Told::Event(said) => {
                // What was withheld is the beginning of the text, letter by letter, said once more.
                let before = self.text.get(..said.withheld).unwrap_or_default().to_owned();
                self.text.push_str(&before);
                self.tokens += said.pieces;
                self.say(&said.text);
            }
        }
        self.spoiled |= told.spoils;
        self.finished |= told.finish;
    }

    fn note(&mut self, told: &Event<'_>) {
        self.spoiled |= told.spoils;
        self.finished |= told.finish;
        if let Some(content) = &told.content {
            self.tokens += u64::from(!content.text.is_empty());
            self.say(&content.text);
        }
    }

    fn say(&mut self, text: &str) {
        if self.text.len() + text.len() > LONGEST {
            self.spoiled = true;
        } else {
            self.text.push_str(text);
        }
    }

    /// What was withheld turns out not to be a repetition.
    fn release(&mut self, out: &mut Vec<u8>) {
        if let Some(said) = self.seam.as_mut().and_then(|seam| seam.release(out)) {
            let before = self.text.get(..said.withheld).unwrap_or_default().to_owned();
            self.text.push_str(&before);
            self.tokens += said.pieces;
        }
    }
}

#[cfg(test)]
mod tests;
