//! One connection, from its first byte to its close.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::Place;
use super::socket::CallerSocket;
use crate::drain::{Drain, Phase};
use crate::http::Entrance;

/// Protocol settings of a listener. Sizes in bytes.
#[derive(Debug, Clone)]
pub struct Wire {
    /// How long a request's head may take, and how long an unused connection is kept.
    pub header_timeout: Duration,
    /// The largest request head.
    pub max_header: usize,
    /// How long a caller may refuse to read before its connection is closed.
    pub write_timeout: Duration,
    /// Streams that one HTTP/2 connection may have open.
    pub max_streams: u32,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(60),
            max_header: 64 << 10,
            write_timeout: Duration::from_secs(60),
            max_streams: 250,
        }
    }
}

/// What every HTTP/2 connection begins with (RFC 9113, 3.4); its first bytes tell it from HTTP/1.1.
const PREFACE: &[u8] = b"PRI * HT";

/// What is told to a connection beyond the cap.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nx-atp-error: backpressure\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 145\r\n\r\n{\"error\":{\"message\":\"the router has no room for another connection; try again shortly\",\"type\":\"server_error\",\"param\":null,\"code\":\"backpressure\"}}";

/// Refuses a connection in words instead of a reset.
pub(super) async fn turn_away(mut tcp: TcpStream) {
    let told = async {
        tcp.write_all(FULL).await?;
        tcp.shutdown().await
    };
    // Whether the caller heard it or not, the connection is over.
    let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
}

/// A connection that has been let in.
pub(super) struct Connection {
    pub(super) entrance: Entrance,
    pub(super) wire: Arc<Wire>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) drain: Drain,
    pub(super) place: Place,
}

impl Connection {
    /// Serves the connection to its end.
    pub(super) async fn run(self, tcp: TcpStream) {
        if tcp.set_nodelay(true).is_err() {
            return;
        }
        let patience = self.wire.write_timeout;
        let Some(tls) = &self.tls else {
            let Some(h2) = self.speaks_h2(&tcp).await else { return };
            return self.serve(CallerSocket::plain(tcp, patience), h2).await;
        };
        match tokio::time::timeout(self.wire.header_timeout, tls.accept(tcp)).await {
            Ok(Ok(stream)) => {
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.serve(CallerSocket::tls(stream, patience), h2).await;
            }
            Ok(Err(error)) => tracing::debug!(error = %error, "TLS handshake failed"),
            Err(_elapsed) => tracing::debug!("TLS handshake took too long"),
        }
    }

    /// Looks at the first bytes without taking them. `None` where the caller left or sent nothing.
    async fn speaks_h2(&self, tcp: &TcpStream) -> Option<bool> {
        let mut first = [0u8; PREFACE.len()];
        let seen = tokio::time::timeout(self.wire.header_timeout, tcp.peek(&mut first)).await.ok()?.ok()?;
        let seen = first.get(..seen).filter(|seen| !seen.is_empty())?;
        Some(PREFACE.starts_with(seen))
    }

    async fn serve(self, socket: CallerSocket, h2: bool) {
        let io = TokioIo::new(socket);
        if h2 {
            let mut builder = http2::Builder::new(Tasks);
            builder.timer(TokioTimer::new()).max_concurrent_streams(self.wire.max_streams);
            builder.max_header_list_size(u32::try_from(self.wire.max_header).unwrap_or(u32::MAX));
            builder.keep_alive_interval(Some(self.wire.header_timeout));
            let connection = pin!(builder.serve_connection(io, self.entrance));
            until_drained(connection, http2::Connection::graceful_shutdown, &self.drain).await;
        } else {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(self.wire.header_timeout);
            builder.max_header_size(self.wire.max_header);
            let connection = pin!(builder.serve_connection(io, self.entrance));
            until_drained(connection, http1::Connection::graceful_shutdown, &self.drain).await;
        }
        drop(self.place);
    }
}

/// Drives a connection to its end. Once the drain closes, it is told to end after the answer under
/// way; once the drain has ended, it is dropped. The drain is polled once to register for its
/// change: the connection's task never changes, so its waker stays the right one.
async fn until_drained<C, E>(mut connection: Pin<&mut C>, graceful: impl Fn(Pin<&mut C>), drain: &Drain)
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut closing = pin!(drain.reached(Phase::Closing));
    let mut ended = pin!(drain.reached(Phase::Ended));
    let mut seen = None;
    let outcome = std::future::poll_fn(|cx| {
        let phase = drain.phase();
        if seen != Some(phase) {
            if phase >= Phase::Closing && seen.is_none_or(|seen| seen < Phase::Closing) {
                // A connection on which nothing has been read yet would be closed at once, although
                // its first request has already arrived: let it be read before.
                if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                    return Poll::Ready(outcome);
                }
                graceful(connection.as_mut());
            }
            seen = Some(phase);
            let waiting = if phase < Phase::Closing { closing.as_mut().poll(cx) } else { ended.as_mut().poll(cx) };
            if waiting.is_ready() && drain.phase() == Phase::Ended {
                return Poll::Ready(Ok(()));
            }
            if waiting.is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        connection.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = outcome {
        tracing::debug!(error = %error, "connection ended early");
    }
}

/// Puts the tasks of HTTP/2 streams onto this core's runtime.
#[derive(Clone, Copy)]
struct Tasks;

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "a stream's task ends with its connection")]
    fn execute(&self, task: F) {
        drop(tokio::spawn(task));
    }
}
