//! One tenant's requests of one class for one model: the numbers that the fast path changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use atp_core::Qos;
use atp_routing::fair_queue::FlowId;
use atp_routing::share::Idle;

/// The numbers. Alone on its cache line, because every request of the flow changes it.
#[repr(align(64))]
pub struct FlowCell {
    pub(super) tenant: Arc<str>,
    pub(crate) qos: Qos,
    /// Its number in the pool's queue.
    pub(super) id: FlowId,
    /// Slots that it holds.
    pub(super) in_flight: AtomicU32,
    /// Slots that its tenant holds in all classes, so that nobody is light by using several.
    tenants: Arc<AtomicU32>,
    /// How many tenants hold any in the pool.
    busy: Arc<AtomicU32>,
    /// Requests of it that wait. Changed under the pool's lock.
    pub(super) waiting: AtomicU32,
    /// Slots that it was given.
    pub(super) granted: AtomicU64,
    /// Tokens that it used, whether or not anybody waited.
    pub(super) served: AtomicU64,
    /// What it was charged lately while it waited: a float, and when it was right, in nanoseconds of the
    /// pool's time. Changed under the pool's lock.
    recent: AtomicU64,
    recent_at: AtomicU64,
}

/// What was charged so long ago counts half.
const HALF_LIFE_NS: f64 = 30e9;

impl FlowCell {
    pub(super) fn new(tenant: Arc<str>, qos: Qos, id: FlowId, tenants: Arc<AtomicU32>, busy: Arc<AtomicU32>) -> Self {
        Self {
            tenant,
            qos,
            id,
            in_flight: AtomicU32::new(0),
            tenants,
            busy,
            waiting: AtomicU32::new(0),
            granted: AtomicU64::new(0),
            served: AtomicU64::new(0),
            recent: AtomicU64::new(0),
            recent_at: AtomicU64::new(0),
        }
    }

    /// The count of what the tenant holds, for another class of it.
    pub(super) fn held_by_tenant(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.tenants)
    }

    /// Notes a charge at `now` (nanoseconds of the pool's time). The pool's lock is held.
    pub(super) fn charged(&self, now: u64, tokens: f64) {
        let recent = (self.recent(now) + tokens).max(0.0);
        self.recent.store(recent.to_bits(), Ordering::Relaxed);
        self.recent_at.store(now, Ordering::Relaxed);
    }

    /// What it was charged lately.
    pub(super) fn recent(&self, now: u64) -> f64 {
        let age = now.saturating_sub(self.recent_at.load(Ordering::Relaxed)) as f64;
        f64::from_bits(self.recent.load(Ordering::Relaxed)) * (-age / HALF_LIFE_NS).exp2()
    }

    /// It takes a slot.
    pub(super) fn takes(&self) {
        self.granted.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        if self.tenants.fetch_add(1, Ordering::Relaxed) == 0 {
            self.busy.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It gives a slot back.
    pub(super) fn gives_back(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.tenants.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.busy.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether it is light while all lanes together carry `window` tries: its tenant holds nothing, or less than half
    /// of its equal part. Two requests that come at once may both find it so.
    pub(super) fn holds_little(&self, window: impl FnOnce() -> u64) -> Idle {
        let held = u64::from(self.tenants.load(Ordering::Relaxed));
        if held == 0 {
            return Idle::Yes;
        }
        let busy = u64::from(self.busy.load(Ordering::Relaxed));
        if held * 2 * busy < window() { Idle::Yes } else { Idle::No }
    }

    /// The same, where nothing of it waits either: such a request need not wait for others.
    pub(super) fn idle(&self, window: impl FnOnce() -> u64) -> Idle {
        if self.waiting.load(Ordering::Relaxed) > 0 { Idle::No } else { self.holds_little(window) }
    }
}
