//! Work that goes on after its caller has left, counted so that the drain can wait for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts tasks under way. They run on the core that starts them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(Arc<AtomicUsize>);

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Tasks {
    /// Starts a task on this thread's runtime.
    #[expect(
        clippy::disallowed_methods,
        reason = "the task is counted here, and the drain waits for the count or cuts it"
    )]
    pub(crate) fn start(&self, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.fetch_add(1, Ordering::AcqRel);
        let running = Running(Arc::clone(&self.0));
        drop(tokio::spawn(async move {
            work.await;
            drop(running);
        }));
    }

    /// Tasks under way.
    pub(crate) fn running(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}
