//! A periodic timer finer than the runtime's millisecond.

use std::io;
use std::time::Duration;

/// Wakes its task once a period, from the kernel's high-resolution clock.
#[cfg(target_os = "linux")]
pub(super) struct Ticker {
    timer: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Ticker {
    #[expect(
        deprecated,
        reason = "an owned timer closes its descriptor only after it is deregistered, which is all that the unsafe replacement asks to be promised"
    )]
    pub(super) fn start(period: Duration) -> io::Result<Self> {
        use rustix::time::{
            Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
        };
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let interval = period.max(Duration::from_micros(1)).try_into().map_err(io::Error::other)?;
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: interval, it_value: interval })?;
        Ok(Self { timer: tokio::io::unix::AsyncFd::with_interest(timer, tokio::io::Interest::READABLE)? })
    }

    /// Waits for the next tick; ticks that were slept through are one.
    pub(super) async fn tick(&mut self) -> io::Result<()> {
        loop {
            let mut guard = self.timer.readable().await?;
            let mut expirations = [0_u8; 8];
            match guard.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut expirations)?)) {
                Ok(result) => return result.map(|_| ()),
                Err(_not_yet) => {}
            }
        }
    }
}

/// Where there is no timerfd: the runtime's timer, of one millisecond.
#[cfg(not(target_os = "linux"))]
pub(super) struct Ticker {
    interval: tokio::time::Interval,
}

#[cfg(not(target_os = "linux"))]
impl Ticker {
    pub(super) fn start(period: Duration) -> io::Result<Self> {
        Ok(Self { interval: tokio::time::interval(period.max(Duration::from_millis(1))) })
    }

    pub(super) async fn tick(&mut self) -> io::Result<()> {
        self.interval.tick().await;
        Ok(())
    }
}
