//! Turns: who may begin where, now or later.

use atp_core::Qos;
use atp_routing::share::{self, Gold, Idle, Phase, Running, Shares};
use std::time::Duration;

use super::{Berth, Choice, Event, Lane, Slots, Stage, World};
use crate::agenda::seconds;
use crate::control::Gate;
use crate::queue::{Charges, Coming, Room};
use crate::tally::Fate;
use crate::traffic::Job;

impl World<'_> {
    /// A request wants a turn: at once where nobody waits, or by an express slot; else in the queue.
    pub(super) fn arrive(&mut self, id: usize, coming: Coming) {
        if self.lanes.iter().all(|lane| lane.limiter.gate() == Gate::Shut) {
            return self.end_job(id, Fate::Unavailable);
        }
        let Some(state) = self.jobs.get(id) else { return };
        let (job, qos) = (state.job.clone(), state.job.qos);
        let idle = self.idle(job.tenant, qos);
        let alone = self.queue.len() == 0 && self.held.is_none();
        let express = idle == Idle::Yes && self.system.slots != Slots::Equal && self.queue.waits(&job) == 0;
        if (alone || express)
            && let Some(berth) = self.lane_for(id, if express { Idle::Yes } else { Idle::No })
        {
            return self.begin(id, berth);
        }
        if qos == Qos::Gold
            && self.system.slots == Slots::Ranked(Gold::Configured)
            && let Some(berth) = self.make_way(id)
        {
            return self.begin(id, berth);
        }
        if coming == Coming::New && self.is_full(&job) {
            return self.end_job(id, Fate::TurnedAway);
        }
        self.queue.push(&job, coming, self.agenda.now());
        if let Some(state) = self.jobs.get_mut(id) {
            state.stage = Stage::Waiting;
        }
        self.agenda.after(seconds(self.plan.max_wait), Event::WaitedOut(id));
        self.dispatch();
    }

    /// Whether a request finds no place to wait: its class has as many as may, and its flow its part of them.
    fn is_full(&mut self, job: &Job) -> bool {
        let most = self.plan.max_waiting;
        self.queue.len_of(job.qos) >= most && self.queue.waits(job) >= self.queue.equal_part(job.qos, most)
    }

    /// Whether a flow has nothing under way.
    fn idle(&self, tenant: usize, qos: Qos) -> Idle {
        let running = self.flows.get(&(tenant, qos)).copied().unwrap_or_default();
        let window: u64 = self.lanes.iter().map(|lane| u64::from(lane.limiter.limit())).sum();
        let flows = self.flows.values().filter(|running| **running > 0).count() as u64;
        if running == 0 || u64::from(running) * 2 * flows < window { Idle::Yes } else { Idle::No }
    }

    /// Gives turns to those who wait, as long as there is room.
    pub(super) fn dispatch(&mut self) {
        while let Some(id) = self.next_waiting() {
            let Some(berth) = self.lane_for(id, Idle::No) else {
                // It was let out of the queue, and its tokens are not there yet.
                self.held = Some(id);
                break;
            };
            self.begin(id, berth);
        }
        self.plan_wake();
    }

    fn next_waiting(&mut self) -> Option<usize> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        if self.queue.len() == 0 {
            return None;
        }
        let room = Room { gold: self.has_room(Qos::Gold), others: self.has_room(Qos::Silver) };
        let id = self.queue.pop(room, self.agenda.now())?;
        let state = self.jobs.get_mut(id)?;
        if self.queue.charges() == Charges::Tokens && !state.queued {
            state.queued = true;
            state.charged = state.charged.max(state.job.estimate);
        }
        Some(id)
    }

    fn has_room(&self, qos: Qos) -> bool {
        let now = self.now();
        self.lanes.iter().any(|lane| {
            let paid = lane.unpaid_until.is_none_or(|until| until <= now);
            paid && self.slot_is_free(lane, qos, Idle::No)
        })
    }

    fn slot_is_free(&self, lane: &Lane, qos: Qos, idle: Idle) -> bool {
        let limit = lane.limiter.limit();
        match lane.limiter.gate() {
            Gate::Shut => false,
            Gate::Probing => limit > 0,
            Gate::Open => lane.in_flight < self.slots_of(lane, limit, qos, idle),
        }
    }

    /// Up to how many tries under way this request may begin another.
    fn slots_of(&self, lane: &Lane, limit: u32, qos: Qos, idle: Idle) -> u32 {
        match self.system.slots {
            Slots::Ranked(gold) => Shares::of(limit, lane.limiter.most(), gold).beside(lane.gold).slots(qos, idle),
            Slots::Equal => limit,
        }
    }

    /// The first lane that takes this request now, and the tokens that its rate was charged.
    pub(super) fn lane_for(&mut self, id: usize, idle: Idle) -> Option<Berth> {
        let now = self.now();
        let state = self.jobs.get(id)?;
        let (qos, tokens) = (state.job.qos, state.job.estimate);
        for place in self.lane_order(state.wanted) {
            let Some(lane) = self.lanes.get(place) else { continue };
            if !self.slot_is_free(lane, qos, idle) {
                continue;
            }
            let Some(lane) = self.lanes.get_mut(place) else { continue };
            match lane.limiter.admit(tokens, idle, now) {
                Ok(paid) => return Some(Berth { lane: place, paid }),
                Err(wait) => lane.unpaid_until = wait.map(|wait| now + wait),
            }
        }
        None
    }

    /// The lanes in the order in which they are asked.
    fn lane_order(&self, wanted: Option<usize>) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.lanes.len()).collect();
        let busy = |place: &usize| self.lanes.get(*place).map_or(0, |lane| lane.in_flight);
        match self.system.choice {
            Choice::AsConfigured => {}
            Choice::LeastBusy => places.sort_by_key(busy),
        }
        places.sort_by_key(|place| Some(*place) != wanted);
        places
    }

    /// Cuts a bronze request short for a gold one.
    fn make_way(&mut self, id: usize) -> Option<Berth> {
        if !share::may_preempt(self.held_by(Qos::Gold), self.held_by(Qos::Bronze)) {
            return None;
        }
        // A lane that is over its limit would not have room for gold even then.
        let gains = |place: usize| {
            self.lanes.get(place).is_some_and(|lane| {
                let slots = self.slots_of(lane, lane.limiter.limit(), Qos::Gold, Idle::No);
                lane.limiter.gate() == Gate::Open && lane.in_flight <= slots
            })
        };
        let under_way = self.tries.iter().enumerate().filter(|(_, attempt)| attempt.live && gains(attempt.lane));
        let running = under_way.filter_map(|(place, attempt)| {
            let qos = self.jobs.get(attempt.job)?.job.qos;
            let phase = if attempt.first.is_some() { Phase::Streaming } else { Phase::Silent };
            Some((place, Running { qos, phase, began: attempt.begun.at }))
        });
        let candidates: Vec<_> = running.collect();
        let place = share::victim(candidates.iter().map(|(_, running)| *running))?;
        let (victim, _) = candidates.get(place)?;
        self.preempt(*victim);
        self.lane_for(id, Idle::No)
    }

    /// Tries of a class that are under way.
    fn held_by(&self, qos: Qos) -> u32 {
        self.flows.iter().filter(|((_, of), _)| *of == qos).map(|(_, running)| *running).sum()
    }

    /// Makes sure that somebody looks when a blocked lane opens.
    fn plan_wake(&mut self) {
        if self.queue.len() == 0 && self.held.is_none() {
            return;
        }
        let now = self.now();
        let opening = |lane: &Lane| [lane.limiter.opens_at(), lane.unpaid_until.filter(|until| *until > now)];
        let Some(at) = self.lanes.iter().flat_map(opening).flatten().min() else { return };
        // Timers tick in milliseconds.
        let at = at.max(now + Duration::from_millis(1));
        if self.wake.is_none_or(|planned| planned <= now || at < planned) {
            self.wake = Some(at);
            self.agenda.at(at, Event::Wake);
        }
    }

    /// Lanes that had to wait may have opened.
    pub(super) fn woken(&mut self) {
        let now = self.now();
        if self.wake != Some(now) {
            // Somebody planned an earlier one since, which has been.
            return;
        }
        self.wake = None;
        for lane in &mut self.lanes {
            if lane.limiter.opens_at().is_some_and(|at| at <= now) {
                lane.limiter.tick(now);
            }
        }
        self.dispatch();
    }

    pub(super) fn waited_out(&mut self, id: usize) {
        let Some(state) = self.jobs.get(id).filter(|state| state.stage == Stage::Waiting) else { return };
        // It may have come again since: the event of the later wait counts.
        let waited = self.now().saturating_duration_since(state.job.arrived);
        if waited >= seconds(self.plan.max_wait) {
            self.end_job(id, Fate::TurnedAway);
        }
    }

    /// The pause between two tries is over.
    pub(super) fn rested(&mut self, id: usize) {
        if self.jobs.get(id).is_some_and(|state| state.stage == Stage::Resting) {
            self.arrive(id, Coming::Again);
        }
    }
}
