//! A stream's first chunks are held back until they carry content, so that an error before that
//! point can still be answered by another target.
//!
//! The bound is in bytes: comments and empty deltas of a stream that says nothing for long would
//! otherwise gather without end.

use std::future::poll_fn;

use atp_core::answer::BoxBody;
use atp_core::{Answer, Error, Exchange, Operation};
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
pub(super) fn rule(exchange: &Exchange) -> Rule {
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

/// Holds back what `rule` says.
///
/// # Errors
///
/// The body's own, where it ends with one before that.
pub(super) async fn until_content(mut answer: Answer, rule: Rule) -> Result<Opening, Error> {
    let mut held = SmallVec::new();
    let mut bytes = 0;
    let mut ended = false;
    while rule != Rule::Not && !is_enough(rule, &answer.body, bytes) {
        match poll_fn(|cx| answer.body.as_mut().poll_chunk(cx)).await {
            Some(chunk) => {
                let chunk = chunk?;
                bytes += chunk.len();
                held.push(chunk);
            }
            None => {
                ended = true;
                break;
            }
        }
    }
    Ok(Opening { answer, held, ended })
}

fn is_enough(rule: Rule, body: &BoxBody, bytes: usize) -> bool {
    let report = body.report();
    let told = report.content || report.complete || report.failure.is_some();
    bytes >= BOUND || (bytes > 0 && (told || rule == Rule::FirstChunk))
}
