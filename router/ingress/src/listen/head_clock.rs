//! Two waits that hyper knows as one: for a request to begin, and for its head to be complete.
//!
//! A kept connection may be silent for long; a head that has begun has to come soon, or a thousand
//! callers who send a byte a second hold a thousand connections. hyper arms one timer when it
//! begins to wait for a head and looks at it whenever the head is not complete. This timer is armed
//! with the longer wait and shortens itself when the socket has been read in the meantime.
//!
//! hyper makes a timer for each head and drops it once the head is there. To arm one in the runtime's
//! wheel and to take it out again costs more than reading the head, so all timers of a connection
//! share one alarm there, which stays armed between them: one that is early is put right when it
//! rings, once in an idle time and not once in a request.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// Whether a connection's socket has been read since its timer was armed.
#[derive(Debug, Clone, Default)]
pub(super) struct Spoken(Arc<AtomicBool>);

impl Spoken {
    /// Notes that the caller has sent something.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The runtime's timer of one connection. Only the connection's task ever takes the lock.
type Alarm = Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>;

/// The timer of one HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct HeadClock {
    spoken: Spoken,
    head: Duration,
    alarm: Alarm,
}

impl HeadClock {
    /// A head has to be complete `head` after its first byte.
    pub(super) fn new(spoken: Spoken, head: Duration) -> Self {
        Self { spoken, head, alarm: Alarm::default() }
    }
}

impl Timer for HeadClock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.spoken.0.store(false, Ordering::Relaxed);
        let (spoken, alarm) = (self.spoken.clone(), Arc::clone(&self.alarm));
        Box::pin(HeadSleep { due: deadline, spoken, head: Some(self.head), alarm })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

struct HeadSleep {
    due: Instant,
    spoken: Spoken,
    /// Taken when the head has begun.
    head: Option<Duration>,
    alarm: Alarm,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.spoken.0.load(Ordering::Relaxed)
            && let Some(head) = this.head.take()
        {
            this.due = this.due.min((tokio::time::Instant::now() + head).into_std());
        }
        let due = tokio::time::Instant::from_std(this.due);
        let mut alarm = this.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            // It was armed for an earlier wait of this connection.
            sleep.as_mut().reset(due);
        }
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

    #[tokio::test(start_paused = true)]
    async fn an_alarm_left_over_from_an_earlier_wait_neither_shortens_nor_lengthens_the_next() {
        let clock = HeadClock::new(Spoken::default(), 15 * SECOND);
        for pause in [1, 80, 95, 300] {
            // A head that came: its timer is polled once and dropped.
            let mut sleep = clock.sleep(90 * SECOND);
            assert!(tokio::time::timeout(Duration::ZERO, &mut sleep).await.is_err());
            drop(sleep);
            tokio::time::sleep(pause * SECOND).await;
            assert_eq!(waits(&clock, None).await, 90, "after {pause} s");
            let mut sleep = clock.sleep(90 * SECOND);
            assert!(tokio::time::timeout(Duration::ZERO, &mut sleep).await.is_err());
            drop(sleep);
            tokio::time::sleep(pause * SECOND).await;
            assert_eq!(waits(&clock, Some(20 * SECOND)).await, 35, "after {pause} s");
        }
    }
}
