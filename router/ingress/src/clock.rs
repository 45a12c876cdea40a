//! The entrance's clocks: the only file of this crate that reads one.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// Now, on the clock that never goes back. Tests stop it with tokio's paused time.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Milliseconds since the Unix epoch at `now`, from one reading of the wall clock at start, so that
/// a request costs one clock reading and ids never go back. A clock that is set while the router
/// runs is followed at the next start.
pub(crate) fn unix_millis(now: Instant) -> u64 {
    static BASE: LazyLock<(Instant, u64)> = LazyLock::new(|| (crate::clock::now(), wall().as_millis() as u64));
    let (start, millis) = *BASE;
    millis.saturating_add(now.saturating_duration_since(start).as_millis() as u64)
}

#[expect(clippy::disallowed_methods, reason = "this file owns the entrance's clocks")]
fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
