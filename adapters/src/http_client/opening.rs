//! Connections that are being opened on one core, and the requests that wait for them.
//!
//! A burst of first requests needs one HTTP/2 connection, not one each. Whoever finds no room
//! opens a connection, unless those under way will have room for it: then it waits for news of
//! them. Nobody waits longer than [`PATIENCE`], nobody waits for an HTTP/1.1 connection, which
//! could serve one request only, and an opener that fails or leaves is news too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

/// How long a request waits for somebody else's connection before it opens its own: time for TLS
/// across an ocean, and below the second after which a lost SYN is sent again.
pub(super) const PATIENCE: Duration = Duration::from_millis(600);

/// What is under way on one core. Its lock is the pool's: it is read and changed only below it,
/// save for what is given back.
#[derive(Default)]
pub(super) struct Openings(Arc<Counts>);

#[derive(Default)]
struct Counts {
    under_way: AtomicUsize,
    waiting: AtomicUsize,
    /// Whether the provider agreed on HTTP/1.1 the last time, so that waiting is of no use.
    alone: AtomicBool,
    news: Arc<Notify>,
}

/// The right to open a connection. It ends, with news for all who wait, once the connection can
/// take streams or has failed.
pub(super) struct Opening(Arc<Counts>);

/// A request's wait for news.
pub(super) struct Waiting {
    _seat: Seat,
    news: OwnedNotified,
}

/// Counts one waiting request.
struct Seat(Arc<Counts>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request that found no room does now.
pub(super) enum Turn {
    /// It opens a connection.
    Open(Opening),
    /// It waits, and looks again.
    Wait(Waiting),
}

impl Openings {
    /// Decides for one request. Each connection under way has room for `streams`, the first of
    /// which is its opener's.
    pub(super) fn turn(&self, streams: usize) -> Turn {
        let counts = &self.0;
        let room = counts.under_way.load(Ordering::Relaxed) * streams.saturating_sub(1);
        if counts.alone.load(Ordering::Relaxed) || counts.waiting.load(Ordering::Relaxed) >= room {
            return Turn::Open(self.open());
        }
        counts.waiting.fetch_add(1, Ordering::Relaxed);
        // Made below the pool's lock, it hears everything from now on.
        Turn::Wait(Waiting { _seat: Seat(Arc::clone(counts)), news: Arc::clone(&counts.news).notified_owned() })
    }

    /// Opens whatever is under way.
    pub(super) fn open(&self) -> Opening {
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        Opening(Arc::clone(&self.0))
    }
}

impl Opening {
    /// Remembers whether connections to this provider are shared.
    pub(super) fn agreed(&self, shared: Shared) {
        self.0.alone.store(shared == Shared::No, Ordering::Relaxed);
    }
}

/// Whether a connection carries many requests at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    Yes,
    No,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
        self.0.news.notify_waiters();
    }
}

impl Waiting {
    /// Waits for news until `deadline`; whether there was any.
    pub(super) async fn news(self, deadline: Instant) -> bool {
        tokio::time::timeout_at(deadline, self.news).await.is_ok()
    }
}
