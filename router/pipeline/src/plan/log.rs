//! Choices and lessons, into the mind and into the journal.
//!
//! The mind's lock is held for the decision or the lesson alone; their lines are made and written outside,
//! which the journal allows because they are numbered. A whole mind is written under the lock, which is rare:
//! at the start, after a reload, in a new file, and where a line was lost.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use atp_core::port::{Journal, JournalFile, Kept};
use atp_core::{Plan, RequestId};
use atp_routing::bandit::Lesson;
use atp_routing::candidate::CandidateNow;
use atp_routing::decide::{Mind, Request};
use atp_routing::journal::{self, Why};

use super::choice::Choice;

/// No whole mind is due.
const NOT_DUE: u8 = u8::MAX;
/// How long after a whole mind the next one is written at the soonest, in milliseconds: a journal that loses
/// lines is not helped by the longest of them.
const PAUSE_MS: u64 = 1_000;

/// Whether the journal holds all that a mind was made of.
pub(crate) struct Due {
    /// The place of the reason in [`WHYS`].
    why: AtomicU8,
    /// When the last whole mind was written.
    last_ms: AtomicU64,
}

const WHYS: [Why; 4] = [Why::Start, Why::Rotation, Why::Gap, Why::Reload];

impl Due {
    /// A whole mind is due, because of this.
    pub(super) fn new(why: Why) -> Self {
        let due = Self { why: AtomicU8::new(NOT_DUE), last_ms: AtomicU64::new(0) };
        due.set(why);
        due
    }

    fn set(&self, why: Why) {
        let place = WHYS.iter().position(|each| *each == why).and_then(|place| u8::try_from(place).ok());
        self.why.store(place.unwrap_or(NOT_DUE), Ordering::Relaxed);
    }

    /// Takes the reason for a whole mind, where one is due and may be written at `now_ms`.
    fn take(&self, now_ms: u64) -> Option<Why> {
        if self.why.load(Ordering::Relaxed) == NOT_DUE
            || now_ms.saturating_sub(self.last_ms.load(Ordering::Relaxed)) < PAUSE_MS
        {
            return None;
        }
        self.last_ms.store(now_ms, Ordering::Relaxed);
        WHYS.get(usize::from(self.why.swap(NOT_DUE, Ordering::Relaxed))).copied()
    }
}

/// Chooses, and writes down what the choice was made from.
pub(super) fn decide(choice: &Choice, journal: Option<&dyn Journal>, request: &Request, now: &[CandidateNow]) -> Plan {
    let journal = journal.filter(|journal| journal.takes(JournalFile::Decisions));
    let mut mind = choice.mind();
    let begin = begins(choice, journal, &mind, request.now_ms);
    let n = mind.events();
    let plan = mind.decide(request, now);
    drop(mind);
    if let Some(journal) = journal {
        write(choice, journal, begin);
        write(choice, journal, Some(journal::decide(&choice.rules.name, n, request, now, &plan)));
    }
    plan
}

/// Learns from what an answer came to, and writes it down. Returns the reward, where it has one.
pub(super) fn learn(choice: &Choice, journal: Option<&dyn Journal>, id: RequestId, lesson: &Lesson) -> Option<f64> {
    let journal = journal.filter(|journal| journal.takes(JournalFile::Decisions));
    let mut mind = choice.mind();
    let begin = begins(choice, journal, &mind, lesson.now_ms);
    let n = mind.events();
    let reward = mind.learn(lesson);
    drop(mind);
    if let Some(journal) = journal {
        write(choice, journal, begin);
        write(choice, journal, Some(journal::learn(&choice.rules.name, n, id, lesson, reward)));
    }
    reward
}

/// The line of the whole mind, where it is due.
fn begins(choice: &Choice, journal: Option<&dyn Journal>, mind: &Mind, now_ms: u64) -> Option<String> {
    journal?;
    choice.due().take(now_ms).map(|why| journal::begin(why, mind))
}

fn write(choice: &Choice, journal: &dyn Journal, line: Option<String>) {
    let Some(line) = line else { return };
    match journal.write(JournalFile::Decisions, line) {
        Kept::Queued => {}
        Kept::First => choice.due().set(Why::Rotation),
        Kept::Lost => choice.due().set(Why::Gap),
    }
}
