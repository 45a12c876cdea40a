//! One call to a provider that several identical requests wait for.
//!
//! # Who owns what
//!
//! The call belongs to none of those who wait for it. A task of its own ([`super::pump`]) drives it and
//! writes what comes into the flight; every request that wants the answer, the first one too, has a
//! seat there and reads at its own pace. So there is no leadership that could be lost: who leaves
//! gives up his seat and nothing else, a slow reader keeps nobody waiting, and a reader who stops
//! does not stop the others.
//!
//! # How it ends
//!
//! With the answer's end or its error, which every seat is told behind what came before it; or when the
//! last seat is empty: the task then drops the call, and with it everything down to the provider's
//! socket. Both are decided under the one lock, and so is whether a newcomer still gets a seat: nobody
//! sits down in a flight that has been given up. An answer that was ended for what its caller may spend is that
//! caller's alone: who has read nothing of it asks again, who has is told that it breaks off.
//!
//! # Its bounds
//!
//! While the whole answer fits `bound`, all of it is held, so that a newcomer gets it from its first
//! byte. Beyond, nobody joins any more, and what all seats have read is let go. The call is read on
//! while the *fastest* reader wants more ([`AHEAD`]): alone, a slow caller holds back his provider as
//! he would without all this. Who is further behind than [`LONGEST_LAG`] is cut off.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use atp_core::{Error, ErrorKind, MicroUsd, Notes, Report};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use smallvec::SmallVec;

use crate::sync::{Mutex, lock};

/// How far the call is read ahead of its fastest reader, in bytes: what a socket's buffer holds.
const AHEAD: usize = 64 * 1024;

/// How far a reader may fall behind the call, in bytes. Most answers are far smaller, so that it never
/// comes to this; a reader that stands still must not make a long one pile up without end.
const LONGEST_LAG: usize = 8 << 20;

/// Wakers to be woken once the lock is free.
type Wakers = SmallVec<[Waker; 4]>;

/// The call, as those see it who wait for it.
pub(super) struct Flight {
    state: Mutex<State>,
    bound: usize,
}

#[derive(Default)]
struct State {
    head: Option<Head>,
    pieces: VecDeque<Bytes>,
    /// Pieces that have been let go, all of them in front of `pieces`.
    gone: usize,
    /// Bytes that have come so far.
    total: usize,
    end: Option<End>,
    seats: Vec<Option<Seat>>,
    task: Option<Waker>,
    /// The task waits for readers, not for the call.
    paused: bool,
    /// Nobody joins any more.
    closed: bool,
    /// It ends for what the caller may spend whom the call was made for: nobody else gets its end.
    cut: bool,
}

/// The place of one reader.
#[derive(Default)]
struct Seat {
    /// The piece that it reads next, counted from the first of all.
    at: usize,
    /// Bytes from there to the newest.
    behind: usize,
    waker: Option<Waker>,
    /// It fell too far behind.
    lost: bool,
}

/// How an answer begins.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) notes: Notes,
    /// The answer, where it came whole.
    pub(super) whole: Option<(Bytes, Ending)>,
}

/// What is known of an answer at its proper end.
#[derive(Clone, Default)]
pub(super) struct Ending {
    pub(super) report: Report,
    pub(super) cost: Option<MicroUsd>,
}

#[derive(Clone)]
enum End {
    Done(Ending),
    Failed(NoAnswer),
}

/// Why there is no answer.
#[derive(Clone)]
pub(super) struct NoAnswer {
    pub(super) error: Error,
    pub(super) notes: Notes,
    pub(super) concerns: Concerns,
}

impl NoAnswer {
    /// The answer was ended for what another caller may spend.
    fn cut() -> Self {
        let text = "the request whose answer this one shares was ended by its own budget; try again";
        let error = Error::router(ErrorKind::Cancelled, text);
        Self { error, notes: Notes::default(), concerns: Concerns::One }
    }
}

/// Whom the error of a call concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concerns {
    /// It would have failed for each of those who waited.
    All,
    /// The one request alone that it was made for: the others have to ask again.
    One,
}

