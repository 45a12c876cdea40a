//! How fast money is spent, and whether one request costs far more than those before it.
//!
//! [`Burn`] is the mission's burn rate: dollars per minute over the last 300 seconds, kept for 600. It counts
//! in slots of ten seconds, so it needs no list of requests and forgets in steps of a slot.
//!
//! [`SpikeGuard`] is the mission's guard against outliers: mean and variance of the cost of a request as
//! exponentially weighted moving averages with a weight of 0.1 for the newest (J. M. Lucas and M. S. Saccucci,
//! "Exponentially Weighted Moving Average Control Schemes", 1990; the variance by T. Finch, "Incremental
//! calculation of weighted mean and variance", 2009). A cost more than three deviations above the mean is a
//! spike, once ten are known; after one it is silent for 300 seconds. It tells and refuses nothing: prices
//! of requests have long tails, and what may be spent is for budgets to say.

#[cfg(test)]
mod tests;

use atp_core::MicroUsd;

/// The length of a slot.
const SLOT_MS: u64 = 10_000;
/// Slots that are kept: 600 seconds.
const SLOTS: usize = 60;
/// Slots that the rate is taken over: 300 seconds.
const RATED: u64 = 30;

/// The weight of the newest cost.
const ALPHA: f64 = 0.1;
/// Deviations above the mean from which a cost is a spike.
const FAR: f64 = 3.0;
/// Costs that have to be known.
const LEAST: u32 = 10;
/// How long after a spike no other is told.
const COOL_DOWN_MS: u64 = 300_000;

/// Money by time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burn {
    /// Micro-dollars by slot, as a ring.
    slots: [u64; SLOTS],
    /// The newest slot, counted from the epoch.
    newest: u64,
    /// The slot of the first cost; `None` before.
    first: Option<u64>,
}

impl Default for Burn {
    fn default() -> Self {
        Self { slots: [0; SLOTS], newest: 0, first: None }
    }
}

impl Burn {
    /// Counts a cost. One that comes with an earlier time than others, as from another core, counts in the
    /// slot of the newest.
    pub fn add(&mut self, cost: MicroUsd, now_ms: u64) {
        self.turn(now_ms);
        self.first.get_or_insert(self.newest);
        let place = place_of(self.newest);
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = slot.saturating_add(cost.0);
        }
    }

    /// Dollars per minute over the last 300 seconds, or over the time since the first cost where that is
    /// shorter, but no less than a minute: one request after a start is no blaze.
    #[must_use]
    pub fn usd_per_minute(&self, now_ms: u64) -> f64 {
        let now = (now_ms / SLOT_MS).max(self.newest);
        let Some(first) = self.first else { return 0.0 };
        let oldest = (now + 1).saturating_sub(RATED);
        let slots = oldest.max(self.newest.saturating_sub(SLOTS as u64 - 1))..=self.newest;
        let sum =
            slots.filter_map(|slot| self.slots.get(place_of(slot))).fold(0u64, |sum, more| sum.saturating_add(*more));
        let rated = (now + 1 - oldest.max(first).min(now)).max(60_000 / SLOT_MS);
        MicroUsd(sum).as_usd() * (60_000.0 / SLOT_MS as f64) / rated as f64
    }

    /// Empties the slots that have passed.
    fn turn(&mut self, now_ms: u64) {
        let now = now_ms / SLOT_MS;
        if now <= self.newest {
            return;
        }
        for slot in (self.newest + 1..=now).rev().take(SLOTS) {
            if let Some(slot) = self.slots.get_mut(place_of(slot)) {
                *slot = 0;
            }
        }
        self.newest = now;
    }
}

fn place_of(slot: u64) -> usize {
    // Below 60, which every machine's word holds.
    (slot % SLOTS as u64) as usize
}

/// What a request ordinarily costs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SpikeGuard {
    mean: f64,
    variance: f64,
    known: u32,
    /// Until when it is silent.
    silent_until_ms: u64,
}

/// A cost that is far out of the ordinary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spike {
    /// How many deviations above the mean it is.
    pub z: f64,
    /// The mean before it, in micro-dollars.
    pub mean: f64,
}

impl SpikeGuard {
    /// Takes a cost, and tells where it is a spike.
    pub fn add(&mut self, cost: MicroUsd, now_ms: u64) -> Option<Spike> {
        let cost = cost.as_usd() * 1e6;
        let above = cost - self.mean;
        let deviation = self.variance.sqrt();
        // Costs that are all the same have no deviation: then one micro-dollar is.
        let spike = Spike { z: above / deviation.max(1.0), mean: self.mean };
        let told = self.known >= LEAST && spike.z > FAR && now_ms >= self.silent_until_ms;
        if told {
            self.silent_until_ms = now_ms.saturating_add(COOL_DOWN_MS);
        }
        if self.known == 0 {
            self.mean = cost;
        } else {
            self.mean += ALPHA * above;
            self.variance = (1.0 - ALPHA) * (self.variance + ALPHA * above * above);
        }
        self.known = self.known.saturating_add(1);
        told.then_some(spike)
    }
}
