//! One connection, from its first byte to its close.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::Place;
use super::head_clock::HeadClock;
use super::notice::Notice;
use super::socket::CallerSocket;
use super::unsent::{Account, Counting, Tasks, Vigil};
use crate::doorbell::Doorbell;
use crate::drain::{Drain, Phase};
use crate::http::Entrance;

/// Protocol settings of a listener. Sizes in bytes.
#[derive(Debug, Clone)]
pub struct Wire {
    /// How long a request's head may take from its first byte, and a TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
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
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(90),
            max_header: 64 << 10,
            write_timeout: Duration::from_secs(60),
            max_streams: 250,
        }
    }
}

/// Bytes read from a caller at once. hyper doubles its buffer as long as reads fill it, and a body's
/// pieces keep the whole of it alive; beyond this size a long prompt would hold several times its
/// own length.
const READ_AHEAD: usize = 64 << 10;

/// What every HTTP/2 connection begins with (RFC 9113, 3.4); its first bytes tell it from HTTP/1.1.
const PREFACE: &[u8] = b"PRI * HT";

/// How long the first bytes may leave it open whether they are HTTP/1.1 or HTTP/2: `P` alone may
/// become `POST`. Looked at so many times, with pauses between.
const DOUBTFUL: (u32, Duration) = (20, Duration::from_millis(25));

/// How long a connection may take for its first byte once the drain has closed. Who connected in the
/// last moment is about to ask, and who keeps a connection in stock must not hold the router.
const LAST_WORD: Duration = Duration::from_millis(250);

