//! What the operator says to the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A request from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// SIGTERM or SIGINT: finish what is under way and end; said twice, end at once.
    End,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Listens for signals.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    /// Registers the handlers.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// The next request. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Said {
        tokio::select! {
            _ = self.term.recv() => Said::End,
            _ = self.int.recv() => Said::End,
            _ = self.hup.recv() => Said::Reload,
        }
    }

    /// The next request to end. Cancel-safe.
    pub(crate) async fn end(&mut self) {
        while self.next().await != Said::End {}
    }
}
