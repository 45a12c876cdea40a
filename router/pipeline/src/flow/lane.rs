//! What all tries at one provider's model share, whichever route they came by: slots, pace, and the
//! control that learns from how tries end.
//!
//! The fast path reads and changes atomic words. [`Control`] is behind a lock that first tokens and
//! endings of tries take for a moment; what it decides is published into the words before the lock is
//! given back, so that the words never show an older decision than the control's last.
//!
//! A lane that is not serving has a limit of 0: nobody takes a slot of it in passing. Its probes are
//! taken under the control's lock, one at a time, and count beside the limit, because tries from before
//! the ejection may still hold slots.

mod told;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64 as Told, Ordering as Telling};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use atp_core::{Qos, RateFacts};
use atp_routing::control::{Answered, Began, ControlView, Ended, FirstToken, Published, State};
use atp_routing::share::{Gold, Idle, Shares};
use atp_routing::{Control, ControlRules, window};
use smallvec::SmallVec;

pub(super) use self::told::Counts;
use super::pace::PaceCell;
use super::pool::Pool;
use super::preempt::Running;
use super::registry::narrower;
use super::slots::{Load, Slots};
use crate::sync::{AtomicUsize, Mutex, Ordering, fence, lock};

/// One lane.
pub struct LaneCell {
    pub(super) provider: Arc<str>,
    pub(super) model: Arc<str>,
    slots: Slots,
    /// Requests that wait in any pool of the lane, so that a return that nobody waits for is one look.
    waiting: AtomicUsize,
    state: AtomicU8,
    /// Whether a probe may be sent; a hint, the control knows.
    probe: AtomicBool,
    /// When the lane opens by itself, in nanoseconds since `origin`; 0 where it does not.
    opens_at: Told,
    max: AtomicU32,
    /// Slots that gold holds. Only gold changes it.
    gold: AtomicU32,
    /// Tries in flight that have had their first token.
    streaming: AtomicU32,
    pace: PaceCell,
    /// In nanoseconds; 0 where it is not known.
    p95_first_token: Told,
    /// The same to a whole answer.
    p95_answer: Told,
    pub(super) counts: Counts,
    origin: Instant,
    control: Mutex<Control>,
    pools: Mutex<Vec<Weak<Pool>>>,
    /// Which pool is looked at first when a slot comes back.
    rotation: Told,
    /// The bronze tries in flight, where gold may preempt them.
    pub(super) bronze: Running,
    /// Whether a try of it has ever begun to be answered.
    served: AtomicBool,
    /// Who goes on counting when it goes.
    heir: Option<Arc<LaneCell>>,
}

/// Who asks for a slot, as far as that matters for how many there are.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The class.
    pub qos: Qos,
    /// Whether its flow has nothing in flight and nothing waiting.
    pub idle: Idle,
    /// Whether slots are kept for gold.
    pub gold: Gold,
    /// What the try is expected to use, for lanes with a known pace.
    pub tokens: u64,
}

/// What kind of answer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// Its first token has come.
    Stream,
    /// All of it has come, of so many tokens, where its provider told.
    Whole(Option<u64>),
}

/// What a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// The first token of a stream.
    FirstToken,
    /// All of the answer.
    Answer,
}

/// A slot that was taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// How many were in flight, it included.
    pub(super) in_flight: u32,
    /// Tokens that the pace admitted; 0 where none is known.
    pub(super) paced: u64,
}

/// Why no slot is to be had, and whether time alone changes that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// All slots are held: one that comes back opens it.
    Full,
    /// The pace, or a pause that the provider asked for, until then.
    Until(Instant),
    /// It failed, and rests until then; a probe that is out leaves it unknown.
    Ejected(Option<Instant>),
}

impl LaneCell {
    /// A lane of which nothing is known.
    #[must_use]
    pub fn new(provider: Arc<str>, model: Arc<str>, rules: ControlRules, now: Instant) -> Arc<Self> {
        Self::with_heir(provider, model, rules, None, now)
    }

