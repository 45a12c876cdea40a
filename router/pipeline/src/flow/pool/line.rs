//! The queue of a pool: coming, leaving, and the handing out of turns under the pool's lock.

use std::sync::Arc;
use std::sync::atomic::Ordering as Telling;
use std::task::Waker;
use std::time::{Duration, Instant};

use atp_core::Qos;
use atp_routing::fair_queue::{Allowed, Ask, Popped, Turn as Charging};
use atp_routing::quantile::Quantiles;
use atp_routing::share::{Idle, Phase};
use atp_routing::{Drain, FairQueue};
use smallvec::SmallVec;

use super::super::lane::{Asker, Closed, LaneCell};
use super::super::pacer::{self, Pace, Pacing};
use super::super::preempt;
use super::super::turn::Turn;
use super::super::waiter::{Grant, Left, Waiter, Waiting};
use super::{Pool, Request, signed};
use crate::clock;
use crate::sync::{Ordering, fence, lock};

/// What the lock guards.
pub(in crate::flow) struct Line {
    pub(in crate::flow) queue: FairQueue<Arc<Waiter>>,
    pub(in crate::flow) drain: Drain,
    /// The tokens that those who wait are expected to use.
    pub(super) tokens: u64,
    /// Preempted slots that are on their way to gold.
    owed: usize,
    pub(in crate::flow) pacing: Pacing,
    pub(in crate::flow) waits: Quantiles,
    pub(in crate::flow) counts: LineCounts,
}

/// What is only told.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::flow) struct LineCounts {
    pub(in crate::flow) enqueued: u64,
    pub(in crate::flow) dequeued: u64,
    pub(in crate::flow) dropped: u64,
    pub(in crate::flow) preempted: u64,
    pub(in crate::flow) longest_wait: Duration,
}

impl Line {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            queue: FairQueue::new(),
            drain: Drain::new(),
            tokens: 0,
            owed: 0,
            pacing: Pacing::default(),
            waits: Quantiles::new(now),
            counts: LineCounts::default(),
        }
    }
}

