//! The answer's body as the caller's entrance sees it: what was held back, then the rest, with the
//! books on board; and what goes on where a stream breaks off.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atp_core::answer::BoxBody;
use atp_core::port::BoxFuture;
use atp_core::{AnswerBody, Error, ErrorKind, Finish, MicroUsd, Report};
use bytes::Bytes;

use super::{Books, Ending};
use crate::attempt::{Held, Opening, Rescue, Rescued, Way};
use crate::clock;
use crate::leave;
use crate::queue;

/// What a body reports that has been given away.
static NOTHING: Report = Report { usage: None, finish: None, content: false, complete: false, failure: None };

/// An answer's body. Reading it to its end, or to its error, closes the books; dropping it before
/// that is the caller's leaving.
pub(crate) struct Body {
    /// `None`, as `inner`, only while it is being dropped and its work goes on elsewhere, or while another
    /// provider is asked to go on.
    books: Option<Books>,
    inner: Option<BoxBody>,
    held: smallvec::IntoIter<Held>,
    ended: bool,
    /// Where it is a stream that may be gone on with.
    safety: Option<Box<Safety>>,
    /// The last report of a stream that was ended because no more of it can be paid for.
    cut: Option<Box<Report>>,
}

/// What a stream has against breaking off.
struct Safety {
    rescue: Option<Rescue>,
    /// Another provider is asked to go on.
    going: Option<BoxFuture<'static, Rescued>>,
    /// Pieces since the answer began, or began anew.
    pieces: u64,
    /// The last report, where the answer has parts.
    told: Option<Report>,
}

impl Body {
    pub(crate) fn new(books: Books, inner: BoxBody, held: smallvec::SmallVec<Held>, ended: bool) -> Self {
        Self { books: Some(books), inner: Some(inner), held: held.into_iter(), ended, safety: None, cut: None }
    }

    /// The same body, with what it takes to go on should it break off.
    pub(crate) fn rescued_by(mut self, rescue: Option<Box<Rescue>>) -> Self {
        let safe = |rescue: Box<Rescue>| Box::new(Safety { rescue: Some(*rescue), going: None, pieces: 0, told: None });
        self.safety = rescue.map(safe);
        self
    }

    /// Notes a piece of the answer, and returns what of it goes out.
    fn count(&mut self, piece: Bytes) -> Bytes {
        if let Some(safety) = &mut self.safety {
            safety.pieces += 1;
        }
        let Some(books) = &mut self.books else { return piece };
        if let Some(chosen) = &mut books.chosen {
            chosen.gather(&piece);
        }
        if let Some(bill) = &mut books.bill {
            bill.piece(piece.len());
        }
        let report = self.inner.as_ref().map_or(&NOTHING, |inner| inner.report());
        books.meter(piece, report)
    }

    /// Ends a stream of which no more can be paid for, at once: what ends it properly, and its provider's
    /// work.
    fn cut_short(&mut self) -> Option<Bytes> {
        let end = self.books.as_ref().filter(|books| !books.closed)?.cut_short()?;
        let report = self.report().clone();
        let report = Report { finish: Some(Finish::Length), complete: true, failure: None, ..report };
        (self.held, self.ended) = (smallvec::SmallVec::new().into_iter(), true);
        if let Some(books) = &mut self.books {
            books.close(Ending::Served, &report);
        }
        (self.inner, self.cut) = (None, Some(Box::new(report)));
        Some(end)
    }

    /// Whether gold has taken the slot.
    fn gives_way(&self, cx: &Context<'_>) -> bool {
        let run = self.books.as_ref().and_then(Books::run);
        run.is_some_and(|run| run.poll_preempted(cx).is_ready())
    }

    /// The error of an answer that gave way to gold.
    fn preempted(&self) -> Error {
        queue::preempted(self.books.as_ref().and_then(|books| books.bill.as_ref()), clock::now())
    }

