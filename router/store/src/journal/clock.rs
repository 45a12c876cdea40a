//! The journal's clocks: the day that a line belongs to, and the writer's pauses.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time.
#[expect(clippy::disallowed_methods, reason = "this file owns the journal's clocks")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the Unix epoch; 0 on a clock that stands before it.
#[expect(clippy::disallowed_methods, reason = "this file owns the journal's clocks")]
pub(super) fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}
