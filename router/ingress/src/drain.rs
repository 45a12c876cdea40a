//! Leaving: how every connection learns that the router ends, without asking a lock per request.
//!
//! The server owns the [`Drain`] and moves it forward only. Each connection reads the phase with
//! one relaxed load per poll and registers once for the change; nobody waits for anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

/// How far leaving has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Serving.
    Serving = 0,
    /// Not ready any more; still accepting, and every answer asks its connection to close, so that
    /// callers leave by themselves before the listener goes.
    Leaving = 1,
    /// The listener is gone; unused connections close, answers under way go on.
    Closing = 2,
    /// Whatever is left is cut.
    Ended = 3,
}

impl Phase {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Serving,
            1 => Self::Leaving,
            2 => Self::Closing,
            _ => Self::Ended,
        }
    }
}

/// The shared state of leaving.
#[derive(Debug, Clone)]
pub struct Drain {
    phase: Arc<AtomicU8>,
    changed: Arc<watch::Sender<()>>,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// A router that serves.
    #[must_use]
    pub fn new() -> Self {
        Self { phase: Arc::default(), changed: Arc::new(watch::Sender::new(())) }
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::from_u8(self.phase.load(Ordering::Acquire))
    }

    /// Moves on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.changed.send_replace(());
    }

    /// Resolves once `phase` has been reached.
    pub async fn reached(&self, phase: Phase) {
        let mut changes = self.changed.subscribe();
        while self.phase() < phase {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_go_forward_and_wake_who_waits() {
        let drain = Drain::new();
        let waiting = drain.reached(Phase::Closing);
        let mut waiting = std::pin::pin!(waiting);
        tokio::select! { biased; () = &mut waiting => panic!("not yet"), () = std::future::ready(()) => {} }
        drain.advance(Phase::Leaving);
        drain.advance(Phase::Closing);
        drain.advance(Phase::Leaving);
        waiting.await;
        assert_eq!(drain.phase(), Phase::Closing);
    }
}
