//! One core's kept connections.

use std::time::{Duration, Instant};

use super::h1::H1;
use super::h2::{H2, H2Lane};
use super::opening::Openings;
use super::transport::{Failure, Reused, Sent};
use super::watch::Watch;
use super::{ClientSettings, Head, Outgoing};

/// Kept connections. HTTP/1.1 ones are a stack: the one used last is the warmest and the least
/// likely to have been closed, and those at the bottom grow old and are swept.
#[derive(Default)]
pub(super) struct Pool {
    #[expect(clippy::vec_box, reason = "a connection is a kilobyte, and goes from pool to exchange and back as it is")]
    idle: Vec<Box<H1>>,
    /// Shared ones in the order of their opening.
    shared: Vec<H2>,
    /// Those to come.
    pub(super) openings: Openings,
}

/// A borrowed way to send one request.
pub(super) enum Lane {
    /// A connection of its own.
    H1(Box<H1>),
    /// One stream of a shared connection.
    H2(H2Lane),
}

impl Lane {
    /// Whether the connection has served before, so that its far side may have closed it.
    pub(super) fn reused(&self) -> Reused {
        let used = match self {
            Self::H1(connection) => connection.used,
            Self::H2(lane) => lane.used,
        };
        if used { Reused::Yes } else { Reused::No }
    }

    /// Sends a request and waits for the answer's head.
    pub(super) async fn send(self, out: &mut Outgoing<'_>, watch: &mut Watch) -> Result<Head, (Failure, Sent)> {
        match self {
            Self::H1(connection) => connection.send(out, watch).await,
            // Larger than the other, and paid for by it where it were not apart.
            Self::H2(lane) => Box::pin(lane.send(out.request(), watch)).await,
        }
    }
}

impl Pool {
    /// A kept connection that can serve now, if there is one.
    pub(super) fn checkout(&mut self, now: Instant, settings: &ClientSettings) -> Option<Lane> {
        while let Some(mut connection) = self.idle.pop() {
            let fresh = now.saturating_duration_since(connection.since) < settings.idle;
            if fresh && connection.usable() {
                return Some(Lane::H1(connection));
            }
        }
        self.stream(now, settings, None)
    }

    /// A stream of a shared connection, of one that is younger than `than` where that is given. The
    /// oldest with room is filled first: what a burst has left over runs empty and is swept.
    pub(super) fn stream(&mut self, now: Instant, settings: &ClientSettings, than: Option<Instant>) -> Option<Lane> {
        if self.shared.is_empty() {
            return None;
        }
        self.shared.retain(|connection| connection.alive() && !connection.stale(now, settings.idle));
        let young = |connection: &H2| than.is_none_or(|than| connection.opened > than);
        let mut fit =
            self.shared.iter_mut().filter(|each| young(each) && each.has_room(settings.streams_per_connection));
        fit.next().map(|connection| Lane::H2(connection.lane(now, true)))
    }

    /// Keeps an HTTP/1.1 connection; the oldest goes where there are `keep` already.
    pub(super) fn put(&mut self, connection: Box<H1>, keep: usize) {
        if self.idle.len() >= keep.max(1) {
            self.idle.remove(0);
        }
        self.idle.push(connection);
    }

    /// Keeps a shared connection and takes its first stream.
    pub(super) fn share(&mut self, mut connection: H2, now: Instant) -> Lane {
        let lane = connection.lane(now, false);
        self.shared.push(connection);
        Lane::H2(lane)
    }

    /// Drops what has been unused for longer than `idle`.
    pub(super) fn sweep(&mut self, now: Instant, idle: Duration) {
        self.idle.retain(|connection| now.saturating_duration_since(connection.since) < idle);
        self.shared.retain_mut(|connection| {
            connection.seen_in_use(now);
            connection.alive() && !connection.stale(now, idle)
        });
        self.idle.shrink_to(8);
    }
}
