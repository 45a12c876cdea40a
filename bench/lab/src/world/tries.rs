//! Tries: how they begin, what providers tell about them, and what follows from it.

use atp_core::{Qos, RateFacts};
use atp_routing::plan::Order;
use atp_routing::walk::{Again, Rules, Step};
use atp_routing::{Walk, share::Idle};
use std::time::Duration;

use super::books::Afford;
use super::{Berth, Event, STREAMED, Stage, Try, World};
use crate::control::{Begun, Ending, TryOutcome};
use crate::provider::{Answers, Outbox, Signal, Waste};
use crate::queue::Coming;
use crate::tally::Fate;

/// When a request ends in any case.
const TOTAL: Duration = Duration::from_secs(600);
/// A client whose request failed asks again not sooner than after this.
const SULK: Duration = Duration::from_secs(1);

impl World<'_> {
    /// A turn has been given: the try begins.
    pub(super) fn begin(&mut self, id: usize, berth: Berth) {
        let place = berth.lane;
        let now = self.now();
        let (Some(state), Some(lane)) = (self.jobs.get_mut(id), self.lanes.get_mut(place)) else { return };
        let number = self.tries.len();
        lane.in_flight += 1;
        lane.gold += u32::from(state.job.qos == Qos::Gold);
        lane.counts.tries += 1;
        *self.flows.entry((state.job.tenant, state.job.qos)).or_default() += 1;
        let turn = self.tally.jobs.get_mut(id).map_or(1, |row| {
            row.tries += 1;
            row.tries
        });
        let begun = Begun { at: now, in_flight: lane.in_flight, input: state.job.input, paid: berth.paid };
        self.tries.push(Try { job: id, lane: place, begun, first: None, live: true });
        state.tries.push(number);
        state.stage = Stage::Running;
        state.wanted = None;
        if state.walk.is_none() {
            let others = (0..self.plan.lanes.len()).filter(|other| *other != place);
            let mut walk = Walk::new(std::iter::once(place).chain(others).collect::<Order>());
            walk.next(now + TOTAL, &Rules::default());
            state.walk = Some(walk);
        }
        let mut outbox = Outbox::new();
        lane.provider.begin(number, &state.job, turn, now, &mut outbox);
        let p95 = lane.limiter.p95_first_token();
        self.announce(place, outbox);
        if let Some(rules) = &self.system.hedging
            && let Some(p95) = p95
            && self.jobs.get(id).is_some_and(|state| state.tries.len() == 1)
        {
            self.agenda.after(rules.when(p95), Event::Hedge(id));
        }
    }

    /// A provider tells something. Nobody listens any more to what it tells of a try that is over.
    pub(super) fn told(&mut self, place: usize, signal: Signal) {
        match signal {
            Signal::Change => {
                let mut outbox = Outbox::new();
                let now = self.now();
                if let Some(lane) = self.lanes.get_mut(place) {
                    lane.provider.change(now, &mut outbox);
                }
                self.announce(place, outbox);
            }
            Signal::First(id, facts) if self.is_live(id) => {
                self.first_token(id, &facts.map(|facts| *facts).unwrap_or_default());
            }
            Signal::Done(id) if self.is_live(id) => self.done(id),
            Signal::Refused(id, pause, facts) if self.is_live(id) => {
                self.unserved(id, TryOutcome::Refused(pause), facts.map(|facts| *facts).unwrap_or_default());
            }
            Signal::Failed(id) if self.is_live(id) => self.unserved(id, TryOutcome::Failed, RateFacts::default()),
            _ => return,
        }
        self.dispatch();
    }

    fn is_live(&self, id: usize) -> bool {
        self.tries.get(id).is_some_and(|attempt| attempt.live)
    }

    fn first_token(&mut self, id: usize, facts: &RateFacts) {
        let now = self.now();
        let Some(attempt) = self.tries.get_mut(id) else { return };
        let (job, begun, place) = (attempt.job, attempt.begun, attempt.lane);
        attempt.first = Some(now);
        if let Some(lane) = self.lanes.get_mut(place) {
            match self.plan.lanes.get(place).map(|spec| spec.answers) {
                Some(Answers::Whole) => {
                    let output = self.jobs.get(job).map_or(0, |state| state.job.output);
                    lane.limiter.answered(now, begun, output, facts);
                }
                _ => lane.limiter.first_token(now, begun, facts),
            }
        }
        let (at, since) = (self.since(now).as_secs_f64(), self.since(begun.at).as_secs_f64());
        if let Some(row) = self.tally.jobs.get_mut(job) {
            row.began = Some(since);
            row.first = Some(at);
        }
        let Some(state) = self.jobs.get_mut(job) else { return };
        state.answered = true;
        let (losers, input) = (state.tries.clone(), state.job.input);
        for loser in losers.into_iter().filter(|other| *other != id) {
            self.lose(loser);
        }
        self.deliver(job, input);
        self.agenda.after(STREAMED, Event::Streamed(id));
    }

    /// The other lane was quicker.
    fn lose(&mut self, id: usize) {
        let Some(attempt) = self.tries.get(id) else { return };
        let Some(state) = self.jobs.get(attempt.job) else { return };
        let (input, unused) = (state.job.input, state.job.estimate - state.job.input);
        let then = self.since(state.hedged_at.unwrap_or(attempt.begun.at));
        self.tally.spent_twice += input as f64;
        let since = self.since_start();
        self.hedges.spent(input, since);
        self.hedges.give_back(unused, then);
        self.end_try(id, TryOutcome::Cancelled, input, RateFacts::default());
    }

    fn done(&mut self, id: usize) {
        let Some(attempt) = self.tries.get(id) else { return };
        let job = attempt.job;
        let Some(state) = self.jobs.get(job) else { return };
        let (total, output) = (state.job.tokens(), state.job.output);
        self.expected_output += (output as f64 - self.expected_output) / 16.0;
        self.deliver(job, total);
        let since = self.since_start();
        self.hedges.spent(total, since);
        self.end_try(id, TryOutcome::Served, total, RateFacts::default());
        self.end_job(job, Fate::Served);
    }

    /// A try was refused or failed: the walk says what is next.
    fn unserved(&mut self, id: usize, outcome: TryOutcome, facts: RateFacts) {
        let Some(attempt) = self.tries.get(id) else { return };
        let (job, place) = (attempt.job, attempt.lane);
        if let Some(lane) = self.lanes.get_mut(place) {
            match outcome {
                TryOutcome::Refused(_) => lane.counts.refused += 1,
                _ => lane.counts.failed += 1,
            }
        }
        self.end_try(id, outcome, 0, facts);
        let (now, since) = (self.now(), self.since_start());
        let Some(state) = self.jobs.get_mut(job) else { return };
        if !state.tries.is_empty() {
            return;
        }
        if state.answered {
            return self.end_job(job, Fate::Failed);
        }
        let again = match outcome {
            TryOutcome::Refused(Some(pause)) => Again::After(pause),
            _ => Again::Paused,
        };
        let rules = Rules::default();
        let deadline = state.job.arrived + TOTAL;
        let Some(walk) = &mut state.walk else { return };
        walk.failed(place, again, now, &rules, &mut self.chance);
        let step = walk.next(deadline, &rules);
        if step == Step::Stop || self.retries.afford(since) == Afford::No {
            return self.end_job(job, Fate::Failed);
        }
        match step {
            Step::Ask(lane) => {
                state.wanted = Some(lane);
                self.arrive(job, Coming::Again);
            }
            Step::AskAgain(lane, until) => {
                state.wanted = Some(lane);
                state.stage = Stage::Resting;
                self.agenda.at(until, Event::Rested(job));
            }
            Step::Stop => {}
        }
    }

    /// Gives back what a try held and tells its lane how it ended.
    fn end_try(&mut self, id: usize, outcome: TryOutcome, tokens: u64, limits: RateFacts) {
        let now = self.now();
        let Some(attempt) = self.tries.get_mut(id).filter(|attempt| attempt.live) else { return };
        attempt.live = false;
        let (job, place, begun) = (attempt.job, attempt.lane, attempt.begun);
        let (Some(state), Some(lane)) = (self.jobs.get_mut(job), self.lanes.get_mut(place)) else { return };
        state.tries.retain(|other| *other != id);
        lane.in_flight -= 1;
        lane.gold -= u32::from(state.job.qos == Qos::Gold);
        if let Some(running) = self.flows.get_mut(&(state.job.tenant, state.job.qos)) {
            *running -= 1;
        }
        let waste = if outcome == TryOutcome::Served { Waste::None } else { Waste::Lost };
        let mut outbox = Outbox::new();
        lane.provider.end(id, waste, now, &mut outbox);
        lane.limiter.ended(now, &Ending { begun, tokens, outcome, limits }, &mut self.chance);
        self.announce(place, outbox);
    }

    /// A request is over. Whatever it still holds is given back.
    pub(super) fn end_job(&mut self, id: usize, fate: Fate) {
        let Some(state) = self.jobs.get(id).filter(|state| state.stage != Stage::Over) else { return };
        let (stage, tries, line, source) = (state.stage, state.tries.clone(), state.line, state.job.source);
        let job = state.job.clone();
        for attempt in tries {
            self.catch_up(attempt);
            let used = self.jobs.get(id).map_or(0, |state| state.used);
            self.end_try(attempt, TryOutcome::Cancelled, used, RateFacts::default());
        }
        if stage == Stage::Waiting && !self.queue.leave(&job) && self.held == Some(id) {
            self.held = None;
        }
        self.settle(id);
        let at = self.since_start().as_secs_f64();
        if let Some(state) = self.jobs.get_mut(id) {
            state.stage = Stage::Over;
        }
        if let Some(row) = self.tally.jobs.get_mut(id) {
            row.fate = fate;
            row.over = Some(at);
        }
        self.ask_next(source, line, fate);
    }

    /// A client thinks, then asks again; after a failure not at once.
    fn ask_next(&mut self, place: usize, line: u32, fate: Fate) {
        let since = self.since_start();
        let (Some(source), Some(chance)) = (self.plan.sources.get(place), self.chances.get_mut(place)) else { return };
        if source.is_closed() && fate != Fate::Open {
            let sulk = if fate == Fate::Served { Duration::ZERO } else { SULK };
            let gap = source.gap(since, chance);
            self.agenda.after(gap + sulk, Event::Ask { source: place, line });
        }
    }

    /// A bronze request makes way: before its first token it waits again, after it it is over.
    pub(super) fn preempt(&mut self, id: usize) {
        let Some(attempt) = self.tries.get(id) else { return };
        let job = attempt.job;
        self.tally.preempted += 1;
        if attempt.first.is_some() {
            return self.end_job(job, Fate::Preempted);
        }
        self.end_try(id, TryOutcome::Cancelled, 0, RateFacts::default());
        let now = self.now();
        if let Some(state) = self.jobs.get_mut(job) {
            state.stage = Stage::Waiting;
            self.queue.push(&state.job, Coming::Again, now);
        }
    }

    /// The first token is late: another lane is asked too, if one has room and it can be afforded.
    pub(super) fn hedge(&mut self, id: usize) {
        let Some(rules) = &self.system.hedging else { return };
        let (since, now) = (self.since_start(), self.now());
        let Some(state) = self.jobs.get_mut(id) else { return };
        if state.stage != Stage::Running || state.answered || state.tries.len() != 1 || self.queue.len() > 0 {
            return;
        }
        let asked = state.tries.first().and_then(|first| self.tries.get(*first)).map(|attempt| attempt.lane);
        let tokens = state.job.estimate;
        let other = (0..self.plan.lanes.len()).find(|lane| Some(*lane) != asked);
        state.wanted = other;
        let Some(berth) = self.lane_for(id, Idle::No).filter(|berth| Some(berth.lane) != asked) else { return };
        if self.hedges.afford(rules, tokens, since) == Afford::Yes {
            if let Some(state) = self.jobs.get_mut(id) {
                state.hedged_at = Some(now);
            }
            self.begin(id, berth);
        }
    }
}
