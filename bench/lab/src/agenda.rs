//! The virtual clock: what happens next, and when.
//!
//! Time is a [`Duration`] since an arbitrary origin, because the decisions under test take [`Instant`]s.
//! Nothing depends on where the origin lies, so two runs of one seed are equal to the bit.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// The one instant that is read from the machine; everything else is added to it.
#[expect(clippy::disallowed_methods, reason = "an origin has to come from somewhere; only differences to it are used")]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

/// A time in seconds as a [`Duration`]; negative and absurd ones become zero.
pub(crate) fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

/// Events in the order of their time; those of one moment in the order in which they were written down.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    now: Instant,
    written: u64,
    heap: BinaryHeap<Entry<E>>,
}

#[derive(Debug)]
struct Entry<E> {
    at: Instant,
    order: u64,
    event: E,
}

impl<E> Agenda<E> {
    pub(crate) fn new(origin: Instant) -> Self {
        Self { now: origin, written: 0, heap: BinaryHeap::new() }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Writes an event down. One that should have happened already happens now.
    pub(crate) fn at(&mut self, at: Instant, event: E) {
        self.written += 1;
        self.heap.push(Entry { at: at.max(self.now), order: self.written, event });
    }

    pub(crate) fn after(&mut self, pause: Duration, event: E) {
        self.at(self.now + pause, event);
    }

    /// Moves the clock to the next event that is not later than `end`.
    pub(crate) fn next(&mut self, end: Instant) -> Option<E> {
        if self.heap.peek().is_none_or(|entry| entry.at > end) {
            return None;
        }
        let entry = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

// The heap gives out its greatest entry, so that the earliest has to be the greatest.
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at).then(other.order.cmp(&self.order))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_of_writing() {
        let start = origin();
        let mut agenda = Agenda::new(start);
        for (at, name) in [(2, "late"), (1, "first"), (1, "second")] {
            agenda.at(start + Duration::from_secs(at), name);
        }
        let end = start + Duration::from_secs(1);
        assert_eq!(agenda.next(end), Some("first"));
        agenda.at(start, "overdue");
        assert_eq!(agenda.next(end), Some("second"));
        assert_eq!(agenda.next(end), Some("overdue"), "the clock does not run backwards");
        assert_eq!(agenda.now(), end);
        assert_eq!(agenda.next(end), None);
    }
}
