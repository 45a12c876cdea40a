//! The plan is walked: a candidate is asked, and the next one where that comes to nothing, comes late, or
//! comes to an answer that is not trusted.
//!
//! - *Failure*: the candidate's own tries, turns and money are used up, in a way that another may do better.
//! - *Latency*: nothing has begun after [`HURRY`] of the latency asked for. The next one is asked beside; who
//!   begins first is kept, the other is dropped at once. There are never more than two at a time.
//! - *Format, refusal, low confidence*: the answer is whole, and not good. The next one is asked, once; the
//!   first answer goes out after all where that one comes to nothing.
//!
//! What an answer that is given up has cost is part of the exchange's cost. All of it ends with the caller:
//! dropping the walk drops its legs.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::{Duration, Instant};

use atp_core::{Error, ErrorKind, Exchange, MicroUsd, Payload, Plan, PlanEvent, Reply, Rope, Usage};

use super::choice::Choice;
use super::chosen::Basis;
use super::learn::{self, Short};
use super::leg::{Came, Leg, Made};
use super::signs;
use crate::attempt::{self, Failures};
use crate::clock;
use crate::live::{Live, Route};
use crate::pipeline::Shared;
use crate::settle::{self, Books};

/// The share of the latency asked for after which another candidate is asked beside (facts of the mission:
/// the escalation event at 60 % of it).
const HURRY: f64 = 0.6;
/// How many times the latency asked for an exchange may take in all (the mission's hard stop).
pub(crate) const HARD_STOP: u32 = 4;

/// One exchange on its way through its plan.
pub(super) struct Walk {
    pub(super) shared: Arc<Shared>,
    pub(super) live: Arc<Live>,
    pub(super) choice: Arc<Choice>,
    pub(super) basis: Arc<Basis>,
    plan: Arc<Plan>,
    left: Option<Arc<AtomicBool>>,
    /// What is asked, without its body.
    exchange: Exchange,
    /// The body, where it can be sent more than once.
    body: Option<Rope>,
    /// The candidate that comes next: a place in the plan's order.
    next: usize,
    deadline: Instant,
    hurry_at: Option<Instant>,
    failures: Failures,
    /// What has happened and is not in the books yet.
    events: Vec<PlanEvent>,
    /// Whether an answer was given up for its looks: that is done once.
    judged: bool,
}

/// Why another candidate is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The one before came to nothing.
    Failure,
    /// It has not begun in time.
    Latency,
    /// It is not sure of its answer.
    LowConfidence,
    /// Its answer has the wrong form.
    Format,
    /// It declines to answer.
    Refusal,
}

impl Reason {
    /// Every reason, for metrics.
    pub(crate) const ALL: [Self; 5] = [Self::Failure, Self::Latency, Self::LowConfidence, Self::Format, Self::Refusal];

    /// The event's reason, and the metric label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Latency => "latency",
            Self::LowConfidence => "low_confidence",
            Self::Format => "format",
            Self::Refusal => "refusal",
        }
    }
}

/// Who of two came to an end first.
enum First {
    One(Result<Came, Error>),
    Other(Result<Came, Error>),
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Came, Error>> + Send + 'a>>;

impl Walk {
    /// The walk of an exchange whose plan was made at `now`.
    pub(super) fn new(
        shared: Arc<Shared>,
        live: Arc<Live>,
        choice: Arc<Choice>,
        basis: Arc<Basis>,
        exchange: Exchange,
        now: Instant,
    ) -> Self {
        let plan = Arc::clone(&basis.plan);
        let body = match &exchange.payload {
            Payload::Rope(rope) => Some(rope.clone()),
            Payload::Once { .. } => None,
        };
        let first = plan.order.first().and_then(|arm| choice.arms.get(*arm));
        let total = exchange.patience.or(first.map(|arm| arm.route.total)).unwrap_or(Duration::from_secs(86_400));
        let hurry_at = plan.latency_slo.map(|slo| exchange.received + slo.mul_f64(HURRY));
        Self {
            shared,
            live,
            choice,
            basis,
            plan,
            left: None,
            exchange,
            body,
            next: 0,
            deadline: now + total,
            hurry_at,
            failures: Failures::default(),
            events: Vec::new(),
            judged: false,
        }
    }

