//! The answer's body as the caller's entrance sees it: what was held back, then the rest, with the
//! books on board.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use atp_core::answer::BoxBody;
use atp_core::{AnswerBody, Error, MicroUsd, Report};
use bytes::Bytes;

use super::{Books, Ending};
use crate::attempt::Held;
use crate::clock;
use crate::leave;
use crate::queue;

/// What a body reports that has been given away.
static NOTHING: Report = Report { usage: None, finish: None, content: false, complete: false, failure: None };

/// An answer's body. Reading it to its end, or to its error, closes the books; dropping it before
/// that is the caller's leaving.
pub(crate) struct Body {
    /// `None`, as `inner`, only while it is being dropped and its work goes on elsewhere.
    books: Option<Books>,
    inner: Option<BoxBody>,
    held: smallvec::IntoIter<Held>,
    ended: bool,
}

impl Body {
    pub(crate) fn new(books: Books, inner: BoxBody, held: smallvec::SmallVec<Held>, ended: bool) -> Self {
        Self { books: Some(books), inner: Some(inner), held: held.into_iter(), ended }
    }

    /// Notes a piece of the answer that goes out.
    fn count(&mut self, bytes: usize) {
        if let Some(bill) = self.books.as_mut().and_then(|books| books.bill.as_mut()) {
            bill.piece(bytes);
        }
    }

    /// Whether gold has taken the slot.
    fn gives_way(&self, cx: &Context<'_>) -> bool {
        let run = self.books.as_ref().and_then(Books::run);
        run.is_some_and(|run| run.poll_preempted(cx).is_ready())
    }

    /// Ends the answer where it is: its caller has seen the beginning, so it can't be begun again.
    fn preempted(&mut self) -> Error {
        let pool = self.books.as_ref().and_then(|books| books.bill.as_ref()).map(|bill| Arc::clone(&bill.pool));
        let error = queue::preempted(pool.as_deref(), clock::now());
        self.close(Ending::Failed(&error));
        // At once, not when the caller comes to drop the body.
        self.inner = None;
        error
    }

    fn close(&mut self, ending: Ending<'_>) {
        self.ended = true;
        let report = self.inner.as_ref().map_or(&NOTHING, |inner| inner.report());
        if let Some(books) = &mut self.books {
            books.close(ending, report);
        }
    }
}

impl AnswerBody for Body {
    fn poll_chunk(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let this = self.get_mut();
        if let Some(chunk) = this.held.next() {
            this.count(chunk.len());
            return Poll::Ready(Some(Ok(chunk)));
        }
        if !this.ended && this.gives_way(cx) {
            return Poll::Ready(Some(Err(this.preempted())));
        }
        let Some(inner) = this.inner.as_mut().filter(|_| !this.ended) else {
            this.close(Ending::Served);
            return Poll::Ready(None);
        };
        let polled = ready!(inner.as_mut().poll_chunk(cx));
        match &polled {
            Some(Ok(chunk)) => this.count(chunk.len()),
            Some(Err(error)) => this.close(Ending::Failed(error)),
            None => this.close(Ending::Served),
        }
        Poll::Ready(polled)
    }

    fn report(&self) -> &Report {
        self.inner.as_ref().map_or(&NOTHING, |inner| inner.report())
    }

    fn take_full(self: Pin<&mut Self>) -> Option<Bytes> {
        let this = self.get_mut();
        if this.ended || this.held.len() > 0 {
            return None;
        }
        let whole = this.inner.as_mut()?.as_mut().take_full()?;
        this.count(whole.len());
        this.close(Ending::Served);
        Some(whole)
    }

    fn cost(&self) -> Option<MicroUsd> {
        let books = self.books.as_ref().filter(|books| books.closed)?;
        books.cost(self.report().usage)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let Some(limit) = self.books.as_ref().and_then(Books::goes_on) else {
            self.close(Ending::Left);
            return;
        };
        let (Some(books), Some(inner)) = (self.books.take(), self.inner.take()) else { return };
        let spawn = books.leave();
        // Nothing of what was held back counts again: it came before the caller left.
        let rest = Self::new(books, inner, smallvec::SmallVec::new(), self.ended);
        spawn(Box::pin(leave::read_on(Box::pin(rest), limit)));
    }
}
