//! Step 5: the plan is walked: try, fail over, try again, give up.
//!
//! Nothing has reached the caller yet while this step runs, so a failed try can be given up for
//! another without a trace: a stream's first chunks are held back until they carry content
//! ([`trial`]), and only then does the answer begin. For the same reason a bronze try that gold preempts
//! while this step runs goes back to the queue unseen, and a second target can be asked beside a slow one
//! ([`beside`]).
//!
//! # What a further try costs
//!
//! A try of a target whose last try failed is paid for from the gateway's retry budget: that is
//! what multiplies an outage. A try of *another* target that works is free. It brings that target
//! no more requests than the model has, and to refuse it would turn the outage of one provider,
//! which failover is there for, into an outage of the model as soon as a tenth of the requests had
//! been saved. In a total outage every target is failing after its first answer, so all further
//! tries are paid for, and there are at most 1.1 tries to a request.

mod beside;
mod budget;
mod failures;
mod hedge;
mod rescue;
mod ring;
mod trial;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::{Continuity, Error, ErrorKind, Exchange, Payload, Rope};
use atp_routing::{Order, Step as Next, Walk, plan};

pub(crate) use self::budget::Budget;
pub(crate) use self::failures::{Failures, elsewhere};
pub(crate) use self::hedge::Hedging;
use self::rescue::Left;
pub(crate) use self::rescue::{Rescue, Rescued, Way, copy};
pub(crate) use self::trial::{Held, Opening};
use crate::choose;
use crate::clock;
use crate::live::Route;
use crate::queue::{self, Bounds, Who};
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
    pub(crate) bounds: Bounds,
}

/// An answer that has begun.
pub(crate) struct Begun {
    pub(crate) opening: Opening,
    /// When it did.
    pub(crate) now: Instant,
    /// What is left of the walk, where a stream may have to be gone on with.
    pub(crate) left: Option<Box<Left>>,
}

/// Walks the plan to an answer that has begun, or to the error that tells most.
pub(crate) async fn run(books: &mut Books, plan: Plan<'_>, mut payload: Payload, now: Instant) -> Result<Begun, Error> {
    // Who had to wait for his turn begins only now.
    let mut now = if books.queued.is_zero() { now } else { clock::now() };
    let mut walker = Walker::new(books, plan, now);
    let mut target = walker.first()?;
    loop {
        let (sent, rest) = share(payload);
        let tried = walker.ask(&mut target, sent, rest.as_ref(), now).await;
        now = clock::now();
        let result = match tried {
            Tried::Opened(opening) => Ok(opening),
            Tried::Failed(error) => Err(error),
            Tried::Preempted => {
                walker.books.gives_way(now);
                let Some(rope) = rest else { return Err(queue::preempted(walker.books.bill.as_ref(), now)) };
                (target, now) = walker.turn_anywhere(target, now).await?;
                payload = Payload::Rope(rope);
                continue;
            }
        };
        let error = match &result {
            Ok(opening) => match opening.failure() {
                None => return result.map(|opening| walker.begun(opening, target, rest, now)),
                Some(error) => error.clone(),
            },
            Err(error) => error.clone(),
        };
        let next = rest.and_then(|rope| Some((walker.next(target, &error, now)?, rope)));
        let Some((next, rope)) = next else {
            return walker.give_up(result, now).map(|opening| Begun { opening, now, left: None });
        };
        // What is given up is cancelled, and its slot given back, before the next one begins.
        drop(result);
        walker.go_on(error, now);
        if let Some(at) = next.at {
            clock::until(at).await;
            now = clock::now();
        }
        (target, now) = walker.turn_at(next.target, now).await?;
        payload = Payload::Rope(rope);
    }
}

/// How a try ended of which the caller has seen nothing yet.
#[expect(clippy::large_enum_variant, reason = "it is made once to a try, and nearly always the large one")]
enum Tried {
    Opened(Opening),
    Failed(Error),
    /// Gold has taken its slot.
    Preempted,
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
    bounds: Bounds,
    /// How its tries are connected with each other.
    continuity: Continuity<'a>,
}

/// The next try: which target, and when.
struct NextTry {
    target: usize,
    at: Option<Instant>,
}