/// What every TLS connection begins with: a record of the handshake (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What is told to a caller who forgot the `s` of `https`.
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 142\r\n\r\n{\"error\":{\"message\":\"this port speaks TLS; use a base URL that begins with https://\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}";

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

/// Says one thing and ends a connection that has its place. What the caller sends is read: a socket
/// that is closed with bytes unread is reset, and the words are lost with it.
async fn farewell(mut tcp: TcpStream, words: &[u8]) {
    let told = async {
        let mut unread = [0u8; 1024];
        tcp.write_all(words).await?;
        tcp.shutdown().await?;
        while tcp.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
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
    ///
    /// Whatever comes before the plain HTTP/1.1 connection and beside it is boxed: a task is as large
    /// as the largest thing it ever awaits, and thousands of these stay open at once.
    pub(super) async fn run(self, tcp: TcpStream) {
        if tcp.set_nodelay(true).is_err() {
            return;
        }
        let Some((socket, h2)) = Box::pin(self.open(tcp)).await else { return };
        if h2 {
            return Box::pin(self.serve_h2(socket)).await;
        }
        let mut builder = http1::Builder::new();
        let clock = HeadClock::new(socket.spoken(), self.wire.header_timeout);
        builder.timer(clock).header_read_timeout(self.wire.idle_timeout.max(self.wire.header_timeout));
        builder.max_header_size(self.wire.max_header).max_buf_size(READ_AHEAD.max(self.wire.max_header));
        let connection = pin!(builder.serve_connection(TokioIo::new(socket), self.entrance));
        until_drained(connection, http1::Connection::graceful_shutdown, Doorbell::of, &self.drain).await;
        drop(self.place);
    }

    /// The socket, secured where it has to be, and whether HTTP/2 is spoken on it. `None` where the
    /// caller left, or said what the listener does not understand.
    async fn open(&self, tcp: TcpStream) -> Option<(CallerSocket, bool)> {
        let patience = self.wire.write_timeout;
        let Some(tls) = &self.tls else {
            let h2 = self.speaks_h2(&tcp).await?;
            return Some((CallerSocket::plain(tcp, patience), h2));
        };
        if self.peek(&tcp, &mut [0]).await? != [TLS_HANDSHAKE] {
            farewell(tcp, SPEAK_TLS).await;
            return None;
        }
        match tokio::time::timeout(self.wire.header_timeout, tls.accept(tcp)).await {
            Ok(Ok(stream)) => {
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                return Some((CallerSocket::tls(stream, patience), h2));
            }
            Ok(Err(error)) => tracing::debug!(error = %error, "TLS handshake failed"),
            Err(_elapsed) => tracing::debug!("TLS handshake took too long"),
        }
        None
    }

    /// Looks at the first bytes without taking them. `None` where the caller left or sent nothing.
    async fn peek<'b>(&self, tcp: &TcpStream, first: &'b mut [u8]) -> Option<&'b [u8]> {
        let over = async {
            self.drain.reached(Phase::Closing).await;
            tokio::time::sleep(LAST_WORD).await;
        };
        let seen = tokio::select! {
            biased;
            seen = tokio::time::timeout(self.wire.idle_timeout, tcp.peek(first)) => seen.ok()?.ok()?,
            () = over => return None,
        };
        first.get(..seen).filter(|seen| !seen.is_empty())
    }

    /// Whether the connection begins as HTTP/2 does.
    async fn speaks_h2(&self, tcp: &TcpStream) -> Option<bool> {
        let (looks, pause) = DOUBTFUL;
        for _ in 0..looks {
            let mut first = [0u8; PREFACE.len()];
            let seen = self.peek(tcp, &mut first).await?;
            if seen == PREFACE || !PREFACE.starts_with(seen) {
                return Some(seen == PREFACE);
            }
            // What has been seen stays readable, so that waiting for more would return at once.
            tokio::time::sleep(pause).await;
        }
        Some(false)
    }

    async fn serve_h2(self, socket: CallerSocket) {
        let whole = Arc::<Account>::default();
        let patience = self.wire.write_timeout;
        let mut builder = http2::Builder::new(Tasks { whole: Arc::clone(&whole), patience });
        builder.timer(TokioTimer::new()).max_concurrent_streams(self.wire.max_streams);
        builder.max_header_list_size(u32::try_from(self.wire.max_header).unwrap_or(u32::MAX));
        builder.keep_alive_interval(Some(self.wire.idle_timeout));
        let connection = pin!(builder.serve_connection(TokioIo::new(socket), Counting(self.entrance)));
        // Longer than a stream's, so that one stream is reset before all of them end.
        let mut vigil = Vigil::over(whole, patience + patience / 2);
        tokio::select! {
            // The vigil looks at what is left after the connection has written what it can.
            biased;
            () = until_drained(connection, http2::Connection::graceful_shutdown, Waker::clone, &self.drain) => {}
            () = std::future::poll_fn(|cx| vigil.poll_over(cx)) => {
                tracing::debug!("an HTTP/2 caller takes nothing any more; its connection is ended");
            }
        }
        drop(self.place);
    }
}

/// Drives a connection to its end. Once the drain closes, it is told to end after the answer under
/// way; once the drain has ended, it is dropped. The connection's task never changes, so that `bell`
/// makes the connection's waker of the task's only once.
async fn until_drained<C, E>(
    mut connection: Pin<&mut C>,
    graceful: impl Fn(Pin<&mut C>),
    bell: impl Fn(&Waker) -> Waker,
    drain: &Drain,
) where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut notice = pin!(Notice::of(drain));
    let mut waker = None;
    let outcome = std::future::poll_fn(|cx| {
        let phase = notice.as_mut().read(cx.waker());
        let cx = &mut Context::from_waker(waker.get_or_insert_with(|| bell(cx.waker())));
        match phase {
            Some(Phase::Ended) => return Poll::Ready(Ok(())),
            Some(Phase::Closing) => {
                // A connection on which nothing has been read yet would be closed at once, although
                // its first request has already arrived: let it be read before.
                if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                    return Poll::Ready(outcome);
                }
                graceful(connection.as_mut());
            }
            Some(Phase::Serving | Phase::Leaving) | None => {}
        }
        connection.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = outcome {
        tracing::debug!(error = %error, "connection ended early");
    }
}
