//! The books of an exchange whose model the router chooses: each model that is asked is a *leg* with books
//! of its own, and one of them at a time is the exchange's.
//!
//! A leg holds its own turn, bill and reservation, and gives them back when it ends. What belongs to the
//! exchange (its permit, the choice, the right to write its row) is handed from leg to leg: to the next one
//! where a leg has failed, to the one that was faster, and back where a second answer came to nothing. So
//! the row is written once, whoever holds it when the exchange ends or its caller leaves.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use atp_core::{Error, Exchange, MicroUsd, Notes, Report, Side, Usage};

use super::{Books, Ending, Part, open};
use crate::clock;
use crate::lane::TryOutcome;
use crate::pipeline::Shared;
use crate::plan::{self, Chosen};
use crate::stack::Step;

/// The books of one more model of the same exchange.
pub(crate) fn leg(shared: Arc<Shared>, exchange: &Exchange, left: Option<Arc<AtomicBool>>) -> Books {
    let mut books = open(shared, exchange, left);
    (books.part, books.step) = (Part::Leg, Step::Plan);
    books
}

impl Books {
    /// Hands over what makes these the exchange's books.
    pub(crate) fn hand_over(&mut self, to: &mut Self) {
        to.part = std::mem::replace(&mut self.part, Part::Leg);
        to.permit = self.permit.take();
        to.chosen = self.chosen.take();
        if let Some(chosen) = &mut to.chosen {
            chosen.attempts += self.attempts;
        }
        // The exchange waits for providers since the first of its tries, and what was queued before it was.
        to.asked_at = self.asked_at.or(to.asked_at);
        (to.queued, to.queued_first) = (self.queued, self.queued_first);
    }

    /// Hands the exchange back to the leg that it was taken over from.
    pub(crate) fn hand_back(&mut self, to: &mut Self) {
        let tried = to.attempts;
        self.hand_over(to);
        if let Some(chosen) = &mut to.chosen {
            chosen.attempts -= tried;
        }
    }

    /// Counts the tries of a leg whose answer does not go out.
    pub(crate) fn counts_tries_of(&mut self, leg: &Self) {
        if let Some(chosen) = &mut self.chosen {
            chosen.attempts += leg.attempts;
        }
    }

    /// Notes that somebody has been waited for since `began`, who may not have been asked yet.
    pub(crate) fn waited_since(&mut self, began: Instant) {
        self.asked_at.get_or_insert(began);
    }

    /// Whether a provider is or was asked.
    pub(crate) fn was_asked(&self) -> bool {
        self.attempts > 0
    }

    /// Its answer is whole, and another is asked for: what it has used is settled now, whichever of the two
    /// goes out. Returns what it has cost, where that is known.
    pub(crate) fn rests(&mut self, status: u16, report: &Report, now: Instant) -> Option<MicroUsd> {
        self.status = status;
        self.settle_use(Ending::Served, report, now);
        self.rested = true;
        self.charged
    }

    /// Something beside the answer that goes out has been used and paid for.
    pub(crate) fn spends(&mut self, usage: Option<Usage>, cost: Option<MicroUsd>) {
        if let Some(chosen) = &mut self.chosen {
            chosen.spent.add(usage, cost);
        }
    }

    /// Whether the provider that was asked last is to blame for `error`: not where its caller had less patience
    /// than the configured timers.
    pub(crate) fn blames(&self, error: &Error) -> bool {
        let lane = self.current().filter(|_| error.side() == Side::Provider);
        lane.is_some_and(|lane| lane.outcome_of(error, self.patience) != TryOutcome::Cancelled)
    }

    /// All tries of the exchange.
    pub(super) fn all_attempts(&self) -> u32 {
        self.attempts + self.chosen.as_ref().map_or(0, |chosen| chosen.attempts)
    }

    /// The router's model that answers, where the router chose it.
    pub(super) fn chosen_model(&self) -> Option<Arc<str>> {
        self.chosen.as_ref()?;
        let asked = self.was_asked() || self.reused.is_some();
        self.route.as_ref().filter(|_| asked).map(|route| Arc::clone(&route.name))
    }

    /// What a caller is told about the choice.
    pub(super) fn tell_choice(&self, chosen: &Chosen, notes: &mut Notes) {
        notes.attempts = self.all_attempts();
        notes.chosen = self.chosen_model();
        notes.plan = Some(Arc::clone(&chosen.basis.plan));
        notes.events.clone_from(&chosen.events);
    }

    /// The usage of the answer, with that of answers that were given up.
    pub(super) fn with_spent(&self, usage: Option<Usage>) -> Option<Usage> {
        match &self.chosen {
            Some(chosen) => chosen.spent.with_usage(usage),
            None => usage,
        }
    }

    /// The cost of the answer, with what was spent on others.
    pub(super) fn with_spent_cost(&self, cost: Option<MicroUsd>) -> Option<MicroUsd> {
        match &self.chosen {
            Some(chosen) => chosen.spent.with_cost(cost, self.status != 0),
            None => cost,
        }
    }

    /// Adds what was spent on other answers, and learns from how it went.
    pub(super) fn settle_choice(&mut self, now: Instant, ending: Ending<'_>, report: &Report) {
        let own = self.charged;
        self.charged = self.with_spent_cost(own);
        let (see, operation) = (self.shared.dialect.signs, self.operation);
        // Of an answer in parts there is no whole to look at.
        if let Some(chosen) = self.chosen.as_mut().filter(|_| matches!(ending, Ending::Served) && self.broken.is_none())
        {
            chosen.look(|whole| see(operation, whole));
        }
        let Some(chosen) = &self.chosen else { return };
        let error = match ending {
            Ending::Failed(error) => Some(error),
            Ending::Served | Ending::Left => None,
        };
        let ended = plan::Ended {
            outcome: self.outcome(ending),
            blamed: error.is_some_and(|error| self.blames(error)),
            kind: error.map(Error::kind),
            report,
            model: self.chosen_model(),
            reused: self.reused,
            own,
            charged: self.charged,
            usage: self.with_spent(self.joined(report.usage).or(self.metered)),
            latency: now.saturating_duration_since(self.received),
            unix_ms: clock::unix_ms(now),
        };
        plan::ended(&self.shared, self.id, chosen, &ended, now);
    }
}
