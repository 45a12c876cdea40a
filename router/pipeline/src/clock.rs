//! The one file of this crate that reads a clock or sleeps.
//!
//! `tokio::time` is used rather than the standard clock, so that tests can stop and turn it.
//!
//! A request without retries reads the clock three times: before the provider is asked, when its
//! answer begins, and when the exchange ends. A key with a rate limit adds one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Any moment of this process, and how many Unix milliseconds it is said to be.
static ANCHOR: OnceLock<Instant> = OnceLock::new();
static ANCHOR_MS: AtomicU64 = AtomicU64::new(0);

/// The time now.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Milliseconds since the Unix epoch at `now`, without asking the system: by the distance to a moment at
/// which it was asked.
pub(crate) fn unix_ms(now: Instant) -> u64 {
    let anchor = *ANCHOR.get_or_init(|| {
        ANCHOR_MS.store(wall_ms(), Ordering::Relaxed);
        now
    });
    let at_anchor = ANCHOR_MS.load(Ordering::Relaxed);
    match now.checked_duration_since(anchor) {
        Some(since) => at_anchor.saturating_add(millis(since)),
        None => at_anchor.saturating_sub(millis(anchor.saturating_duration_since(now))),
    }
}

/// Asks the system again: its clock may have been set, and the other one may have stood still while the
/// machine slept. For a sweep, every few seconds.
pub(crate) fn set_unix_ms(now: Instant) {
    let (told, known) = (wall_ms(), unix_ms(now));
    let moved =
        |at: u64| Some(if told >= known { at.saturating_add(told - known) } else { at.saturating_sub(known - told) });
    // A difference below a second is what two clocks read one after the other have.
    if told.abs_diff(known) >= 1_000 {
        let _moved = ANCHOR_MS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
    }
}

#[expect(clippy::disallowed_methods, reason = "this file owns the clocks of the crate")]
fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Sleeps until `at`.
pub(crate) async fn until(at: Instant) {
    tokio::time::sleep_until(tokio::time::Instant::from_std(at)).await;
}

/// What `future` comes to, where it does so before `at`.
pub(crate) async fn before<T>(at: Instant, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(tokio::time::Instant::from_std(at), future).await.ok()
}

/// The same clock for rate limiters.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LimiterClock;

impl governor::clock::Clock for LimiterClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn unix_time_follows_the_clock_that_tests_turn() {
        let (wall, then) = (wall_ms(), now());
        let before = unix_ms(then);
        assert!(before.abs_diff(wall) < 60_000, "{before} {wall}");
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(unix_ms(now()), before + 90_000);
        assert_eq!(unix_ms(then), before);
    }
}
