//! A connection's waker that stays silent for what its own task does.
//!
//! hyper's halves of an HTTP/1.1 connection talk through channels. Taking a piece of a request's body
//! out of one wakes the other half, so that it reads more; both live in one task, so the task wakes
//! itself and is run once more from the top. Behind a body's last piece there is nothing to read, and
//! that run, which costs as much as a tenth of a short request, finds nothing to do.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Wake, Waker};

thread_local! {
    static HAND: Cell<Hand> = const { Cell::new(Hand::Off) };
}

/// What keeps the bells of this thread.
#[derive(Default)]
enum Hand {
    #[default]
    Off,
    On,
    /// On, and this bell would have rung.
    Struck(Waker),
}

/// The waker of an HTTP/1.1 connection's task. HTTP/2 must not have one: there the halves are tasks
/// of their own, and a wake-up means another one.
pub(crate) struct Doorbell(Waker);

impl Doorbell {
    /// Wakes `task`, unless [`muffled`] keeps it from that.
    pub(crate) fn of(task: &Waker) -> Waker {
        Waker::from(Arc::new(Self(task.clone())))
    }
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match HAND.take() {
            Hand::Off => self.0.wake_by_ref(),
            Hand::On | Hand::Struck(_) => HAND.set(Hand::Struck(self.0.clone())),
        }
    }
}

/// Does `work` while no bell of this thread rings; tells which one would have rung. Whoever calls it
/// rings that one then, where there is something to come for: the task that does the work is not always
/// the connection's own, because an upload towards HTTP/2 is read by a task beside it.
pub(crate) fn muffled<T>(work: impl FnOnce() -> T) -> (T, Option<Waker>) {
    /// Takes the hand off also where `work` panics: one connection's end must not silence all others.
    struct Lift;
    impl Drop for Lift {
        fn drop(&mut self) {
            HAND.set(Hand::Off);
        }
    }
    HAND.set(Hand::On);
    let lift = Lift;
    let done = work();
    let struck = HAND.take();
    drop(lift);
    match struck {
        Hand::Struck(bell) => (done, Some(bell)),
        Hand::Off | Hand::On => (done, None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_muffled_bell_is_told_of_and_does_not_ring() {
        let count = Arc::new(Count::default());
        let bell = Doorbell::of(&Waker::from(Arc::clone(&count)));
        bell.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        let ((), struck) = muffled(|| bell.wake_by_ref());
        assert!(muffled(|| 7).1.is_none());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        // The bell that is rung is that of the connection, whichever task does the work.
        struck.unwrap().wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        bell.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_panic_does_not_silence_the_bells() {
        let count = Arc::new(Count::default());
        let bell = Doorbell::of(&Waker::from(Arc::clone(&count)));
        let fault = std::panic::catch_unwind(|| muffled(|| panic!("a bug in a body")));
        assert!(fault.is_err());
        bell.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
