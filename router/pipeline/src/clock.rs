//! The one file of this crate that reads a clock or sleeps.
//!
//! `tokio::time` is used rather than the standard clock, so that tests can stop and turn it.
//!
//! A request without retries reads the clock three times: before the provider is asked, when its
//! answer begins, and when the exchange ends. A key with a rate limit adds one.

use std::time::Instant;

/// The time now.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
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
