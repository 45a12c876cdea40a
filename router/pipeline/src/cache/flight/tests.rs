//! The hand-over between the task and its readers, in every order that dice find: each reader gets
//! every byte once and in order, whoever leaves, and whoever waits is woken.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A reader as an executor drives it: asked again only when it was woken.
struct Reader {
    listener: Listener,
    bell: Arc<Bell>,
    waiting: bool,
    read: Vec<u8>,
    end: Option<Result<(), ErrorKind>>,
}

impl Reader {
    fn new(listener: Listener) -> Self {
        Self { listener, bell: Arc::default(), waiting: false, read: Vec::new(), end: None }
    }

    /// Reads one piece, where it may.
    fn poll(&mut self) {
        if self.end.is_some() || (self.waiting && self.bell.0.swap(0, Ordering::SeqCst) == 0) {
            return;
        }
        let waker = Waker::from(Arc::clone(&self.bell));
        match self.listener.poll_piece(&Context::from_waker(&waker)) {
            Poll::Pending => self.waiting = true,
            Poll::Ready(polled) => {
                self.waiting = false;
                match polled {
                    Some(Ok(piece)) => self.read.extend_from_slice(&piece),
                    Some(Err(error)) => self.end = Some(Err(error.kind())),
                    None => self.end = Some(Ok(())),
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Act {
    Push(usize),
    Read(usize, usize),
    Join,
    Leave(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1usize..40_000).prop_map(Act::Push),
        6 => (0usize..6, 1usize..4).prop_map(|(who, times)| Act::Read(who, times)),
        1 => Just(Act::Join),
        1 => (0usize..6).prop_map(Act::Leave),
    ]
}

/// The task as an executor drives it.
#[derive(Default)]
struct Task {
    bell: Arc<Bell>,
    waiting: bool,
    told: Option<Wanted>,
}

impl Task {
    fn wants(&mut self, flight: &Flight) -> bool {
        if self.waiting && self.bell.0.swap(0, Ordering::SeqCst) == 0 {
            return false;
        }
        let waker = Waker::from(Arc::clone(&self.bell));
        self.told = match flight.poll_wanted(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready(told) => Some(told),
        };
        self.waiting = self.told.is_none();
        self.told == Some(Wanted::More)
    }
}

proptest! {
    #[test]
    fn each_reader_gets_every_byte_once_and_in_order(
        acts in prop::collection::vec(act(), 1..120),
        bound in prop_oneof![Just(100_000usize), Just(usize::MAX)],
        fails: bool,
    ) {
        let (flight, first) = Flight::new(bound);
        let mut readers = vec![Reader::new(first)];
        let mut task = Task::default();
        let mut sent: Vec<u8> = Vec::new();
        for act in acts {
            match act {
                Act::Push(len) if task.wants(&flight) => {
                    // No two bytes in a row alike, so that one too many or too few is seen.
                    let piece: Vec<u8> = (sent.len()..sent.len() + len).map(|at| (at % 251) as u8).collect();
                    sent.extend_from_slice(&piece);
                    flight.push(Bytes::from(piece));
                }
                Act::Read(who, times) => (0..times).for_each(|_| readers.get_mut(who).into_iter().for_each(Reader::poll)),
                Act::Join => {
                    let joined = flight.join();
                    prop_assert_eq!(joined.is_some(), sent.len() <= bound && task.told != Some(Wanted::Nothing));
                    readers.extend(joined.map(Reader::new));
                }
                Act::Leave(who) if who < readers.len() => drop(readers.swap_remove(who)),
                Act::Push(_) | Act::Leave(_) => {}
            }
            let state = lock(&flight.state);
            let held: usize = state.pieces.iter().map(Bytes::len).sum();
            if state.closed {
                let slowest = state.seats.iter().flatten().map(|seat| seat.behind).max().unwrap_or(0);
                prop_assert_eq!(held, slowest, "what all have read is let go");
            } else {
                prop_assert_eq!(held, sent.len(), "newcomers find all of it");
            }
        }
        let error = Error::provider(ErrorKind::ProviderCut, "cut");
        if fails { flight.fail(error, Notes::default()) } else { flight.finish(Ending::default()) }
        flight.lost();
        prop_assert!(flight.join().is_none());
        for reader in &mut readers {
            for _ in 0..200 {
                reader.poll();
            }
            prop_assert_eq!(&reader.read, &sent);
            prop_assert_eq!(reader.end, Some(if fails { Err(ErrorKind::ProviderCut) } else { Ok(()) }));
        }
        drop(readers);
        prop_assert!(!task.wants(&flight) || task.told.is_none());
        let state = lock(&flight.state);
        prop_assert!(state.pieces.is_empty() && state.seats.iter().all(Option::is_none));
    }

    #[test]
    fn a_task_that_waits_goes_on_once_its_fastest_reader_has_read(pieces in 1usize..5, slow in 0usize..3) {
        let (flight, first) = Flight::new(usize::MAX);
        let mut fast = Reader::new(first);
        let standing: Vec<_> = (0..slow).filter_map(|_| flight.join()).collect();
        let mut task = Task::default();
        for _ in 0..pieces {
            prop_assert!(task.wants(&flight));
            flight.push(Bytes::from(vec![0; AHEAD]));
            prop_assert!(!task.wants(&flight), "a single reader holds its provider back");
            prop_assert!(!task.wants(&flight));
            fast.poll();
        }
        prop_assert!(task.wants(&flight), "who stands still holds nobody back");
        drop(standing);
        drop(fast);
        prop_assert!(!task.wants(&flight));
        prop_assert_eq!(task.told, Some(Wanted::Nothing));
        prop_assert!(flight.join().is_none(), "nobody joins what has been given up");
    }
}

#[test]
fn who_falls_too_far_behind_is_told_and_holds_nothing() {
    let (flight, first) = Flight::new(1 << 20);
    let mut fast = Reader::new(first);
    let mut slow = Reader::new(flight.join().unwrap());
    for _ in 0..=LONGEST_LAG / AHEAD {
        flight.push(Bytes::from(vec![0; AHEAD]));
        fast.poll();
    }
    assert_eq!(lock(&flight.state).pieces.len(), 0);
    slow.poll();
    assert_eq!(slow.end, Some(Err(ErrorKind::Backpressure)));
}

#[test]
fn the_last_who_leaves_wakes_the_task_that_waits_for_its_call() {
    let (flight, first) = Flight::new(10);
    let second = flight.join().unwrap();
    let mut task = Task::default();
    assert!(task.wants(&flight), "it now waits for the call");
    drop(first);
    assert_eq!(task.bell.0.load(Ordering::SeqCst), 0, "one is left");
    drop(second);
    assert_eq!(task.bell.0.load(Ordering::SeqCst), 1);
    assert!(!task.wants(&flight) && task.told == Some(Wanted::Nothing));
}

#[test]
fn a_task_that_ends_without_a_word_is_told_as_one() {
    let (flight, first) = Flight::new(10);
    flight.lost();
    let polled = first.poll_head(&Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Err(NoAnswer { concerns: Concerns::One, .. }))));
}
