//! The body of `ChatStream`: the provider's stream on one side, messages on the other. It is pulled by the caller, so
//! that who reads slowly slows the provider, and who leaves ends it. What comes at once goes out at once, in one piece.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atp_core::answer::BoxBody;
use atp_core::{Answer, Error, ErrorKind};
use atp_dialects::sse::{Decoder, Event, Rest, Step};
use atp_proto::router::v1 as pb;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame};
use pb::chat_stream_response::Event as Message;

use super::delta::{Known, of_whole};
use super::{LONGEST, answer, garbled, too_long, usage};
use crate::grpc::{call, status, wire};
use crate::respond::{Broken, COST, value};

/// The largest event, in bytes: an image in one piece.
const LARGEST_EVENT: usize = 32 << 20;

/// The name of the event that voids what came before it.
const RESTART: &[u8] = b"atp.restart";

/// Messages in the place of a provider's stream.
pub(super) struct Told {
    body: BoxBody,
    routing: pb::RoutingInfo,
    reader: Reader,
    known: Known,
    /// What has not gone out.
    out: BytesMut,
    stage: Stage,
    /// An error told in an event's words, which the report should tell too.
    told_error: bool,
}

/// How messages are found.
enum Reader {
    /// In a stream of events.
    Events(Decoder),
    /// In an answer that came as one although a stream was asked for.
    Whole(Vec<u8>),
}

enum Stage {
    /// Nothing of the provider's has been read: all of it may lie in memory.
    Fresh,
    Open,
    /// The status is to be told.
    Ended(Option<Error>),
    Done,
}

impl Told {
    pub(super) fn new(answer: Answer, routing: pb::RoutingInfo) -> Self {
        let events = answer.headers.get(CONTENT_TYPE);
        let events = events.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        let reader = if events { Reader::Events(Decoder::new(LARGEST_EVENT)) } else { Reader::Whole(Vec::new()) };
        let mut out = BytesMut::new();
        // It goes out at once: the provider may think for long before its first word.
        put(Message::Started(pb::Started { routing: Some(routing.clone()) }), &mut out);
        let (body, known) = (answer.body, Known::default());
        Self { body, routing, reader, known, out, stage: Stage::Fresh, told_error: false }
    }

    /// Reads a piece of the provider's answer.
    fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        let Self { reader, known, out, told_error, .. } = self;
        let decoder = match reader {
            Reader::Events(decoder) => decoder,
            Reader::Whole(held) if held.len() + piece.len() > LONGEST => return Err(too_long()),
            Reader::Whole(held) => {
                held.extend_from_slice(piece);
                return Ok(());
            }
        };
        let mut at = 0;
        loop {
            match decoder.next(piece, at) {
                Step::Block(block) if block.oversized => return Err(too_large()),
                Step::Block(block) => {
                    at = block.end;
                    *told_error |= event(&block.event(), known, out)?;
                }
                Step::Rest(Rest::Held) => return Ok(()),
                Step::Tail(_) | Step::Rest(Rest::Overflow | Rest::Passing) => return Err(too_large()),
            }
        }
    }

    /// The provider's answer has come to its end.
    fn end(&mut self) -> Result<(), Error> {
        let Self { reader, known, out, told_error, .. } = self;
        match reader {
            Reader::Events(decoder) => {
                if let Some(block) = decoder.finish() {
                    *told_error |= event(&block.event(), known, out)?;
                }
            }
            Reader::Whole(held) => {
                let answer = answer::read(held)?;
                (known.id, known.created, known.model) = (answer.id, answer.created, answer.model);
                known.usage = answer.usage;
                if !answer.extra_json.is_empty() {
                    put(Message::Aside(pb::Aside { json: answer.extra_json }), out);
                }
                for choice in answer.choices {
                    put(Message::Delta(of_whole(choice)), out);
                }
            }
        }
        let report = self.body.report();
        if let Some(failure) = &report.failure {
            return Err(failure.clone());
        }
        if self.told_error {
            return Err(Error::provider(ErrorKind::ProviderFailed, "the provider told an error inside its answer"));
        }
        let usage = usage(report.usage, self.known.usage.take());
        let mut routing = std::mem::take(&mut self.routing);
        routing.cost_usd_micros = self.body.cost().map(|cost| cost.0).or(routing.cost_usd_micros);
        let Known { id, created, model, .. } = std::mem::take(&mut self.known);
        put(Message::End(pb::End { id, created, model, usage, routing: Some(routing) }), &mut self.out);
        Ok(())
    }

    /// What the answer is read from next.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if matches!(self.stage, Stage::Fresh) {
            self.stage = Stage::Open;
            if let Some(bytes) = self.body.as_mut().take_full() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
        self.body.as_mut().poll_chunk(cx)
    }

    /// Reads on.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let done = match ready!(self.poll_answer(cx)) {
            Some(Ok(piece)) => match self.feed(&piece) {
                Ok(()) => return Poll::Ready(()),
                Err(error) => Err(error),
            },
            Some(Err(error)) => Err(error),
            None => self.end(),
        };
        self.stage = Stage::Ended(done.err());
        Poll::Ready(())
    }

    fn trailers(&self, error: Option<&Error>) -> HeaderMap {
        let mut trailers = error.map_or_else(wire::well, status::headers);
        let cost = self.body.cost().and_then(value::dollars);
        if let Some(cost) = cost {
            trailers.insert(COST, cost);
        }
        trailers
    }
}

/// Tells an event; whether it is an error.
fn event(event: &Event<'_>, known: &mut Known, out: &mut BytesMut) -> Result<bool, Error> {
    let data = event.data();
    if event.name == Some(RESTART) {
        let told: serde_json::Value = serde_json::from_slice(&data).unwrap_or_default();
        let reason = told.get("reason").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        *known = Known::default();
        put(Message::Restart(pb::Restart { reason }), out);
        return Ok(false);
    }
    if !event.has_data() || data.trim_ascii().is_empty() || data.trim_ascii() == b"[DONE]" {
        return Ok(false);
    }
    let told = known.read(&data)?;
    if let Some(json) = told.aside {
        put(Message::Aside(pb::Aside { json }), out);
    }
    for delta in told.deltas {
        put(Message::Delta(delta), out);
    }
    Ok(told.error)
}

fn put(event: Message, out: &mut BytesMut) {
    call::put(&pb::ChatStreamResponse { event: Some(event) }, out);
}

fn too_large() -> Error {
    garbled(&format!("has an event of more than {LARGEST_EVENT} bytes; ask for it in one piece"))
}

impl Body for Told {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        loop {
            if !this.out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(this.out.split().freeze()))));
            }
            match &this.stage {
                Stage::Fresh | Stage::Open => ready!(this.poll_read(cx)),
                Stage::Ended(error) => {
                    let trailers = this.trailers(error.as_ref());
                    this.stage = Stage::Done;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Stage::Done => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }
}
