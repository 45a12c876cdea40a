//! The queue of a pool: coming, leaving, and the handing out of turns under the pool's lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering as Telling;
use std::task::Waker;
use std::time::{Duration, Instant};

use atp_core::Qos;
use atp_routing::fair_queue::{Allowed, Ask, Charge, Popped, Turn as Charging};
use atp_routing::quantile::Quantiles;
use atp_routing::share::{self, Idle, Phase};
use atp_routing::{Drain, FairQueue};
use smallvec::SmallVec;

use super::super::flow_cell::FlowCell;
use super::super::lane::{Asker, Closed, LaneCell};
use super::super::pacer::{self, Pace, Pacing};
use super::super::preempt;
use super::super::turn::Turn;
use super::super::waiter::{Grant, Left, Paid, Waiter, Waiting};
use super::{Pool, Request, signed};
use crate::clock;
use crate::sync::{Ordering, fence, lock};

/// What the lock guards.
pub(in crate::flow) struct Line {
    pub(in crate::flow) queue: FairQueue<Arc<Waiter>>,
    pub(in crate::flow) drain: Drain,
    /// The tokens that those who wait are expected to use.
    pub(super) tokens: u64,
    /// Who was first, and wants more tokens than his lane's pace lets through now: he has left the queue and
    /// comes next, or those who want few would pass him for ever.
    held: Option<Arc<Waiter>>,
    /// Those whose flow was light when they came, in that order. They wait in the queue as well.
    light: VecDeque<Arc<Waiter>>,
    /// Flows of each class that wait.
    flows: [usize; Qos::ALL.len()],
    /// Preempted slots that are on their way to gold.
    owed: usize,
    /// When the first lane opens again, where all had failed when that was looked at last.
    shut: Option<Instant>,
    pub(in crate::flow) pacing: Pacing,
    pub(in crate::flow) waits: Quantiles,
    pub(in crate::flow) counts: LineCounts,
}

/// What is only told.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::flow) struct LineCounts {
    /// Turns that were granted by pools that have gone; those of this one are its flows'.
    pub(in crate::flow) granted: u64,
    pub(in crate::flow) enqueued: u64,
    pub(in crate::flow) dequeued: u64,
    pub(in crate::flow) dropped: u64,
    pub(in crate::flow) preempted: u64,
    pub(in crate::flow) longest_wait: Duration,
}

impl LineCounts {
    /// Both together.
    pub(super) fn with(&self, other: &Self) -> Self {
        Self {
            granted: self.granted + other.granted,
            enqueued: self.enqueued + other.enqueued,
            dequeued: self.dequeued + other.dequeued,
            dropped: self.dropped + other.dropped,
            preempted: self.preempted + other.preempted,
            longest_wait: self.longest_wait.max(other.longest_wait),
        }
    }
}

impl Line {
    /// Whether a flow finds no place to wait: as many of its class wait as may, and its equal part of them are
    /// its own.
    fn is_full(&self, flow: &FlowCell, most: usize) -> bool {
        if self.queue.len_of(flow.qos) < most {
            return false;
        }
        let own = flow.waiting.load(Telling::Relaxed) as usize;
        let flows = self.flows.get(flow.qos as usize).map_or(0, |flows| flows + usize::from(own == 0));
        own >= most / flows.max(1)
    }

    /// The first of the light ones; the first gold one while a preempted slot is gold's.
    fn next_light(&mut self) -> Option<Arc<Waiter>> {
        let may = |waiter: &Arc<Waiter>| self.owed == 0 || waiter.flow.qos == Qos::Gold;
        let place = self.light.iter().position(may)?;
        self.light.remove(place)
    }

    fn count_flow(&mut self, flow: &FlowCell, change: impl FnOnce(usize) -> usize) {
        if let Some(flows) = self.flows.get_mut(flow.qos as usize) {
            *flows = change(*flows);
        }
    }

    pub(super) fn new(now: Instant) -> Self {
        Self {
            queue: FairQueue::new(),
            drain: Drain::new(),
            tokens: 0,
            held: None,
            light: VecDeque::new(),
            flows: [0; Qos::ALL.len()],
            owed: 0,
            shut: None,
            pacing: Pacing::default(),
            waits: Quantiles::new(now),
            counts: LineCounts::default(),
        }
    }
}