    /// The same; `heir` goes on with its counters when it goes.
    pub(super) fn with_heir(
        provider: Arc<str>,
        model: Arc<str>,
        rules: ControlRules,
        heir: Option<Arc<Self>>,
        now: Instant,
    ) -> Arc<Self> {
        let mut control = Control::new(rules, now);
        let origin = control.origin();
        let published = control.set_rules(rules, now);
        let lane = Self {
            provider,
            model,
            slots: Slots::new(0),
            waiting: AtomicUsize::new(0),
            state: AtomicU8::new(0),
            probe: AtomicBool::new(false),
            opens_at: Told::new(0),
            max: AtomicU32::new(rules.window.max),
            gold: AtomicU32::new(0),
            streaming: AtomicU32::new(0),
            pace: PaceCell::default(),
            p95_first_token: Told::new(0),
            p95_answer: Told::new(0),
            counts: Counts::default(),
            origin,
            control: Mutex::new(control),
            pools: Mutex::new(Vec::new()),
            rotation: Told::new(0),
            bronze: Running::default(),
            served: AtomicBool::new(false),
            heir,
        };
        lane.publish(&published);
        Arc::new(lane)
    }

    /// How many slots are held, and how many may be.
    #[must_use]
    pub fn load(&self) -> Load {
        self.slots.load()
    }

    /// Changes what is configured; what was learned stays.
    pub(super) fn set_rules(&self, rules: ControlRules, now: Instant) {
        self.max.store(rules.window.max, Telling::Relaxed);
        self.learn(|control| control.set_rules(rules, now));
        self.dispatch(now);
    }

    /// Where several lead to the lane with different bounds, the narrowest hold.
    pub(crate) fn narrow(&self, rules: ControlRules, now: Instant) {
        let before = lock(&self.control).rules();
        let window = narrower(before.window, rules.window);
        if window != before.window {
            self.set_rules(ControlRules { window, ..before }, now);
        }
    }

    /// Whether a try of it has ever begun to be answered.
    pub(crate) fn has_served(&self) -> bool {
        self.served.load(Telling::Relaxed)
    }

