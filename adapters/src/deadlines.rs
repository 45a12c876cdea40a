//! The timers of a try, for providers in this process.

use std::time::Duration;

use atp_core::{Error, ErrorKind, Timeouts};
use tokio::time::Instant;

/// The longest wait; a longer one would overflow clocks.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The timers of a try as points in time; connecting takes no time here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    pub(crate) timeouts: Timeouts,
    pub(crate) first_byte: Instant,
    pub(crate) total: Instant,
}

impl Deadlines {
    pub(crate) fn new(start: Instant, timeouts: Timeouts) -> Self {
        let at = |wait: Duration| start + wait.min(LONGEST);
        Self { timeouts, first_byte: at(timeouts.first_byte), total: at(timeouts.total) }
    }

    /// The earlier of the two that bound the wait for the first byte, and what it means.
    pub(crate) fn before_first(&self) -> (Instant, ErrorKind) {
        if self.total <= self.first_byte {
            (self.total, ErrorKind::TimeoutTotal)
        } else {
            (self.first_byte, ErrorKind::TimeoutFirstByte)
        }
    }

    /// The earlier of the two that bound a wait within the answer, and what it means.
    pub(crate) fn between(&self, since: Instant) -> (Instant, ErrorKind) {
        let idle = since + self.timeouts.idle.min(LONGEST);
        if self.total <= idle { (self.total, ErrorKind::TimeoutTotal) } else { (idle, ErrorKind::TimeoutIdle) }
    }

    /// The error of a timer that ran out.
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        let (what, wait) = match kind {
            ErrorKind::TimeoutTotal => ("did not finish", self.timeouts.total),
            ErrorKind::TimeoutIdle => ("fell silent", self.timeouts.idle),
            _ => ("did not begin its answer", self.timeouts.first_byte),
        };
        Error::provider(kind, format!("the provider {what} within {} ms", wait.as_millis()))
    }
}

/// The error of an answer whose connection broke.
pub(crate) fn cut() -> Error {
    Error::provider(ErrorKind::ProviderCut, "the provider's answer ended before its end")
}
