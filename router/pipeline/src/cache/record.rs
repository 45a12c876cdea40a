//! Keeping an answer that one request alone reads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use atp_core::answer::BoxBody;
use atp_core::{Answer, AnswerBody, Error, MicroUsd, Operation, Reply, Report};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::Cell;
use super::kept::{self, Kept};
use super::key::Key;

/// Keeps the answer of one request.
pub(crate) struct Recorder {
    pub(super) cell: Arc<Cell>,
    pub(super) key: Key,
    pub(super) operation: Operation,
    /// The most bytes that are kept.
    pub(super) bound: usize,
}

impl Recorder {
    /// The same reply, whose answer is kept once it has come to its end.
    pub(crate) fn listen(self, reply: Reply) -> Reply {
        let result = reply.result.map(|Answer { status, headers, limits, body }| {
            let told = kept::headers(&headers);
            let body = Recording { inner: body, recorder: self, status, headers: told, pieces: Vec::new(), bytes: 0 };
            Answer { status, headers, limits, body: Box::pin(body) }
        });
        Reply { notes: reply.notes, result }
    }
}

/// An answer that is kept while it is read.
struct Recording {
    inner: BoxBody,
    recorder: Recorder,
    status: StatusCode,
    headers: HeaderMap,
    pieces: Vec<Bytes>,
    /// Bytes that have come; beyond the bound nothing is gathered any more.
    bytes: usize,
}

impl Recording {
    fn gather(&mut self, piece: &Bytes) {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > self.recorder.bound {
            self.pieces = Vec::new();
        } else {
            self.pieces.push(piece.clone());
        }
    }

    fn keep(&mut self, make: impl FnOnce(&Self, Report) -> Kept) {
        let report = self.inner.report().clone();
        let fits = self.bytes <= self.recorder.bound;
        if fits && !self.inner.is_cut() && kept::is_keepable(self.recorder.operation, self.status, &report) {
            let kept = make(self, report);
            self.recorder.cell.keep(self.recorder.key.clone(), kept);
        }
    }
}

impl AnswerBody for Recording {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let polled = ready!(self.inner.as_mut().poll_chunk(cx));
        match &polled {
            Some(Ok(piece)) => self.gather(piece),
            Some(Err(_)) => self.bytes = usize::MAX,
            None => {
                self.keep(|this, report| Kept::stream(this.headers.clone(), this.pieces.iter(), report));
                // Asked again behind its end it must not be kept again.
                self.bytes = usize::MAX;
            }
        }
        Poll::Ready(polled)
    }

    fn report(&self) -> &Report {
        self.inner.report()
    }

    fn take_full(mut self: Pin<&mut Self>) -> Option<Bytes> {
        let whole = self.inner.as_mut().take_full()?;
        self.bytes = whole.len();
        self.keep(|this, report| Kept::whole(this.headers.clone(), &whole, report));
        self.bytes = usize::MAX;
        Some(whole)
    }

    fn is_cut(&self) -> bool {
        self.inner.is_cut()
    }

    fn cost(&self) -> Option<MicroUsd> {
        self.inner.cost()
    }
}
