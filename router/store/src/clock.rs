//! The crate's clocks. The writers' pauses between warnings, the day that a line belongs to, the age at which rows
//! are deleted and the limit on a question are real time; everything else takes time from rows and lines.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time.
#[expect(clippy::disallowed_methods, reason = "this file owns the crate's clocks")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the Unix epoch; 0 on a clock that stands before it.
#[expect(clippy::disallowed_methods, reason = "this file owns the crate's clocks")]
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}
