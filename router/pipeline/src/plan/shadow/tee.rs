//! An answer that is listened to on its way to its caller.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atp_core::answer::BoxBody;
use atp_core::{Answer as Passing, AnswerBody, Error, MicroUsd, Report};
use bytes::{Bytes, BytesMut};

use super::super::errand::MOST;
use super::super::judge::Answer;

/// What is done with an answer that has come to its end.
type Then = Box<dyn FnOnce(Answer) + Send>;

/// An answer's body, and what has gone out of it.
pub(super) struct Tee {
    inner: BoxBody,
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Taken when the answer has come to its end, is too long, or has failed.
    then: Option<Then>,
}

impl Tee {
    /// The same answer; `then` is called with all of it at its proper end, and never otherwise: an answer that
    /// breaks off or that its caller leaves is compared with nothing.
    pub(super) fn over(answer: Passing, then: impl FnOnce(Answer) + Send + 'static) -> Passing {
        let Passing { status, headers, limits, body } = answer;
        let body = Box::pin(Self { inner: body, pieces: Vec::new(), bytes: 0, then: Some(Box::new(then)) });
        Passing { status, headers, limits, body }
    }

    fn gather(&mut self, piece: &Bytes) {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > MOST {
            (self.then, self.pieces) = (None, Vec::new());
        } else if self.then.is_some() {
            self.pieces.push(piece.clone());
        }
    }

    fn end(&mut self) {
        let report = self.inner.report();
        let Some(then) = self.then.take().filter(|_| report.complete && report.failure.is_none()) else { return };
        let finish = report.finish;
        let mut bytes = BytesMut::with_capacity(self.bytes);
        self.pieces.drain(..).for_each(|piece| bytes.extend_from_slice(&piece));
        then(Answer { bytes: bytes.freeze(), finish, cost: self.inner.cost() });
    }
}

impl AnswerBody for Tee {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let polled = ready!(self.inner.as_mut().poll_chunk(cx));
        match &polled {
            Some(Ok(piece)) => self.gather(piece),
            Some(Err(_)) => self.then = None,
            None => self.end(),
        }
        Poll::Ready(polled)
    }

    fn report(&self) -> &Report {
        self.inner.report()
    }

    fn take_full(mut self: Pin<&mut Self>) -> Option<Bytes> {
        let whole = self.inner.as_mut().take_full()?;
        self.gather(&whole);
        self.end();
        Some(whole)
    }

    fn cost(&self) -> Option<MicroUsd> {
        self.inner.cost()
    }
}
