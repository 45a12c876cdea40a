//! Shared HTTP/2 connections: a task drives each, a counter says how full it is.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use atp_core::Error;
use bytes::Bytes;
use http::Request;
use hyper::body::{Body, Incoming as HyperBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioIo;

use super::connect::{OpenGuard, Socket};
use super::h1::cut;
use super::origin::Origin;
use super::payload::SendBody;
use super::transport::{Failure, Sent};
use super::watch::Watch;
use super::{Incoming, UpstreamBody, incoming};

/// A shared connection, as the pool keeps it.
pub(super) struct H2 {
    sender: SendRequest<SendBody>,
    streams: Arc<AtomicUsize>,
    origin: Origin,
    /// When a stream was last started; for the sweep.
    pub(super) since: Instant,
}

/// A stream's place on a connection. Given back when the answer's body ends or is dropped.
pub(super) struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One borrowed stream.
pub(super) struct H2Lane {
    sender: SendRequest<SendBody>,
    slot: Slot,
    origin: Origin,
    pub(super) used: bool,
}

/// Puts hyper's driver tasks onto this core's runtime.
#[derive(Clone, Copy)]
struct Spawn;

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "a connection's driver ends with the connection, which the pool owns"
    )]
    fn execute(&self, task: F) {
        drop(tokio::spawn(task));
    }
}

impl H2 {
    /// Shakes hands and starts the driver. The connection ends when the pool drops its sender and
    /// the last stream is done.
    pub(super) async fn handshake(socket: Socket, origin: &Origin, open: OpenGuard) -> Result<Self, Failure> {
        let mut builder = hyper::client::conn::http2::Builder::new(Spawn);
        builder.timer(hyper_util::rt::TokioTimer::new());
        builder.keep_alive_interval(Some(std::time::Duration::from_secs(20)));
        builder.initial_stream_window_size(1 << 20).initial_connection_window_size(4 << 20);
        let (sender, driver) = builder.handshake(TokioIo::new(socket)).await.map_err(Failure::from_hyper)?;
        hyper::rt::Executor::execute(&Spawn, async move {
            let _open = open;
            if let Err(error) = driver.await {
                tracing::debug!(error = %error, "upstream http/2 connection ended");
            }
        });
        Ok(Self { sender, streams: Arc::default(), origin: origin.clone(), since: super::watch::now() })
    }

    /// Whether the connection is still there.
    pub(super) fn alive(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Streams open now.
    pub(super) fn load(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Takes a stream.
    pub(super) fn lane(&mut self, now: Instant, used: bool) -> H2Lane {
        self.since = now;
        self.streams.fetch_add(1, Ordering::Relaxed);
        H2Lane { sender: self.sender.clone(), slot: Slot(Arc::clone(&self.streams)), origin: self.origin.clone(), used }
    }
}

impl H2Lane {
    /// Sends a request and waits for the answer's head.
    pub(super) async fn send(
        mut self,
        mut request: Request<SendBody>,
        mut watch: Watch,
    ) -> Result<Incoming, (Failure, Sent, Watch)> {
        let target = std::mem::take(request.uri_mut());
        *request.uri_mut() = self.origin.absolute(target);
        request.headers_mut().remove(http::header::HOST);
        let mut answer = pin!(self.sender.try_send_request(request));
        let outcome = std::future::poll_fn(|cx| {
            if let Poll::Ready(outcome) = answer.as_mut().poll(cx) {
                return Poll::Ready(outcome.map_err(|mut error| {
                    let sent = error.take_message().map_or(Sent::Gone, |r| Sent::Returned(Box::new(r)));
                    (Failure::from_hyper(error.into_error()), sent)
                }));
            }
            watch.poll(cx).map(|error| Err((Failure::Told(error), Sent::Gone)))
        })
        .await;
        match outcome {
            Ok(response) => {
                let slot = self.slot;
                Ok(incoming(response, |body| UpstreamBody::H2(H2Body { body, slot: Some(slot) }), watch))
            }
            Err((failure, sent)) => Err((failure, sent, watch)),
        }
    }
}

/// The body of an answer on HTTP/2.
pub struct H2Body {
    body: HyperBody,
    slot: Option<Slot>,
}

impl H2Body {
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
                    Err(_trailers) => {}
                },
            }
        }
    }
}
