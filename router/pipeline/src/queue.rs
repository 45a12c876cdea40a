//! Step 3: a fair turn.
//!
//! Where nobody waits and a lane has room this takes a slot and nothing else: no lock, no allocation.
//! Else the request waits in fair order ([`atp_routing::fair_queue`]), for as long as its model's queue,
//! its caller's patience and its total allow, or is refused at once with an honest time to come back.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use atp_core::{Error, ErrorKind, Exchange, Qos, Retry};
use atp_routing::Order;
use tracing::Instrument;

use crate::clock;
use crate::flow::Bill;
use crate::flow::pool::{Coming, Outlook, Pool, Request};
use crate::flow::turn::Turn;
use crate::flow::waiter::{Grant, Waiting};
use crate::live::{Live, Route};
use crate::settle::Books;

/// What a caller is told to wait where nothing is known: long enough not to make matters worse.
const UNKNOWN: Duration = Duration::from_secs(1);

/// How long a request may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// When the exchange ends in any case.
    pub(crate) deadline: Instant,
    /// The longest wait.
    pub(crate) max_wait: Duration,
    /// The class it is served with.
    class: Qos,
}

impl Bounds {
    /// The bounds of an exchange that came to the queue at `now`.
    pub(crate) fn new(route: &Route, star: Option<&Range<usize>>, exchange: &Exchange, now: Instant) -> Self {
        let total = exchange.patience.map_or(route.total, |patience| patience.min(route.total));
        Self { deadline: now + total, max_wait: route.queue.max_wait, class: route.class(exchange, star) }
    }

    /// Until when who comes at `now` may wait.
    pub(crate) fn until(&self, now: Instant) -> Instant {
        self.deadline.min(now + self.max_wait)
    }
}

/// Takes a turn, at the first lane of `order` that has room, and leaves it with the books.
pub(crate) async fn turn(
    books: &mut Books,
    route: &Route,
    live: &Live,
    exchange: &Exchange,
    order: &Order,
    bounds: Bounds,
    now: Instant,
) -> Result<usize, Error> {
    let flow = route.flow(&live.tenants, &exchange.caller, bounds.class);
    let mut bill = Bill::new(&route.pool, flow, exchange);
    let request = Request { flow: &bill.flow, tokens: bill.expected, order };
    let turn = route.pool.try_turn(request, now);
    let Some(turn) = turn else {
        books.bill = Some(bill);
        let span = tracing::debug_span!("fair.acquire", "fair.fast_path" = false, "fair.qos" = bounds.class.label());
        return wait(books, route, order, Who::New, bounds, now).instrument(span).await;
    };
    let _span = tracing::debug_span!(
        "fair.acquire",
        "fair.fast_path" = true,
        "fair.qos" = bounds.class.label(),
        "window.allowed" = turn.limit()
    );
    bill.began_at_once();
    books.bill = Some(bill);
    Ok(books.take_turn(turn))
}

/// Whether the request comes to the queue for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// It does.
    New,
    /// It had a turn that came to nothing.
    Again,
}

/// Waits for a turn at one of the lanes of `order`, and leaves it with the books.
pub(crate) async fn wait(
    books: &mut Books,
    route: &Route,
    order: &Order,
    who: Who,
    bounds: Bounds,
    now: Instant,
) -> Result<usize, Error> {
    let Some(bill) = &mut books.bill else { return Err(nowhere()) };
    let pool = &route.pool;
    let waiting = match join(bill, route, order, who, bounds, now)? {
        Joined::Turn(turn) => return Ok(books.take_turn(turn)),
        Joined::Queue(waiting) => waiting,
    };
    if bill.flow.qos == Qos::Gold {
        preempt(bill, now);
    }
    let until = bounds.until(now);
    let ended = clock::before(until, turn_or_end(waiting, pool, until, books.left.clone())).await;
    let then = clock::now();
    let waited = then.saturating_duration_since(now);
    books.queued += waited;
    let grant = match ended {
        Some(End::Turn(grant)) => grant,
        Some(End::Left) => return Err(gone()),
        Some(End::Shut(opens_at)) => {
            pool.gave_up();
            return Err(ejected(route, Some(opens_at), then));
        }
        None => {
            pool.gave_up();
            return Err(books.bill.as_ref().map_or_else(nowhere, |bill| late(route, bill, waited, then)));
        }
    };
    route.metrics.waits.observe(grant.waited.as_secs_f64() * 1_000.0);
    if let Some(bill) = &mut books.bill {
        bill.waited(grant.charged);
        // Hashed again only where somebody listens.
        let _span = tracing::debug_span!(
            "fair.select",
            "fair.granted_session" = bill.session(),
            "fair.wait_ms" = grant.waited.as_secs_f64() * 1_000.0,
        );
    }
    Ok(books.take_turn(grant.turn))
}

/// What came of joining the queue.
enum Joined {
    /// There was room after all: time has opened a lane.
    Turn(Turn),
    Queue(Waiting),
}

