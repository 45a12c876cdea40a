//! Where questions to a ledger are asked, so that no serving thread ever waits for a disk.
//!
//! Each question gets a thread of its own, which ends with the answer: questions are rare (a person
//! at a console, a report), and a router that nobody asks keeps no thread and no memory for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use atp_core::port::BoxFuture;
use atp_core::{Error, ErrorKind};
use tokio::sync::oneshot;

use crate::ledger::LedgerStore;

/// How many questions run at once; each may scan the whole table, so more would only be slower.
const PLACES: usize = 2;

/// Asks a ledger without blocking the asker.
pub struct Desk {
    store: Arc<dyn LedgerStore>,
    busy: Arc<AtomicUsize>,
}

impl Desk {
    /// A desk before a ledger.
    #[must_use]
    pub fn new(store: Arc<dyn LedgerStore>) -> Self {
        Self { store, busy: Arc::new(AtomicUsize::new(0)) }
    }

    /// The ledger behind it.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn LedgerStore> {
        &self.store
    }

    /// Runs `question` on a thread of its own and resolves to what it returns; to a `backpressure`
    /// error at once where too many questions are already running.
    pub fn ask<T, F>(&self, question: F) -> BoxFuture<'static, Result<T, Error>>
    where
        T: Send + 'static,
        F: FnOnce(&dyn LedgerStore) -> Result<T, Error> + Send + 'static,
    {
        let Some(place) = Place::take(&self.busy) else {
            let text = "the ledger is busy with other questions; ask again in a few seconds";
            let refusal = Error::router(ErrorKind::Backpressure, text);
            return Box::pin(std::future::ready(Err(refusal)));
        };
        let store = Arc::clone(&self.store);
        let (reply, answer) = oneshot::channel();
        let thread = std::thread::Builder::new().name(String::from("atp-query")).spawn(move || {
            let _place = place;
            // The asker may have gone; then the answer is of no use to anyone.
            let _gone = reply.send(question(store.as_ref()));
        });
        Box::pin(async move {
            thread.map_err(|fault| unanswered().with_cause(fault))?;
            answer.await.map_err(|_| unanswered().with_cause("the thread ended without an answer"))?
        })
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("busy", &self.busy).finish_non_exhaustive()
    }
}

fn unanswered() -> Error {
    Error::router(ErrorKind::Internal, "the question to the ledger could not be answered")
}

/// One of the places at the desk, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(busy: &Arc<AtomicUsize>) -> Option<Self> {
        let taken = busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < PLACES).then_some(n + 1));
        taken.is_ok().then(|| Self(Arc::clone(busy)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::ledger::memory::MemoryLedger;

    fn desk() -> Desk {
        Desk::new(Arc::new(MemoryLedger::new(1, 4)))
    }

    /// Polls until ready: these tests need no runtime.
    fn wait<T>(mut future: BoxFuture<'static, T>) -> T {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match future.as_mut().poll(&mut cx) {
                Poll::Ready(value) => return value,
                Poll::Pending => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn a_question_is_answered_on_another_thread() {
        let here = std::thread::current().id();
        let there = wait(desk().ask(|_| Ok(std::thread::current().id()))).unwrap();
        assert_ne!(here, there);
    }

    #[test]
    fn a_third_question_is_refused_until_one_is_answered() {
        let desk = desk();
        let (first_go, first_wait) = mpsc::channel::<()>();
        let (second_go, second_wait) = mpsc::channel::<()>();
        let first = desk.ask(move |_| first_wait.recv().map_err(|_| unanswered()));
        let second = desk.ask(move |_| second_wait.recv().map_err(|_| unanswered()));
        let refused = wait(desk.ask(|_| Ok(()))).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Backpressure);
        first_go.send(()).unwrap();
        wait(first).unwrap();
        while desk.busy.load(Ordering::Relaxed) == PLACES {
            std::thread::yield_now();
        }
        wait(desk.ask(|_| Ok(()))).unwrap();
        second_go.send(()).unwrap();
        wait(second).unwrap();
    }

    #[test]
    fn a_question_that_panics_is_an_error_and_frees_its_place() {
        let desk = desk();
        for _ in 0..PLACES * 2 {
            let fault = wait(desk.ask::<(), _>(|_| panic!("a bug in a question"))).unwrap_err();
            assert_eq!(fault.kind(), ErrorKind::Internal);
            while desk.busy.load(Ordering::Relaxed) > 0 {
                std::thread::yield_now();
            }
        }
    }
}
