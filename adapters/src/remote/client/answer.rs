//! An adapter's answer: an error, a whole reply, or a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atp_core::port::Try;
use atp_core::{Answer, AnswerBody, Continuity, Error, ErrorKind, FullBody, Operation, Report, Resume, Rope};
use atp_dialects::openai::chat::{StreamTap, TapMode};
use atp_proto::adapter::v1::{CompleteResponse, ResponseHead};
use bytes::Bytes;
use http::StatusCode;
use prost::Message;

use super::super::frames::{self, Unframer};
use super::super::{status, values};
use super::endpoint::UnderWay;
use crate::http_client::{Incoming, UpstreamBody, Watch};

/// What has to be known of a try to read its answer.
pub(super) struct Asked {
    stream: bool,
    raw: bool,
    memory: Option<Memory>,
}

impl Asked {
    pub(super) fn of(attempt: &Try<'_>) -> Self {
        let exchange = attempt.exchange;
        let chat = exchange.operation == Operation::Chat && exchange.stream;
        let before = match attempt.continuity {
            Continuity::None => None,
            Continuity::Remember => Some(None),
            Continuity::Continue(resume) => Some(Some(resume.clone())),
        };
        let memory = before.filter(|_| chat).map(|before| {
            let tap = StreamTap::new(TapMode::Observe).expecting(exchange.fields.n.unwrap_or(1)).remembering();
            Memory { tap, before, ready: Vec::new() }
        });
        Self { stream: exchange.stream, raw: exchange.operation == Operation::Raw, memory }
    }
}

/// Who tells an error.
pub(super) enum Fault {
    /// The adapter, of its provider or of the request.
    Told(Error),
    /// The way to it, or its machinery.
    Wire(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Wire(error)
    }
}

/// Reads an answer as far as it has to be read before it can be passed on.
pub(super) async fn read(incoming: Incoming, asked: Asked, under_way: UnderWay, cap: usize) -> Result<Answer, Fault> {
    let mut messages = Messages::new(incoming, under_way, cap)?;
    let Some(first) = messages.next().await? else { return Err(messages.silence().into()) };
    if let Some(error) = first.error {
        return Err(Fault::Told(values::error_of(error)));
    }
    let head = first.head.ok_or_else(|| messages.garbled("began its answer without a head"))?;
    let Head { status, headers, limits } = Head::of(head, &messages)?;
    let report = first.report.map(values::report_of).unwrap_or_default();
    let answer = |body| Answer { status, headers, limits, body };
    if asked.stream || asked.raw && !report.complete {
        let first = Some(first.body).filter(|bytes| !bytes.is_empty());
        let body = Stream { messages: Some(messages), first, report, memory: asked.memory, end: None };
        return Ok(answer(Box::pin(body)));
    }
    let (bytes, mut report) = whole(&mut messages, first.body, report, cap).await?;
    (report.complete, report.content) = (true, true);
    match report.failure.take_if(|_| !asked.raw) {
        Some(failure) => Err(Fault::Told(failure)),
        None => Ok(answer(Box::pin(FullBody::new(bytes, report)))),
    }
}

/// The rest of an answer that is no stream.
async fn whole(
    messages: &mut Messages,
    first: Bytes,
    mut report: Report,
    cap: usize,
) -> Result<(Bytes, Report), Fault> {
    let mut rope = Rope::from(first);
    while let Some(next) = messages.next().await? {
        if let Some(error) = next.error {
            return Err(Fault::Told(values::error_of(error)));
        }
        rope.push(next.body);
        if rope.len() > cap {
            return Err(messages.garbled("sent a larger answer than is taken in one piece").into());
        }
        report = next.report.map_or(report, values::report_of);
    }
    Ok((rope.to_bytes(), report))
}

struct Head {
    status: StatusCode,
    headers: http::HeaderMap,
    limits: atp_core::RateFacts,
}

impl Head {
    fn of(head: ResponseHead, messages: &Messages) -> Result<Self, Error> {
        let status = u16::try_from(head.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.filter(|status| status.as_u16() < 400);
        let status = status.ok_or_else(|| messages.garbled("began an answer with a status that is no success"))?;
        Ok(Self { status, headers: values::headers_of(head.headers), limits: values::limits_of(head.limits) })
    }
}

/// The messages of one answer.
struct Messages {
    body: UpstreamBody,
    watch: Watch,
    unframer: Unframer,
    cap: usize,
    under_way: UnderWay,
}

impl Messages {
    fn new(incoming: Incoming, under_way: UnderWay, cap: usize) -> Result<Self, Error> {
        if let Some(status) = status::of(&incoming.headers).filter(|status| status.code() != tonic::Code::Ok) {
            return Err(status::error(&status, &under_way.place().to_string()));
        }
        let kind = incoming.headers.get(http::header::CONTENT_TYPE);
        let speaks = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        // A message holds a body and what is told beside it.
        let cap = cap.saturating_add(64 << 10);
        let Incoming { status, body, watch, .. } = incoming;
        let messages = Self { body, watch, unframer: Unframer::default(), cap, under_way };
        if status != StatusCode::OK || !speaks {
            return Err(messages.garbled(&format!("answered with HTTP status {}, which is no gRPC", status.as_u16())));
        }
        Ok(messages)
    }

