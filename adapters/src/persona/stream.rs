//! A stream of events with values put back, wherever it cuts their placeholders.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atp_core::answer::BoxBody;
use atp_core::{AnswerBody, Error, Finish, Report};
use atp_dialects::openai::persona::{Events, Last, Slot};
use atp_dialects::sse::{Block, Decoder, Rest, Step};
use atp_privacy::Restorer;
use bytes::Bytes;

use super::answer::{log_denied, nothing_left, too_large};
use super::request::Worn;

/// The upstream's stream, event by event.
pub(super) struct Restoring {
    /// `None` once it has ended.
    upstream: Option<BoxBody>,
    decoder: Decoder,
    reader: Reader,
    /// What the upstream has told, with what differs for the caller.
    report: Report,
    end: Option<Error>,
}

/// What is known of the stream so far.
struct Reader {
    worn: Worn,
    events: Events,
    texts: BTreeMap<Slot, Restorer>,
    /// Whether something has gone out that is content: what waits for the rest of a placeholder has not.
    told: bool,
    stopped: bool,
}

impl Restoring {
    pub(super) fn new(upstream: BoxBody, worn: Worn) -> Self {
        let reader = Reader { worn, events: Events::default(), texts: BTreeMap::new(), told: false, stopped: false };
        let report = upstream.report().clone();
        Self { upstream: Some(upstream), decoder: Decoder::default(), reader, report, end: None }
    }

    fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut at = 0;
        loop {
            match self.decoder.next(chunk, at) {
                Step::Block(block) => {
                    at = block.end;
                    self.reader.block(&block, out)?;
                }
                // The part of it that has gone by is not kept.
                Step::Tail(_) | Step::Rest(Rest::Overflow | Rest::Passing) => return Err(too_large()),
                Step::Rest(Rest::Held) => return Ok(()),
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(block) = self.decoder.finish() {
            self.reader.block(&block, out)?;
        }
        self.reader.flush(out, |_| true);
        Ok(())
    }

    fn take_report(&mut self) {
        let Some(upstream) = &self.upstream else { return };
        self.report = upstream.report().clone();
        self.report.content &= self.reader.told;
        if self.reader.stopped && self.report.finish == Some(Finish::ToolCalls) {
            self.report.finish = Some(Finish::Stop);
        }
    }
}

impl Reader {
    fn block(&mut self, block: &Block<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if block.oversized {
            return Err(too_large());
        }
        let event = block.event();
        let data = event.data();
        if !data.trim_ascii_start().starts_with(b"{") {
            if event.has_data() {
                // The sign of the end.
                self.flush(out, |_| true);
            }
            out.extend_from_slice(block.bytes);
            return Ok(());
        }
        let Self { worn, events, texts, told, .. } = self;
        let masks = !worn.vault.is_empty();
        let read = events.read(&data, &|name| worn.persona.tools.allows(name), &mut |slot, text, last| {
            if !masks {
                *told |= !text.is_empty();
                return None;
            }
            let restorer = texts.entry(slot.clone()).or_insert_with(|| Restorer::new(worn.vault.clone()));
            let mut out = restorer.push(text);
            if last == Last::Yes {
                out.push_str(&restorer.finish());
            }
            *told |= !out.is_empty();
            (out != text).then_some(out)
        });
        log_denied(&read.denied, worn);
        self.stopped |= read.stopped;
        if read.is_empty {
            return Err(nothing_left(&read.denied, worn));
        }
        self.flush(out, |slot| read.ended.contains(&slot.choice));
        let Some(changed) = read.data else {
            self.told |= calls(&data);
            out.extend_from_slice(block.bytes);
            return Ok(());
        };
        self.told |= calls(&changed);
        write(event.name, &changed, out);
        Ok(())
    }

    /// Tells what waited in vain in some of the texts.
    fn flush(&mut self, out: &mut Vec<u8>, of: impl Fn(&Slot) -> bool) {
        for (slot, restorer) in &mut self.texts {
            if restorer.holds() && of(slot) {
                write(None, &self.events.telling(slot, &restorer.finish()), out);
                self.told = true;
            }
        }
    }
}

/// Whether an event begins or goes on with the call of a tool.
fn calls(data: &[u8]) -> bool {
    data.windows(CALL.len()).any(|bytes| bytes == CALL)
}

const CALL: &[u8] = b"_call";

/// Writes an event. Line ends in its data stand between tokens of JSON, where a space says as much.
fn write(name: Option<&[u8]>, data: &[u8], out: &mut Vec<u8>) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name);
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    out.extend(data.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    out.extend_from_slice(b"\n\n");
}

impl AnswerBody for Restoring {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let this = &mut *self;
        loop {
            let Some(upstream) = &mut this.upstream else { return Poll::Ready(this.end.take().map(Err)) };
            let next = ready!(upstream.as_mut().poll_chunk(cx));
            let mut out = Vec::new();
            let (over, read) = match next {
                Some(Ok(chunk)) => (false, this.feed(&chunk, &mut out)),
                // What came before the error is told; half an event is not.
                Some(Err(error)) => (true, Err(error)),
                None => (true, this.finish(&mut out)),
            };
            this.take_report();
            if over || read.is_err() {
                this.upstream = None;
                this.end = read.err();
                this.report.complete &= this.end.is_none();
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Bytes::from(out))));
            }
        }
    }

    fn report(&self) -> &Report {
        &self.report
    }
}