    /// The lane is one of `pool`'s from now on.
    pub(super) fn join(&self, pool: &Arc<Pool>) {
        let mut pools = lock(&self.pools);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// How many slots may be held for this request to take one more, of a window.
    ///
    /// What is kept for gold is kept from light flows too: they go beyond the window by as much, not into
    /// gold's part of it.
    fn up_to(&self, window: u32, asker: &Asker) -> u32 {
        let mut shares = Shares::of(window, self.max.load(Telling::Relaxed), asker.gold);
        if asker.gold == Gold::Configured {
            shares = shares.beside(self.gold.load(Telling::Relaxed));
        }
        let slots = shares.slots(asker.qos, asker.idle);
        match (asker.qos, asker.idle) {
            (Qos::Silver | Qos::Bronze, Idle::Yes) => slots - (shares.gold - shares.common).min(slots - shares.common),
            _ => slots,
        }
    }

    /// A slot of gold is held, or another's, which does not matter.
    pub(super) fn holds(&self, qos: Qos) {
        if qos == Qos::Gold {
            self.gold.fetch_add(1, Telling::Relaxed);
        }
    }

    /// The opposite of [`LaneCell::holds`].
    pub(super) fn holds_no_more(&self, qos: Qos) {
        if qos == Qos::Gold {
            self.gold.fetch_sub(1, Telling::Relaxed);
        }
    }

    /// How many slots gold holds.
    pub(super) fn held_by_gold(&self) -> u32 {
        self.gold.load(Telling::Relaxed)
    }

    /// Whether one slot that comes back is all that this request lacks.
    pub(super) fn lacks_one(&self, asker: &Asker, now: Instant) -> bool {
        let load = self.load();
        self.room(asker, now) == Err(Closed::Full) && load.limit > 0 && load.in_flight <= self.up_to(load.limit, asker)
    }

    /// Takes a slot, where there is one. No lock, no allocation.
    pub(super) fn try_take(&self, asker: &Asker, now: Instant) -> Option<Slot> {
        let up_to = |limit| self.up_to(limit, asker);
        if !self.pace.is_known() {
            return self.slots.try_take(up_to).map(|in_flight| Slot { in_flight, paced: 0 });
        }
        let load = self.load();
        let now = self.nanos(now);
        if load.limit == 0
            || load.in_flight >= up_to(load.limit)
            || self.pace.admit(now, asker.tokens, asker.idle).is_err()
        {
            return None;
        }
        // The pace first: a slot that is taken and given back again could be missed by somebody else.
        let Some(in_flight) = self.slots.try_take(up_to) else {
            self.pace.give_back(now, asker.tokens);
            return None;
        };
        Some(Slot { in_flight, paced: asker.tokens })
    }

    /// Takes a slot or the probe of a lane that was closed and whose time has come. Without it, a lane that rested would
    /// stay away for as long as another one serves. A lane that is open costs one load.
    pub(super) fn try_return(&self, asker: &Asker, now: Instant) -> Option<Slot> {
        if self.load().limit > 0 {
            return None;
        }
        self.open_where_due(now);
        self.try_take(asker, now).or_else(|| self.try_probe(now))
    }

    /// Takes the one probe of a lane that rests no more.
    pub(super) fn try_probe(&self, now: Instant) -> Option<Slot> {
        if !self.probe.load(Telling::Relaxed) {
            return None;
        }
        let mut control = lock(&self.control);
        let began = control.began(now);
        // Under the lock, so that it does not undo what another decision has made known.
        self.probe.store(false, Telling::Relaxed);
        drop(control);
        match began {
            // The lane may have come back in between; then the limit decides.
            Began::Freely | Began::Refused => None,
            Began::Probe => Some(Slot { in_flight: self.slots.take(), paced: 0 }),
        }
    }

    /// Whether a request of this kind would find a slot now, or else why not.
    pub(super) fn room(&self, asker: &Asker, now: Instant) -> Result<(), Closed> {
        let load = self.load();
        if load.limit == 0 {
            return self.shut(now);
        }
        if load.in_flight >= self.up_to(load.limit, asker) {
            return Err(Closed::Full);
        }
        if self.pace.is_known() {
            let wait = self.pace.wait(self.nanos(now), asker.tokens, asker.idle);
            if wait > 0 {
                return Err(Closed::Until(now + Duration::from_nanos(wait)));
            }
        }
        Ok(())
    }

    /// Where nobody may begin: when that ends by itself, if it is known.
    pub(super) fn closed(&self, now: Instant) -> Option<Option<Instant>> {
        if self.load().limit > 0 {
            return None;
        }
        match self.shut(now) {
            Err(Closed::Until(at)) => Some(Some(at)),
            Err(Closed::Ejected(at)) => Some(at),
            Ok(()) | Err(Closed::Full) => None,
        }
    }

    /// What a limit of 0 means.
    fn shut(&self, now: Instant) -> Result<(), Closed> {
        let opens_at = self.opens_at();
        if self.is_serving() {
            // A pause; once it is over, whoever comes first opens the lane.
            return Err(opens_at.map_or(Closed::Full, Closed::Until));
        }
        if self.probe.load(Telling::Relaxed) && opens_at.is_none_or(|at| at <= now) {
            return Ok(());
        }
        Err(Closed::Ejected(opens_at))
    }

    /// Opens the lane where its time has come.
    pub(super) fn open_where_due(&self, now: Instant) {
        if self.opens_at().is_some_and(|at| at <= now) {
            self.tick(now);
        }
    }

    /// A try has had its first token and goes on.
    pub(super) fn streams(&self) {
        self.streaming.fetch_add(1, Telling::Relaxed);
    }

    /// A try that had had its first token has ended.
    pub(super) fn streams_no_more(&self) {
        self.streaming.fetch_sub(1, Telling::Relaxed);
    }

    fn silent(&self, in_flight: u32) -> u32 {
        in_flight.saturating_sub(self.streaming.load(Telling::Relaxed))
    }

    /// Whether the lane is full of tries that have had their first token, nearly all: only time, or the end of
    /// one of them, makes room then, and time has to be let do its part.
    pub(super) fn is_held(&self) -> bool {
        let load = self.load();
        window::is_held(load.limit, load.in_flight, self.silent(load.in_flight))
    }

    /// Lets time do its part.
    pub(super) fn tick(&self, now: Instant) {
        let in_flight = self.load().in_flight;
        let silent = self.silent(in_flight);
        self.learn(|control| {
            control.in_use(now, in_flight, silent);
            control.tick(now)
        });
    }

    /// A try's first token has come, and what its provider told with it about its limits.
    pub(super) fn first_token(&self, now: Instant, answer: AnswerKind, sample: FirstToken, limits: &RateFacts) {
        if !self.has_served() {
            self.served.store(true, Telling::Relaxed);
        }
        self.learn(|control| {
            if !limits.is_empty() {
                control.told(now, limits);
            }
            match answer {
                AnswerKind::Stream => control.first_token(now, sample),
                AnswerKind::Whole(output_tokens) => {
                    let FirstToken { began, in_flight, input_tokens } = sample;
                    control.answered(now, Answered { began, in_flight, input_tokens, output_tokens })
                }
            }
        });
        self.dispatch(now);
    }

    /// A try has ended: what it tells is learned, its slot is given back, and who waits is looked after.
    pub(super) fn ended(&self, now: Instant, slot: Slot, sample: Ended<'_>) {
        if slot.paced > 0 {
            self.pace.settle(self.nanos(now), slot.paced, sample.tokens);
        }
        self.count_failures(sample.verdict);
        let published = self.learn(|control| control.ended(now, sample, &mut rand::rng()));
        self.tell_feedback(now, &sample, &published);
        self.give_back(now);
    }

    /// Gives a slot back.
    pub(super) fn give_back(&self, now: Instant) {
        self.slots.give_back();
        self.dispatch(now);
    }

    fn learn(&self, decide: impl FnOnce(&mut Control) -> Published) -> Published {
        let mut control = lock(&self.control);
        let published = decide(&mut control);
        self.publish(&published);
        drop(control);
        if let Some(change) = published.change {
            self.tell(change);
        }
        published
    }

    /// Makes a decision known to the fast path. The control's lock is held, so that decisions come in
    /// their order.
    fn publish(&self, published: &Published) {
        let serving = published.state == State::Serving;
        let ns = |at: Instant| u64::try_from(at.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX);
        store(&self.opens_at, published.opens_at.map_or(0, |at| ns(at).max(1)));
        let p95 = |p95: Option<Duration>| p95.map_or(0, |p95| u64::try_from(p95.as_nanos()).unwrap_or(u64::MAX));
        store(&self.p95_first_token, p95(published.p95_first_token));
        store(&self.p95_answer, p95(published.p95_answer));
        self.pace.set(published.rate);
        if self.state.load(Telling::Relaxed) != published.state as u8 {
            self.state.store(published.state as u8, Telling::Relaxed);
        }
        let probe = published.state == State::Probing && published.limit > 0;
        if self.probe.load(Telling::Relaxed) != probe {
            self.probe.store(probe, Telling::Relaxed);
        }
        self.slots.set_limit(if serving { published.limit } else { 0 });
    }

    /// One more waits that this lane may serve.
    pub(super) fn begins_to_wait(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// One fewer waits.
    pub(super) fn waits_no_more(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Looks after who waits, after there may be more room than before.
    ///
    /// The fence pairs with the one in [`Pool::wait`]: either who came to wait is seen here, or he sees
    /// the room that was made before.
    pub(super) fn dispatch(&self, now: Instant) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let pools: SmallVec<[Arc<Pool>; 4]> = lock(&self.pools).iter().filter_map(Weak::upgrade).collect();
        // The last hold of a pool may be this one: it is let go outside the lock.
        let mut pools: SmallVec<[Arc<Pool>; 4]> = pools.into_iter().filter(|pool| pool.waiting() > 0).collect();
        if pools.len() > 1 {
            let first = self.rotation.fetch_add(1, Telling::Relaxed);
            // Reduced by the length before it is made smaller.
            let first = (first % pools.len() as u64) as usize;
            pools.rotate_left(first);
        }
        for pool in pools {
            pool.dispatch(now);
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        self.state.load(Telling::Relaxed) == State::Serving as u8
    }

    /// When the lane opens by itself.
    pub(super) fn opens_at(&self) -> Option<Instant> {
        let ns = self.opens_at.load(Telling::Relaxed);
        (ns > 0).then(|| self.origin + Duration::from_nanos(ns))
    }

    /// The 95th percentile of the time to what a caller waits for, the first token or the whole answer, where it is
    /// known.
    pub(crate) fn p95(&self, awaited: Awaited) -> Option<Duration> {
        let cell = match awaited {
            Awaited::FirstToken => &self.p95_first_token,
            Awaited::Answer => &self.p95_answer,
        };
        let ns = cell.load(Telling::Relaxed);
        (ns > 0).then(|| Duration::from_nanos(ns))
    }

    /// For operators.
    pub(super) fn view(&self, now: Instant) -> ControlView {
        lock(&self.control).view(now)
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Drop for LaneCell {
    fn drop(&mut self) {
        if let Some(heir) = &self.heir {
            heir.counts.inherit(&self.counts);
        }
    }
}

/// Written only when it changes, so that the line stays shared by all cores.
fn store(cell: &Told, value: u64) {
    if cell.load(Telling::Relaxed) != value {
        cell.store(value, Telling::Relaxed);
    }
}
