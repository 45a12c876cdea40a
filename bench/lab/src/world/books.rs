//! What is counted while a request runs: its tokens, the retry budget, the tokens spent on hedges.

use atp_routing::hedge::{self, HedgeRules};
use atp_routing::retry_budget::{self, RetryBudget};
use std::time::{Duration, Instant};

use super::{Event, Retrying, STREAMED, Stage, World};
use crate::queue::Charges;

/// The gateway's retry budget.
#[derive(Debug)]
pub(super) struct Retries {
    retrying: Retrying,
    slots: [retry_budget::Slot; retry_budget::SLOTS],
}

impl Retries {
    pub(super) fn new(retrying: Retrying) -> Self {
        Self { retrying, slots: Default::default() }
    }

    pub(super) fn asked(&mut self, since: Duration) {
        self.count(since, retry_budget::Slot::with_request);
    }

    /// Whether another try can be afforded; it is then counted.
    pub(super) fn afford(&mut self, since: Duration) -> Afford {
        let second = second_of(since);
        if self.retrying == Retrying::Budgeted && RetryBudget::default().balance(self.slots, second) == 0 {
            return Afford::No;
        }
        self.count(since, retry_budget::Slot::with_retry);
        Afford::Yes
    }

    fn count(&mut self, since: Duration, change: impl FnOnce(retry_budget::Slot) -> retry_budget::Slot) {
        let second = second_of(since);
        if let Some(slot) = self.slots.get_mut(retry_budget::Slot::place(second)) {
            *slot = change(slot.at(second));
        }
    }
}

/// Whether something can be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afford {
    Yes,
    No,
}

/// The tokens spent, and those of them for hedges.
#[derive(Debug, Default)]
pub(super) struct Hedges {
    slots: [hedge::Slot; hedge::SLOTS],
}

impl Hedges {
    pub(super) fn spent(&mut self, tokens: u64, since: Duration) {
        self.count(since, |slot| slot.with_spent(tokens));
    }

    /// Whether a hedge of this estimate can be afforded; it is then counted.
    pub(super) fn afford(&mut self, rules: &HedgeRules, tokens: u64, since: Duration) -> Afford {
        if rules.balance(self.slots, second_of(since)) < tokens {
            return Afford::No;
        }
        self.count(since, |slot| slot.with_extra(tokens));
        Afford::Yes
    }

    /// The loser used less than its estimate, which was counted at `then`.
    pub(super) fn give_back(&mut self, tokens: u64, then: Duration) {
        let second = second_of(then);
        if let Some(slot) = self.slots.get_mut(hedge::Slot::place(second))
            && slot.is_of(second)
        {
            *slot = slot.without_extra(tokens);
        }
    }

    fn count(&mut self, since: Duration, change: impl FnOnce(hedge::Slot) -> hedge::Slot) {
        let second = second_of(since);
        if let Some(slot) = self.slots.get_mut(hedge::Slot::place(second)) {
            *slot = change(slot.at(second));
        }
    }
}

fn second_of(since: Duration) -> u32 {
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

impl World<'_> {
    /// A stream has run for another while: what it delivered is written down, and charged beyond the estimate.
    pub(super) fn streamed(&mut self, id: usize) {
        self.catch_up(id);
        if self.tries.get(id).is_some_and(|attempt| attempt.live) {
            self.agenda.after(STREAMED, Event::Streamed(id));
        }
    }

    /// Counts what a try has delivered up to now.
    pub(super) fn catch_up(&mut self, id: usize) {
        let now = self.now();
        let Some(attempt) = self.tries.get(id).filter(|attempt| attempt.live) else { return };
        let Some(first) = attempt.first else { return };
        let Some(state) = self.jobs.get_mut(attempt.job) else { return };
        let rate = self.plan.lanes.get(attempt.lane).map_or(1.0, |spec| spec.speed.decode);
        let written = (now.saturating_duration_since(first).as_secs_f64() * rate) as u64;
        let total = state.job.input + written.min(state.job.output);
        self.deliver(attempt.job, total);
    }

    /// The request has got `total` tokens by now.
    pub(super) fn deliver(&mut self, id: usize, total: u64) {
        let now = self.now();
        let waiting = self.queue.len() > 0;
        let Some(state) = self.jobs.get_mut(id) else { return };
        let more = total.saturating_sub(state.used);
        state.used += more;
        self.tally.deliver(state.job.source, more, now);
        if self.queue.charges() == Charges::Nothing {
            return;
        }
        // One that came through the queue was charged its estimate; one that did not pays as it uses. Both pay
        // only while somebody waits: what is used beyond the estimate while nobody waits is free for good.
        let owed = if state.queued { state.used.saturating_sub(state.charged) } else { more };
        state.charged += owed;
        if owed > 0 && waiting {
            self.queue.charge(&state.job, i64::try_from(owed).unwrap_or(i64::MAX));
        }
    }

    /// The request is over: what it was charged too much is given back.
    pub(super) fn settle(&mut self, id: usize) {
        let Some(state) = self.jobs.get(id) else { return };
        if self.queue.charges() == Charges::Tokens && state.queued && state.charged > state.used {
            let surplus = i64::try_from(state.charged - state.used).unwrap_or(i64::MAX);
            self.queue.charge(&state.job, -surplus);
        }
    }

    /// Writes down when a caller will lose patience.
    pub(super) fn plan_leaving(&mut self, id: usize) {
        if let Some(mean) = self.plan.patience {
            let patience = crate::dice::exponential(mean, &mut self.chance);
            self.agenda.after(crate::agenda::seconds(patience), Event::Leave(id));
        }
    }

    /// A caller leaves, wherever his request is.
    pub(super) fn leave(&mut self, id: usize) {
        if self.jobs.get(id).is_some_and(|state| state.stage != Stage::Over) {
            self.end_job(id, crate::tally::Fate::Left);
            self.dispatch();
        }
    }

    /// The time of an instant on the run's own clock.
    pub(super) fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }
}