    async fn next(&mut self) -> Result<Option<CompleteResponse>, Error> {
        std::future::poll_fn(|cx| self.poll(cx)).await.transpose()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<CompleteResponse, Error>>> {
        loop {
            match self.unframer.next(self.cap) {
                Err(fault) => return Poll::Ready(Some(Err(self.unreadable(&fault)))),
                Ok(Some(bytes)) => {
                    let message = CompleteResponse::decode(bytes)
                        .map_err(|error| self.garbled("sent a message that cannot be read").with_cause(error));
                    return Poll::Ready(Some(message));
                }
                Ok(None) => match ready!(self.body.poll_data(cx, &mut self.watch)) {
                    Some(Ok(bytes)) => self.unframer.push(bytes),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(self.ended().map(Err)),
                },
            }
        }
    }

    /// The error that a body's end tells, where it is one.
    fn ended(&self) -> Option<Error> {
        if self.unframer.is_within() {
            return Some(self.cut());
        }
        match self.body.trailers().and_then(status::of) {
            Some(status) if status.code() == tonic::Code::Ok => None,
            Some(status) => Some(status::error(&status, &self.under_way.place().to_string())),
            None => Some(self.cut()),
        }
    }

    fn silence(&self) -> Error {
        self.garbled("ended the call without an answer")
    }

    fn cut(&self) -> Error {
        let text = format!("the answer of the adapter at {} broke off", self.under_way.place());
        Error::provider(ErrorKind::ProviderCut, text)
    }

    fn garbled(&self, what: &str) -> Error {
        Error::provider(ErrorKind::ProviderGarbled, format!("the adapter at {} {what}", self.under_way.place()))
    }

    fn unreadable(&self, fault: &frames::Fault) -> Error {
        match fault {
            frames::Fault::Compressed => self.garbled("compressed a message, which nobody asked for"),
            frames::Fault::TooLong(length) => {
                self.garbled(&format!("sent a message of {length} bytes; {} are taken at the most", self.cap))
            }
        }
    }
}

/// What a stream has said, where another may have to go on with it. It is kept on this side, because it is needed
/// when the other one has gone.
struct Memory {
    tap: StreamTap,
    /// What came before, where this stream goes on with another.
    before: Option<Resume>,
    /// What the tap has let through.
    ready: Vec<Bytes>,
}

impl Memory {
    fn resume(&self) -> Option<Resume> {
        let said = self.tap.resume()?;
        let Some(before) = &self.before else { return Some(said) };
        Some(Resume {
            text: [before.text.as_str(), &said.text].concat(),
            tokens: before.tokens + said.tokens,
            envelope: before.envelope.clone(),
        })
    }

    /// Passes on what is whole of a piece; the error where the stream tells one inside.
    fn feed(&mut self, bytes: Bytes) -> Result<Option<Bytes>, Error> {
        self.tap.feed(bytes, &mut self.ready);
        let piece = self.ready.pop();
        match (piece, self.tap.broken()) {
            (None, Some(error)) => Err(error.clone()),
            (piece, _) => Ok(piece),
        }
    }

    fn finish(&mut self) -> Result<Option<Bytes>, Error> {
        self.tap.finish(&mut self.ready);
        match self.tap.broken() {
            Some(error) => Err(error.clone()),
            None => Ok(self.ready.pop()),
        }
    }
}

/// A stream, passed on as it arrives.
struct Stream {
    messages: Option<Messages>,
    first: Option<Bytes>,
    report: Report,
    memory: Option<Memory>,
    /// What comes behind the piece that was yielded last.
    end: Option<Error>,
}

impl Stream {
    /// A piece on its way out.
    fn pass(&mut self, bytes: Bytes) -> Result<Option<Bytes>, Error> {
        let Some(memory) = &mut self.memory else { return Ok(Some(bytes).filter(|bytes| !bytes.is_empty())) };
        let passed = memory.feed(bytes);
        // What came before an error goes out; the error comes next.
        if let (Ok(Some(_)), Some(error)) = (&passed, memory.tap.broken()) {
            self.end = Some(error.clone());
            self.messages = None;
        }
        passed
    }

    fn take(&mut self, message: CompleteResponse) -> Result<Option<Bytes>, Error> {
        if let Some(report) = message.report {
            self.report = values::report_of(report);
        }
        match message.error {
            Some(error) => Err(values::error_of(error)),
            None => self.pass(message.body),
        }
    }
}

impl AnswerBody for Stream {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let this = &mut *self;
        loop {
            let passed = if let Some(bytes) = this.first.take() {
                this.pass(bytes)
            } else {
                let Some(messages) = &mut this.messages else { return Poll::Ready(this.end.take().map(Err)) };
                match ready!(messages.poll(cx)) {
                    Some(Ok(message)) => this.take(message),
                    Some(Err(error)) => Err(error),
                    None => {
                        this.messages = None;
                        this.memory.as_mut().map_or(Ok(None), Memory::finish)
                    }
                }
            };
            match passed {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Ok(None) => {}
                Err(error) => {
                    this.messages = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn resume(&self) -> Option<Resume> {
        self.memory.as_ref()?.resume()
    }
}