    /// The same walk, of an exchange whose work may go on when its caller leaves, which sets `left`.
    pub(super) fn left_by(mut self, left: Option<Arc<AtomicBool>>) -> Self {
        self.left = left;
        self
    }

    /// Walks to an answer that has begun, or to the error that tells most.
    pub(super) async fn go(mut self, books: Books, now: Instant) -> Reply {
        let Some(arm) = self.plan.order.first().copied() else { return books.refuse(nowhere()) };
        let mut leg = self.first(arm, books, now);
        loop {
            let (asked, result) = self.race(leg).await;
            leg = asked;
            self.tell(&mut leg);
            let error = match result {
                Ok(came) => match self.judge(leg, came).await {
                    Judgement::Goes(reply) => return reply,
                    Judgement::Broke(broken, error) => {
                        leg = broken;
                        error
                    }
                },
                Err(error) => error,
            };
            match self.goes_on(&mut leg, &error) {
                Some(next) => leg = next,
                None => return self.give_up(*leg, error),
            }
        }
    }

    /// The first candidate, with the exchange's own books.
    fn first(&mut self, arm: usize, books: Books, now: Instant) -> Box<Leg> {
        self.next = 1;
        let empty = Payload::Rope(Rope::new());
        let payload = std::mem::replace(&mut self.exchange.payload, empty);
        let exchange = Exchange { payload, ..attempt::copy(&self.exchange) };
        Box::new(Leg { arm, books, exchange, began: now })
    }

    fn route(&self, arm: usize) -> Option<Arc<Route>> {
        self.choice.arms.get(arm).map(|arm| Arc::clone(&arm.route))
    }

    /// Whether there is somebody left to ask, and something to ask him with.
    fn has_next(&self) -> bool {
        self.next < self.plan.order.len() && self.body.is_some()
    }

    /// The next candidate, with books of a leg, and the reason noted.
    fn another(&mut self, reason: Reason, now: Instant) -> Option<Box<Leg>> {
        let (leg, route) = self.member(now)?;
        self.shared.metrics.plan.escalates(reason);
        self.events.push(PlanEvent::Escalate { model: Arc::clone(&route.name), reason: reason.label() });
        Some(leg)
    }

    /// The next candidate of the plan, with books of a leg.
    pub(super) fn member(&mut self, now: Instant) -> Option<(Box<Leg>, Arc<Route>)> {
        let body = self.body.clone()?;
        let left = self.deadline.saturating_duration_since(now);
        let arm = *self.plan.order.get(self.next).filter(|_| !left.is_zero())?;
        let route = self.route(arm)?;
        self.next += 1;
        let mut exchange = Exchange { payload: Payload::Rope(body), ..attempt::copy(&self.exchange) };
        if left < route.total {
            exchange.patience = Some(left);
        }
        let books = settle::leg(Arc::clone(&self.shared), &exchange, self.left.clone());
        Some((Box::new(Leg { arm, books, exchange, began: now }), route))
    }

    /// Brings what has happened into the books that are the exchange's.
    fn tell(&mut self, leg: &mut Leg) {
        if let Some(chosen) = &mut leg.books.chosen {
            chosen.events.append(&mut self.events);
        }
    }

