//! The server's clocks: the only file of this crate that reads one.

use std::time::{Duration, Instant, SystemTime};

/// Now, on the clock that never goes back.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "this file owns the server's clocks")]
pub(crate) fn unix() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