impl<'a> Walker<'a> {
    fn new(books: &'a mut Books, plan: Plan<'a>, now: Instant) -> Self {
        let Plan { exchange, route, star, retries, order, bounds } = plan;
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
            bounds,
            continuity: if rescue::is_wanted(route, exchange) { Continuity::Remember } else { Continuity::None },
        }
    }

    /// An answer of `target` has begun; `body` is what another target would be sent.
    fn begun(self, opening: Opening, target: usize, body: Option<Rope>, now: Instant) -> Begun {
        let remembers = self.continuity == Continuity::Remember;
        let Self { walk, bounds, total, .. } = self;
        let left = body.filter(|_| remembers).map(|body| Box::new(Left { walk, bounds, total, target, body }));
        Begun { opening, now, left }
    }

    fn first(&mut self) -> Result<usize, Error> {
        match self.walk.next(self.bounds.deadline, &self.retries.rules) {
            Next::Ask(target) => Ok(target),
            Next::AskAgain(..) | Next::Stop => {
                let text = format!("no target of `{}` can serve", self.route.name);
                Err(Error::router(ErrorKind::NoModelsAvailable, text))
            }
        }
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
            let (target, at) = match self.walk.next(self.bounds.deadline, rules) {
                Next::Ask(target) => (target, None),
                Next::AskAgain(target, at) => (target, Some(at)),
                Next::Stop => return None,
            };
            if !self.fits(target) || self.is_closed(target, at.unwrap_or(now), now) {
                continue;
            }
            if self.works(target, failed) {
                shared.budget.note(now);
                return Some(NextTry { target, at });
            }
            if shared.budget.withdraw(&self.retries.budget, now) {
                return Some(NextTry { target, at });
            }
            shared.metrics.budget_exhausted.inc();
        }
    }

    /// Whether the target can do what is asked of it.
    fn fits(&self, target: usize) -> bool {
        let continues = matches!(self.continuity, Continuity::Continue(_));
        !continues || self.route.lanes.get(target).is_some_and(|lane| lane.prefill)
    }

    /// Whether it is known already that no turn of the lane will come in time.
    fn is_closed(&self, target: usize, at: Instant, now: Instant) -> bool {
        self.route
            .pool
            .opens_at(target, now)
            .is_some_and(|opens| opens.is_none_or(|opens| opens > self.bounds.until(at)))
    }

    /// A turn at the lane `target`, or where that one is full at whichever of it and those not asked yet has
    /// one first: the lane, and the time then.
    async fn turn_at(&mut self, target: usize, now: Instant) -> Result<(usize, Instant), Error> {
        let Some(bill) = &self.books.bill else { return Ok((target, now)) };
        if let Some(turn) = self.route.pool.try_turn_at(target, &bill.flow, bill.expected, now) {
            self.books.take_turn(turn);
            return Ok((target, now));
        }
        // Those that fail would have to be paid for; this one has been.
        let well =
            |place: &usize| self.fits(*place) && self.route.lanes.get(*place).is_some_and(|lane| !lane.is_failing());
        let order: Order = std::iter::once(target).chain(self.walk.fresh().iter().copied().filter(well)).collect();
        match queue::wait(self.books, self.route, &order, Who::Again, self.bounds, now).await {
            Ok(place) => {
                self.walk.ask_instead(target, place);
                Ok((place, clock::now()))
            }
            // What the providers said tells more than that there was no room elsewhere.
            Err(refusal) => Err(std::mem::take(&mut self.failures).worst(refusal)),
        }
    }

    /// A turn at whichever lane has one first, for an exchange that gave way: the lane, and the time then.
    async fn turn_anywhere(&mut self, before: usize, now: Instant) -> Result<(usize, Instant), Error> {
        let order = choose::beginning_with(before, plan::as_configured(self.route.lanes.len()));
        let place = queue::wait(self.books, self.route, &order, Who::Again, self.bounds, now).await?;
        if let Some(turn) = &mut self.books.turn {
            turn.spare();
        }
        Ok((place, clock::now()))
    }

    fn works(&self, target: usize, failed: usize) -> bool {
        target != failed && self.route.lanes.get(target).is_some_and(|lane| !lane.is_failing())
    }

    /// Notes a failed try that another one follows.
    fn go_on(&mut self, error: Error, now: Instant) {
        self.books.try_failed(&error, now);
        self.books.shared.metrics.count_retry(error.kind());
        self.tell(&error, "try failed, trying on");
        self.failures.add(error);
    }

    fn tell(&self, error: &Error, what: &'static str) {
        tracing::debug!(
            request_id = %self.exchange.id, model = &*self.route.name, attempts = self.walk.tries(),
            error = error.kind().code(), cause = error.cause().unwrap_or(""), "{what}"
        );
    }

    /// No other try follows: an error told inside an answer goes out as the provider told it, any
    /// other is the exchange's.
    fn give_up(self, result: Result<Opening, Error>, now: Instant) -> Result<Opening, Error> {
        result.map_err(|error| {
            self.books.try_failed(&error, now);
            self.failures.worst(error)
        })
    }
}
