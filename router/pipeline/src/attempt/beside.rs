//! A second target beside a slow first one.
//!
//! Where a model hedges, and the first token, or the answer that is no stream, has not come after the time that the lane's own tries take
//! 95 times of 100, the next target that has room is asked too (J. Dean and L. A. Barroso, "The Tail at
//! Scale", 2013). Whoever answers first is kept and the other dropped at once; what fails leaves the
//! other one running. The second target waits for no turn, overtakes nobody who does, is no probe, and is
//! paid for from the model's budget of hedges ([`super::hedge`]). There is at most one to a try.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use atp_core::{Continuity, Error, Payload, Rope, Usage};

use super::hedge::{Hedging, Taken};
use super::trial::Trial;
use super::{Tried, Walker, failures};
use crate::clock;
use crate::flow::Run;
use crate::flow::lane::Awaited;
use crate::flow::turn::Turn;
use crate::lane::{self, Lane, TryOutcome};
use crate::metrics::HedgeOutcome;
use crate::settle::{Books, Ending};

/// The try beside the first. Dropping it, which is what a caller who leaves does, ends it without a word
/// about its lane.
struct Second<'a> {
    target: usize,
    lane: &'a Lane,
    hedging: &'a Hedging,
    model: Arc<str>,
    turn: Option<Turn>,
    taken: Taken,
    /// What the try that is dropped has cost; the prompt, where its provider has not told.
    extra: u64,
}

/// A try under way, and what gold preempts it by.
type Running<'a> = (Trial<'a>, Option<Arc<Run>>);

/// Who was first to come to an end of any kind.
enum Race {
    First(Tried),
    Second(Tried),
}

impl<'a> Walker<'a> {
    /// One try, to the point where its answer may begin; `again` is what a second one beside it would
    /// send. Where that one takes over, `target` is its.
    pub(super) async fn ask(
        &mut self,
        target: &mut usize,
        payload: Payload,
        again: Option<&Rope>,
        now: Instant,
    ) -> Tried {
        let left = self.bounds.deadline.saturating_duration_since(now);
        let (route, exchange) = (self.route, self.exchange);
        let Some(lane) = route.lanes.get(*target).filter(|_| !left.is_zero()) else {
            return Tried::Failed(self.failures.out_of_time(self.total));
        };
        let model = lane.model_for(&exchange.model, self.star);
        self.books.try_begins(*target, &model, now, left);
        let ceiling = self.books.ceiling(self.continuity);
        let trial = Trial::new(exchange, lane.ask(exchange, &model, payload, self.continuity, ceiling, left));
        let mut first = (trial, self.books.run().cloned());
        let Some((again, at)) = again.zip(self.hedges_at(now)) else { return alone(&mut first).await };
        if let Some(tried) = clock::before(at, alone(&mut first)).await {
            return tried;
        }
        match self.second(clock::now()) {
            Some(second) => self.race(target, first, second, again).await,
            None => alone(&mut first).await,
        }
    }

    /// When a second target may be asked.
    fn hedges_at(&self, now: Instant) -> Option<Instant> {
        // Not every target can go on with an answer, and who has its beginning waits for no first token.
        let hedging = self.route.hedge.as_ref().filter(|_| !matches!(self.continuity, Continuity::Continue(_)))?;
        let awaited = if self.exchange.stream { Awaited::FirstToken } else { Awaited::Answer };
        let after = hedging.after(self.books.turn.as_ref()?.p95(awaited))?;
        Some(now + after)
    }

