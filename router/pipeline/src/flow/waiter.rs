//! A request that waits for a turn.
//!
//! It is in one of three states, which change under the pool's lock: it waits, it has been given a turn
//! that it has not taken yet, or it has taken it or left. [`Waiting`] is the future; dropping it leaves
//! the queue at once, and gives back a turn that came in the same moment.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use atp_routing::Order;
use atp_routing::fair_queue::{Charge, Ticket};

use super::flow_cell::FlowCell;
use super::pool::{Pool, Request};
use super::turn::Turn;
use crate::sync::{Mutex, lock};

/// A request that waits, as the queue holds it.
pub(super) struct Waiter {
    pub(super) flow: Arc<FlowCell>,
    pub(super) session: u64,
    /// What it is expected to use.
    pub(super) tokens: u64,
    /// The lanes that may serve it, best first.
    pub(super) order: Order,
    pub(super) since: Instant,
    /// Whether it has been charged already, for a turn that came to nothing.
    pub(super) paid: Paid,
    state: Mutex<State>,
}

/// Whether a request has paid for the turn that it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paid {
    Yes,
    No,
}

enum State {
    /// The waker is there once the future was polled.
    Waiting {
        ticket: Option<Ticket>,
        waker: Option<Waker>,
        charged: Charge,
    },
    Granted(Grant),
    Gone,
}

/// A turn that was waited for.
pub struct Grant {
    /// The right to one try.
    pub turn: Turn,
    /// What the flow was charged for it.
    pub charged: Charge,
    /// How long it waited.
    pub waited: Duration,
}

impl Waiter {
    pub(super) fn new(request: &Request<'_>, session: u64, paid: Paid, since: Instant) -> Arc<Self> {
        let Request { flow, tokens, order } = *request;
        let state = Mutex::new(State::Waiting { ticket: None, waker: None, charged: Charge::default() });
        Arc::new(Self { flow: Arc::clone(flow), session, tokens, order: order.clone(), since, paid, state })
    }

    /// Notes where it stands in the queue.
    pub(super) fn stands(&self, at: Ticket) {
        if let State::Waiting { ticket, .. } = &mut *lock(&self.state) {
            *ticket = Some(at);
        }
    }

    /// It was first, was charged, and found no room where it may go: it has no place in the queue now, and is
    /// not charged again.
    pub(super) fn keeps(&self, paid: Charge) {
        if let State::Waiting { ticket, charged, .. } = &mut *lock(&self.state) {
            *ticket = None;
            *charged = charged.and(paid);
        }
    }

    /// Whether nothing is to be charged for it any more.
    pub(super) fn has_paid(&self) -> bool {
        let charged = matches!(&*lock(&self.state), State::Waiting { charged, .. } if charged.tokens() > 0);
        charged || self.paid == Paid::Yes
    }

    /// Its place in the queue, while it waits there.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        match &*lock(&self.state) {
            State::Waiting { ticket, .. } => *ticket,
            State::Granted(_) | State::Gone => None,
        }
    }

    /// Gives it its turn, and says who is to be woken. The pool's lock is held.
    pub(super) fn grant(&self, turn: Turn, paid: Charge, waited: Duration) -> Option<Waker> {
        let mut state = lock(&self.state);
        let State::Waiting { waker, charged, .. } = &mut *state else { return None };
        let (waker, charged) = (waker.take(), charged.and(paid));
        *state = State::Granted(Grant { turn, charged, waited });
        waker
    }

    /// Leaves, and says what it had come to. The pool's lock is held.
    pub(super) fn leave(&self) -> Left {
        match std::mem::replace(&mut *lock(&self.state), State::Gone) {
            State::Waiting { ticket, charged, .. } => Left::Waiting { ticket, charged },
            State::Granted(grant) => Left::Granted(grant),
            State::Gone => Left::Gone,
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Grant> {
        let mut state = lock(&self.state);
        if let State::Waiting { waker, .. } = &mut *state {
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Gone) {
            State::Granted(grant) => Poll::Ready(grant),
            State::Waiting { .. } | State::Gone => Poll::Pending,
        }
    }
}

/// What a waiter that left had come to.
pub(super) enum Left {
    Waiting { ticket: Option<Ticket>, charged: Charge },
    Granted(Grant),
    Gone,
}

/// The wait for a turn.
pub struct Waiting {
    pool: Arc<Pool>,
    waiter: Arc<Waiter>,
    done: bool,
}

impl Waiting {
    pub(super) fn new(pool: Arc<Pool>, waiter: Arc<Waiter>) -> Self {
        Self { pool, waiter, done: false }
    }
}

impl Future for Waiting {
    type Output = Grant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Grant> {
        let polled = self.waiter.poll(cx);
        self.done = polled.is_ready();
        polled
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.done {
            // A turn that came in the same moment is given back by its own drop, outside every lock.
            drop(self.pool.leave(&self.waiter));
        }
    }
}