    /// Asks a candidate, and where it is late the next one beside it: the leg that is the exchange's now, and
    /// what came of it.
    async fn race(&mut self, mut one: Box<Leg>) -> (Box<Leg>, Result<Came, Error>) {
        let live = Arc::clone(&self.live);
        let Some(route) = self.route(one.arm) else { return (one, Err(nowhere())) };
        let mut asked: Asking<'_> = Box::pin(one.ask(&live, &route));
        let Some((mut other, beside)) = (match self.hurry_at.filter(|_| self.has_next()) {
            None => None,
            Some(at) => match clock::before(at, &mut asked).await {
                None => self.late(),
                Some(result) => {
                    drop(asked);
                    return (one, result);
                }
            },
        }) else {
            let result = asked.await;
            return (one, result);
        };
        let mut asked_too: Asking<'_> = Box::pin(other.ask(&live, &beside));
        match sooner(&mut asked, &mut asked_too).await {
            First::One(Err(error)) if attempt::elsewhere(&error) => {
                drop(asked);
                let result = asked_too.await;
                self.failed(&one, &error);
                follows(&mut one, &mut other);
                (other, result)
            }
            First::Other(Err(error)) => {
                drop(asked_too);
                self.failed(&other, &error);
                let result = asked.await;
                (one, result)
            }
            First::One(result) => {
                drop((asked, asked_too));
                self.loses(&other, &mut one);
                (one, result)
            }
            First::Other(result) => {
                drop((asked, asked_too));
                follows(&mut one, &mut other);
                self.loses(&one, &mut other);
                (other, result)
            }
        }
    }

    /// The candidate that is asked beside one that is late, which happens once.
    fn late(&mut self) -> Option<(Box<Leg>, Arc<Route>)> {
        self.hurry_at = None;
        let leg = self.another(Reason::Latency, clock::now())?;
        let route = self.route(leg.arm)?;
        Some((leg, route))
    }

    /// A leg has come to nothing: what is learnt of that.
    pub(super) fn failed(&mut self, leg: &Leg, error: &Error) {
        let model = self.plan.candidates.get(leg.arm).map_or("", |candidate| &candidate.model);
        tracing::debug!(
            request_id = %self.exchange.id, route = &*self.plan.route, model,
            error = error.kind().code(), cause = error.cause().unwrap_or(""), "candidate came to nothing"
        );
        self.failures.add(error.clone());
        learn::leg(&self.shared, &self.basis, leg, &Short::Failed(error));
    }

    /// The next candidate after one that came to nothing, where that may help.
    fn goes_on(&mut self, leg: &mut Leg, error: &Error) -> Option<Box<Leg>> {
        if !moves_on(error) || leg.books.is_left() || !self.has_next() {
            return None;
        }
        let mut next = self.another(Reason::Failure, clock::now())?;
        self.failed(leg, error);
        leg.books.hand_over(&mut next.books);
        self.tell(&mut next);
        Some(next)
    }

    pub(super) fn give_up(mut self, leg: Leg, error: Error) -> Reply {
        let mut books = leg.books;
        if let Some(chosen) = &mut books.chosen {
            chosen.leg_began = leg.began;
        }
        books.refuse(std::mem::take(&mut self.failures).worst(error))
    }

    /// A leg that was slower: what it has cost as far as that can be told.
    fn loses(&self, loser: &Leg, winner: &mut Leg) {
        learn::leg(&self.shared, &self.basis, loser, &Short::Slower);
        if loser.books.was_asked() {
            self.prompt_spent(&mut winner.books, loser.arm);
        }
    }

    /// A candidate was asked and is dropped: its provider has got the prompt, and has billed at least that.
    pub(super) fn prompt_spent(&self, books: &mut Books, arm: usize) {
        let Some(candidate) = self.plan.candidates.get(arm) else { return };
        let prompt = Usage { input: candidate.forecast.input, ..Usage::default() };
        self.spends(books, Some(prompt), candidate.price.map(|price| price.cost(&prompt)));
    }

    /// Something beside the answer that goes out has been used and paid for.
    pub(super) fn spends(&self, books: &mut Books, usage: Option<Usage>, cost: Option<MicroUsd>) {
        if let Some(chosen) = &mut books.chosen {
            chosen.spent.add(usage, cost);
        }
    }

    /// A whole answer that does not go out: what it has used is settled, and learnt from.
    pub(super) fn given_up(&self, books: &mut Books, mut leg: Box<Leg>, came: &Came) {
        if let Came::Begun(made) = came {
            let answer = &made.begun.opening.answer;
            let report = answer.body.report();
            let cost = leg.books.rests(answer.status.as_u16(), report, clock::now());
            self.spends(books, report.usage, cost);
            learn::leg(&self.shared, &self.basis, &leg, &Short::GivenUp(None, report, cost));
        }
        books.counts_tries_of(&leg.books);
    }

