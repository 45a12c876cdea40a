//! The second level: the sessions of one flow.
//!
//! Sessions are named by callers, so there may be any number of them, and two things differ from the
//! level of flows. They are made on the way and forgotten as soon as forgetting changes nothing: when
//! they wait for nothing and are no longer ahead of their siblings. And a session that comes back
//! starts one request of its own behind virtual time, not at it (it is ordered by its finish tag, as
//! in Golestani's self-clocked fair queueing, 1994): otherwise a caller with a new session for every
//! request would always be served before a session that waits for its second one, which would starve.

use std::collections::HashMap;

use atp_core::Weight;

use super::items::List;
use super::order::{Key, Order};
use super::tag::{Meter, session_rate};

/// How many sessions that are no longer ahead are forgotten with each operation. An operation makes at
/// most one, so two are enough to catch up, and no caller pays for all at once.
const FORGOTTEN_AT_ONCE: usize = 2;
/// Without sessions, memory for so many of them is kept.
const KEPT: usize = 1_024;

#[derive(Debug)]
struct Session {
    name: u64,
    meter: Meter,
    /// How far behind virtual time its first request starts; nothing once it has been served.
    behind: u128,
    line: List,
}

/// The sessions of one flow that wait or are ahead.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    places: HashMap<u64, u32>,
    all: Vec<Session>,
    free: Vec<u32>,
    /// Those that wait.
    waiting: Order,
    /// Those that do not wait, and are remembered because they are ahead.
    ahead: Order,
    /// The latest start tag that was served.
    clock: u128,
    /// The weights that were set, of sessions known and unknown.
    weights: HashMap<u64, Weight>,
}

impl Sessions {
    /// How many sessions are remembered.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Sets a weight for as long as the flow lives.
    pub(super) fn set_weight(&mut self, name: u64, weight: Weight) {
        if weight == Weight::ONE {
            self.weights.remove(&name);
        } else {
            self.weights.insert(name, weight);
        }
        if let Some(session) = self.places.get(&name).and_then(|place| self.all.get_mut(*place as usize)) {
            session.meter.set_rate(session_rate(weight));
        }
    }

    /// The place of a session, made if it is not known; and its line, for an item to be appended to.
    pub(super) fn enter(&mut self, name: u64, cost: u64, seq: u64) -> (u32, &mut List) {
        let place = self.place(name);
        if self.waiting.key(place).is_none() {
            self.begin(place, cost, seq);
        }
        self.forget_some();
        (place, self.line(place))
    }

    /// The first of the session whose turn it is.
    pub(super) fn first(&self) -> Option<(u32, &List)> {
        let (_, place) = self.waiting.first()?;
        self.all.get(place as usize).map(|session| (place, &session.line))
    }

    /// The line of a session.
    #[expect(clippy::indexing_slicing, reason = "places come from `place`, and live as long as their session's items")]
    pub(super) fn line(&mut self, place: u32) -> &mut List {
        &mut self.all[place as usize].line
    }

    /// The first of the session has been served at this cost.
    pub(super) fn served(&mut self, place: u32, cost: u64, seq: u64) {
        let Some(session) = self.all.get_mut(place as usize) else { return };
        let start = session.meter.tag.saturating_add(session.behind);
        self.clock = self.clock.max(start);
        session.meter.tag = start;
        session.behind = 0;
        session.meter.charge(cost);
        if session.line.is_empty() {
            self.rest(place);
        } else {
            self.waiting.put(place, Key { tag: session.meter.tag, seq });
        }
        self.forget_some();
    }

    /// Somebody left the line of a session without having been served.
    pub(super) fn left(&mut self, place: u32) {
        if self.all.get(place as usize).is_some_and(|session| session.line.is_empty()) {
            self.rest(place);
        }
    }

