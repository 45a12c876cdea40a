//! The line in front of the model, and the threads that serve it.
//!
//! A pass takes milliseconds to seconds of a processor, so none happens on an async runtime: a request is put into
//! the line, and told of by a channel. Who drops the channel's end has left, which is seen before every pass.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atp_core::Finish;
use tokio::sync::mpsc::UnboundedSender;

use super::choose::Chooser;
use super::spell::{Speller, Spelt};
use super::words::Words;

/// A prompt is read in pieces of so many tokens, so that who leaves meanwhile is noticed.
const PIECE: usize = 16;
/// How much the last measurement counts against those before.
const FRESH: f64 = 0.3;

/// A model that reads tokens.
pub(crate) trait Engine: Send + Sync {
    /// Begins with nothing read.
    fn begin<'a>(&'a self) -> Box<dyn Reading + 'a>;
}

/// A text that is being read.
pub(crate) trait Reading {
    /// Reads more tokens, and gives the scores of the one that follows.
    ///
    /// # Errors
    /// What is wrong in the model, in words.
    fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, String>;
}

/// A request in the line.
pub(super) struct Job {
    pub(super) prompt: Vec<u32>,
    pub(super) chooser: Chooser,
    pub(super) speller: Speller,
    /// The most tokens that are made.
    pub(super) limit: u64,
    pub(super) tell: UnboundedSender<Said>,
}

/// What a job tells.
#[derive(Debug)]
pub(super) enum Said {
    /// Text, and how many tokens have been made.
    More(String, u64),
    /// The rest, and why it ended.
    End(String, u64, Finish),
    /// The model failed.
    Failed(String),
}

/// How much of a job is left.
#[derive(Debug)]
struct Left {
    prompt: AtomicU64,
    output: AtomicU64,
}

/// The line.
pub(super) struct Line {
    engine: Box<dyn Engine>,
    words: Arc<Words>,
    /// How many may wait.
    room: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    serving: Vec<Arc<Left>>,
    closed: bool,
    speed: Speed,
}

/// What has been measured; seconds are of one slot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Speed {
    /// Seconds that a token of a prompt takes.
    pub(super) prompt: Option<f64>,
    /// Seconds that a token of an answer takes.
    pub(super) output: Option<f64>,
    /// How many tokens answers have.
    length: Option<f64>,
}

impl Line {
    pub(super) fn new(engine: Box<dyn Engine>, words: Arc<Words>, room: usize) -> Self {
        Self { engine, words, room, state: Mutex::default(), wake: Condvar::new() }
    }

    /// Puts a job at the end of the line; `Err` where it is full, with the time until there is room.
    pub(super) fn join(&self, job: Job, slots: usize) -> Result<(), (Duration, usize)> {
        let mut state = self.state();
        // Who has left makes room.
        state.waiting.retain(|job| !job.tell.is_closed());
        if state.waiting.len() + state.serving.len() >= self.room + slots {
            return Err((state.pause(), state.waiting.len()));
        }
        state.waiting.push_back(job);
        self.wake.notify_one();
        Ok(())
    }

    /// How many are served or wait.
    pub(super) fn present(&self) -> usize {
        let state = self.state();
        state.serving.len() + state.waiting.iter().filter(|job| !job.tell.is_closed()).count()
    }

    /// What has been measured.
    pub(super) fn speed(&self) -> Speed {
        self.state().speed
    }

