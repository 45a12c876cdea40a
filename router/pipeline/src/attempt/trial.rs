//! One try, up to where its answer may begin.
//!
//! A stream's first chunks are held back until they carry content, so that an error before that point
//! can still be answered by another target. The bound is in bytes: comments and empty deltas of a stream
//! that says nothing for long would otherwise gather without end.
//!
//! It is polled by hand rather than awaited, so that two can run beside each other and the one that is
//! dropped can still be asked what it has cost.

use std::task::{Context, Poll, ready};

use atp_core::answer::BoxBody;
use atp_core::port::BoxFuture;
use atp_core::{Answer, Error, Exchange, Operation, Usage};
use bytes::Bytes;
use smallvec::SmallVec;

/// The chunks held back: usually the one with the role, and the first with content.
pub(crate) type Held = [Bytes; 2];

/// How many bytes are held back at most.
const BOUND: usize = 64 * 1024;

/// How long chunks are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Not at all: the answer is whole already.
    Not,
    /// Until there is one.
    FirstChunk,
    /// Until one carries content.
    Content,
}

/// The rule for what `exchange` asks for. Only chat and completions have a notion of content; of
/// any other stream the first chunk is the beginning.
fn rule(exchange: &Exchange) -> Rule {
    match exchange.operation {
        _ if !exchange.stream => Rule::Not,
        Operation::Chat | Operation::Completions => Rule::Content,
        _ => Rule::FirstChunk,
    }
}

/// An answer that can go out: its head, what was held back, and the rest.
pub(crate) struct Opening {
    pub(crate) answer: Answer,
    pub(crate) held: SmallVec<Held>,
    /// Whether the body has come to its end already.
    pub(crate) ended: bool,
}

impl Opening {
    /// The error told inside the answer before any content.
    pub(crate) fn failure(&self) -> Option<&Error> {
        let report = self.answer.body.report();
        report.failure.as_ref().filter(|_| !report.content)
    }
}

/// One try under way. Dropping it ends the provider's work.
pub(super) struct Trial<'a> {
    rule: Rule,
    asked: BoxFuture<'a, Result<Answer, Error>>,
    /// There once its head has come, until it is handed over.
    answer: Option<Answer>,
    held: SmallVec<Held>,
    bytes: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Held,
    Over,
}

impl<'a> Trial<'a> {
    /// A try whose provider is asked as soon as it is polled.
    pub(super) fn new(exchange: &Exchange, asked: BoxFuture<'a, Result<Answer, Error>>) -> Self {
        Self { rule: rule(exchange), asked, answer: None, held: SmallVec::new(), bytes: 0, stage: Stage::Asked }
    }

    /// The answer, once it may begin.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Opening, Error>> {
        if self.stage == Stage::Asked {
            match ready!(self.asked.as_mut().poll(cx)) {
                Ok(answer) => {
                    self.answer = Some(answer);
                    self.stage = Stage::Held;
                }
                Err(error) => return self.over(Err(error)),
            }
        }
        self.poll_held(cx)
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<Opening, Error>> {
        let Some(answer) = &mut self.answer else { return Poll::Pending };
        let mut ended = false;
        while self.rule != Rule::Not && !is_enough(self.rule, &answer.body, self.bytes) {
            match ready!(answer.body.as_mut().poll_chunk(cx)) {
                Some(Ok(chunk)) => {
                    self.bytes += chunk.len();
                    self.held.push(chunk);
                }
                Some(Err(error)) => return self.over(Err(error)),
                None => {
                    ended = true;
                    break;
                }
            }
        }
        let Some(answer) = self.answer.take() else { return Poll::Pending };
        let held = std::mem::take(&mut self.held);
        self.over(Ok(Opening { answer, held, ended }))
    }

    fn over(&mut self, result: Result<Opening, Error>) -> Poll<Result<Opening, Error>> {
        self.stage = Stage::Over;
        Poll::Ready(result)
    }

    /// What it has cost, as far as its provider has told.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.answer.as_ref().and_then(|answer| answer.body.report().usage)
    }
}

fn is_enough(rule: Rule, body: &BoxBody, bytes: usize) -> bool {
    let report = body.report();
    let told = report.content || report.complete || report.failure.is_some();
    bytes >= BOUND || (bytes > 0 && (told || rule == Rule::FirstChunk))
}
