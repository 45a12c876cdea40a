//! The bounded buffer between those who log and the thread that writes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// How long lines gather before they are written.
const PERIOD: Duration = Duration::from_millis(50);

/// After this many periods without a line the thread sleeps until one comes.
const QUIET_PERIODS: u32 = 20;

/// The buffer's memory is given back down to this size after a burst.
const SMALL: usize = 16 * 1024;

/// Lines on their way to the output.
pub(super) struct Sink {
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Wakes those who wait for a flush.
    done: Condvar,
    limit: usize,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    lines: u64,
    /// The thread waits without a timer; the next line must wake it.
    asleep: bool,
    stop: bool,
    ended: bool,
    flush_asked: u64,
    flush_done: u64,
}

impl State {
    /// Whether the thread should write now instead of letting lines gather.
    fn urgent(&self) -> bool {
        self.stop || self.flush_asked > self.flush_done
    }
}

impl Sink {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State::default()),
            work: Condvar::new(),
            done: Condvar::new(),
            limit,
            dropped: AtomicU64::new(0),
        }
    }

    /// Starts the thread. `notice` makes the line that tells of dropped ones.
    pub(super) fn start(
        sink: &Arc<Self>,
        output: Box<dyn Write + Send>,
        notice: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<()> {
        let sink = Arc::clone(sink);
        // The thread ends when the sink is stopped. It is not joined: an output that blocks for ever
        // must not keep the process from ending.
        Builder::new().name(String::from("atp-logs")).spawn(move || sink.run(output, notice)).map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line, or drops and counts it where there is no room.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        let full = state.buffer.len() + line.len();
        if full > self.limit || state.ended {
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let half = self.limit / 2;
        let wake = state.asleep || (state.buffer.len() < half && full >= half);
        state.asleep = false;
        state.buffer.extend_from_slice(line);
        state.lines += 1;
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was pushed before this call is written; whether it is.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        state.flush_asked += 1;
        let mine = state.flush_asked;
        self.work.notify_one();
        let waiting = |state: &mut State| state.flush_done < mine && !state.ended;
        let waited = self.done.wait_timeout_while(state, patience, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.flush_done >= mine
    }

    /// Tells the thread to write what waits and end.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.work.notify_one();
    }

    fn run(&self, mut output: Box<dyn Write + Send>, notice: impl Fn(u64) -> String) {
        let (mut batch, mut told, mut quiet) = (Vec::new(), 0, 0);
        loop {
            let round = self.gather(&mut batch, quiet);
            quiet = if round.lines == 0 { quiet.saturating_add(1) } else { 0 };
            let lost = self.dropped();
            if lost > told {
                batch.extend_from_slice(notice(lost - told).as_bytes());
                told = lost;
            }
            if !batch.is_empty() && output.write_all(&batch).and_then(|()| output.flush()).is_err() {
                // An output that is gone cannot be told about itself; the count is in the metrics.
                told += round.lines;
                self.dropped.fetch_add(round.lines, Ordering::Relaxed);
            }
            batch.clear();
            batch.shrink_to(SMALL);
            self.finish(&round);
            if round.stop {
                return;
            }
        }
    }

    /// Waits for lines and takes them.
    fn gather(&self, batch: &mut Vec<u8>, quiet: u32) -> Round {
        let mut state = self.lock();
        if quiet >= QUIET_PERIODS && state.buffer.is_empty() {
            state.asleep = true;
            let idle = |state: &mut State| state.asleep && !state.urgent();
            state = self.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            state.asleep = false;
        }
        if !state.urgent() {
            state = self.work.wait_timeout(state, PERIOD).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut state.buffer, batch);
        let lines = std::mem::take(&mut state.lines);
        Round { lines, flush: state.flush_asked, stop: state.stop }
    }

    fn finish(&self, round: &Round) {
        let mut state = self.lock();
        state.flush_done = round.flush;
        state.ended = round.stop;
        drop(state);
        self.done.notify_all();
    }
}

/// One batch of the thread.
struct Round {
    lines: u64,
    flush: u64,
    stop: bool,
}
