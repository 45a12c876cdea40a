//! Who waits for one model, and the giving of turns.
//!
//! The queue is behind a lock that a request takes only when it has to wait, when it is charged while
//! others wait, or when a slot comes back while somebody waits. A turn is bound to its lane, and its slot
//! taken, before the waiter is told: what is handed over is a turn, not the hope of one.
//!
//! Under the pool's lock, the locks of its waiters are taken, those of its lanes' bronze lists and, for
//! a probe, those of its lanes' controls; under none of these any other. No turn is dropped under it.

mod line;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64 as Told, Ordering as Telling};
use std::time::{Duration, Instant};

use atp_core::{Qos, Weight};
use atp_routing::Order;
use atp_routing::fair_queue::Charge;
use atp_routing::share::{Gold, Idle};
use tokio::sync::Notify;

pub use self::line::{Coming, Full};
use self::line::{Line, LineCounts, sooner};
use super::Tenants;
use super::flow_cell::FlowCell;
use super::lane::{Asker, Closed, LaneCell};
use super::turn::Turn;
use crate::clock;
use crate::leave::Spawn;
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, lock};

type Flows = HashMap<(Arc<str>, Qos), Arc<FlowCell>>;

/// One model.
pub struct Pool {
    pub(super) name: Arc<str>,
    pub(crate) lanes: Box<[Arc<LaneCell>]>,
    /// How many wait. Changed under the lock; read without it.
    waiting: AtomicUsize,
    gold: AtomicBool,
    line: Mutex<Line>,
    flows: Mutex<Flows>,
    /// Tenants that hold a slot.
    busy: Arc<AtomicU32>,
    /// Requests of light flows among those who wait; changed under the lock.
    light: AtomicU32,
    /// Tells those who wait that every lane has failed.
    pub(crate) shut: Notify,
    pub(super) spawn: Spawn,
    /// The output tokens of a request, as a moving average in sixteenths.
    output: Told,
    origin: Instant,
    /// Who goes on counting when it goes.
    heir: Option<Arc<Pool>>,
    /// What those have counted that have gone. Nothing is taken under this lock.
    inherited: Mutex<LineCounts>,
}

/// A request that comes to the pool.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its flow.
    pub flow: &'a Arc<FlowCell>,
    /// What it is expected to use.
    pub tokens: u64,
    /// The lanes that may serve it, best first.
    pub order: &'a Order,
}

/// Why a request has to wait in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// A turn may come.
    Hopeful,
    /// Every lane has failed and rests, the first until then.
    Ejected(Option<Instant>),
    /// Every lane that serves is paused, the first until then.
    Paused(Instant),
}

impl Pool {
    /// A pool in which nobody waits.
    #[must_use]
    pub fn new(name: Arc<str>, lanes: Box<[Arc<LaneCell>]>, spawn: Spawn, now: Instant) -> Arc<Self> {
        Self::with_heir(name, lanes, spawn, None, now)
    }

    /// The same; `heir` goes on with its counters when it goes, so that none of their sums ever falls.
    pub(crate) fn with_heir(
        name: Arc<str>,
        lanes: Box<[Arc<LaneCell>]>,
        spawn: Spawn,
        heir: Option<Arc<Self>>,
        now: Instant,
    ) -> Arc<Self> {
        let pool = Arc::new(Self {
            name,
            lanes,
            waiting: AtomicUsize::new(0),
            gold: AtomicBool::new(false),
            line: Mutex::new(Line::new(now)),
            flows: Mutex::default(),
            busy: Arc::default(),
            light: AtomicU32::new(0),
            shut: Notify::new(),
            spawn,
            output: Told::new(0),
            origin: now,
            heir,
            inherited: Mutex::default(),
        });
        for (place, lane) in pool.lanes.iter().enumerate() {
            // A lane that stands twice is one lane.
            if !pool.lanes.iter().take(place).any(|before| Arc::ptr_eq(before, lane)) {
                lane.join(&pool);
            }
        }
        pool
    }

