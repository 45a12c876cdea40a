//! Two waits that hyper knows as one: for a request to begin, and for its head to be complete.
//!
//! A kept connection may be silent for long; a head that has begun has to come soon, or a thousand
//! callers who send a byte a second hold a thousand connections. hyper arms one timer when it
//! begins to wait for a head and looks at it whenever the head is not complete. This timer is armed
//! with the longer wait and shortens itself when the socket has been read in the meantime.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use pin_project_lite::pin_project;

/// Whether a connection's socket has been read since its timer was armed.
#[derive(Debug, Clone, Default)]
pub(super) struct Spoken(Arc<AtomicBool>);

impl Spoken {
    /// Notes that the caller has sent something.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The timer of one HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct HeadClock {
    spoken: Spoken,
    head: Duration,
}

impl HeadClock {
    /// A head has to be complete `head` after its first byte.
    pub(super) fn new(spoken: Spoken, head: Duration) -> Self {
        Self { spoken, head }
    }
}

impl Timer for HeadClock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.spoken.0.store(false, Ordering::Relaxed);
        Box::pin(HeadSleep {
            sleep: tokio::time::sleep_until(deadline.into()),
            spoken: self.spoken.clone(),
            head: Some(self.head),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

pin_project! {
    struct HeadSleep {
        #[pin]
        sleep: tokio::time::Sleep,
        spoken: Spoken,
        // Taken when the head has begun.
        head: Option<Duration>,
    }
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.spoken.0.load(Ordering::Relaxed)
            && let Some(head) = this.head.take()
        {
            let due = (tokio::time::Instant::now() + head).min(this.sleep.deadline());
            this.sleep.as_mut().reset(due);
        }
        this.sleep.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn waits(clock: &HeadClock, speaks_after: Option<Duration>) -> u64 {
        let begun = tokio::time::Instant::now();
        let mut sleep = clock.sleep(90 * SECOND);
        if let Some(after) = speaks_after {
            assert!(tokio::time::timeout(after, &mut sleep).await.is_err());
            clock.spoken.note();
        }
        sleep.await;
        (tokio::time::Instant::now() - begun).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_may_be_long_and_a_head_may_not() {
        let clock = HeadClock::new(Spoken::default(), 15 * SECOND);
        assert_eq!(waits(&clock, None).await, 90);
        assert_eq!(waits(&clock, Some(20 * SECOND)).await, 35);
        // Never longer than without a word, and what was read before the wait does not count.
        assert_eq!(waits(&clock, Some(80 * SECOND)).await, 90);
        assert_eq!(waits(&clock, None).await, 90);
    }
}
