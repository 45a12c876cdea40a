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

use atp_core::{Error, ErrorKind, Exchange, Payload, Rope};
use atp_routing::{Order, Step as Next, Walk};

pub(crate) use self::budget::Budget;
use self::failures::Failures;
pub(crate) use self::hold::{Held, Opening};
use crate::clock;
use crate::live::Route;
use crate::settle::Books;
use crate::snapshot::Retries;

/// What is tried: where, in which order, how long.
pub(crate) struct Plan<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) route: &'a Arc<Route>,
    /// What a wildcard name's `*` stands for.
    pub(crate) star: Option<&'a Range<usize>>,
    pub(crate) retries: &'a Retries,
    pub(crate) order: Order,
}

/// Walks the plan to an answer that has begun, or to the error that tells most.
pub(crate) async fn run(books: &mut Books, plan: Plan<'_>, mut payload: Payload) -> Result<(Opening, Instant), Error> {
    let mut now = clock::now();
    let mut walker = Walker::new(books, plan, now);
    let mut target = walker.first()?;
    loop {
        let (sent, rest) = share(payload);
        let result = walker.ask(target, sent, now).await;
        now = clock::now();
        let error = match &result {
            Ok(opening) => match opening.failure() {
                None => return result.map(|opening| (opening, now)),
                Some(error) => error.clone(),
            },
            Err(error) => error.clone(),
        };
        let next = rest.and_then(|rope| Some((walker.next(target, &error, now)?, rope)));
        let Some((next, rope)) = next else {
            return walker.give_up(result).map(|opening| (opening, now));
        };
        // What is given up is cancelled before the next one begins.
        drop(result);
        walker.go_on(error);
        if let Some(at) = next.at {
            clock::until(at).await;
            now = clock::now();
        }
        target = next.target;
        payload = Payload::Rope(rope);
    }
}

/// The payload of this try, and what the next one would send, where there can be a next one.
fn share(payload: Payload) -> (Payload, Option<Rope>) {
    match payload {
        Payload::Rope(rope) => (Payload::Rope(rope.clone()), Some(rope)),
        once @ Payload::Once { .. } => (once, None),
    }
}

/// One exchange on its way through its plan.
struct Walker<'a> {
    books: &'a mut Books,
    exchange: &'a Exchange,
    route: &'a Route,
    star: Option<&'a Range<usize>>,
    retries: &'a Retries,
    walk: Walk,
    failures: Failures,
    total: Duration,
    deadline: Instant,
}

/// The next try: which target, and when.
struct NextTry {
    target: usize,
    at: Option<Instant>,
}

impl<'a> Walker<'a> {
    fn new(books: &'a mut Books, plan: Plan<'a>, now: Instant) -> Self {
        let Plan { exchange, route, star, retries, order } = plan;
        books.shared.budget.deposit(now);
        let total = exchange.patience.map_or(route.total, |patience| patience.min(route.total));
        Self {
            books,
            exchange,
            route,
            star,
            retries,
            walk: Walk::new(order),
            failures: Failures::default(),
            total,
            deadline: now + total,
        }
    }

    fn first(&mut self) -> Result<usize, Error> {
        match self.walk.next(self.deadline, &self.retries.rules) {
            Next::Ask(target) => Ok(target),
            Next::AskAgain(..) | Next::Stop => {
                let text = format!("no target of `{}` can serve", self.route.name);
                Err(Error::router(ErrorKind::NoModelsAvailable, text))
            }
        }
    }

    /// One try, to the point where its answer may begin.
    async fn ask(&mut self, target: usize, payload: Payload, now: Instant) -> Result<Opening, Error> {
        let left = self.deadline.saturating_duration_since(now);
        let Some(lane) = self.route.lanes.get(target).filter(|_| !left.is_zero()) else {
            return Err(self.failures.out_of_time(self.total));
        };
        let model = lane.model_for(&self.exchange.model, self.star);
        self.books.try_begins(target, &model, now);
        let answer = lane.ask(self.exchange, &model, payload, left).await?;
        hold::until_content(answer, hold::rule(self.exchange)).await
    }

    /// The next try after `failed` has failed, if there is one that may help and that the gateway
    /// can afford.
    fn next(&mut self, failed: usize, error: &Error, now: Instant) -> Option<NextTry> {
        if !failures::elsewhere(error) || self.books.is_left() {
            return None;
        }
        let rules = &self.retries.rules;
        self.walk.failed(failed, failures::again(error), now, rules, &mut rand::rng());
        let shared = &self.books.shared;
        loop {
            let (target, at) = match self.walk.next(self.deadline, rules) {
                Next::Ask(target) => (target, None),
                Next::AskAgain(target, at) => (target, Some(at)),
                Next::Stop => return None,
            };
            if self.works(target, failed) || shared.budget.withdraw(&self.retries.budget, now) {
                return Some(NextTry { target, at });
            }
            shared.metrics.budget_exhausted.inc();
        }
    }

    fn works(&self, target: usize, failed: usize) -> bool {
        target != failed && self.route.lanes.get(target).is_some_and(|lane| !lane.is_failing())
    }

    /// Notes a failed try that another one follows.
    fn go_on(&mut self, error: Error) {
        self.books.try_failed(&error);
        self.books.shared.metrics.count_retry(error.kind());
        tracing::debug!(
            request_id = %self.exchange.id, model = &*self.route.name, attempts = self.walk.tries(),
            error = error.kind().code(), cause = error.cause().unwrap_or(""), "try failed, trying on"
        );
        self.failures.add(error);
    }

    /// No other try follows: an error told inside an answer goes out as the provider told it, any
    /// other is the exchange's.
    fn give_up(self, result: Result<Opening, Error>) -> Result<Opening, Error> {
        result.map_err(|error| {
            self.books.try_failed(&error);
            self.failures.worst(error)
        })
    }
}
