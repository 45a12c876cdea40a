//! One core's kept connections.

use std::time::{Duration, Instant};

use http::Request;

use super::h1::H1;
use super::h2::{H2, H2Lane};
use super::payload::SendBody;
use super::transport::{Failure, Sent};
use super::watch::Watch;
use super::{ClientSettings, Incoming};

/// Kept connections. HTTP/1.1 ones are a stack: the one used last is the warmest and the least
/// likely to have been closed, and those at the bottom grow old and are swept.
#[derive(Default)]
pub(super) struct Pool {
    #[expect(clippy::vec_box, reason = "a connection is a kilobyte, and goes from pool to exchange and back as it is")]
    idle: Vec<Box<H1>>,
    shared: Vec<H2>,
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
    pub(super) fn reused(&self) -> bool {
        match self {
            Self::H1(connection) => connection.used,
            Self::H2(lane) => lane.used,
        }
    }

    pub(super) async fn send(
        self,
        request: Request<SendBody>,
        watch: Watch,
    ) -> Result<Incoming, (Failure, Sent, Watch)> {
        match self {
            Self::H1(connection) => connection.send(request, watch).await,
            Self::H2(lane) => lane.send(request, watch).await,
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
        self.shared.retain(H2::alive);
        let roomiest = self.shared.iter_mut().min_by_key(|connection| connection.load())?;
        (roomiest.load() < settings.streams_per_connection).then(|| Lane::H2(roomiest.lane(now, true)))
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
        let old = |since: Instant| now.saturating_duration_since(since) >= idle;
        self.idle.retain(|connection| !old(connection.since));
        self.shared.retain(|connection| connection.alive() && (connection.load() > 0 || !old(connection.since)));
        self.idle.shrink_to(8);
    }
}
