//! Step 1: the books of an exchange, opened first and closed exactly once, whichever way it ends:
//! answered, refused, failed, given up by the caller before or in the middle of the answer.
//!
//! [`Books`] is a guard. It travels with the exchange, first in the future, then in the answer's
//! body; whoever drops it without closing it has been left by the caller.

mod body;
mod broken;
mod costs;
mod leg;
mod reserved;
mod reuse;
mod row;
mod unseen;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use atp_core::port::Outcome;
use atp_core::{
    Answer, Caller, Error, ErrorKind, Exchange, MicroUsd, Notes, Operation, RateFacts, Reply, Report, RequestId,
    Reused, Usage,
};

use atp_routing::control::Verdict;

pub(crate) use self::body::Body;
use self::broken::Broken;
pub(crate) use self::leg::leg;
use crate::attempt::{Opening, Rescue};
use crate::clock;
use crate::flow::turn::Turn;
use crate::flow::{Asked, Bill, Run};
use crate::lane::{self, Lane, TryOutcome};
use crate::leave::{self, Spawn};
use crate::live::Route;
use crate::money::{Reservation, Share};
use crate::permit::Permit;
use crate::pipeline::Shared;
use crate::plan::Chosen;
use crate::stack::Step;

/// The status of the ledger for an exchange that its caller left, as nginx writes it.
const STATUS_LEFT: u16 = 499;

/// The open books of one exchange, and everything that was borrowed for it.
pub(crate) struct Books {
    pub(crate) shared: Arc<Shared>,
    pub(crate) route: Option<Arc<Route>>,
    id: RequestId,
    caller: Arc<Caller>,
    operation: Operation,
    asked: Arc<str>,
    stream: bool,
    patience: Option<Duration>,
    received: Instant,
    step: Step,
    permit: Option<Permit>,
    /// The right to the try that is under way, or that comes next.
    pub(crate) turn: Option<Turn>,
    /// What the exchange is charged for its share.
    pub(crate) bill: Option<Bill>,
    /// The time spent waiting for turns.
    pub(crate) queued: Duration,
    /// The part of it before the first try.
    queued_first: Duration,
    /// Which lane of the route is or was asked last.
    lane: usize,
    /// Whether that lane's try has not ended yet.
    trying: bool,
    /// The provider's name for the model.
    model: Option<Arc<str>>,
    attempts: u32,
    /// When the first try began.
    asked_at: Option<Instant>,
    /// When the answer began.
    answered_at: Option<Instant>,
    /// From the first try's beginning to the answer's: providers, and pauses made for them.
    waited: Duration,
    status: u16,
    /// Where the answer comes from, where no provider makes it for this exchange.
    reused: Option<Reused>,
    /// The parts of the answer that broke off, where it was gone on with.
    broken: Option<Box<Broken>>,
    /// Why this model is asked, where the router chose it.
    pub(crate) chosen: Option<Box<Chosen>>,
    /// Whose books they are.
    part: Part,
    /// Whether what was used has been settled before the end, because the answer was whole.
    rested: bool,
    /// Its part of what the exchange may cost, where that may ask several models and this one has not been
    /// asked yet.
    pub(crate) share: Option<Share>,
    /// What is held of the caller's budgets; `None` where none concerns it.
    pub(crate) reserved: Option<Box<Reservation>>,
    /// Whether the provider was told to make less of an answer than was asked for, to keep to what its caller
    /// may spend.
    pub(crate) bounded: bool,
    /// What the router itself has counted, where the exchange has a reservation and its provider told nothing.
    metered: Option<Usage>,
    /// What the exchange has cost, once it has ended and where that is known.
    charged: Option<MicroUsd>,
    /// Set when the caller has left and the provider's work goes on without him.
    pub(crate) left: Option<Arc<AtomicBool>>,
    closed: bool,
}

/// Whose books they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The exchange's own.
    Whole,
    /// Those of a model that is asked beside another, or was asked before it: others tell of the exchange.
    Leg,
}

/// How an exchange ended.
#[derive(Clone, Copy)]
pub(crate) enum Ending<'a> {
    Served,
    Failed(&'a Error),
    Left,
}

/// Opens the books.
pub(crate) fn open(shared: Arc<Shared>, exchange: &Exchange, left: Option<Arc<AtomicBool>>) -> Books {
    Books {
        shared,
        route: None,
        id: exchange.id,
        caller: Arc::clone(&exchange.caller),
        operation: exchange.operation,
        asked: Arc::clone(&exchange.model),
        stream: exchange.stream,
        patience: exchange.patience,
        received: exchange.received,
        step: Step::Settle,
        permit: None,
        turn: None,
        bill: None,
        queued: Duration::ZERO,
        queued_first: Duration::ZERO,
        lane: 0,
        trying: false,
        model: None,
        attempts: 0,
        asked_at: None,
        answered_at: None,
        waited: Duration::ZERO,
        status: 0,
        reused: None,
        broken: None,
        chosen: None,
        part: Part::Whole,
        rested: false,
        share: None,
        reserved: None,
        bounded: false,
        metered: None,
        charged: None,
        left,
        closed: false,
    }
}