    /// The answer breaks off. Whether another provider is asked to go on with it.
    fn goes_on(&mut self, error: &Error) -> bool {
        let (Some(safety), Some(inner)) = (&mut self.safety, &self.inner) else { return false };
        let Some(way) = safety.rescue.as_ref().and_then(|rescue| rescue.way(error, inner.resume())) else {
            return false;
        };
        let (Some(rescue), Some(mut books)) = (safety.rescue.take(), self.books.take()) else { return false };
        books.breaks_off(error, inner.report().usage, safety.pieces, &way, clock::now());
        safety.going = Some(rescue.go(books, error.clone(), way));
        self.inner = None;
        true
    }

    /// Waits for another provider to go on; the error where none does.
    fn poll_going(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(safety) = &mut self.safety else { return Poll::Ready(Ok(())) };
        let Some(going) = &mut safety.going else { return Poll::Ready(Ok(())) };
        let Rescued { books, opening, way, error } = ready!(going.as_mut().poll(cx));
        safety.going = None;
        let restart = books.shared.dialect.restart;
        self.books = Some(books);
        let Some((Opening { answer, mut held, ended }, rescue)) = opening else {
            self.close(Ending::Failed(&error));
            return Poll::Ready(Err(error));
        };
        safety.rescue = Some(rescue);
        if way == Way::Restart {
            safety.pieces = 0;
            held.insert(0, restart(&error));
        }
        (self.inner, self.held, self.ended) = (Some(answer.body), held.into_iter(), ended);
        Poll::Ready(Ok(()))
    }

    /// Ends the answer where it is.
    fn breaks(&mut self, error: &Error) {
        self.close(Ending::Failed(error));
        if error.kind() == ErrorKind::Preempted {
            // At once, not when the caller comes to drop the body.
            self.inner = None;
        }
    }

    fn close(&mut self, ending: Ending<'_>) {
        self.ended = true;
        let report = self.inner.as_ref().map_or(&NOTHING, |inner| inner.report());
        let Some(books) = &mut self.books else { return };
        books.close(ending, report);
        if let Some(safety) = &mut self.safety {
            safety.told = Some(Report { usage: books.joined(report.usage), ..report.clone() });
        }
    }
}

impl AnswerBody for Body {
    fn poll_chunk(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let this = self.get_mut();
        loop {
            if let Err(error) = ready!(this.poll_going(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
            if let Some(end) = this.cut_short() {
                return Poll::Ready(Some(Ok(end)));
            }
            if let Some(chunk) = this.held.next() {
                return Poll::Ready(Some(Ok(this.count(chunk))));
            }
            let error = if !this.ended && this.gives_way(cx) {
                this.preempted()
            } else {
                let Some(inner) = this.inner.as_mut().filter(|_| !this.ended) else {
                    this.close(Ending::Served);
                    return Poll::Ready(None);
                };
                match ready!(inner.as_mut().poll_chunk(cx)) {
                    Some(Ok(chunk)) => return Poll::Ready(Some(Ok(this.count(chunk)))),
                    Some(Err(error)) => error,
                    None => {
                        this.close(Ending::Served);
                        return Poll::Ready(None);
                    }
                }
            };
            if !this.goes_on(&error) {
                this.breaks(&error);
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn report(&self) -> &Report {
        if let Some(told) = self.cut.as_deref().or(self.safety.as_ref().and_then(|safety| safety.told.as_ref())) {
            return told;
        }
        self.inner.as_ref().map_or(&NOTHING, |inner| inner.report())
    }

    fn take_full(self: Pin<&mut Self>) -> Option<Bytes> {
        let this = self.get_mut();
        if this.ended || this.held.len() > 0 {
            return None;
        }
        let whole = this.inner.as_mut()?.as_mut().take_full()?;
        let whole = this.count(whole);
        this.close(Ending::Served);
        Some(whole)
    }

    fn is_cut(&self) -> bool {
        // A ceiling that the provider came to; one that it did not come to has changed nothing.
        let bounded = self.books.as_ref().is_some_and(|books| books.bounded);
        self.cut.is_some() || (bounded && self.report().finish == Some(Finish::Length))
    }

    fn cost(&self) -> Option<MicroUsd> {
        self.books.as_ref().filter(|books| books.closed)?.charged
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
