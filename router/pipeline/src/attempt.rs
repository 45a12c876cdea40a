//! Step 4: the plan is walked: try, fail over, try again, give up.
//!
//! Nothing has reached the caller yet while this step runs, so a failed try can be given up for
//! another without a trace: a stream's first chunks are held back until they carry content
//! ([`hold`]), and only then does the answer begin.
//!
//! # What a further try costs
//!
//! A try of a target whose last try failed is paid for from the gateway's retry budget: that is
//! what multiplies an outage. A try of *another* target that works is free. It brings that target
//! no more requests than the model has, and to refuse it would turn the outage of one provider,
//! which failover is there for, into an outage of the model as soon as a tenth of the requests had
//! been saved. In a total outage every target is failing after its first answer, so all further
//! tries are paid for, and there are at most 1.1 tries to a request.

mod budget;
mod failures;
mod hold;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::port::Try;
use atp_core::{Error, ErrorKind, Exchange, Payload, Rope};
use atp_routing::{Order, Step as Next, Walk};

pub(crate) use self::budget::Budget;
use self::failures::Failures;
pub(crate) use self::hold::{Held, Opening};
use crate::clock;
use crate::live::Route;
use crate::settle::Books;
use crate::snapshot::Retries;

/// What is tried: where, in which order, what to send, how long.
pub(crate) struct Attempt<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) route: &'a Arc<Route>,
    pub(crate) star: Option<&'a Range<usize>>,
    pub(crate) retries: &'a Retries,
    pub(crate) payload: Payload,
    pub(crate) order: Order,
}

/// Walks the plan to an answer that has begun, or to the error that tells most.
pub(crate) async fn run(books: &mut Books, attempt: Attempt<'_>) -> Result<(Opening, Instant), Error> {
    let Attempt { exchange, route, star, retries, mut payload, order } = attempt;
    let mut walk = Walk::new(order);
    let mut failures = Failures::default();
    let mut now = clock::now();
    let deadline = now + exchange.patience.map_or(route.total, |patience| patience.min(route.total));
    books.shared.budget.deposit(now);
    let Next::Ask(mut target) = walk.next(deadline, &retries.rules) else { return Err(no_target(route)) };
    loop {
        let left = deadline.saturating_duration_since(now);
        let Some(lane) = route.lanes.get(target).filter(|_| !left.is_zero()) else {
            return Err(failures.out_of_time(route.total.min(exchange.patience.unwrap_or(Duration::MAX))));
        };
        let model = lane.model_for(&exchange.model, star);
        books.try_begins(target, Arc::clone(&model), now);
        let (sent, rest) = take_or_share(payload);
        let tried = Try { exchange, model: &model, payload: sent, timeouts: lane.timeouts.capped(left) };
        let result = match lane.provider.call(tried).await {
            Ok(answer) => hold::until_content(answer, hold::rule(exchange)).await,
            Err(error) => Err(error),
        };
        now = clock::now();
        let (error, opening) = match result {
            Ok(opening) => match opening.failure() {
                None => return Ok((opening, now)),
                Some(error) => (error.clone(), Some(opening)),
            },
            Err(error) => (error, None),
        };
        let may_retry = rest.is_some() && failures::elsewhere(&error) && !books.is_left();
        if may_retry {
            walk.failed(target, failures::again(&error), now, &retries.rules, &mut rand::rng());
        }
        let Some(next) = may_retry.then(|| next(books, &mut walk, target, deadline, retries, now)).flatten() else {
            // An error told inside an answer goes out as the provider told it.
            if let Some(opening) = opening {
                return Ok((opening, now));
            }
            books.try_failed(&error);
            return Err(failures.worst(error));
        };
        drop(opening);
        books.try_failed(&error);
        books.shared.metrics.count_retry(error.kind());
        tracing::debug!(
            request_id = %exchange.id, model = &*route.name, provider = &**lane.provider.name(),
            error = error.kind().code(), cause = error.cause().unwrap_or(""), "try failed, trying on"
        );
        failures.add(error);
        if let Some(at) = next.at {
            clock::until(at).await;
            now = clock::now();
        }
        target = next.target;
        payload = rest.map_or_else(|| Payload::Rope(Rope::new()), Payload::Rope);
    }
}

/// The next try: which target, and when.
struct NextTry {
    target: usize,
    at: Option<Instant>,
}

/// The next try that the gateway can afford.
fn next(
    books: &Books,
    walk: &mut Walk,
    failed: usize,
    deadline: Instant,
    retries: &Retries,
    now: Instant,
) -> Option<NextTry> {
    let shared = &books.shared;
    let works = |target: usize| {
        let lane = books.route.as_ref().and_then(|route| route.lanes.get(target));
        target != failed && lane.is_some_and(|lane| !lane.is_failing())
    };
    loop {
        let (target, at) = match walk.next(deadline, &retries.rules) {
            Next::Ask(target) => (target, None),
            Next::AskAgain(target, at) => (target, Some(at)),
            Next::Stop => return None,
        };
        if works(target) || shared.budget.withdraw(&retries.budget, now) {
            return Some(NextTry { target, at });
        }
        shared.metrics.budget_exhausted.inc();
    }
}

/// The payload of this try, and what the next one would send, where there can be a next one.
fn take_or_share(payload: Payload) -> (Payload, Option<Rope>) {
    match payload {
        Payload::Rope(rope) => (Payload::Rope(rope.clone()), Some(rope)),
        once @ Payload::Once { .. } => (once, None),
    }
}

fn no_target(route: &Route) -> Error {
    Error::router(ErrorKind::NoModelsAvailable, format!("no target of `{}` can serve", route.name))
}
