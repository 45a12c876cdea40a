//! The first level: all flows in one order, kept by class, so that the first of any set of classes is
//! found in one step.
//!
//! All classes share one virtual time. A class that is served out of turn, because only it may use what
//! is free, runs ahead of the others by what it used, and they catch up when everybody may be served
//! again: a reserve is a minimum, not an addition. Left alone for hours (a reserve larger than the
//! class's fair share), that lead would grow into a debt that nobody could pay, and the class would have
//! nothing but its reserve for as long. So the lead is cut at [`LEAD`] requests: what is served out of
//! turn beyond that moves the class as a whole (its `shift`), which keeps the order within it.

use atp_core::Qos;

use super::Allowed;
use super::order::{Key, Order};

/// How many requests a class may be ahead of virtual time by having been served out of turn. A reserve
/// of a tenth of a window of a thousand starts a hundred at once, and all those are rightly paid back.
const LEAD: u128 = 128;

/// Virtual time does not start at zero, so that a flow may be behind a class's shift.
const START: u128 = 1 << 100;

#[derive(Debug, Default)]
struct Class {
    /// The flows that wait, by their tags.
    order: Order,
    /// A tag of this class less its shift is a place in the common virtual time.
    shift: u128,
    /// Requests that wait.
    waiting: usize,
}

/// The flow whose turn it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    pub(super) flow: u32,
    pub(super) qos: Qos,
    /// Its start tag in common time.
    start: u128,
    /// The least start tag of all, allowed or not.
    least: u128,
}

/// The order of flows.
#[derive(Debug)]
pub(super) struct Classes {
    classes: [Class; 3],
    /// The common virtual time: the latest start tag that was served in turn.
    clock: u128,
    /// No flow's tag is later, in common time.
    latest: u128,
}

impl Classes {
    pub(super) fn new() -> Self {
        Self { classes: Default::default(), clock: START, latest: START }
    }

    /// How many requests of a class wait.
    pub(super) fn waiting(&self, qos: Qos) -> usize {
        self.class(qos).waiting
    }

    /// The flow that waits, if there is only one.
    pub(super) fn alone(&self) -> Option<(u32, Qos)> {
        let mut found = None;
        for qos in Qos::ALL {
            let order = &self.class(qos).order;
            if order.len() > 1 || (found.is_some() && !order.is_empty()) {
                return None;
            }
            found = found.or(order.first().map(|(_, flow)| (flow, qos)));
        }
        found
    }

    /// Whether a flow waits.
    pub(super) fn waits(&self, flow: u32, qos: Qos) -> bool {
        self.class(qos).order.key(flow).is_some()
    }

    /// Virtual time as this class's flows count it: who is not later than this is not ahead.
    pub(super) fn clock(&self, qos: Qos) -> u128 {
        self.clock.saturating_add(self.class(qos).shift)
    }

    /// Where a flow that is not ahead begins: at virtual time, or beside who is behind it.
    pub(super) fn level(&self, qos: Qos) -> u128 {
        let least = self.least(Allowed::ALL).map_or(self.clock, |(_, least, _, _)| least);
        self.clock.min(least).saturating_add(self.class(qos).shift)
    }

    /// One more request of a class waits.
    pub(super) fn arrived(&mut self, qos: Qos) {
        self.class_mut(qos).waiting += 1;
    }

    /// A flow waits, at this tag.
    pub(super) fn enter(&mut self, flow: u32, qos: Qos, tag: u128, seq: u64) {
        self.class_mut(qos).order.put(flow, Key { tag, seq });
    }

    /// One request of a flow waits no more, without having been served.
    pub(super) fn departed(&mut self, flow: u32, qos: Qos, left: usize) {
        let class = self.class_mut(qos);
        class.waiting -= 1;
        if left == 0 {
            class.order.take(flow);
            self.rest();
        }
    }

    /// The flow of an allowed class that starts first.
    pub(super) fn pick(&self, allowed: Allowed) -> Option<Pick> {
        let (flow, start, _, qos) = self.least(allowed)?;
        let least = self.least(Allowed::ALL).map_or(start, |(_, least, _, _)| least);
        Some(Pick { flow, qos, start, least })
    }

    /// A picked flow has been served, which took `time` and moved its tag to `tag`; `more` is the
    /// tie-breaker of its next request, if it has one.
    pub(super) fn served(&mut self, pick: Pick, time: u128, tag: u128, more: Option<u64>) {
        let class = self.class_mut(pick.qos);
        class.waiting -= 1;
        match more {
            Some(seq) => class.order.put(pick.flow, Key { tag, seq }),
            None => class.order.take(pick.flow),
        }
        self.clock = self.clock.max(pick.least);
        if pick.start > pick.least {
            self.hold(pick.qos, time, tag);
        }
        self.note(pick.qos, tag);
        self.rest();
    }

    /// A flow that waits has been charged or was given back.
    pub(super) fn moved(&mut self, flow: u32, qos: Qos, tag: u128) {
        let order = &mut self.class_mut(qos).order;
        if let Some(key) = order.key(flow) {
            order.put(flow, Key { tag, seq: key.seq });
        }
        self.note(qos, tag);
    }

    /// Virtual time passes with the flow that waits alone.
    pub(super) fn pass(&mut self, time: u128) {
        self.clock = self.clock.saturating_add(time);
    }

    /// When no flow waits, all begin anew: the busy period is over (Goyal et al., rule 2).
    fn rest(&mut self) {
        if self.classes.iter().all(|class| class.order.is_empty()) {
            self.clock = self.clock.max(self.latest);
        }
    }

    /// Keeps a class that was served out of turn from running too far ahead.
    fn hold(&mut self, qos: Qos, time: u128, tag: u128) {
        let farthest = self.clock.saturating_add(time.saturating_mul(LEAD));
        let class = self.class_mut(qos);
        let first = class.order.first().map_or(tag, |(key, _)| key.tag);
        let beyond = first.saturating_sub(class.shift).saturating_sub(farthest);
        class.shift = class.shift.saturating_add(beyond.min(time));
    }

    fn note(&mut self, qos: Qos, tag: u128) {
        self.latest = self.latest.max(tag.saturating_sub(self.class(qos).shift));
    }

    /// The flow of an allowed class with the least tag in common time: flow, tag, tie-breaker, class.
    fn least(&self, allowed: Allowed) -> Option<(u32, u128, u64, Qos)> {
        let firsts = Qos::ALL.into_iter().filter(|qos| allowed.contains(*qos)).filter_map(|qos| {
            let class = self.class(qos);
            let (key, flow) = class.order.first()?;
            Some((flow, key.tag.saturating_sub(class.shift), key.seq, qos))
        });
        firsts.min_by_key(|(_, tag, seq, _)| (*tag, *seq))
    }

    fn class(&self, qos: Qos) -> &Class {
        let [bronze, silver, gold] = &self.classes;
        match qos {
            Qos::Bronze => bronze,
            Qos::Silver => silver,
            Qos::Gold => gold,
        }
    }

    fn class_mut(&mut self, qos: Qos) -> &mut Class {
        let [bronze, silver, gold] = &mut self.classes;
        match qos {
            Qos::Bronze => bronze,
            Qos::Silver => silver,
            Qos::Gold => gold,
        }
    }
}
