//! Going on with a stream that broke off after the caller had seen its beginning.
//!
//! Two ways, by what the model allows (`on_cut`). *Continue*: another target is given the text so far as the
//! beginning of its own answer, and what it adds goes out as the rest of the same stream. *Restart*: another
//! target answers from the beginning, behind a marker that says so, where the caller accepts one. Where a
//! text cannot be gone on with, a tool call for instance, a caller who accepts a marker gets that.
//!
//! It is the walk of the plan that goes on: the target that broke off counts as failed, further tries are
//! paid for like any others, and the exchange's time is what it was. Where nothing comes of it, the caller
//! hears of the first break, which tells most.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use atp_core::port::BoxFuture;
use atp_core::{Continuity, Error, Exchange, Operation, Payload, Restarts, Resume, Rope};
use atp_routing::Walk;

use super::failures::Failures;
use super::trial::Opening;
use super::{Tried, Walker};
use crate::clock;
use crate::live::{Live, Route};
use crate::queue::Bounds;
use crate::settle::Books;
use crate::snapshot::MidStream;

/// What of a walk is left when an answer has begun.
pub(crate) struct Left {
    pub(super) walk: Walk,
    pub(super) bounds: Bounds,
    pub(super) total: Duration,
    /// Who answers.
    pub(super) target: usize,
    pub(super) body: Rope,
}

/// How a stream goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// With what was said.
    Continue(Resume),
    /// From the beginning.
    Restart,
}

impl Way {
    /// The metric label.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Continue(_) => "continue",
            Self::Restart => "restart",
        }
    }
}

/// Whether a stream of `exchange` is to be such that it can be gone on with.
pub(super) fn is_wanted(route: &Route, exchange: &Exchange) -> bool {
    let ways = match route.failover {
        MidStream::Off => false,
        MidStream::Restart => exchange.restarts == Restarts::Accepted,
        MidStream::Continue => exchange.restarts == Restarts::Accepted || continues(route),
    };
    ways && exchange.stream && exchange.operation == Operation::Chat
}

fn continues(route: &Route) -> bool {
    route.lanes.iter().any(|lane| lane.prefill)
}

/// What it takes to go on with the stream of one exchange.
pub(crate) struct Rescue {
    exchange: Exchange,
    live: Arc<Live>,
    route: Arc<Route>,
    star: Option<Range<usize>>,
    left: Left,
}

/// What came of it. The books come back in any case.
pub(crate) struct Rescued {
    pub(crate) books: Books,
    /// What goes on, and what it takes should that break off too.
    pub(crate) opening: Option<(Opening, Rescue)>,
    pub(crate) way: Way,
    /// Why the stream broke off.
    pub(crate) error: Error,
}

impl Rescue {
    /// Keeps what the exchange began with.
    pub(crate) fn new(
        exchange: &Exchange,
        live: &Arc<Live>,
        route: &Arc<Route>,
        star: Option<Range<usize>>,
        left: Left,
    ) -> Self {
        Self { exchange: copy(exchange), live: Arc::clone(live), route: Arc::clone(route), star, left }
    }

    /// How the stream may go on that broke off with `error`, and of which `resume` tells what was said.
    pub(crate) fn way(&self, error: &Error, resume: Option<Resume>) -> Option<Way> {
        if !super::failures::elsewhere(error) {
            return None;
        }
        match resume {
            Some(resume) if self.route.failover == MidStream::Continue && continues(&self.route) => {
                Some(Way::Continue(resume))
            }
            _ => (self.exchange.restarts == Restarts::Accepted).then_some(Way::Restart),
        }
    }

    /// Goes on. The try that broke off has ended in the books.
    pub(crate) fn go(mut self, mut books: Books, error: Error, way: Way) -> BoxFuture<'static, Rescued> {
        Box::pin(async move {
            let opening = self.walk(&mut books, &error, &way).await;
            Rescued { books, opening: opening.map(|opening| (opening, self)), way, error }
        })
    }

    async fn walk(&mut self, books: &mut Books, error: &Error, way: &Way) -> Option<Opening> {
        let Self { exchange, live, route, star, left } = self;
        let body = left.body.clone();
        let mut walker = Walker {
            books,
            exchange,
            route,
            star: star.as_ref(),
            retries: &live.retries,
            walk: left.walk.clone(),
            failures: Failures::default(),
            total: left.total,
            bounds: left.bounds,
            continuity: match way {
                Way::Continue(resume) => Continuity::Continue(resume),
                Way::Restart => Continuity::Remember,
            },
        };
        let mut now = clock::now();
        let (mut failed, mut why) = (left.target, error.clone());
        loop {
            let next = walker.next(failed, &why, now)?;
            walker.tell(&why, "stream broke off, going on");
            if let Some(at) = next.at {
                clock::until(at).await;
                now = clock::now();
            }
            let mut target;
            (target, now) = walker.turn_at(next.target, now).await.ok()?;
            let tried = walker.ask(&mut target, Payload::Rope(body.clone()), Some(&body), now).await;
            now = clock::now();
            let error = match begun(tried) {
                Ok(opening) => {
                    (left.walk, left.target) = (walker.walk, target);
                    walker.books.goes_on_at(&opening, now);
                    return Some(opening);
                }
                Err(Some(error)) => error,
                Err(None) => {
                    walker.books.gives_way(now);
                    return None;
                }
            };
            walker.books.try_failed(&error, now);
            (failed, why) = (target, error);
        }
    }
}

/// An answer that has begun, or why there is none; without an error where gold took the slot.
fn begun(tried: Tried) -> Result<Opening, Option<Error>> {
    match tried {
        Tried::Opened(opening) => match opening.failure().cloned() {
            None => Ok(opening),
            told => Err(told),
        },
        Tried::Failed(error) => Err(Some(error)),
        Tried::Preempted => Err(None),
    }
}

/// The exchange without its body, which the walk has.
pub(crate) fn copy(exchange: &Exchange) -> Exchange {
    Exchange {
        id: exchange.id,
        caller: Arc::clone(&exchange.caller),
        operation: exchange.operation,
        model: Arc::clone(&exchange.model),
        method: exchange.method.clone(),
        path: Arc::clone(&exchange.path),
        headers: exchange.headers.clone(),
        payload: Payload::Rope(Rope::new()),
        fields: exchange.fields.clone(),
        stream: exchange.stream,
        qos: exchange.qos,
        session: exchange.session.clone(),
        reuse: exchange.reuse,
        restarts: exchange.restarts,
        patience: exchange.patience,
        hints: exchange.hints.clone(),
        received: exchange.received,
    }
}