fn join(
    bill: &mut Bill,
    route: &Route,
    order: &Order,
    who: Who,
    bounds: Bounds,
    now: Instant,
) -> Result<Joined, Error> {
    let pool = &route.pool;
    let request = Request { flow: &bill.flow, tokens: bill.expected, order };
    if let Some(turn) = pool.try_opened(request, now) {
        if who == Who::New {
            bill.began_at_once();
        }
        return Ok(Joined::Turn(turn));
    }
    if let Some(refusal) = hopeless(route, bill, bounds, now) {
        return Err(refusal);
    }
    if bounds.until(now) <= now {
        pool.gave_up();
        return Err(late(route, bill, Duration::ZERO, now));
    }
    let coming = match who {
        Who::New => Coming::New { most: route.queue.max_waiting },
        Who::Again => Coming::Again,
    };
    let waiting = pool.wait(request, bill.session(), coming, now).map_err(|_| full(route, bill, now))?;
    Ok(Joined::Queue(waiting))
}

/// How a wait ended before its time was over.
enum End {
    Turn(Grant),
    /// The caller has left. His work may go on without him, but it has not begun.
    Left,
    /// Every lane has failed, and none opens before the wait is over.
    Shut(Instant),
}

async fn turn_or_end(waiting: Waiting, pool: &Pool, until: Instant, left: Option<Arc<AtomicBool>>) -> End {
    let mut waiting = pin!(waiting);
    let mut shut = pin!(pool.shut.notified());
    poll_fn(|cx| {
        if left.as_ref().is_some_and(|left| left.load(Ordering::Relaxed)) {
            return Poll::Ready(End::Left);
        }
        if let Poll::Ready(grant) = waiting.as_mut().poll(cx) {
            return Poll::Ready(End::Turn(grant));
        }
        while shut.as_mut().poll(cx).is_ready() {
            shut.set(pool.shut.notified());
            if let Some(opens_at) = pool.shut_until().filter(|opens_at| *opens_at >= until) {
                return Poll::Ready(End::Shut(opens_at));
            }
        }
        Poll::Pending
    })
    .await
}

fn preempt(bill: &Bill, now: Instant) {
    if let Some(phase) = bill.pool.preempt(&bill.flow, now) {
        let reason = format!("gold waits, the victim was {phase:?}");
        let _span = tracing::debug_span!("preempt.select", "preempt.count" = 1, "preempt.reason" = reason);
    }
}

/// Why waiting is in vain, where it is.
fn hopeless(route: &Route, bill: &Bill, bounds: Bounds, now: Instant) -> Option<Error> {
    match bill.pool.outlook(bill.flow.qos, bill.expected, now) {
        Outlook::Hopeful => None,
        Outlook::Ejected(opens_at) => Some(ejected(route, opens_at, now)),
        Outlook::Paused(at) if at < bounds.until(now) => None,
        Outlook::Paused(at) => {
            bill.pool.gave_up();
            let pause = at.saturating_duration_since(now);
            let text =
                format!("every provider of `{}` has reached its limit; try again in {}", route.name, told(pause));
            Some(Error::router(ErrorKind::Backpressure, text).with_retry(Retry::After(pause)))
        }
    }
}

fn ejected(route: &Route, opens_at: Option<Instant>, now: Instant) -> Error {
    let pause = opens_at.map_or(UNKNOWN, |at| at.saturating_duration_since(now));
    let text = format!("every provider of `{}` fails at present; try again in {}", route.name, told(pause));
    Error::router(ErrorKind::NoModelsAvailable, text).with_retry(Retry::After(pause))
}

fn full(route: &Route, bill: &Bill, now: Instant) -> Error {
    let pause = forecast(bill, now);
    let text = format!(
        "{} requests wait for `{}` already, which is its limit; try again in {}",
        route.queue.max_waiting,
        route.name,
        told(pause)
    );
    Error::router(ErrorKind::Backpressure, text).with_retry(Retry::After(pause))
}

fn late(route: &Route, bill: &Bill, waited: Duration, now: Instant) -> Error {
    if let Outlook::Ejected(opens_at) = bill.pool.outlook(bill.flow.qos, bill.expected, now) {
        return ejected(route, opens_at, now);
    }
    let pause = forecast(bill, now);
    let text =
        format!("no turn at `{}` came within {} ms; try again in {}", route.name, waited.as_millis(), told(pause));
    Error::router(ErrorKind::Backpressure, text).with_retry(Retry::After(pause))
}

/// The error of a request that was made to give way to a gold one and cannot be begun again.
pub(crate) fn preempted(bill: Option<&Bill>, now: Instant) -> Error {
    let pause = bill.map_or(UNKNOWN, |bill| forecast(bill, now));
    let text = format!("the request gave way to one of a higher class; try again in {}", told(pause));
    Error::router(ErrorKind::Preempted, text).with_retry(Retry::After(pause))
}

fn gone() -> Error {
    Error::caller(ErrorKind::Cancelled, "the caller left before a turn came")
}

fn nowhere() -> Error {
    Error::router(ErrorKind::Internal, "a turn was asked for before the route was known")
}

/// When to come back: not sooner than after a second, which is as fine as `Retry-After` can say it.
fn forecast(bill: &Bill, now: Instant) -> Duration {
    bill.pool.forecast(bill.flow.qos, bill.expected, now).map_or(UNKNOWN, |pause| pause.max(UNKNOWN))
}

/// A pause as people read it: whole seconds, rounded up as in `Retry-After`.
fn told(pause: Duration) -> String {
    format!("{} s", pause.as_millis().div_ceil(1_000).max(1))
}
