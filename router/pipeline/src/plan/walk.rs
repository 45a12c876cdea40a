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

mod race;
mod trust;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use atp_core::{Error, ErrorKind, Exchange, Payload, Plan, PlanEvent, Reply, Rope};

use self::trust::Judgement;
use super::choice::Choice;
use super::chosen::Basis;
use super::learn::{self, Short};
use super::leg::Leg;
use crate::attempt::{self, Failures};
use crate::clock;
use crate::live::{Live, Route};
use crate::money::{Pot, Share};
use crate::pipeline::Shared;
use crate::settle;

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
    /// What the exchange may cost in all, where it may not cost more than that.
    pot: Option<Arc<Pot>>,
    /// The caller's own ceiling on the whole exchange.
    patience: Option<Duration>,
    /// The body, where it can be sent more than once.
    body: Option<Rope>,
    /// The candidate that comes next: a place in the plan's order.
    next: usize,
    deadline: Instant,
    hurry_at: Option<Instant>,
    failures: Failures,
    /// The last error that a provider told.
    told: Option<Error>,
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

impl Walk {
    /// The walk of an exchange whose plan was made at `now`.
    pub(super) fn new(
        shared: Arc<Shared>,
        live: Arc<Live>,
        choice: Arc<Choice>,
        basis: Arc<Basis>,
        exchange: &Exchange,
        now: Instant,
    ) -> Self {
        let plan = Arc::clone(&basis.plan);
        let pot = live.money.pot_for(exchange);
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
            pot,
            patience: exchange.patience,
            body,
            next: 0,
            deadline: now + total,
            hurry_at,
            failures: Failures::default(),
            told: None,
            events: Vec::new(),
            judged: false,
        }
    }

    /// The same walk, of an exchange whose work may go on when its caller leaves, which sets `left`.
    pub(super) fn left_by(mut self, left: Option<Arc<AtomicBool>>) -> Self {
        self.left = left;
        self
    }

    /// Walks to an answer that has begun, or to the error that tells most. The first candidate is asked with the
    /// exchange itself, and with its own books.
    pub(super) async fn go(mut self, mut leg: Box<Leg>) -> Reply {
        let Some(arm) = self.plan.order.first().copied() else { return leg.books.refuse(nowhere()) };
        (leg.arm, self.next) = (arm, 1);
        leg.books.share = self.share();
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

    /// The part of one more model in what the exchange may cost.
    pub(super) fn share(&self) -> Option<Share> {
        self.pot.as_ref().map(Pot::share)
    }

    fn route(&self, arm: usize) -> Option<Arc<Route>> {
        self.choice.arms.get(arm).map(|arm| Arc::clone(&arm.route))
    }

    /// Whether there is somebody left to ask, and something to ask him with.
    fn has_next(&self) -> bool {
        self.next < self.plan.order.len() && self.body.is_some()
    }

    /// The next candidate for what `like` asks, with books of a leg, and the reason noted.
    fn another(&mut self, reason: Reason, like: &Exchange, now: Instant) -> Option<Box<Leg>> {
        let (leg, route) = self.member(like, now)?;
        self.shared.metrics.plan.escalates(reason);
        self.events.push(PlanEvent::Escalate { model: Arc::clone(&route.name), reason: reason.label() });
        Some(leg)
    }

    /// The next candidate of the plan, with books of a leg and a copy of the exchange.
    pub(super) fn member(&mut self, like: &Exchange, now: Instant) -> Option<(Box<Leg>, Arc<Route>)> {
        let body = self.body.clone()?;
        let left = self.deadline.saturating_duration_since(now);
        let arm = *self.plan.order.get(self.next).filter(|_| !left.is_zero())?;
        let route = self.route(arm)?;
        self.next += 1;
        let mut exchange = Exchange { payload: Payload::Rope(body), ..attempt::copy(like) };
        // A leg may have had less time than the whole exchange.
        exchange.patience = if left < route.total { Some(left) } else { self.patience };
        let mut books = settle::leg(Arc::clone(&self.shared), &exchange, self.left.clone());
        books.share = self.share();
        Some((Box::new(Leg { arm, books, exchange, began: now, broke: None }), route))
    }

    /// Brings what has happened into the books that are the exchange's.
    fn tell(&mut self, leg: &mut Leg) {
        if let Some(chosen) = &mut leg.books.chosen {
            chosen.events.append(&mut self.events);
        }
    }

    /// A leg has come to nothing: what is learnt of that.
    pub(super) fn failed(&mut self, leg: &Leg, error: &Error) {
        let model = self.plan.candidates.get(leg.arm).map_or("", |candidate| &candidate.model);
        tracing::debug!(
            request_id = %self.plan.id, route = &*self.plan.route, model,
            error = error.kind().code(), cause = error.cause().unwrap_or(""), "candidate came to nothing"
        );
        if leg.books.was_asked() {
            self.told = Some(error.clone());
        }
        self.failures.add(error.clone());
        learn::leg(&self.shared, &self.basis, leg, &Short::Failed(error));
    }

    /// The next candidate after one that came to nothing, where that may help.
    fn goes_on(&mut self, leg: &mut Leg, error: &Error) -> Option<Box<Leg>> {
        if !moves_on(error) || leg.books.is_left() || !self.has_next() {
            return None;
        }
        let mut next = self.another(Reason::Failure, &leg.exchange, clock::now())?;
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
        // What a provider said tells more than that nothing is left to pay another one with.
        let told = self.told.take().filter(|_| error.kind() == ErrorKind::BudgetDenied);
        books.refuse(told.unwrap_or_else(|| std::mem::take(&mut self.failures).worst(error)))
    }

    /// The predicted quality of a candidate.
    pub(super) fn quality_of(&self, arm: usize) -> f64 {
        self.plan.candidates.get(arm).map_or(0.0, |candidate| candidate.quality)
    }
}

fn nowhere() -> Error {
    Error::router(ErrorKind::Internal, "a plan names a model that is not there")
}

/// Whether another candidate may do what one has failed to do with `error`. A budget that does not cover a
/// dear model may cover a cheap one.
fn moves_on(error: &Error) -> bool {
    attempt::elsewhere(error) || error.kind() == ErrorKind::BudgetDenied
}
