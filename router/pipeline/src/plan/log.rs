//! Choices and lessons, into the mind and into the journal.
//!
//! The mind's lock is held for the decision or the lesson alone; their lines are made and written outside,
//! which the journal allows because they are numbered. A whole mind is written under the lock, which is rare:
//! at the start, after a reload, in a new file, and where a line was lost.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use atp_core::port::{Journal, JournalFile, Kept};
use atp_core::{Plan, RequestId};
use atp_routing::bandit::Lesson;
use atp_routing::candidate::CandidateNow;
use atp_routing::decide::{Mind, Request};
use atp_routing::journal::{self, Why};

use super::choice::{Choice, Thinking};

/// No whole mind is due.
const NOT_DUE: u8 = u8::MAX;
/// How long after a whole mind the next one is written at the soonest, in milliseconds: a journal that loses
/// lines is not helped by the longest of them.
const PAUSE_MS: u64 = 1_000;

const WHYS: [Why; 4] = [Why::Start, Why::Rotation, Why::Gap, Why::Reload];

/// The journal, and how many of its files of choices have begun: each file has to hold the whole mind of every
/// route, so that it can be read without the ones before it.
pub(crate) struct Diary {
    journal: Arc<dyn Journal>,
    files: AtomicU64,
}

impl Diary {
    /// A journal of which nothing is known.
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal, files: AtomicU64::new(0) }
    }
}

impl Deref for Diary {
    type Target = dyn Journal;

    fn deref(&self) -> &Self::Target {
        &*self.journal
    }
}

/// Whether the journal holds all that a mind was made of.
pub(crate) struct Due {
    /// The place of the reason in [`WHYS`].
    why: AtomicU8,
    /// How many files had begun when the last whole mind was written.
    files: AtomicU64,
    /// When that was.
    last_ms: AtomicU64,
}

impl Due {
    /// A whole mind is due, because of this.
    pub(super) fn new(why: Why) -> Self {
        let due = Self { why: AtomicU8::new(NOT_DUE), files: AtomicU64::new(0), last_ms: AtomicU64::new(0) };
        due.set(why);
        due
    }

    /// A whole mind is due anew.
    pub(super) fn set(&self, why: Why) {
        let place = WHYS.iter().position(|each| *each == why).and_then(|place| u8::try_from(place).ok());
        self.why.store(place.unwrap_or(NOT_DUE), Ordering::Relaxed);
    }

    /// Whether a whole mind is due because of this.
    pub(super) fn is(&self, why: Why) -> bool {
        WHYS.get(usize::from(self.why.load(Ordering::Relaxed))) == Some(&why)
    }

    /// Takes the reason for a whole mind, where one is due and may be written at `now_ms`. Called under the
    /// mind's lock.
    fn take(&self, files: u64, now_ms: u64) -> Option<Why> {
        let why = self.why.load(Ordering::Relaxed);
        let rotated = self.files.load(Ordering::Relaxed) != files;
        if (why == NOT_DUE && !rotated) || now_ms.saturating_sub(self.last_ms.load(Ordering::Relaxed)) < PAUSE_MS {
            return None;
        }
        self.last_ms.store(now_ms, Ordering::Relaxed);
        self.files.store(files, Ordering::Relaxed);
        let why = WHYS.get(usize::from(self.why.swap(NOT_DUE, Ordering::Relaxed))).copied();
        Some(why.unwrap_or(Why::Rotation))
    }
}

/// Chooses, and writes down what the choice was made from. Where the rules have changed since the request came in,
/// and others are in force already, the choice by the old ones leaves no trace.
pub(super) fn decide(choice: &Choice, diary: Option<&Diary>, request: &Request, now: &[CandidateNow]) -> Plan {
    let diary = diary.filter(|diary| diary.takes(JournalFile::Decisions));
    let thinking = choice.thinking();
    let mut mind = thinking.mind();
    if mind.successor().is_some() {
        return mind.would(request, now);
    }
    let begin = begins(thinking, diary, &mind, request.now_ms);
    let n = mind.events();
    let plan = mind.decide(request, now);
    drop(mind);
    if let Some(diary) = diary {
        begin.into_iter().for_each(|line| write_begin(thinking, diary, line));
        write(thinking, diary, journal::decide(&choice.rules.name, n, request, now, &plan));
    }
    plan
}

/// Learns from what an answer came to, and writes it down. Returns the reward, where it has one.
pub(super) fn learn(choice: &Choice, diary: Option<&Diary>, id: RequestId, lesson: &Lesson) -> Option<f64> {
    let diary = diary.filter(|diary| diary.takes(JournalFile::Decisions));
    let (mut thinking, mut lesson) = (Arc::clone(choice.thinking()), *lesson);
    loop {
        let mut mind = thinking.mind();
        if let Some(next) = mind.successor() {
            // The rules have changed a moment ago: the lesson is the new mind's, if that knows the model.
            let model = mind.rules().candidates.get(lesson.arm)?.model.clone();
            drop(mind);
            lesson.arm = next.mind().rules().candidates.iter().position(|facts| facts.model == model)?;
            thinking = next;
            continue;
        }
        let begin = begins(&thinking, diary, &mind, lesson.now_ms);
        let n = mind.events();
        let reward = mind.learn(&lesson);
        drop(mind);
        if let Some(diary) = diary {
            begin.into_iter().for_each(|line| write_begin(&thinking, diary, line));
            write(&thinking, diary, journal::learn(&choice.rules.name, n, id, &lesson, reward));
        }
        return reward;
    }
}

/// The line of the whole mind, where it is due.
fn begins(thinking: &Thinking, diary: Option<&Diary>, mind: &Mind, now_ms: u64) -> Option<String> {
    let files = diary?.files.load(Ordering::Relaxed);
    thinking.due().take(files, now_ms).map(|why| journal::begin(why, mind))
}

fn write_begin(thinking: &Thinking, diary: &Diary, line: String) {
    match diary.write(JournalFile::Decisions, line) {
        Kept::Queued => {}
        // The new file has it already.
        Kept::First => {
            let begun = diary.files.fetch_add(1, Ordering::Relaxed) + 1;
            thinking.due().files.store(begun, Ordering::Relaxed);
        }
        Kept::Lost => thinking.due().set(Why::Gap),
    }
}

fn write(thinking: &Thinking, diary: &Diary, line: String) {
    match diary.write(JournalFile::Decisions, line) {
        Kept::Queued => {}
        // Every route's mind is missing there.
        Kept::First => _ = diary.files.fetch_add(1, Ordering::Relaxed),
        Kept::Lost => thinking.due().set(Why::Gap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_mind_is_due_once_for_each_reason_and_in_each_file() {
        let due = Due::new(Why::Start);
        assert_eq!(due.take(0, 10_000), Some(Why::Start));
        assert_eq!(due.take(0, 20_000), None);
        due.set(Why::Gap);
        assert_eq!(due.take(0, 20_000), Some(Why::Gap));
        assert_eq!(due.take(1, 20_500), None, "not so soon");
        assert_eq!(due.take(1, 21_000), Some(Why::Rotation), "whichever route's line began the file");
        assert_eq!(due.take(1, 90_000), None);
    }
}
