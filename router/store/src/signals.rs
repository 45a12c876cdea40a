//! What the thread that writes a ledger or a journal is asked for, what it has reached, and what has been said
//! about its failures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock;

/// How long the same trouble is not spoken of again.
const QUIET: Duration = Duration::from_secs(30);

/// What the last attempt gets where a flush has used all the patience.
const LAST: Duration = Duration::from_millis(50);

/// The signals between a writer's thread and everybody else.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    state: Mutex<State>,
    /// Set under the lock, so that nobody who waits misses it; read without.
    ended: AtomicBool,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes those who wait for the writer.
    done: Condvar,
}

/// Flushes are numbered, so that many may wait.
#[derive(Debug, Default)]
struct State {
    stop: bool,
    flush_asked: u64,
    flush_seen: u64,
    flush_done: u64,
}

/// What the writer finds when it wakes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Orders {
    /// Whether this round is the last.
    pub(crate) stop: bool,
    /// The number of the last flush asked for before this round.
    pub(crate) flush: u64,
}

impl Signals {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer before its time. Takes no lock: a wake-up that meets a writer at work is
    /// lost, and the next one comes with more work or by the clock.
    pub(crate) fn wake(&self) {
        self.work.notify_one();
    }

    /// The writer's pause: until the next round is due or something is asked of it. What waited before a flush
    /// was asked is to be taken after this, not before.
    pub(crate) fn next_orders(&self, pause: Duration) -> Orders {
        let mut state = self.lock();
        // A flush that was asked while the writer was at work begins at once; one that has failed is
        // tried again after a pause.
        if !state.stop && state.flush_seen == state.flush_asked {
            state = self.work.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.flush_seen = state.flush_asked;
        Orders { stop: state.stop, flush: state.flush_asked }
    }

    /// Tells those who wait that everything taken before flush `number` was asked is written.
    pub(crate) fn flushed(&self, number: u64) {
        let mut state = self.lock();
        if state.flush_done < number {
            state.flush_done = number;
            self.done.notify_all();
        }
    }

    /// Waits until what was taken before this call is written, or the writer has ended.
    pub(crate) fn flush(&self, patience: Duration) {
        let mut state = self.lock();
        state.flush_asked += 1;
        let mine = state.flush_asked;
        self.work.notify_one();
        let waiting = |state: &mut State| state.flush_done < mine && !self.has_ended();
        drop(self.done.wait_timeout_while(state, patience, waiting));
    }

    /// Tells the writer to write once more and end.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.work.notify_one();
    }

    /// Whether the writer has ended. Takes no lock.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Has `thread` write once more and end, within `patience`. The thread's own fault, if it ended by one, is
    /// told as `false`.
    pub(crate) fn close(&self, thread: Option<JoinHandle<()>>, patience: Duration) -> bool {
        let end = clock::now() + patience;
        self.flush(patience);
        self.stop();
        // At least a moment, so that a flush that used all the patience still gets its last attempt.
        let rest = end.saturating_duration_since(clock::now()).max(LAST);
        drop(self.done.wait_timeout_while(self.lock(), rest, |_| !self.has_ended()));
        !self.has_ended() || thread.is_none_or(|thread| thread.join().is_ok())
    }
}

/// Held by the writer's thread: tells those who wait that it has ended, however it ended.
pub(crate) struct End(pub(crate) Arc<Signals>);

impl Drop for End {
    fn drop(&mut self) {
        let _state = self.0.lock();
        self.0.ended.store(true, Ordering::Relaxed);
        self.0.done.notify_all();
    }
}

/// What has been said about failures: one that comes and goes is spoken of once in a while only.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Whether the last attempt failed.
    failing: bool,
    /// Whether that has been said.
    told: bool,
    /// When something was last said.
    told_at: Option<Instant>,
    /// How many losses have been spoken of.
    told_lost: u64,
}

impl Trouble {
    /// An attempt failed; whether that is to be said.
    pub(crate) fn failed(&mut self, lost: u64) -> bool {
        let now = clock::now();
        self.failing = true;
        let may_tell = self.may_tell(now);
        if may_tell {
            *self = Self { failing: true, told: true, told_at: Some(now), told_lost: lost };
        }
        may_tell
    }

    /// An attempt went well; whether it is to be said that it goes well again.
    pub(crate) fn over(&mut self, lost: u64) -> bool {
        self.failing = false;
        let told = std::mem::take(&mut self.told);
        if told {
            self.told_lost = lost;
        }
        told
    }

    /// Whether it is to be said that so much was lost in all, though all goes well: the writer is too slow.
    pub(crate) fn is_slow(&mut self, lost: u64) -> bool {
        let now = clock::now();
        let tell = !self.failing && lost != self.told_lost && self.may_tell(now);
        if tell {
            *self = Self { told_at: Some(now), told_lost: lost, ..Self::default() };
        }
        tell
    }

    /// Whether it is time to speak again of the same trouble.
    fn may_tell(&self, now: Instant) -> bool {
        self.told_at.is_none_or(|told| now.saturating_duration_since(told) >= QUIET)
    }
}