    /// The configured name of the model.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether these are its lanes.
    pub(crate) fn has_lanes(&self, lanes: &[Arc<LaneCell>]) -> bool {
        self.lanes.len() == lanes.len() && self.lanes.iter().zip(lanes).all(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// Whether slots are kept for gold, which then may preempt.
    pub(crate) fn set_gold(&self, gold: Gold) {
        self.gold.store(gold == Gold::Configured, Telling::Relaxed);
    }

    pub(crate) fn gold(&self) -> Gold {
        if self.gold.load(Telling::Relaxed) { Gold::Configured } else { Gold::Absent }
    }

    /// Whether a try of this class may have to give way.
    pub(super) fn preempts(&self, qos: Qos) -> bool {
        qos == Qos::Bronze && self.gold() == Gold::Configured
    }

    /// The flow of a tenant and class. Its name decides, whatever places a reload has moved.
    pub fn flow(&self, tenant: &Arc<str>, qos: Qos, weight: Weight) -> Arc<FlowCell> {
        let mut flows = lock(&self.flows);
        if let Some(flow) = flows.get(&(Arc::clone(tenant), qos)) {
            return Arc::clone(flow);
        }
        let id = lock(&self.line).queue.flow(tenant, qos, weight);
        let siblings = Qos::ALL.iter().find_map(|qos| flows.get(&(Arc::clone(tenant), *qos)));
        let held = siblings.map_or_else(Arc::default, |flow| flow.held_by_tenant());
        let flow = Arc::new(FlowCell::new(Arc::clone(tenant), qos, id, held, Arc::clone(&self.busy)));
        flows.insert((Arc::clone(tenant), qos), Arc::clone(&flow));
        flow
    }

    /// Gives every flow its tenant's weight.
    pub(crate) fn set_weights(&self, tenants: &Tenants) {
        let flows: Vec<Arc<FlowCell>> = lock(&self.flows).values().cloned().collect();
        let mut line = lock(&self.line);
        for flow in flows {
            line.queue.set_weight(flow.id, tenants.weight(usize::MAX, &flow.tenant));
        }
    }

    /// Whether nobody holds a slot of it or waits for one.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting() == 0 && self.busy.load(Telling::Relaxed) == 0
    }

    /// What it has counted that does not go with the flows.
    pub(super) fn counts(&self, line: &Line) -> LineCounts {
        line.counts.with(&lock(&self.inherited))
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        lock(&self.line)
    }

    pub(super) fn all_flows(&self) -> Vec<Arc<FlowCell>> {
        lock(&self.flows).values().cloned().collect()
    }

    fn asker(&self, request: &Request<'_>) -> Asker {
        let idle = request.flow.idle(|| self.window());
        Asker { qos: request.flow.qos, idle, gold: self.gold(), tokens: request.tokens }
    }

    /// How many tries all lanes may carry together.
    fn window(&self) -> u64 {
        self.lanes.iter().map(|lane| u64::from(lane.load().limit)).sum()
    }

    /// A turn at once, where nobody waits and a lane has room, or where the flow is light and may go ahead of
    /// those that are not on an express slot. No lock, no allocation.
    pub fn try_turn(self: &Arc<Self>, request: Request<'_>, now: Instant) -> Option<Turn> {
        let asker = self.asker(&request);
        let ahead = asker.idle == Idle::Yes && self.light.load(Telling::Relaxed) == 0;
        if self.waiting() > 0 && !ahead {
            return None;
        }
        self.take(request.order, request.flow, &asker, now)
    }

    /// A turn at the lane `place` for a request that had one before, where there is room.
    pub(crate) fn try_turn_at(
        self: &Arc<Self>,
        place: usize,
        flow: &Arc<FlowCell>,
        tokens: u64,
        now: Instant,
    ) -> Option<Turn> {
        let lane = self.lanes.get(place)?;
        lane.open_where_due(now);
        let asker = Asker { qos: flow.qos, idle: Idle::No, gold: self.gold(), tokens };
        let slot = lane.try_take(&asker, now).or_else(|| lane.try_probe(now))?;
        Some(Turn::new(self, place, lane, flow, slot, now))
    }

    /// A turn at the lane `place` that nobody waits for, for a try beside another. It is no probe: what is
    /// not known to work helps nobody who is in a hurry.
    pub(crate) fn try_spare_turn(
        self: &Arc<Self>,
        place: usize,
        flow: &Arc<FlowCell>,
        tokens: u64,
        now: Instant,
    ) -> Option<Turn> {
        if self.waiting() > 0 {
            return None;
        }
        let lane = self.lanes.get(place)?;
        let asker = Asker { qos: flow.qos, idle: Idle::No, gold: self.gold(), tokens };
        let slot = lane.try_take(&asker, now)?;
        Some(Turn::new(self, place, lane, flow, slot, now))
    }

    fn take(self: &Arc<Self>, order: &Order, flow: &Arc<FlowCell>, asker: &Asker, now: Instant) -> Option<Turn> {
        let lanes = || order.iter().filter_map(|place| Some((*place, self.lanes.get(*place)?)));
        let take = |lane: &LaneCell| lane.try_take(asker, now).or_else(|| lane.try_return(asker, now));
        let (place, lane, slot) = lanes().find_map(|(place, lane)| Some((place, lane, take(lane)?)))?;
        Some(Turn::new(self, place, lane, flow, slot, now))
    }

    /// The probe of a lane that rests no more.
    fn probe(self: &Arc<Self>, order: &Order, flow: &Arc<FlowCell>, now: Instant) -> Option<Turn> {
        let lanes = || order.iter().filter_map(|place| Some((*place, self.lanes.get(*place)?)));
        let (place, lane, slot) = lanes().find_map(|(place, lane)| Some((place, lane, lane.try_probe(now)?)))?;
        Some(Turn::new(self, place, lane, flow, slot, now))
    }

    /// Opens every lane whose time has come, and takes a turn where that made room.
    pub(crate) fn try_opened(self: &Arc<Self>, request: Request<'_>, now: Instant) -> Option<Turn> {
        self.open_where_due(now);
        let turn = self.try_turn(request, now);
        // Who waits already comes before who has just come.
        turn.or_else(|| if self.waiting() == 0 { self.probe(request.order, request.flow, now) } else { None })
    }

    pub(super) fn open_where_due(&self, now: Instant) {
        for lane in &self.lanes {
            lane.open_where_due(now);
        }
    }

    /// Where the lane `place` is closed: when it opens by itself, if that is known.
    pub(crate) fn opens_at(&self, place: usize, now: Instant) -> Option<Option<Instant>> {
        self.lanes.get(place)?.closed(now)
    }

    /// Whether it is worth waiting for a request of a class that is expected to use so many tokens.
    pub(crate) fn outlook(&self, qos: Qos, tokens: u64, now: Instant) -> Outlook {
        let asker = Asker { qos, idle: Idle::No, gold: self.gold(), tokens };
        let (mut paused, mut ejected) = (None, None);
        for lane in &self.lanes {
            match lane.room(&asker, now) {
                Ok(()) | Err(Closed::Full) => return Outlook::Hopeful,
                Err(Closed::Until(at)) => paused = sooner(paused, Some(at)),
                Err(Closed::Ejected(at)) => ejected = sooner(ejected, at),
            }
        }
        match paused {
            Some(at) if at > now => Outlook::Paused(at),
            Some(_) => Outlook::Hopeful,
            None => Outlook::Ejected(ejected),
        }
    }

    /// When the first lane opens, where all have failed.
    pub(crate) fn shut_until(&self) -> Option<Instant> {
        let all = self.lanes.iter().all(|lane| !lane.is_serving() && lane.load().limit == 0);
        self.lanes.iter().filter_map(|lane| lane.opens_at()).min().filter(|_| all)
    }

    /// Counts a request that was refused after it had waited.
    pub(crate) fn gave_up(&self) {
        lock(&self.line).counts.dropped += 1;
    }

    /// Charges a flow for tokens beyond what it was charged, or gives back what it did not use.
    /// `paid` is what its exchange has been charged.
    pub(crate) fn charge(&self, flow: &FlowCell, session: u64, delta: i64, paid: &mut Charge) {
        self.charge_in(&mut lock(&self.line), flow, session, delta, paid);
    }

    fn charge_in(&self, line: &mut Line, flow: &FlowCell, session: u64, delta: i64, paid: &mut Charge) {
        if delta == 0 {
            return;
        }
        line.queue.charge(flow.id, session, delta, paid);
        flow.charged(self.nanos(clock::now()), delta as f64);
    }

    /// What a flow was charged lately.
    pub(super) fn recent(&self, flow: &FlowCell, now: Instant) -> f64 {
        flow.recent(self.nanos(now))
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }

    /// How long who comes now would wait for a turn, where that is known: for those before him, or for a lane
    /// to open.
    pub(crate) fn forecast(&self, qos: Qos, tokens: u64, now: Instant) -> Option<Duration> {
        let line = lock(&self.line);
        let queue = line.drain.wait_for_place(line.queue.len(), line.tokens, now);
        drop(line);
        let opens = match self.outlook(qos, tokens, now) {
            Outlook::Hopeful => None,
            Outlook::Paused(at) => Some(at),
            Outlook::Ejected(at) => at,
        };
        queue.max(opens.map(|at| at.saturating_duration_since(now)))
    }

    /// The output tokens that a request is expected to use.
    pub(crate) fn expected_output(&self) -> u64 {
        self.output.load(Telling::Relaxed) / SIXTEENTHS
    }

    /// Learns from a request whose output is known: a moving average over about sixteen of them. Two at
    /// once may lose one, which an average bears.
    pub(crate) fn used_output(&self, tokens: u64) {
        let before = self.output.load(Telling::Relaxed);
        let sample = tokens.min(MOST_EXPECTED).saturating_mul(SIXTEENTHS);
        let after = if before == 0 { sample } else { before - before / SIXTEENTHS + sample / SIXTEENTHS };
        if after != before {
            self.output.store(after, Telling::Relaxed);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let Some(heir) = self.heir.take() else { return };
        let granted = self.all_flows().iter().map(|flow| flow.granted.load(Telling::Relaxed)).sum();
        let counts = LineCounts { granted, ..self.counts(&self.line()) };
        let mut inherited = lock(&heir.inherited);
        *inherited = inherited.with(&counts);
    }
}

const SIXTEENTHS: u64 = 16;
/// No model writes more at once.
const MOST_EXPECTED: u64 = 1 << 32;

/// Tokens as a difference; what no model could write is cut.
pub(super) fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}
