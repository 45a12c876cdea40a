//! One's own server: slots, and a first-come line in front of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::{Call, Meter, Outbox, ROUND_TRIP, Signal, Waste};

#[derive(Debug)]
pub(super) struct Own {
    full_slots: u32,
    slots: u32,
    longest_line: usize,
    crowding: f64,
    running: BTreeMap<usize, Instant>,
    waiting: VecDeque<Call>,
    meter: Meter,
    metered: Instant,
}

impl Own {
    pub(super) fn new(slots: u32, longest_line: usize, crowding: f64, origin: Instant) -> Self {
        Self {
            full_slots: slots,
            slots,
            longest_line,
            crowding,
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            meter: Meter::default(),
            metered: origin,
        }
    }

    pub(super) fn begin(&mut self, call: Call, now: Instant, out: &mut Outbox) {
        self.meter(now);
        if self.running.len() < self.slots as usize {
            self.run(call, now, out);
        } else if self.waiting.len() < self.longest_line {
            self.waiting.push_back(call);
        } else {
            out.push((now + ROUND_TRIP, Signal::Refused(call.id, None, None)));
        }
    }

    fn run(&mut self, call: Call, now: Instant, out: &mut Outbox) {
        self.running.insert(call.id, now);
        let busy = (self.running.len() as f64 / f64::from(self.slots.max(1))).min(1.0);
        let first = now + call.first;
        let end = first + call.rest.mul_f64(1.0 + self.crowding * busy);
        out.push((call.seen(first, end), Signal::First(call.id, None)));
        out.push((end, Signal::Done(call.id)));
    }

    pub(super) fn end(&mut self, id: usize, waste: Waste, now: Instant, out: &mut Outbox) {
        self.meter(now);
        if let Some(since) = self.running.remove(&id) {
            if waste == Waste::Lost {
                self.meter.used = (self.meter.used - (now - since).as_secs_f64()).max(0.0);
            }
        } else {
            self.waiting.retain(|call| call.id != id);
        }
        self.fill(now, out);
    }

    fn fill(&mut self, now: Instant, out: &mut Outbox) {
        while self.running.len() < self.slots as usize
            && let Some(call) = self.waiting.pop_front()
        {
            self.run(call, now, out);
        }
    }

    pub(super) fn scale(&mut self, factor: f64, now: Instant, out: &mut Outbox) {
        self.meter(now);
        self.slots = (f64::from(self.full_slots) * factor).round() as u32;
        self.fill(now, out);
    }

    pub(super) fn calls(&self) -> Vec<usize> {
        self.running.keys().copied().chain(self.waiting.iter().map(|call| call.id)).collect()
    }

    pub(super) fn meter(&mut self, now: Instant) -> Meter {
        let passed = now.saturating_duration_since(self.metered).as_secs_f64();
        let slots = f64::from(self.slots);
        self.meter.used += (self.running.len() as f64).min(slots) * passed;
        self.meter.room += slots * passed;
        self.metered = now.max(self.metered);
        self.meter
    }

    pub(super) fn line(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn slots(&self) -> u32 {
        self.slots
    }
}
