//! What those who write lines and the writer's thread share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atp_core::port::{JournalFile, Kept};

use super::names::Day;
use super::{FileCounts, FileRules, JournalConfig, JournalStats, KINDS, place};
use crate::signals::Signals;

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
    pub(super) signals: Arc<Signals>,
    state: Mutex<State>,
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
}

/// How far a file is filled by what has been queued for it.
#[derive(Debug, Clone, Copy)]
struct OpenFile {
    day: Day,
    bytes: u64,
}

impl Shared {
    pub(super) fn new(mut config: JournalConfig) -> Self {
        config.queue_lines = config.queue_lines.max(1);
        let state = State { up: true, ..State::default() };
        Self { config, signals: Arc::default(), state: Mutex::new(state) }
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
        let full = state.waiting >= self.config.queue_lines || state.waiting_bytes + text.len() > QUEUE_BYTES;
        if full || self.signals.has_ended() {
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
            self.signals.wake();
        }
        if begins.is_some() { Kept::First } else { Kept::Queued }
    }

    /// The lines that wait, for the writer.
    pub(super) fn take(&self) -> VecDeque<Line> {
        std::mem::take(&mut self.lock().queue)
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

    /// Waits until what was queued before this call is written, or the writer has ended; returns how many lines
    /// still wait.
    pub(super) fn flush(&self, patience: Duration) -> usize {
        self.signals.flush(patience);
        self.lock().waiting
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