/// Whether the task is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    More,
    /// Nobody is left.
    Nothing,
}

impl Flight {
    /// A flight with one seat taken. Answers of up to `bound` bytes are held whole.
    pub(super) fn new(bound: usize) -> (Arc<Self>, Listener) {
        let state = State { seats: vec![Some(Seat::default())], ..State::default() };
        let flight = Arc::new(Self { state: Mutex::new(state), bound });
        (Arc::clone(&flight), Listener { flight, seat: 0, first: true })
    }

    /// One more seat, with everything that has come so far still to read; `None` where that is not to
    /// be had any more.
    pub(super) fn join(self: &Arc<Self>) -> Option<Listener> {
        let mut state = lock(&self.state);
        if state.closed {
            return None;
        }
        let seat = Seat { behind: state.total, ..Seat::default() };
        let free = state.seats.iter().position(Option::is_none).unwrap_or(state.seats.len());
        match state.seats.get_mut(free) {
            Some(place) => *place = Some(seat),
            None => state.seats.push(Some(seat)),
        }
        drop(state);
        Some(Listener { flight: Arc::clone(self), seat: free, first: false })
    }

    /// Whether somebody wants what comes next. Pending while even the fastest reader has enough to read;
    /// the task is woken when that changes, and when the last reader leaves, whatever was told before.
    pub(super) fn poll_wanted(&self, cx: &mut Context<'_>) -> Poll<Wanted> {
        let mut state = lock(&self.state);
        match &mut state.task {
            Some(task) => task.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        let Some(fastest) = state.seats.iter().flatten().filter(|seat| !seat.lost).map(|seat| seat.behind).min() else {
            state.closed = true;
            state.let_go();
            return Poll::Ready(Wanted::Nothing);
        };
        state.paused = fastest >= AHEAD;
        if state.paused { Poll::Pending } else { Poll::Ready(Wanted::More) }
    }

    /// What comes now ends the answer for what the caller may spend whom it was made for.
    pub(super) fn cut(&self) {
        self.change(|state| (state.cut, state.closed) = (true, true));
    }

    /// The answer begins.
    pub(super) fn begin(&self, head: Head) {
        self.change(|state| state.head = Some(head));
    }

    /// The next piece of a stream.
    pub(super) fn push(&self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        let bound = self.bound;
        self.change(|state| {
            state.total += piece.len();
            for seat in state.seats.iter_mut().flatten() {
                seat.behind += piece.len();
                seat.lost |= seat.behind > LONGEST_LAG;
            }
            state.pieces.push_back(piece);
            state.closed |= state.total > bound;
            state.let_go();
        });
    }

    /// The stream's pieces, where all of them are still held.
    pub(super) fn whole(&self) -> Option<Vec<Bytes>> {
        let state = lock(&self.state);
        (!state.closed && state.gone == 0).then(|| state.pieces.iter().cloned().collect())
    }

    /// The answer has come to its end.
    pub(super) fn finish(&self, ending: Ending) {
        self.end(End::Done(ending));
    }

    /// The call has failed.
    pub(super) fn fail(&self, error: Error, notes: Notes) {
        let concerns = match error.kind() {
            // Whom it was made for was preempted, is ending with its core, has used up its own time, in the
            // queue or in all, or cannot pay; the others are not, came later, and have money of their own.
            ErrorKind::Cancelled
            | ErrorKind::Preempted
            | ErrorKind::TimeoutTotal
            | ErrorKind::Backpressure
            | ErrorKind::BudgetDenied => Concerns::One,
            _ => Concerns::All,
        };
        self.end(End::Failed(NoAnswer { error, notes, concerns }));
    }

    /// The task has gone. Nothing happens where it had told the end.
    pub(super) fn lost(&self) {
        let text = "the request whose answer this one shares was given up; try again";
        self.fail(Error::router(ErrorKind::Cancelled, text), Notes::default());
    }

    fn end(&self, end: End) {
        self.change(|state| {
            state.end.get_or_insert(end);
            state.closed = true;
            state.let_go();
        });
    }

    /// Changes something that every reader waits for.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        change(&mut state);
        let wakers: Wakers = state.seats.iter_mut().flatten().filter_map(|seat| seat.waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Lets go what everybody has read, where nobody can join who has not.
    fn let_go(&mut self) {
        if self.closed {
            let slowest = self.seats.iter().flatten().filter(|seat| !seat.lost).map(|seat| seat.at).min();
            let read = slowest.map_or(self.pieces.len(), |at| at - self.gone);
            self.pieces.drain(..read.min(self.pieces.len()));
            self.gone += read;
        }
    }

    /// Who is to be woken so that the task looks again.
    fn resume(&mut self) -> Option<Waker> {
        self.paused = false;
        self.task.take()
    }

    fn seat(&mut self, seat: usize) -> Option<&mut Seat> {
        self.seats.get_mut(seat)?.as_mut()
    }

    fn wait(&mut self, seat: usize, cx: &Context<'_>) {
        if let Some(seat) = self.seat(seat) {
            seat.waker = Some(cx.waker().clone());
        }
    }
}

/// A reader's seat. Dropping it gives it up.
pub(super) struct Listener {
    flight: Arc<Flight>,
    seat: usize,
    /// Whether it is that of the request that the call was made for.
    first: bool,
}

impl Listener {
    /// How the answer begins, once it does.
    pub(super) fn poll_head(&self, cx: &Context<'_>) -> Poll<Result<Head, NoAnswer>> {
        let mut state = lock(&self.flight.state);
        match (&state.head, &state.end) {
            _ if state.cut && !self.first => Poll::Ready(Err(NoAnswer::cut())),
            (Some(head), _) => Poll::Ready(Ok(head.clone())),
            (None, Some(End::Failed(none))) => Poll::Ready(Err(none.clone())),
            (None, Some(End::Done(_)) | None) => {
                state.wait(self.seat, cx);
                Poll::Pending
            }
        }
    }

    /// The next piece; `None` is the proper end.
    pub(super) fn poll_piece(&self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let mut state = lock(&self.flight.state);
        let gone = state.gone;
        let Some((at, lost)) = state.seat(self.seat).map(|seat| (seat.at, seat.lost)) else {
            return Poll::Ready(None);
        };
        if lost {
            return Poll::Ready(Some(Err(too_slow())));
        }
        if state.cut && !self.first {
            return Poll::Ready(Some(Err(NoAnswer::cut().error)));
        }
        let Some(piece) = state.pieces.get(at - gone).cloned() else {
            return match &state.end {
                Some(End::Done(_)) => Poll::Ready(None),
                Some(End::Failed(none)) => Poll::Ready(Some(Err(none.error.clone()))),
                None => {
                    state.wait(self.seat, cx);
                    Poll::Pending
                }
            };
        };
        let behind = state.seat(self.seat).map_or(0, |seat| {
            (seat.at, seat.behind) = (at + 1, seat.behind - piece.len());
            seat.behind
        });
        state.let_go();
        let task = (state.paused && behind < AHEAD).then(|| state.resume()).flatten();
        drop(state);
        task.into_iter().for_each(Waker::wake);
        Poll::Ready(Some(Ok(piece)))
    }

    /// What is known of the answer, once it has come to its proper end.
    pub(super) fn ending(&self) -> Option<Ending> {
        match &lock(&self.flight.state).end {
            Some(End::Done(ending)) => Some(ending.clone()),
            _ => None,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = lock(&self.flight.state);
        let seat = state.seats.get_mut(self.seat).and_then(Option::take);
        state.let_go();
        let is_last = state.seats.iter().flatten().next().is_none();
        // Where it waits for the fastest reader, that may have been this one.
        let task = (is_last || state.paused).then(|| state.resume()).flatten();
        drop(state);
        drop(seat);
        task.into_iter().for_each(Waker::wake);
    }
}

fn too_slow() -> Error {
    let text = format!(
        "this answer is shared with other requests, and this reader is more than {} MiB behind; read faster, or send \
         x-atp-cache: no-store",
        LONGEST_LAG >> 20
    );
    Error::router(ErrorKind::Backpressure, text)
}

#[cfg(test)]
mod tests;
