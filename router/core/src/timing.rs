//! How long each phase of a try may take.

use std::time::Duration;

/// The four timers of a try. Each has its own error, so that a log line names the one that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start of a connection to its readiness, TLS included.
    pub connect: Duration,
    /// From sending the request to the first byte of the answer's body that carries content.
    pub first_byte: Duration,
    /// Between two reads of the answer's body.
    pub idle: Duration,
    /// The whole exchange, all tries together.
    pub total: Duration,
}

impl Default for Timeouts {
    /// Long enough for a reasoning model's silence, short enough that a dead provider is noticed:
    /// 5 s to connect, 120 s to the first byte, 60 s between bytes, 600 s in all (the total equals
    /// the default of OpenAI's own client libraries).
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}

impl Timeouts {
    /// The same timers with none longer than `cap`: a caller may lower, never raise.
    #[must_use]
    pub fn capped(self, cap: Duration) -> Self {
        Self {
            connect: self.connect.min(cap),
            first_byte: self.first_byte.min(cap),
            idle: self.idle.min(cap),
            total: self.total.min(cap),
        }
    }
}
