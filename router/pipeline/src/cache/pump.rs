//! The task that drives a shared call, and the body by which each request reads it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use atp_core::port::BoxFuture;
use atp_core::{Answer, AnswerBody, Error, MicroUsd, Notes, RateFacts, Reply, Report};
use bytes::Bytes;

use super::flight::{Concerns, Ending, Flight, Head, Listener, Wanted};
use super::kept::{self, Kept};
use super::{Cell, Shared};

/// A call that is to be made, for all who have a seat in its flight.
pub(crate) struct Lead {
    pub(super) cell: Arc<Cell>,
    pub(super) shared: Shared,
    pub(super) flight: Arc<Flight>,
}

impl Lead {
    /// Makes the call and writes its answer into the flight, for as long as anybody reads it.
    ///
    /// `call` owns everything that was borrowed for it. Where the last reader leaves, it, or the body
    /// that it came to, is dropped: what then becomes of the provider's work is for them to say.
    pub(crate) async fn fly(self, call: BoxFuture<'static, Reply>) {
        let Some(Reply { notes, result }) = self.until_left(call).await else { return };
        let mut answer = match result {
            Ok(answer) => answer,
            Err(error) => return self.fail(error, notes),
        };
        let head = |whole| Head { status: answer.status, headers: answer.headers.clone(), notes, whole };
        if let Some(bytes) = answer.body.as_mut().take_full() {
            self.look(&answer);
            let ending = Ending { report: answer.body.report().clone(), cost: answer.body.cost() };
            let keep = || Kept::whole(kept::headers(&answer.headers), &bytes, ending.report.clone());
            self.land(&answer, &ending.report, keep);
            self.flight.begin(head(Some((bytes.clone(), ending.clone()))));
            return self.flight.finish(ending);
        }
        self.flight.begin(head(None));
        self.stream(answer).await;
    }

    async fn stream(&self, mut answer: Answer) {
        loop {
            let next = poll_fn(|cx| match ready!(self.flight.poll_wanted(cx)) {
                Wanted::Nothing => Poll::Ready(None),
                Wanted::More => answer.body.as_mut().poll_chunk(cx).map(Some),
            });
            match next.await {
                // The body goes, and with it the call.
                None => return,
                Some(Some(Ok(piece))) => {
                    self.look(&answer);
                    self.flight.push(piece);
                }
                Some(Some(Err(error))) => return self.fail(error, Notes::default()),
                Some(None) => break,
            }
        }
        self.look(&answer);
        let ending = Ending { report: answer.body.report().clone(), cost: answer.body.cost() };
        let whole = self.flight.whole();
        if let Some(pieces) = whole {
            let keep = || Kept::stream(kept::headers(&answer.headers), pieces.iter(), ending.report.clone());
            self.land(&answer, &ending.report, keep);
        }
        self.flight.finish(ending);
    }

    /// Takes an answer from the others that was cut short for the money of the first.
    fn look(&self, answer: &Answer) {
        if answer.body.is_cut() {
            self.flight.cut();
        }
    }

    /// Keeps an answer, where it may be kept, at the moment from which on nobody joins its flight.
    fn land(&self, answer: &Answer, report: &Report, keep: impl FnOnce() -> Kept) {
        let keepable = !answer.body.is_cut() && kept::is_keepable(self.shared.operation, answer.status, report);
        let kept = (keepable && self.cell.keeps()).then(keep);
        self.cell.land(&self.shared, &self.flight, kept);
    }

    fn fail(&self, error: Error, notes: Notes) {
        self.cell.land(&self.shared, &self.flight, None);
        self.flight.fail(error, notes);
    }

    /// The outcome of `work`; `None` where the last reader left before.
    async fn until_left<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if self.flight.poll_wanted(cx) == Poll::Ready(Wanted::Nothing) {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.cell.land(&self.shared, &self.flight, None);
        self.flight.lost();
    }
}

/// A seat in a flight whose answer has not begun.
pub(crate) struct Seat(pub(super) Listener);

impl Seat {
    /// Waits until the answer to the request that the call was made for begins, or there is none.
    pub(crate) async fn first(self) -> Reply {
        match poll_fn(|cx| self.0.poll_head(cx)).await {
            Ok(head) => reading(head, self.0),
            Err(none) => Reply { notes: none.notes, result: Err(none.error) },
        }
    }

    /// Waits until the answer to another, identical request begins. `None` where there will be none for
    /// a reason that does not concern this one.
    pub(crate) async fn other(self) -> Option<Result<Answer, Error>> {
        match poll_fn(|cx| self.0.poll_head(cx)).await {
            Ok(mut head) => {
                head.headers = kept::headers(&head.headers);
                Some(reading(head, self.0).result)
            }
            Err(none) => (none.concerns == Concerns::All).then_some(Err(none.error)),
        }
    }
}

fn reading(head: Head, listener: Listener) -> Reply {
    let Head { status, headers, notes, whole } = head;
    let (whole, ending) = match whole {
        Some((bytes, ending)) => (Some(bytes), ending),
        None => (None, Ending::default()),
    };
    let body = Box::pin(Reading { listener, whole, ending });
    Reply { notes, result: Ok(Answer { status, headers, limits: RateFacts::default(), body }) }
}

/// A shared answer as one request reads it.
struct Reading {
    listener: Listener,
    whole: Option<Bytes>,
    ending: Ending,
}

impl AnswerBody for Reading {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(whole) = self.whole.take() {
            return Poll::Ready(Some(whole).filter(|whole| !whole.is_empty()).map(Ok));
        }
        let polled = ready!(self.listener.poll_piece(cx));
        if polled.is_none()
            && let Some(ending) = self.listener.ending()
        {
            self.ending = ending;
        }
        self.ending.report.content |= matches!(polled, Some(Ok(_)));
        Poll::Ready(polled)
    }

    fn report(&self) -> &Report {
        &self.ending.report
    }

    fn take_full(mut self: Pin<&mut Self>) -> Option<Bytes> {
        self.whole.take()
    }

    fn cost(&self) -> Option<MicroUsd> {
        self.ending.cost
    }
}