/// Which request this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coming {
    /// For the first time; at most so many of its class may wait, and beyond that those of flows of which fewer
    /// than their equal part do.
    New {
        /// The bound.
        most: usize,
    },
    /// Again: it had a turn and was charged for it.
    Again,
}

/// As many wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Pool {
    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// As many of its class wait already as may.
    pub fn wait(
        self: &Arc<Self>,
        request: Request<'_>,
        session: u64,
        coming: Coming,
        now: Instant,
    ) -> Result<Waiting, Full> {
        let flow = request.flow;
        let mut line = lock(&self.line);
        let paid = match coming {
            Coming::New { most } if line.is_full(flow, most) => {
                line.counts.dropped += 1;
                return Err(Full);
            }
            Coming::New { .. } => Paid::No,
            Coming::Again => Paid::Yes,
        };
        line.counts.enqueued += 1;
        line.drain.resume(now);
        let light = flow.idle(|| self.window()) == Idle::Yes;
        let waiter = Waiter::new(&request, session, paid, now);
        self.push(&mut line, &waiter, now);
        if light {
            line.light.push_back(Arc::clone(&waiter));
            self.count_light(&line);
        }
        // Pairs with the fence in `LaneCell::dispatch`: who gives a slot back from now on sees that
        // somebody waits, and what was given back before is seen here.
        fence(Ordering::SeqCst);
        let handed = self.hand_out(&mut line, now);
        drop(line);
        self.wake(handed);
        Ok(Waiting::new(Arc::clone(self), waiter))
    }

    fn push(&self, line: &mut Line, waiter: &Arc<Waiter>, now: Instant) {
        let turn = if waiter.paid == Paid::Yes { Charging::Again } else { Charging::New };
        Self::put(line, waiter, turn, now);
        line.tokens += waiter.tokens;
        if waiter.flow.waiting.fetch_add(1, Telling::Relaxed) == 0 {
            line.count_flow(&waiter.flow, |flows| flows + 1);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        for lane in &self.lanes {
            lane.begins_to_wait();
        }
    }

    fn put(line: &mut Line, waiter: &Arc<Waiter>, turn: Charging, now: Instant) {
        let ask = Ask { flow: waiter.flow.id, session: waiter.session, cost: waiter.tokens, turn, now };
        waiter.stands(line.queue.push(ask, Arc::clone(waiter)));
    }

    fn waits_no_more(&self, line: &mut Line, waiter: &Waiter, now: Instant) {
        line.tokens = line.tokens.saturating_sub(waiter.tokens);
        if waiter.flow.waiting.fetch_sub(1, Telling::Relaxed) == 1 {
            line.count_flow(&waiter.flow, |flows| flows.saturating_sub(1));
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        for lane in &self.lanes {
            lane.waits_no_more();
        }
        if self.waiting() == 0 {
            debug_assert_eq!((line.tokens, line.flows), (0, [0; 3]), "nobody waits, so nothing is waited for");
            line.light.clear();
            self.count_light(line);
            line.drain.pause(now);
        }
    }

    fn count_light(&self, line: &Line) {
        let light = u32::try_from(line.light.len()).unwrap_or(u32::MAX);
        if self.light.load(Telling::Relaxed) != light {
            self.light.store(light, Telling::Relaxed);
        }
    }

    /// Leaves the queue, or gives back a turn that has just come: by its drop, outside the lock.
    pub(in crate::flow) fn leave(&self, waiter: &Arc<Waiter>) -> Option<Grant> {
        let mut line = lock(&self.line);
        match waiter.leave() {
            Left::Granted(grant) => Some(grant),
            Left::Gone => None,
            Left::Waiting { ticket, mut charged } => {
                let stood = match ticket {
                    Some(ticket) => line.queue.remove(ticket).is_some(),
                    None => line.held.take_if(|held| Arc::ptr_eq(held, waiter)).is_some(),
                };
                if stood {
                    line.light.retain(|light| !Arc::ptr_eq(light, waiter));
                    self.count_light(&line);
                    self.waits_no_more(&mut line, waiter, clock::now());
                    let back = -signed(charged.tokens());
                    self.charge_in(&mut line, &waiter.flow, waiter.session, back, &mut charged);
                }
                None
            }
        }
    }

    /// Hands out turns, after there may be more room than before.
    pub fn dispatch(self: &Arc<Self>, now: Instant) {
        self.open_where_due(now);
        let mut line = lock(&self.line);
        let handed = self.hand_out(&mut line, now);
        drop(line);
        self.wake(handed);
    }

    /// What follows from handing out, outside the lock.
    fn wake(self: &Arc<Self>, handed: Handed) {
        for waker in handed.wakers {
            waker.wake();
        }
        if handed.shut == Shut::Now {
            self.shut.notify_waiters();
        }
        if handed.pace == Pace::Start {
            pacer::start(self);
        }
    }

    /// Gives turns to those who wait, in fair order, as long as there is room for the first of them; then
    /// the slots that only light flows may take to those of them that hold little.
    fn hand_out(self: &Arc<Self>, line: &mut Line, now: Instant) -> Handed {
        let mut wakers = Wakers::new();
        let mut opening = None;
        if let Some(held) = line.held.take() {
            match self.bind(&held, Idle::No, now) {
                Ok(turn) => wakers.extend(self.grant(line, &held, turn, Charge::default(), now)),
                Err(until) => {
                    opening = until;
                    line.held = Some(held);
                }
            }
        }
        let mut aside: SmallVec<[Arc<Waiter>; ASIDE]> = SmallVec::new();
        while !line.queue.is_empty() && aside.len() < ASIDE {
            let allowed = self.allowed(line, now);
            let Some(Popped { item: waiter, charged, .. }) = line.queue.pop(now, allowed) else { break };
            match self.bind(&waiter, Idle::No, now) {
                Ok(turn) => wakers.extend(self.grant(line, &waiter, turn, charged, now)),
                Err(None) => {
                    // His lanes are full, others are not: he lets others pass to those.
                    waiter.keeps(charged);
                    aside.push(waiter);
                }
                Err(until) => {
                    waiter.keeps(charged);
                    opening = sooner(opening, until);
                    // A second one who is held can only be gold, which passes the first.
                    match line.held.is_none() {
                        true => line.held = Some(waiter),
                        false => aside.push(waiter),
                    }
                    break;
                }
            }
        }
        for waiter in aside {
            Self::put(line, &waiter, Charging::Again, now);
        }
        self.hand_out_express(line, &mut wakers, now);
        Handed { wakers, pace: self.pace(line, opening, now), shut: self.is_shut_now(line) }
    }

    fn hand_out_express(self: &Arc<Self>, line: &mut Line, wakers: &mut Wakers, now: Instant) {
        while let Some(waiter) = line.next_light() {
            let little = waiter.flow.holds_little(|| self.window()) == Idle::Yes;
            let Some(ticket) = waiter.ticket().filter(|_| little) else { continue };
            match self.bind(&waiter, Idle::Yes, now) {
                Ok(turn) => {
                    line.queue.remove(ticket);
                    let due = if waiter.has_paid() { 0 } else { waiter.tokens };
                    let mut charged = Charge::default();
                    self.charge_in(line, &waiter.flow, waiter.session, signed(due), &mut charged);
                    wakers.extend(self.grant(line, &waiter, turn, charged, now));
                }
                Err(_) => {
                    line.light.push_front(waiter);
                    break;
                }
            }
        }
        self.count_light(line);
    }

    /// Whether those who wait have to be told that the last lane has failed: each looks for himself whether
    /// its rest is too long for him.
    fn is_shut_now(&self, line: &mut Line) -> Shut {
        let until = if self.waiting() > 0 { self.shut_until() } else { None };
        let before = std::mem::replace(&mut line.shut, until);
        if until.is_some() && until != before { Shut::Now } else { Shut::Not }
    }

    /// The classes for which some lane has room.
    fn allowed(&self, line: &mut Line, now: Instant) -> Allowed {
        let gold = line.queue.len_of(Qos::Gold);
        line.owed = line.owed.min(gold);
        let mut allowed = Allowed::NONE;
        for qos in Qos::ALL {
            let asker = Asker { qos, idle: Idle::No, gold: self.gold(), tokens: 1 };
            // A preempted slot is gold's, also where a small window reserves none for it.
            // And only gold passes somebody who is held.
            let others = line.owed == 0 && line.held.is_none();
            let may = line.queue.len_of(qos) > 0 && (others || qos == Qos::Gold);
            if may && self.lanes.iter().any(|lane| lane.room(&asker, now).is_ok()) {
                allowed = allowed.with(qos);
            }
        }
        allowed
    }

    /// Takes a slot for a waiter; otherwise the time at which there may be one, where time alone brings it.
    fn bind(self: &Arc<Self>, waiter: &Waiter, idle: Idle, now: Instant) -> Result<Turn, Option<Instant>> {
        let asker = Asker { qos: waiter.flow.qos, idle, gold: self.gold(), tokens: waiter.tokens };
        let mut opening = None;
        for place in &waiter.order {
            let Some(lane) = self.lanes.get(*place) else { continue };
            if let Some(slot) = lane.try_take(&asker, now).or_else(|| lane.try_probe(now)) {
                return Ok(Turn::new(self, *place, lane, &waiter.flow, slot, now));
            }
            if let Err(Closed::Until(at)) = lane.room(&asker, now) {
                opening = sooner(opening, Some(at));
            }
        }
        Err(opening)
    }

    fn grant(&self, line: &mut Line, waiter: &Waiter, turn: Turn, charged: Charge, now: Instant) -> Option<Waker> {
        let waited = now.saturating_duration_since(waiter.since);
        line.waits.add(now, waited);
        line.counts.dequeued += 1;
        line.counts.longest_wait = line.counts.longest_wait.max(waited);
        line.drain.on_served(now, waiter.tokens);
        if waiter.flow.qos == Qos::Gold {
            line.owed = line.owed.saturating_sub(1);
        }
        waiter.flow.charged(self.nanos(now), charged.tokens() as f64);
        self.waits_no_more(line, waiter, now);
        waiter.grant(turn, charged, waited)
    }

    /// Notes when time alone will make room, and whether somebody has to be started who waits for it.
    fn pace(&self, line: &mut Line, opening: Option<Instant>, now: Instant) -> Pace {
        let asker = Asker { qos: Qos::Gold, idle: Idle::No, gold: self.gold(), tokens: 1 };
        let opens = |lane: &Arc<LaneCell>| match lane.room(&asker, now) {
            Err(Closed::Until(at)) => Some(at),
            Err(Closed::Ejected(at)) => at,
            Ok(()) | Err(Closed::Full) => lane.is_held().then(|| now + pacer::HELD),
        };
        line.pacing.next = match self.waiting() {
            0 => None,
            _ => self.lanes.iter().map(opens).fold(opening, sooner),
        };
        line.pacing.start()
    }

    /// Makes a bronze try give way to a gold request that waits, unless one is on its way already, or gold
    /// holds its part of what both hold.
    pub(crate) fn preempt(&self, flow: &FlowCell, now: Instant) -> Option<Phase> {
        let owe = |line: &mut Line| {
            let owes = line.queue.len_of(Qos::Gold) > line.owed;
            line.owed += usize::from(owes);
            owes
        };
        let sum = |of: fn(&LaneCell) -> u32| self.lanes.iter().map(|lane| of(lane)).fold(0, u32::saturating_add);
        let (gold, bronze) = (sum(LaneCell::held_by_gold), sum(|lane| lane.bronze.count()));
        if !share::may_preempt(gold, bronze) || !owe(&mut lock(&self.line)) {
            return None;
        }
        // Where a pace or a pause is what gold waits for, a slot more would not help it.
        let idle = flow.holds_little(|| self.window());
        let asker = Asker { qos: flow.qos, idle, gold: self.gold(), tokens: 1 };
        let full = self.lanes.iter().filter(|lane| lane.lacks_one(&asker, now)).map(|lane| &lane.bronze);
        let phase = preempt::preempt(full);
        let mut line = lock(&self.line);
        match phase {
            Some(_) => line.counts.preempted += 1,
            None => line.owed = line.owed.saturating_sub(1),
        }
        phase
    }
}

type Wakers = SmallVec<[Waker; 4]>;

/// What came of handing out turns.
struct Handed {
    wakers: Wakers,
    pace: Pace,
    shut: Shut,
}

/// Whether the last lane has failed just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shut {
    Now,
    Not,
}

/// So many who can go to few lanes are passed over at a time.
const ASIDE: usize = 8;

/// The sooner one of two moments.
pub(super) fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
