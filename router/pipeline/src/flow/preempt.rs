//! Which bronze tries are in flight, and how gold makes one of them give way.
//!
//! Only bronze pays for this, and only where gold keys are configured: its tries are entered into a list
//! of their lane, and look at one word whenever they are polled. The victim is told and woken; it ends
//! its own try, on its own core, and the slot comes back as any other does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use atp_core::Qos;
use atp_routing::share::{self, Phase};

use crate::sync::{Mutex, lock};

/// The bronze tries of a lane.
#[derive(Default)]
pub(super) struct Running {
    next: AtomicU64,
    count: AtomicU32,
    runs: Mutex<HashMap<u64, Arc<Run>>>,
}

/// One bronze try.
pub(crate) struct Run {
    id: u64,
    began: Instant,
    streams: AtomicBool,
    preempted: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Running {
    /// A try begins.
    pub(super) fn enter(&self, now: Instant) -> Arc<Run> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let run = Arc::new(Run {
            id,
            began: now,
            streams: AtomicBool::new(false),
            preempted: AtomicBool::new(false),
            waker: Mutex::new(None),
        });
        lock(&self.runs).insert(id, Arc::clone(&run));
        self.count.fetch_add(1, Ordering::Relaxed);
        run
    }

    /// A try ends.
    pub(super) fn leave(&self, run: &Run) {
        lock(&self.runs).remove(&run.id);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Those that have not been told to give way.
    fn candidates(&self, into: &mut Vec<Arc<Run>>) {
        into.extend(lock(&self.runs).values().filter(|run| !run.is_preempted()).cloned());
    }
}

/// Makes one of the lanes' tries give way, where there is one, and says how far it had come.
pub(super) fn preempt<'a>(lanes: impl Iterator<Item = &'a Running>) -> Option<Phase> {
    let mut runs = Vec::new();
    lanes.for_each(|lane| lane.candidates(&mut runs));
    while let Some(place) = share::victim(runs.iter().map(|run| run.as_running())) {
        let run = runs.swap_remove(place);
        if run.preempted.swap(true, Ordering::AcqRel) {
            // Another gold request was quicker; it has its slot, and this one looks for another.
            continue;
        }
        let waker = lock(&run.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
        return Some(run.as_running().phase);
    }
    None
}

impl Run {
    fn as_running(&self) -> share::Running {
        let phase = if self.streams.load(Ordering::Relaxed) { Phase::Streaming } else { Phase::Silent };
        share::Running { qos: Qos::Bronze, phase, began: self.began }
    }

    /// The caller sees something of the answer from now on.
    pub(super) fn streams(&self) {
        self.streams.store(true, Ordering::Relaxed);
    }

    /// Whether it has to give way. Pending until then, and whoever polls is woken.
    pub(crate) fn poll_preempted(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_preempted() {
            return Poll::Ready(());
        }
        let mut waker = lock(&self.waker);
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        // Told between the look and the lock: nobody would wake us.
        if self.is_preempted() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_preempted(&self) -> bool {
        self.preempted.load(Ordering::Acquire)
    }
}