    /// The right to a second try, at the first target that has room for one.
    fn second(&mut self, now: Instant) -> Option<Second<'a>> {
        let (route, hedging) = (self.route, self.route.hedge.as_ref()?);
        let bill = self.books.bill.as_ref()?;
        if self.walk.fresh().is_empty() || self.books.is_left() {
            return None;
        }
        let Some(taken) = hedging.take(bill.expected, now) else {
            self.count(HedgeOutcome::Unaffordable);
            return None;
        };
        let spare = |target: &usize| {
            let lane = route.lanes.get(*target)?;
            let turn = route.pool.try_spare_turn(*target, &bill.flow, bill.expected, now)?;
            Some((*target, lane, turn))
        };
        let Some((target, lane, turn)) = self.walk.fresh().iter().find_map(spare) else {
            hedging.give_back(taken, 0);
            self.count(HedgeOutcome::NoRoom);
            return None;
        };
        let extra = bill.input;
        self.walk.ask_ahead(target);
        self.books.begins_beside();
        let model = lane.model_for(&self.exchange.model, self.star);
        Some(Second { target, lane, hedging, model, turn: Some(turn), taken, extra })
    }

    /// Two tries, of which the first to answer is kept.
    async fn race(&mut self, target: &mut usize, mut first: Running<'_>, second: Second<'a>, again: &Rope) -> Tried {
        let left = self.bounds.deadline.saturating_duration_since(clock::now());
        let model = Arc::clone(&second.model);
        let (payload, ceiling) = (Payload::Rope(again.clone()), self.books.ceiling(self.continuity));
        let asked = second.lane.ask(self.exchange, &model, payload, self.continuity, ceiling, left);
        let run = second.turn.as_ref().and_then(Turn::run).cloned();
        let mut other = (Trial::new(self.exchange, asked), run);
        match sooner(&mut first, &mut other).await {
            Race::First(Tried::Opened(opening)) if opening.failure().is_none() => {
                self.count(HedgeOutcome::Lost);
                second.loses(other.0.usage());
                Tried::Opened(opening)
            }
            Race::Second(Tried::Opened(opening)) if opening.failure().is_none() => {
                self.count(HedgeOutcome::Won);
                let usage = first.0.usage();
                self.books.loses(usage, clock::now());
                *target = second.takes_over(self.books, usage);
                Tried::Opened(opening)
            }
            Race::First(tried) => {
                drop(first);
                self.first_ends(*target, tried);
                *target = second.takes_over(self.books, None);
                alone(&mut other).await
            }
            Race::Second(tried) => {
                drop(other);
                self.count(HedgeOutcome::Failed);
                self.second_ends(second, tried);
                alone(&mut first).await
            }
        }
    }

    /// The first try has come to nothing while the second one runs.
    fn first_ends(&mut self, target: usize, tried: Tried) {
        let now = clock::now();
        match error_of(tried) {
            None => self.books.gives_way(now),
            Some(error) => {
                self.notes(target, &error, now);
                self.books.try_failed(&error, now);
                self.failures.add(error);
            }
        }
    }

    /// The second try has come to nothing while the first one runs.
    fn second_ends(&mut self, mut second: Second<'_>, tried: Tried) {
        let (Some(error), now) = (error_of(tried), clock::now()) else { return };
        self.notes(second.target, &error, now);
        if let Some(turn) = second.turn.take() {
            let verdict = self.books.told(second.lane, Ending::Failed(&error));
            turn.end(now, verdict, 0, &lane::limits(&error));
        }
        self.failures.add(error);
    }

    /// Notes whether a target that has failed may be asked again.
    fn notes(&mut self, target: usize, error: &Error, now: Instant) {
        self.walk.failed(target, failures::again(error), now, &self.retries.rules, &mut rand::rng());
    }

    fn count(&self, outcome: HedgeOutcome) {
        self.books.shared.metrics.flow.count_hedge(outcome);
    }
}

impl Second<'_> {
    /// It was the slower one.
    fn loses(mut self, usage: Option<Usage>) {
        if let Some(usage) = usage {
            self.extra = usage.total();
            self.lane.spent(&usage, &self.model);
        }
    }

    /// It goes on alone; `usage` is what the other one has cost.
    fn takes_over(mut self, books: &mut Books, usage: Option<Usage>) -> usize {
        if let Some(usage) = usage {
            self.extra = usage.total();
        }
        if let Some(turn) = self.turn.take() {
            books.goes_on_with(self.target, &self.model, turn);
        }
        self.target
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        self.hedging.give_back(self.taken, self.extra);
        if self.turn.is_some() {
            self.lane.ended(TryOutcome::Cancelled);
        }
    }
}

/// Why a try has come to nothing; `None` where gold has taken its slot.
fn error_of(tried: Tried) -> Option<Error> {
    match tried {
        Tried::Opened(opening) => opening.failure().cloned(),
        Tried::Failed(error) => Some(error),
        Tried::Preempted => None,
    }
}

/// A try that runs alone.
async fn alone(running: &mut Running<'_>) -> Tried {
    poll_fn(|cx| step(running, cx)).await
}

/// Two tries, up to the end of one. The first is asked first: where both are ready, it wins.
async fn sooner(first: &mut Running<'_>, second: &mut Running<'_>) -> Race {
    poll_fn(|cx| match step(first, cx) {
        Poll::Ready(tried) => Poll::Ready(Race::First(tried)),
        Poll::Pending => step(second, cx).map(Race::Second),
    })
    .await
}

fn step((trial, run): &mut Running<'_>, cx: &mut Context<'_>) -> Poll<Tried> {
    if run.as_ref().is_some_and(|run| run.poll_preempted(cx).is_ready()) {
        return Poll::Ready(Tried::Preempted);
    }
    trial.poll(cx).map(|result| match result {
        Ok(opening) => Tried::Opened(opening),
        Err(error) => Tried::Failed(error),
    })
}