impl Books {
    /// Notes which step the exchange has come to.
    pub(crate) fn enter(&mut self, step: Step) {
        debug_assert!(step >= self.step, "{step:?} stands before {:?}", self.step);
        self.step = step;
    }

    /// Takes what is to be given back when the exchange ends.
    pub(crate) fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Whether the caller has left while the provider's work goes on.
    pub(crate) fn is_left(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.load(Ordering::Relaxed))
    }

    /// How many more tokens the answer goes on for when its caller leaves now; `None` where it ends.
    fn goes_on(&self) -> Option<u64> {
        let policy = self.route.as_ref()?.on_disconnect;
        let done = self.closed || self.is_left();
        leave::limit(policy, self.stream, None).filter(|_| !done)
    }

    /// Notes that the caller has left, and hands out who runs what goes on.
    fn leave(&self) -> Spawn {
        if let Some(left) = &self.left {
            left.store(true, Ordering::Relaxed);
        }
        Arc::clone(&self.shared.spawn)
    }

    /// Takes charge of a turn, and tells its lane's place in the route.
    pub(crate) fn take_turn(&mut self, turn: Turn) -> usize {
        let place = turn.place();
        self.turn = Some(turn);
        place
    }

    /// Notes that a try of the lane begins, with so much time left.
    pub(crate) fn try_begins(&mut self, lane: usize, model: &Arc<str>, now: Instant, left: Duration) {
        self.enter(Step::Lane);
        self.lane = lane;
        self.trying = true;
        self.model = Some(model).filter(|model| !model.is_empty()).cloned();
        self.attempts += 1;
        if self.asked_at.is_none() {
            self.asked_at = Some(now);
            self.queued_first = self.queued;
        }
        // What the queue has taken of the time is no more the provider's fault than a caller's haste.
        if self.patience.is_some() || !self.queued.is_zero() {
            self.patience = Some(left);
        }
        if let Some(turn) = &mut self.turn {
            turn.begins(now);
        }
    }

    /// Notes that the try ended without an answer.
    pub(crate) fn try_failed(&mut self, error: &Error, now: Instant) {
        self.try_ended(Ending::Failed(error), now, 0);
    }

    /// Notes that the try gives way to a gold one.
    pub(crate) fn gives_way(&mut self, now: Instant) {
        self.try_ended(Ending::Left, now, 0);
    }

    /// Notes that the try is dropped for one that answered sooner. What its provider told that it cost
    /// is spent, but is no part of the caller's answer.
    pub(crate) fn loses(&mut self, usage: Option<Usage>, now: Instant) {
        if let (Some(usage), Some(lane)) = (usage, self.current()) {
            lane.spent(&usage, self.model.as_deref().unwrap_or_default());
        }
        self.try_ended(Ending::Left, now, usage.map_or(0, |usage| usage.total()));
    }

    /// Notes that a try begins beside the one that is under way.
    pub(crate) fn begins_beside(&mut self) {
        self.attempts += 1;
    }

    /// Goes on with the try that began beside the one that has ended.
    pub(crate) fn goes_on_with(&mut self, lane: usize, model: &Arc<str>, turn: Turn) {
        self.lane = lane;
        self.trying = true;
        self.model = Some(model).filter(|model| !model.is_empty()).cloned();
        self.turn = Some(turn);
    }

    /// How a try of `lane` ended, to its metrics and to its turn.
    pub(crate) fn told(&self, lane: &Lane, ending: Ending<'_>) -> Verdict {
        let outcome = match ending {
            Ending::Served => TryOutcome::Served,
            // An answer that had begun was only long: the exchange's total tells nothing about its provider.
            Ending::Failed(error) if error.kind() == ErrorKind::TimeoutTotal && self.status != 0 => {
                TryOutcome::Cancelled
            }
            Ending::Failed(error) => lane.outcome_of(error, self.patience),
            Ending::Left => TryOutcome::Cancelled,
        };
        lane.ended(outcome);
        match ending {
            Ending::Failed(error) => lane::verdict(outcome, error),
            Ending::Served => Verdict::Served,
            Ending::Left => Verdict::Cancelled,
        }
    }

    /// Ends the try, and gives its turn back, or a turn that was not used.
    fn try_ended(&mut self, ending: Ending<'_>, now: Instant, tokens: u64) {
        let turn = self.turn.take();
        let trying = std::mem::take(&mut self.trying);
        let lane = self.current().filter(|_| trying);
        let verdict = lane.map_or(Verdict::Cancelled, |lane| self.told(lane, ending));
        if let Some(turn) = turn {
            let limits = match ending {
                Ending::Failed(error) => lane::limits(error),
                Ending::Served | Ending::Left => RateFacts::default(),
            };
            turn.end(now, verdict, tokens, &limits);
        }
    }

    fn current(&self) -> Option<&Lane> {
        self.route.as_ref().and_then(|route| route.lanes.get(self.lane)).filter(|_| self.attempts > 0)
    }

    fn notes(&self) -> Notes {
        let mut notes = Notes {
            provider: self.current().map(|lane| Arc::clone(lane.provider.name())),
            model: self.model.clone(),
            attempts: self.attempts,
            cost: None,
            waited: self.waited,
            queued: self.queued,
            reused: self.reused,
            phase: self.route.as_ref().filter(|_| self.was_asked() || self.reused.is_some()).map(|route| route.phase()),
            ..Notes::default()
        };
        if let Some(chosen) = &self.chosen {
            self.tell_choice(chosen, &mut notes);
        }
        notes
    }

    /// Until the answer begins, or the exchange ends without one, all time since the first try is
    /// the provider's, but for further waits for a turn.
    fn wait_ends(&mut self, now: Instant) {
        if let (Some(asked), None) = (self.asked_at, self.answered_at) {
            let queued = self.queued.saturating_sub(self.queued_first);
            self.waited = now.saturating_duration_since(asked).saturating_sub(queued);
        }
    }

    /// Notes that an answer begins, at `now`, and wraps it so that the books close when it ends.
    pub(crate) fn answer(mut self, opening: Opening, now: Instant, rescue: Option<Box<Rescue>>) -> Reply {
        self.wait_ends(now);
        self.answered_at = Some(now);
        self.status = opening.answer.status.as_u16();
        if let (true, Some(route)) = (self.stream, &self.route) {
            route.metrics.first_token.observe(now.saturating_duration_since(self.received).as_secs_f64());
        }
        if opening.failure().is_none() {
            self.goes_on_at(&opening, now);
        }
        let mut notes = self.notes();
        let report = opening.answer.body.report();
        // A stream may still tell more usage than it has told, until it has come to its end.
        if !self.stream || report.complete {
            notes.cost = self.with_spent_cost(self.cost(report.usage));
        }
        let Opening { answer: Answer { status, headers, limits, body }, held, ended } = opening;
        let body = Box::pin(Body::new(self, body, held, ended).rescued_by(rescue));
        Reply { notes, result: Ok(Answer { status, headers, limits, body }) }
    }

    /// Closes the books with a refusal or a failure.
    pub(crate) fn refuse(mut self, error: Error) -> Reply {
        let now = clock::now();
        self.wait_ends(now);
        let notes = self.notes();
        self.close_at(now, Ending::Failed(&error), &Report::default());
        Reply { notes, result: Err(error) }
    }

    /// Closes the books, once; what is borrowed goes back at the same moment.
    pub(crate) fn close(&mut self, ending: Ending<'_>, report: &Report) {
        if !self.closed {
            self.close_at(clock::now(), ending, report);
        }
    }

    fn close_at(&mut self, now: Instant, ending: Ending<'_>, report: &Report) {
        self.closed = true;
        self.wait_ends(now);
        let ending = match ending {
            _ if self.is_left() => Ending::Left,
            // An error told inside an answer that came to its end is a failure all the same.
            Ending::Served => report.failure.as_ref().map_or(Ending::Served, Ending::Failed),
            other => other,
        };
        if !self.rested {
            self.settle_use(ending, report, now);
        }
        if self.part == Part::Leg {
            return;
        }
        self.permit = None;
        if self.chosen.is_some() {
            self.settle_choice(now, ending, report);
        }
        self.write(now, ending, report);
    }

    /// Settles what was used and gives back what it was borrowed for.
    fn settle_use(&mut self, ending: Ending<'_>, report: &Report, now: Instant) {
        self.meter_unseen(ending, now);
        let tokens = self.settle_bill(ending, report, now);
        self.try_ended(ending, now, tokens);
        self.charged = self.count_usage(ending, report);
        self.settle_reserved(ending, report, tokens, now);
    }

    /// Corrects what was charged to what was used, which is returned.
    fn settle_bill(&mut self, ending: Ending<'_>, report: &Report, now: Instant) -> u64 {
        // What a provider was asked and refused, or failed at, was not used; what a caller leaves was.
        let begun = self.status != 0 && (self.trying || self.broken.is_some());
        let asked = begun || (self.trying && matches!(ending, Ending::Left));
        let (asked, usage) = (if asked { Asked::Yes } else { Asked::No }, self.joined(report.usage));
        let tokens = self.bill.as_mut().map_or(0, |bill| bill.settle(usage, asked));
        if let Some(hedging) = self.route.as_ref().and_then(|route| route.hedge.as_ref()) {
            hedging.spent(tokens, now);
        }
        tokens
    }

    /// What gold preempts the exchange by, where it may.
    pub(crate) fn run(&self) -> Option<&Arc<Run>> {
        self.turn.as_ref().and_then(Turn::run)
    }

    fn outcome(&self, ending: Ending<'_>) -> Outcome {
        match ending {
            Ending::Served => Outcome::Served,
            Ending::Left => Outcome::Cancelled,
            Ending::Failed(error) if error.kind() == ErrorKind::Cancelled => Outcome::Cancelled,
            Ending::Failed(_) if self.all_attempts() == 0 && self.reused.is_none() => Outcome::Refused,
            Ending::Failed(_) => Outcome::Failed,
        }
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        self.close(Ending::Left, &Report::default());
    }
}