    /// Charges a session, if a sibling waits meanwhile.
    pub(super) fn charge(&mut self, name: u64, tokens: u64) {
        if self.waiting.is_empty() {
            return;
        }
        let place = self.place(name);
        let (clock, level, alone) = (self.clock, self.level(), self.waiting.len() == 1);
        let Some(session) = self.all.get_mut(place as usize) else { return };
        match self.waiting.key(place) {
            Some(key) => {
                let time = session.meter.charge(tokens);
                self.waiting.put(place, Key { tag: key.tag.saturating_add(time), seq: key.seq });
                if alone {
                    self.clock = self.clock.saturating_add(time);
                }
            }
            None => {
                session.meter.lift(clock, level);
                session.meter.charge(tokens);
                self.rest(place);
            }
        }
        self.forget_some();
    }

    /// Gives a session back what it was charged too much, if it is still known.
    pub(super) fn refund(&mut self, name: u64, tokens: u64) {
        let Some(place) = self.places.get(&name).copied() else { return };
        let Some(session) = self.all.get_mut(place as usize) else { return };
        session.meter.refund(tokens);
        match self.waiting.key(place) {
            Some(key) => {
                let tag = session.meter.tag.saturating_add(session.behind);
                self.waiting.put(place, Key { tag, seq: key.seq });
            }
            None => self.rest(place),
        }
    }

    /// The place of a session, made if it is not known.
    fn place(&mut self, name: u64) -> u32 {
        if let Some(place) = self.places.get(&name) {
            return *place;
        }
        let weight = if self.weights.is_empty() { None } else { self.weights.get(&name).copied() };
        let meter = Meter::new(session_rate(weight.unwrap_or_default()));
        let session = Session { name, meter, behind: 0, line: List::default() };
        let reused = self.free.pop().and_then(|place| self.all.get_mut(place as usize).map(|old| (place, old)));
        let place = match reused {
            Some((place, old)) => {
                *old = session;
                place
            }
            None => {
                self.all.push(session);
                // Fewer than the items that wait, or than were served a moment ago.
                (self.all.len() - 1) as u32
            }
        };
        self.places.insert(name, place);
        place
    }

    /// Where a session that is not ahead begins.
    fn level(&self) -> u128 {
        self.waiting.first().map_or(self.clock, |(key, _)| self.clock.min(key.tag))
    }

    /// A session begins to wait.
    fn begin(&mut self, place: u32, cost: u64, seq: u64) {
        let level = self.level();
        if let (1, Some((_, alone))) = (self.waiting.len(), self.waiting.first())
            && let Some(session) = self.all.get_mut(alone as usize)
        {
            session.meter.forget_below(level);
        }
        let Some(session) = self.all.get_mut(place as usize) else { return };
        session.meter.lift(self.clock, level);
        let start = session.meter.tag.max(level.saturating_add(session.meter.time(cost)));
        session.behind = start - session.meter.tag;
        self.ahead.take(place);
        self.waiting.put(place, Key { tag: start, seq });
    }

    /// A session waits for nothing more: it is remembered while it is ahead. When none waits, all
    /// begin anew (the end of a busy period, Goyal et al., rule 2).
    fn rest(&mut self, place: u32) {
        self.waiting.take(place);
        if self.waiting.is_empty() {
            self.clear();
            return;
        }
        let Some(session) = self.all.get_mut(place as usize) else { return };
        session.behind = 0;
        let tag = session.meter.tag;
        if tag > self.clock {
            // Ties are told apart by the place, which is unique.
            self.ahead.put(place, Key { tag, seq: u64::from(place) });
        } else {
            self.forget(place);
        }
    }

    fn forget(&mut self, place: u32) {
        self.ahead.take(place);
        if let Some(session) = self.all.get(place as usize) {
            self.places.remove(&session.name);
            self.free.push(place);
        }
    }

    fn forget_some(&mut self) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.ahead.first() {
                Some((key, place)) if key.tag <= self.clock => self.forget(place),
                _ => return,
            }
        }
    }

    fn clear(&mut self) {
        let weights = std::mem::take(&mut self.weights);
        if self.all.capacity() > KEPT {
            *self = Self { weights, ..Self::default() };
            return;
        }
        self.weights = weights;
        self.places.clear();
        self.all.clear();
        self.free.clear();
        self.waiting.clear();
        self.ahead.clear();
        self.clock = 0;
    }
}