    /// The predicted quality of a candidate.
    pub(super) fn quality_of(&self, arm: usize) -> f64 {
        self.plan.candidates.get(arm).map_or(0.0, |candidate| candidate.quality)
    }

    /// An answer has begun. Where it can be seen whole it is looked at before it goes out.
    async fn judge(&mut self, mut leg: Box<Leg>, came: Came) -> Judgement {
        let Came::Begun(mut made) = came else { return Judgement::Goes(leg.answer(came)) };
        let judged = match signs::look(&self.shared, &self.choice, &mut leg, &mut made).await {
            Ok(judged) => judged,
            // A stream that was held back: nothing of it went out.
            Err(error) => {
                leg.books.try_failed(&error, clock::now());
                return Judgement::Broke(leg, error);
            }
        };
        if let Some(chosen) = &mut leg.books.chosen {
            chosen.signs = judged.signs;
        }
        let may = !self.judged && self.has_next() && !leg.books.is_left();
        Judgement::Goes(match judged.reason.filter(|_| may) {
            Some(reason) => self.second(leg, made, reason).await,
            None => leg.answer(Came::Begun(made)),
        })
    }

    /// The answer is not trusted: the next candidate is asked, once, and its answer goes out where there is
    /// one.
    async fn second(&mut self, mut leg: Box<Leg>, made: Box<Made>, reason: Reason) -> Reply {
        (self.judged, self.hurry_at) = (true, None);
        let now = clock::now();
        let Some(mut next) = self.another(reason, now) else { return leg.answer(Came::Begun(made)) };
        let (answer, mut before) = (&made.begun.opening.answer, None);
        let report = answer.body.report();
        let cost = leg.books.rests(answer.status.as_u16(), report, now);
        if let Some(chosen) = &mut leg.books.chosen {
            before = Some((chosen.spent, chosen.signs.take()));
            chosen.spent.add(report.usage, cost);
        }
        leg.books.hand_over(&mut next.books);
        self.tell(&mut next);
        let (mut next, result) = self.race(next).await;
        let error = match result {
            Ok(came) => {
                let signs = before.and_then(|(_, signs)| signs);
                let report = made.begun.opening.answer.body.report();
                learn::leg(&self.shared, &self.basis, &leg, &Short::GivenUp(signs, report, cost));
                return next.answer(came);
            }
            Err(error) => error,
        };
        self.failed(&next, &error);
        next.books.hand_back(&mut leg.books);
        if let Some((chosen, (spent, signs))) = leg.books.chosen.as_mut().zip(before) {
            (chosen.spent, chosen.signs) = (spent, signs);
        }
        leg.answer(Came::Begun(made))
    }
}

/// What becomes of an answer that has begun.
#[expect(clippy::large_enum_variant, reason = "it is made once to an exchange")]
enum Judgement {
    /// It goes out, or a better one.
    Goes(Reply),
    /// It was held back, and has broken off.
    Broke(Box<Leg>, Error),
}

/// The exchange's books are those of `to` from now on. It has been waited for somebody since `from` began.
fn follows(from: &mut Leg, to: &mut Leg) {
    from.books.waited_since(from.began);
    from.books.hand_over(&mut to.books);
}

fn nowhere() -> Error {
    Error::router(ErrorKind::Internal, "a plan names a model that is not there")
}

/// Whether another candidate may do what one has failed to do with `error`. A budget that does not cover a
/// dear model may cover a cheap one.
fn moves_on(error: &Error) -> bool {
    attempt::elsewhere(error) || error.kind() == ErrorKind::BudgetDenied
}

/// The first of two to come to an end; where both have, the first.
async fn sooner(one: &mut Asking<'_>, other: &mut Asking<'_>) -> First {
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(First::One(result)),
        Poll::Pending => other.as_mut().poll(cx).map(First::Other),
    })
    .await
}
