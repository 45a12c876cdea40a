//! What those who write lines and the writer's thread share.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atp_core::port::{JournalFile, Kept};

use super::names::Day;
use super::{FileCounts, FileRules, JournalConfig, JournalStats, KINDS, place};

/// How many bytes may wait, whatever the number of lines.
const QUEUE_BYTES: usize = 64 << 20;

/// A line on its way.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) file: JournalFile,
    pub(super) text: String,
    /// The day of a file that begins with this line; `None` where it follows the one before.
    pub(super) begins: Option<Day>,
}

/// The queue, the counters and the writer's signals.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: JournalConfig,
    state: Mutex<State>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes those who wait for the writer.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Line>,
    /// Lines and bytes that are queued, or with the writer and not yet written.
    waiting: usize,
    waiting_bytes: usize,
    open: [Option<OpenFile>; KINDS],
    written: [u64; KINDS],
    lost: [u64; KINDS],
    rotated: [u64; KINDS],
    up: bool,
    last_error: Option<String>,
    stop: bool,
    ended: bool,
    flush_asked: u64,
    flush_seen: u64,
    flush_done: u64,
}

/// How far a file is filled by what has been queued for it.
#[derive(Debug, Clone, Copy)]
struct OpenFile {
    day: Day,
    bytes: u64,
}

/// What the writer finds when it wakes.
#[derive(Debug)]
pub(super) struct Orders {
    /// What is to be written.
    pub(super) lines: VecDeque<Line>,
    /// Whether this round is the last.
    pub(super) stop: bool,
    /// The number of the last flush asked for before this round.
    pub(super) flush: u64,
}

impl Shared {
    pub(super) fn new(mut config: JournalConfig) -> Self {
        config.queue_lines = config.queue_lines.max(1);
        let state = State { up: true, ..State::default() };
        Self { config, state: Mutex::new(state), work: Condvar::new(), done: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a kind of file is kept.
    pub(super) fn rules(&self, file: JournalFile) -> Option<&FileRules> {
        match file {
            JournalFile::Decisions => self.config.decisions.as_ref(),
            JournalFile::Observations => self.config.observations.as_ref(),
            JournalFile::Lifecycle => self.config.lifecycle.as_ref(),
        }
    }

    /// Queues a line. The lock is held for a push; the writer never holds it while it writes.
    pub(super) fn push(&self, file: JournalFile, text: String, now_ms: u64) -> Kept {
        let Some(rules) = self.rules(file) else { return Kept::Queued };
        let mut state = self.lock();
        if state.waiting >= self.config.queue_lines || state.waiting_bytes + text.len() > QUEUE_BYTES || state.ended {
            state.count(file, |state| &mut state.lost, 1);
            return Kept::Lost;
        }
        let begins = state.fill(file, text.len() as u64 + 1, Day::of(now_ms), rules.max_bytes);
        state.waiting += 1;
        state.waiting_bytes += text.len();
        state.queue.push_back(Line { file, text, begins });
        // Once: a burst that would fill the queue before the writer's time wakes it.
        let hurry = state.queue.len() == self.config.queue_lines.div_ceil(2);
        drop(state);
        if hurry {
            self.work.notify_one();
        }
        if begins.is_some() { Kept::First } else { Kept::Queued }
    }

    /// The writer's pause: until the next round is due or something is asked of it.
    pub(super) fn next_orders(&self) -> Orders {
        let mut state = self.lock();
        if !state.stop && state.flush_seen == state.flush_asked {
            let pause = self.config.flush_interval;
            state = self.work.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.flush_seen = state.flush_asked;
        Orders { lines: std::mem::take(&mut state.queue), stop: state.stop, flush: state.flush_asked }
    }

    /// Lines of one kind were written.
    pub(super) fn wrote(&self, file: JournalFile, lines: usize, bytes: usize) {
        let mut state = self.lock();
        state.waiting -= lines.min(state.waiting);
        state.waiting_bytes -= bytes.min(state.waiting_bytes);
        state.count(file, |state| &mut state.written, lines as u64);
        state.up = true;
    }

    /// A file is done.
    pub(super) fn rotated(&self, file: JournalFile) {
        self.lock().count(file, |state| &mut state.rotated, 1);
    }

    /// A file is gone, or can no more be written: the next line begins a new one.
    pub(super) fn begin_anew(&self, file: JournalFile) {
        if let Some(open) = self.lock().open.get_mut(place(file)) {
            *open = None;
        }
    }

    /// An attempt to write failed.
    pub(super) fn failed(&self, text: &str) {
        let mut state = self.lock();
        state.up = false;
        state.last_error = Some(String::from(text));
    }

    /// How many lines have been lost in all.
    pub(super) fn lost(&self) -> u64 {
        self.lock().lost.iter().sum()
    }

    /// Tells those who wait that everything queued before flush `number` was asked is written.
    pub(super) fn flushed(&self, number: u64) {
        let mut state = self.lock();
        if state.flush_done < number {
            state.flush_done = number;
            self.done.notify_all();
        }
    }

    /// Waits until what was queued before this call is written, or the writer has ended.
    pub(super) fn flush(&self, patience: Duration) -> usize {
        let mut state = self.lock();
        state.flush_asked += 1;
        let mine = state.flush_asked;
        self.work.notify_one();
        let waiting = |state: &mut State| state.flush_done < mine && !state.ended;
        let waited = self.done.wait_timeout_while(state, patience, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting
    }

    /// Tells the writer to write once more and end.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.work.notify_one();
    }

    /// The writer has ended: from now on every line is lost.
    pub(super) fn ended(&self) {
        self.lock().ended = true;
        self.done.notify_all();
    }

    /// Waits for the writer's end; whether it came.
    pub(super) fn wait_ended(&self, patience: Duration) -> bool {
        let waited = self.done.wait_timeout_while(self.lock(), patience, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    pub(super) fn stats(&self) -> JournalStats {
        let state = self.lock();
        JournalStats {
            up: state.up,
            queued: state.waiting,
            written: FileCounts::of(state.written),
            lost: FileCounts::of(state.lost),
            rotated: FileCounts::of(state.rotated),
            last_error: state.last_error.clone(),
        }
    }
}

impl State {
    fn count(&mut self, file: JournalFile, of: impl FnOnce(&mut Self) -> &mut [u64; KINDS], more: u64) {
        if let Some(count) = of(self).get_mut(place(file)) {
            *count += more;
        }
    }

    /// Counts a line into its file; the day where it is the first of a new one. The days of a clock that was
    /// set back are taken for the same day.
    fn fill(&mut self, file: JournalFile, bytes: u64, today: Day, max_bytes: u64) -> Option<Day> {
        let open = self.open.get_mut(place(file))?;
        match open {
            Some(open) if (open.day >= today || file == JournalFile::Lifecycle) && open.bytes + bytes <= max_bytes => {
                open.bytes += bytes;
                None
            }
            _ => {
                *open = Some(OpenFile { day: today, bytes });
                Some(today)
            }
        }
    }
}
