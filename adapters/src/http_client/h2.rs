//! Shared HTTP/2 connections: a task drives each, a counter says how full it is.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use atp_core::Error;
use bytes::Bytes;
use http::{HeaderMap, Request};
use hyper::body::{Body, Incoming as HyperBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioIo;

use super::connect::Socket;
use super::opening::Opening;
use super::origin::Origin;
use super::payload::SendBody;
use super::transport::{Failure, Sent, cut};
use super::watch::Watch;
use super::{ClientSettings, Head, UpstreamBody};

/// Bytes that a provider may send on one stream before the caller has taken any. A connection's
/// window has room for all its streams, so that callers who read slowly never hold up the others.
const STREAM_WINDOW: u32 = 256 << 10;

/// The largest window that the protocol knows (RFC 9113, 6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// Streams that were given up and of which the provider may still be sending: what comes for them
/// is dropped without a word. The protocol library's own bound of ten would be met by any burst of
/// callers who leave.
const GIVEN_UP: usize = 1000;

/// A shared connection, as the pool keeps it.
pub(super) struct H2 {
    sender: SendRequest<SendBody>,
    streams: Arc<Streams>,
    origin: Origin,
    /// When it was opened.
    pub(super) opened: Instant,
    /// When a stream was last seen; for the sweep.
    since: Instant,
}

/// How full a connection is.
struct Streams {
    open: AtomicUsize,
    /// What the provider allows. Its opener's stream alone, until it has said so.
    allowed: AtomicUsize,
}

/// A stream's place on a connection. Given back when the answer's body ends or is dropped.
pub(super) struct Slot(Arc<Streams>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One borrowed stream.
pub(super) struct H2Lane {
    sender: SendRequest<SendBody>,
    slot: Slot,
    origin: Origin,
    pub(super) used: bool,
}

/// Puts hyper's tasks onto this core's runtime: connections' drivers towards providers, and calls of a host.
#[derive(Clone, Copy)]
pub(crate) struct Spawn;

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "a task of hyper's ends with its connection, which the pool or the listener owns"
    )]
    fn execute(&self, task: F) {
        drop(tokio::spawn(task));
    }
}

impl H2 {
    /// Shakes hands and starts the driver. The connection ends when the pool drops its sender and
    /// the last stream is done. `opening` ends when the provider has said how many streams it
    /// allows, which is the first thing that it says.
    pub(super) async fn handshake(
        mut socket: Socket,
        origin: &Origin,
        settings: &ClientSettings,
        opening: Opening,
    ) -> Result<Self, Failure> {
        let mut greeting = socket.first_read();
        let (sender, driver) = builder(settings).handshake(TokioIo::new(socket)).await.map_err(Failure::from_hyper)?;
        let streams = Arc::new(Streams { open: AtomicUsize::new(0), allowed: AtomicUsize::new(1) });
        let seen = Arc::clone(&streams);
        hyper::rt::Executor::execute(&Spawn, async move {
            let mut driver = pin!(driver);
            let mut opening = Some(opening);
            let ended = std::future::poll_fn(|cx| {
                if opening.is_some() && Pin::new(&mut greeting).poll(cx).is_pending() {
                    return driver.as_mut().poll(cx);
                }
                let polled = driver.as_mut().poll(cx);
                seen.allowed.store(driver.current_max_send_streams(), Ordering::Relaxed);
                opening = None;
                polled
            });
            if let Err(error) = ended.await {
                tracing::debug!(error = %error, "upstream http/2 connection ended");
            }
        });
        let now = super::watch::now();
        Ok(Self { sender, streams, origin: origin.clone(), opened: now, since: now })
    }

    /// Whether the connection is still there.
    pub(super) fn alive(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Streams open now.
    fn load(&self) -> usize {
        self.streams.open.load(Ordering::Relaxed)
    }

    /// Notes that it is in use, if it is: an answer of ten minutes does not make it old.
    pub(super) fn seen_in_use(&mut self, now: Instant) {
        if self.load() > 0 {
            self.since = now;
        }
    }

    /// Whether it has been unused for `idle`.
    pub(super) fn stale(&self, now: Instant, idle: Duration) -> bool {
        self.load() == 0 && now.saturating_duration_since(self.since) >= idle
    }

    /// Whether another stream may be opened, of `most` at the most.
    pub(super) fn has_room(&self, most: usize) -> bool {
        self.load() < most.min(self.streams.allowed.load(Ordering::Relaxed))
    }

    /// Takes a stream.
    pub(super) fn lane(&mut self, now: Instant, used: bool) -> H2Lane {
        self.since = now;
        self.streams.open.fetch_add(1, Ordering::Relaxed);
        H2Lane { sender: self.sender.clone(), slot: Slot(Arc::clone(&self.streams)), origin: self.origin.clone(), used }
    }
}

fn builder(settings: &ClientSettings) -> hyper::client::conn::http2::Builder<Spawn> {
    let streams = u32::try_from(settings.streams_per_connection).unwrap_or(u32::MAX);
    let window = STREAM_WINDOW.saturating_mul(streams).min(MAX_WINDOW);
    let mut builder = hyper::client::conn::http2::Builder::new(Spawn);
    builder.timer(hyper_util::rt::TokioTimer::new());
    builder.keep_alive_interval(Some(settings.silence)).keep_alive_timeout(settings.silence);
    builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(window);
    builder.max_concurrent_reset_streams(GIVEN_UP).max_local_error_reset_streams(None);
    builder
}

impl H2Lane {
    /// Sends a request and waits for the answer's head.
    pub(super) async fn send(
        mut self,
        mut request: Request<SendBody>,
        watch: &mut Watch,
    ) -> Result<Head, (Failure, Sent)> {
        let target = std::mem::take(request.uri_mut());
        *request.uri_mut() = self.origin.absolute(target);
        request.headers_mut().remove(http::header::HOST);
        let mut answer = pin!(self.sender.try_send_request(request));
        let outcome = std::future::poll_fn(|cx| {
            if let Poll::Ready(outcome) = answer.as_mut().poll(cx) {
                return Poll::Ready(outcome.map_err(|mut error| {
                    let sent = error.take_message().map_or(Sent::Gone, |r| Sent::Returned(Box::new(r.into_body())));
                    (Failure::from_hyper(error.into_error()), sent)
                }));
            }
            watch.poll(cx).map(|error| Err((Failure::Told(error), Sent::Gone)))
        })
        .await;
        let slot = self.slot;
        outcome.map(|response| {
            Head::of(response, |body| UpstreamBody::H2(H2Body { body, slot: Some(slot), trailers: None }))
        })
    }
}

/// The body of an answer on HTTP/2.
pub struct H2Body {
    body: HyperBody,
    slot: Option<Slot>,
    /// What came behind the last bytes. Most answers have none.
    trailers: Option<Box<HeaderMap>>,
}

impl H2Body {
    /// What came behind the last bytes, once they have been read.
    pub(super) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    /// The next bytes.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>, watch: &mut Watch) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Ready(Some(Err(ready!(watch.poll(cx))))),
                Poll::Ready(None) => {
                    self.slot = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.slot = None;
                    return Poll::Ready(Some(Err(cut(&error))));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => {
                        watch.touch();
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    Err(frame) => self.trailers = frame.into_trailers().ok().map(Box::new),
                },
            }
        }
    }
}