    /// Lets the threads end. Whoever is served or waits is left without an end.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        self.wake.notify_all();
    }

    /// Serves until the line is closed: the whole life of a thread.
    pub(super) fn serve(&self) {
        while let Some((job, left)) = self.next() {
            // A model that panics has spoilt this answer, and no other: its end is never told.
            let done = catch_unwind(AssertUnwindSafe(|| self.answer(job, &left)));
            let mut state = self.state();
            state.serving.retain(|other| !Arc::ptr_eq(other, &left));
            if let Ok(Some(made)) = done {
                blend(&mut state.speed.length, made as f64);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(Job, Arc<Left>)> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                if job.tell.is_closed() {
                    continue;
                }
                let (prompt, output) = (AtomicU64::new(job.prompt.len() as u64), AtomicU64::new(job.limit));
                let left = Arc::new(Left { prompt, output });
                state.serving.push(Arc::clone(&left));
                return Some((job, left));
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Answers; the number of tokens made, where nobody left.
    fn answer(&self, mut job: Job, left: &Left) -> Option<u64> {
        let mut reading = self.engine.begin();
        let mut scores = Vec::new();
        let pieces = std::mem::take(&mut job.prompt);
        for piece in pieces.chunks(PIECE) {
            if self.is_over(&job) {
                return None;
            }
            scores = self.pass(&mut *reading, piece, &job, Phase::Prompt)?;
            left.prompt.fetch_sub(piece.len() as u64, Ordering::Relaxed);
        }
        let mut made = 0;
        loop {
            if self.is_over(&job) {
                return None;
            }
            let token = job.chooser.choose(&scores);
            made += 1;
            left.output.store(job.limit.saturating_sub(made), Ordering::Relaxed);
            if self.words.is_end(token) {
                let _ = job.tell.send(Said::End(job.speller.finish(), made, Finish::Stop));
                return Some(made);
            }
            match job.speller.push(self.words.bytes(token)) {
                Spelt::Stopped(text) => {
                    let _ = job.tell.send(Said::End(text, made, Finish::Stop));
                    return Some(made);
                }
                Spelt::More(text) if made >= job.limit => {
                    let _ = job.tell.send(Said::End(text + &job.speller.finish(), made, Finish::Length));
                    return Some(made);
                }
                Spelt::More(text) => {
                    let _ = job.tell.send(Said::More(text, made));
                }
            }
            scores = self.pass(&mut *reading, &[token], &job, Phase::Output)?;
        }
    }

    fn is_over(&self, job: &Job) -> bool {
        job.tell.is_closed() || self.state().closed
    }

    /// One pass, measured.
    fn pass(&self, reading: &mut (dyn Reading + '_), tokens: &[u32], job: &Job, phase: Phase) -> Option<Vec<f32>> {
        let begun = now();
        let scores = match reading.read(tokens) {
            Ok(scores) => scores,
            Err(error) => {
                let _ = job.tell.send(Said::Failed(error));
                return None;
            }
        };
        let each = now().saturating_duration_since(begun).as_secs_f64() / tokens.len().max(1) as f64;
        let speed = &mut self.state().speed;
        blend(if phase == Phase::Prompt { &mut speed.prompt } else { &mut speed.output }, each);
        Some(scores)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Prompt,
    Output,
}

impl State {
    /// The time until the first of those who are served has ended, for then there is room. An answer of which so
    /// much is known as its limit is taken to have as many tokens before it as answers have on the whole.
    fn pause(&self) -> Duration {
        let Speed { prompt, output, length } = self.speed;
        let (prompt, output) = (prompt.unwrap_or_default(), output.or(prompt).unwrap_or_default());
        let seconds = |left: &Arc<Left>| {
            let most = left.output.load(Ordering::Relaxed) as f64;
            left.prompt.load(Ordering::Relaxed) as f64 * prompt
                + length.map_or(most, |length| length.min(most)) * output
        };
        let first = self.serving.iter().map(seconds).fold(f64::INFINITY, f64::min);
        Duration::try_from_secs_f64(first).unwrap_or_default().max(Duration::from_millis(1))
    }
}

fn blend(known: &mut Option<f64>, measured: f64) {
    *known = Some(known.map_or(measured, |known| known + FRESH * (measured - known)));
}

#[expect(clippy::disallowed_methods, reason = "the threads of the model measure it, outside any runtime")]
fn now() -> Instant {
    Instant::now()
}
