//! An answer's body on either protocol version.

use std::task::{Context, Poll};

use atp_core::Error;
use bytes::Bytes;
use http::HeaderMap;

use super::h1::H1Body;
use super::h2::H2Body;
use super::watch::Watch;

/// The rest of an answer. Dropping it ends the provider's work: an HTTP/1.1 connection is closed,
/// an HTTP/2 stream is reset.
pub enum UpstreamBody {
    /// Read from a connection of its own.
    H1(H1Body),
    /// One stream of a shared connection.
    H2(H2Body),
}

impl UpstreamBody {
    /// The next bytes; `None` is the end. The watch's idle timer is enforced.
    pub fn poll_data(&mut self, cx: &mut Context<'_>, watch: &mut Watch) -> Poll<Option<Result<Bytes, Error>>> {
        match self {
            Self::H1(body) => body.poll_data(cx, watch),
            Self::H2(body) => body.poll_data(cx, watch),
        }
    }

    /// The fields that came behind the last bytes, once they have been read; those of HTTP/1.1 are dropped.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        match self {
            Self::H1(_) => None,
            Self::H2(body) => body.trailers(),
        }
    }
}
