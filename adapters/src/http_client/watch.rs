//! The timers of one try on one sleeping timer.
//!
//! A try has a deadline for its first byte, then one that moves with every read, and one for the
//! whole. Only the nearest is armed, and a deadline that moves later does not touch the timer: when
//! it fires too early it is armed again for what is left. So a stream of a thousand chunks costs a
//! clock read per read and a timer operation a minute. A kept connection keeps its last try's timer
//! for the next one, so that short answers arm none at all.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use atp_core::{Error, ErrorKind, Timeouts};
use tokio::time::Sleep;

/// This crate's clock. Tests stop it with tokio's paused time.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Watches one try.
#[derive(Debug)]
pub struct Watch {
    started: Instant,
    due: Instant,
    phase: Phase,
    end: Instant,
    idle: Duration,
    timeouts: Timeouts,
    sleep: Option<Alarm>,
}

/// A timer of the runtime.
pub(super) type Alarm = Pin<Box<Sleep>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    FirstByte,
    Idle,
}

impl Watch {
    /// Starts the timers of a try.
    #[must_use]
    pub fn start(timeouts: &Timeouts) -> Self {
        let started = now();
        let end = started + timeouts.total;
        let due = (started + timeouts.first_byte).min(end);
        Self { started, due, phase: Phase::FirstByte, end, idle: timeouts.idle, timeouts: *timeouts, sleep: None }
    }

    /// Takes over the timer of an earlier try, wherever it stands.
    pub(super) fn adopt(&mut self, sleep: Option<Alarm>) {
        self.sleep = sleep;
    }

    /// Gives the timer to whoever keeps it for the next try.
    pub(super) fn release(&mut self) -> Option<Alarm> {
        self.sleep.take()
    }

    /// When the try started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// What is left of the phase: the cap for connecting.
    pub(super) fn left(&self) -> Duration {
        self.due.saturating_duration_since(now())
    }

    /// Bytes have come: from now on the idle timer counts.
    pub fn touch(&mut self) {
        self.phase = Phase::Idle;
        self.due = (now() + self.idle).min(self.end);
    }

    /// Ready once a timer has run out. Call it last, when nothing else made progress.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            let due = self.due;
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due.into())));
            if sleep.deadline().into_std() > due {
                sleep.as_mut().reset(due.into());
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if now() >= self.due {
                return Poll::Ready(self.error());
            }
            sleep.as_mut().reset(due.into());
        }
    }

    fn error(&self) -> Error {
        let (kind, what, limit) = if self.due == self.end {
            (ErrorKind::TimeoutTotal, "did not finish", self.timeouts.total)
        } else if self.phase == Phase::FirstByte {
            (ErrorKind::TimeoutFirstByte, "sent no first byte", self.timeouts.first_byte)
        } else {
            (ErrorKind::TimeoutIdle, "went silent mid-answer", self.timeouts.idle)
        };
        Error::provider(kind, format!("the provider {what} within {limit:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn timeouts(first_byte: u64, idle: u64, total: u64) -> Timeouts {
        let secs = Duration::from_secs;
        Timeouts { connect: secs(1), first_byte: secs(first_byte), idle: secs(idle), total: secs(total) }
    }

    async fn run_out(watch: &mut Watch) -> ErrorKind {
        poll_fn(|cx| watch.poll(cx)).await.kind()
    }

    #[tokio::test(start_paused = true)]
    async fn each_timer_has_its_own_error() {
        let mut watch = Watch::start(&timeouts(5, 2, 60));
        let begun = now();
        assert_eq!(run_out(&mut watch).await, ErrorKind::TimeoutFirstByte);
        assert_eq!((now() - begun).as_secs(), 5);
        let mut watch = Watch::start(&timeouts(5, 2, 60));
        watch.touch();
        assert_eq!(run_out(&mut watch).await, ErrorKind::TimeoutIdle);
        let mut watch = Watch::start(&timeouts(5, 2, 3));
        assert_eq!(run_out(&mut watch).await, ErrorKind::TimeoutTotal);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_is_taken_over_changes_no_deadline() {
        let mut watch = Watch::start(&timeouts(5, 2, 60));
        for (pause, first_byte) in [(1, 5), (7, 5), (0, 3), (0, 30), (100, 5)] {
            assert!(tokio::time::timeout(Duration::ZERO, run_out(&mut watch)).await.is_err());
            let kept = watch.release();
            tokio::time::sleep(Duration::from_secs(pause)).await;
            watch = Watch::start(&timeouts(first_byte, 2, 60));
            watch.adopt(kept);
            let begun = now();
            assert_eq!(run_out(&mut watch).await, ErrorKind::TimeoutFirstByte);
            assert_eq!((now() - begun).as_secs(), first_byte, "after {pause} s");
            watch = Watch::start(&timeouts(first_byte, 2, 60));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_touch_moves_the_idle_deadline() {
        let mut watch = Watch::start(&timeouts(5, 2, 60));
        let begun = now();
        for _ in 0..3 {
            watch.touch();
            tokio::select! {
                kind = run_out(&mut watch) => panic!("{kind:?} too early"),
                () = tokio::time::sleep(Duration::from_millis(1500)) => {}
            }
        }
        assert_eq!(run_out(&mut watch).await, ErrorKind::TimeoutIdle);
        assert_eq!((now() - begun).as_millis(), 5000);
    }
}