/// Which request this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coming {
    /// For the first time; at most so many of its class may wait.
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
        let Request { flow, tokens, order } = request;
        let mut line = lock(&self.line);
        let charging = match coming {
            Coming::New { most } if line.queue.len_of(flow.qos) >= most => {
                line.counts.dropped += 1;
                return Err(Full);
            }
            Coming::New { .. } => Charging::New,
            Coming::Again => Charging::Again,
        };
        line.counts.enqueued += 1;
        line.drain.resume(now);
        let waiter = Waiter::new(Arc::clone(flow), session, tokens, order.clone(), now);
        self.push(&mut line, &waiter, charging, now);
        // Pairs with the fence in `LaneCell::dispatch`: who gives a slot back from now on sees that
        // somebody waits, and what was given back before is seen here.
        fence(Ordering::SeqCst);
        let (wakers, pace) = self.hand_out(&mut line, now);
        drop(line);
        self.wake(wakers, pace);
        Ok(Waiting::new(Arc::clone(self), waiter))
    }

    fn push(&self, line: &mut Line, waiter: &Arc<Waiter>, turn: Charging, now: Instant) {
        Self::put(line, waiter, turn, now);
        line.tokens += waiter.tokens;
        waiter.flow.waiting.fetch_add(1, Telling::Relaxed);
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
        waiter.flow.waiting.fetch_sub(1, Telling::Relaxed);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        for lane in &self.lanes {
            lane.waits_no_more();
        }
        if self.waiting() == 0 {
            debug_assert_eq!(line.tokens, 0, "nobody waits, so nothing is waited for");
            line.drain.pause(now);
        }
    }

    /// Leaves the queue, or gives back a turn that has just come: by its drop, outside the lock.
    pub(in crate::flow) fn leave(&self, waiter: &Arc<Waiter>) -> Option<Grant> {
        let mut line = lock(&self.line);
        match waiter.leave() {
            Left::Granted(grant) => Some(grant),
            Left::Gone => None,
            Left::Waiting { ticket, charged } => {
                if ticket.is_some_and(|ticket| line.queue.remove(ticket).is_some()) {
                    self.waits_no_more(&mut line, waiter, clock::now());
                    self.charge_in(&mut line, &waiter.flow, waiter.session, -signed(charged));
                }
                None
            }
        }
    }

    /// Hands out turns, after there may be more room than before.
    pub fn dispatch(self: &Arc<Self>, now: Instant) {
        self.open_where_due(now);
        let mut line = lock(&self.line);
        let (wakers, pace) = self.hand_out(&mut line, now);
        drop(line);
        self.wake(wakers, pace);
    }

    fn wake(self: &Arc<Self>, wakers: Wakers, pace: Pace) {
        for waker in wakers {
            waker.wake();
        }
        if pace == Pace::Start {
            pacer::start(self);
        }
    }

    /// Gives turns to those who wait, in fair order, as long as there is room for the first of them.
    fn hand_out(self: &Arc<Self>, line: &mut Line, now: Instant) -> (Wakers, Pace) {
        let mut wakers = Wakers::new();
        let mut aside: SmallVec<[Arc<Waiter>; 2]> = SmallVec::new();
        let mut opening = None;
        while !line.queue.is_empty() {
            let allowed = self.allowed(line, now);
            let Some(popped) = line.queue.pop(now, allowed) else { break };
            match self.bind(&popped.item, now) {
                Ok(turn) => wakers.extend(self.grant(line, popped, turn, now)),
                Err(until) => {
                    opening = sooner(opening, until);
                    popped.item.keeps(popped.charged);
                    // Who can go to one lane only lets others pass to the other lanes; who wants more
                    // tokens than the pace lets through now does not, or he would wait for ever.
                    let passed = popped.item.order.len() < self.lanes.len() && until.is_none();
                    aside.push(popped.item);
                    if !passed {
                        break;
                    }
                }
            }
        }
        for waiter in aside {
            Self::put(line, &waiter, Charging::Again, now);
        }
        (wakers, self.pace(line, opening, now))
    }

    /// The classes for which some lane has room.
    fn allowed(&self, line: &mut Line, now: Instant) -> Allowed {
        let gold = line.queue.len_of(Qos::Gold);
        line.owed = line.owed.min(gold);
        let mut allowed = Allowed::NONE;
        for qos in Qos::ALL {
            let asker = Asker { qos, idle: Idle::No, gold: self.gold(), tokens: 1 };
            // A preempted slot is gold's, also where a small window reserves none for it.
            let may = line.queue.len_of(qos) > 0 && (line.owed == 0 || qos == Qos::Gold);
            if may && self.lanes.iter().any(|lane| lane.room(&asker, now).is_ok()) {
                allowed = allowed.with(qos);
            }
        }
        allowed
    }

    /// Takes a slot for a waiter; otherwise the time at which there may be one, where time alone brings it.
    fn bind(self: &Arc<Self>, waiter: &Waiter, now: Instant) -> Result<Turn, Option<Instant>> {
        let asker = Asker { qos: waiter.flow.qos, idle: Idle::No, gold: self.gold(), tokens: waiter.tokens };
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

    fn grant(&self, line: &mut Line, popped: Popped<Arc<Waiter>>, turn: Turn, now: Instant) -> Option<Waker> {
        let waiter = popped.item;
        let waited = now.saturating_duration_since(waiter.since);
        line.waits.add(now, waited);
        line.counts.dequeued += 1;
        line.counts.longest_wait = line.counts.longest_wait.max(waited);
        line.drain.on_served(now, waiter.tokens);
        if waiter.flow.qos == Qos::Gold {
            line.owed = line.owed.saturating_sub(1);
        }
        waiter.flow.charged(self.nanos(now), popped.charged as f64);
        self.waits_no_more(line, &waiter, now);
        waiter.grant(turn, popped.charged, waited)
    }

    /// Notes when time alone will make room, and whether somebody has to be started who waits for it.
    fn pace(&self, line: &mut Line, opening: Option<Instant>, now: Instant) -> Pace {
        let asker = Asker { qos: Qos::Gold, idle: Idle::No, gold: self.gold(), tokens: 1 };
        let opens = |lane: &Arc<LaneCell>| match lane.room(&asker, now) {
            Err(Closed::Until(at)) => Some(at),
            Err(Closed::Ejected(at)) => at,
            Ok(()) | Err(Closed::Full) => None,
        };
        line.pacing.next = match line.queue.is_empty() {
            true => None,
            false => self.lanes.iter().map(opens).fold(opening, sooner),
        };
        line.pacing.start()
    }

    /// Makes a bronze try give way to a gold request that waits, unless one is on its way already.
    pub(crate) fn preempt(&self) -> Option<Phase> {
        let owe = |line: &mut Line| {
            let owes = line.queue.len_of(Qos::Gold) > line.owed;
            line.owed += usize::from(owes);
            owes
        };
        if !owe(&mut lock(&self.line)) {
            return None;
        }
        let full = self.lanes.iter().filter(|lane| lane.load().limit > 0).map(|lane| &lane.bronze);
        let phase = preempt::preempt(&full);
        let mut line = lock(&self.line);
        match phase {
            Some(_) => line.counts.preempted += 1,
            None => line.owed = line.owed.saturating_sub(1),
        }
        phase
    }
}

type Wakers = SmallVec<[Waker; 4]>;

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
