//! How a connection learns of the drain's phases.
//!
//! A future that waits has to be polled after each of its wake-ups, also one that came for nothing: by
//! then it is no longer registered. A connection's task is woken for many other things, and to poll the
//! drain's future each time would take a lock that all cores share, for each request. So the drain wakes
//! the task by a waker of its own, which leaves word that it was the drain that called.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

use crate::drain::{Drain, Phase};

pin_project! {
    /// What one connection has been told of its drain.
    pub(super) struct Notice<C, E> {
        #[pin]
        closing: C,
        #[pin]
        ended: E,
        // What is waited for; none once the drain has ended.
        next: Option<Phase>,
        call: Option<Arc<Call>>,
    }
}

/// The drain's waker of a connection's task.
struct Call {
    called: AtomicBool,
    task: Waker,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.called.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl Notice<(), ()> {
    /// Of this drain, from its beginning.
    pub(super) fn of(drain: &Drain) -> Notice<impl Future<Output = ()>, impl Future<Output = ()>> {
        let (closing, ended) = (drain.reached(Phase::Closing), drain.reached(Phase::Ended));
        Notice { closing, ended, next: Some(Phase::Closing), call: None }
    }
}

impl<C: Future<Output = ()>, E: Future<Output = ()>> Notice<C, E> {
    /// The phase that has been reached since the last time, [`Phase::Closing`] and [`Phase::Ended`] once
    /// each and in this order. To be called whenever `task` runs, which must always be the same; costs one
    /// load where the drain has not called.
    pub(super) fn read(self: Pin<&mut Self>, task: &Waker) -> Option<Phase> {
        let mut this = self.project();
        let call = this.call.get_or_insert_with(|| Arc::new(Call { called: true.into(), task: task.clone() }));
        if !call.called.load(Ordering::Acquire) {
            return None;
        }
        let phase = (*this.next)?;
        // Before the poll: what calls from here on calls for the next time.
        call.called.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(call));
        let cx = &mut Context::from_waker(&waker);
        let reached = if phase == Phase::Ended { this.ended.as_mut().poll(cx) } else { this.closing.as_mut().poll(cx) };
        if reached == Poll::Pending {
            return None;
        }
        *this.next = (phase == Phase::Closing).then_some(Phase::Ended);
        if this.next.is_some() {
            // That wait is to be registered, and may be over already.
            call.wake_by_ref();
        }
        Some(phase)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_call_for_nothing_does_not_lose_the_next_one() {
        let (woken, drain) = (Arc::new(Woken::default()), Drain::new());
        let task = Waker::from(Arc::clone(&woken));
        let mut notice = pin!(Notice::of(&drain));
        assert_eq!(notice.as_mut().read(&task), None);
        for calls in 1..=3 {
            // The same phase again: somebody is woken, and finds nothing new.
            drain.advance(Phase::Leaving);
            assert_eq!(woken.0.load(Ordering::SeqCst), calls);
            assert_eq!(notice.as_mut().read(&task), None);
            assert_eq!(notice.as_mut().read(&task), None);
        }
        drain.advance(Phase::Closing);
        assert_eq!(woken.0.load(Ordering::SeqCst), 4);
        assert_eq!(notice.as_mut().read(&task), Some(Phase::Closing));
        assert_eq!(notice.as_mut().read(&task), None);
        drain.advance(Phase::Ended);
        assert_eq!(notice.as_mut().read(&task), Some(Phase::Ended));
        assert_eq!(notice.as_mut().read(&task), None);
    }

    #[test]
    fn who_comes_late_is_told_both_phases() {
        let (task, drain) = (Waker::noop(), Drain::new());
        drain.advance(Phase::Ended);
        let mut notice = pin!(Notice::of(&drain));
        let told = [(); 3].map(|()| notice.as_mut().read(task));
        assert_eq!(told, [Some(Phase::Closing), Some(Phase::Ended), None]);
    }
}
