//! One HTTP/1.1 connection, driven by the exchange that borrows it.
//!
//! hyper splits a connection into a sender and a driver. Here both live in one value and one task
//! polls both. Two rules keep that cheap. The halves talk through channels, and every message on
//! them wakes whoever polled last; as that is always this very task, the far halves are polled with
//! a waker that does nothing. And the driver is polled with the same idle waker as long as it makes
//! progress; the task's own waker is left with it only once it has none, in the last poll before
//! `Pending`, when the socket is all there is to wait for.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Instant;

use atp_core::percore::PerCore;
use atp_core::{Error, ErrorKind};
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use hyper::body::{Body, Incoming as HyperBody};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;

use super::connect::Socket;
use super::payload::SendBody;
use super::pool::Pool;
use super::transport::{Failure, Sent, chain};
use super::watch::{Alarm, Watch};
use super::{Head, UpstreamBody};

/// Bytes gathered into one chunk at the most. What arrived in one burst goes out in one write; the
/// bound keeps the copy inside the first-level cache.
const GATHER: usize = 16 * 1024;

/// Bytes read from a provider at once: beyond it hyper's growing buffers hold several times what is
/// in them.
const READ_AHEAD: usize = 64 << 10;

/// A connection and both its halves.
pub(super) struct H1 {
    driver: Connection<TokioIo<Socket>, SendBody>,
    sender: SendRequest<SendBody>,
    /// Since when it has been unused; for the sweep.
    pub(super) since: Instant,
    /// Whether it has served before.
    pub(super) used: bool,
    /// The timer of the last try, for the next one.
    alarm: Option<Alarm>,
    /// Told when the far side sends something while the connection is unused.
    stirred: Arc<Stirred>,
    pools: Weak<PerCore<Pool>>,
    keep: usize,
}

impl H1 {
    /// Shakes hands on a fresh socket.
    pub(super) async fn handshake(
        socket: Socket,
        pools: &Arc<PerCore<Pool>>,
        keep: usize,
    ) -> Result<Box<Self>, Failure> {
        let (sender, driver) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(READ_AHEAD)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(Failure::from_hyper)?;
        let since = super::watch::now();
        let pools = Arc::downgrade(pools);
        let stirred = Arc::default();
        Ok(Box::new(Self { driver, sender, since, used: false, alarm: None, stirred, pools, keep }))
    }

    /// Whether the kept connection can still take a request. Where the far side has stirred, what it
    /// has sent is read: for an unused connection that can only be its close.
    pub(super) fn usable(&mut self) -> bool {
        !self.stirred.0.load(Ordering::Relaxed) || self.rests()
    }

    /// Reads what there is, asks to be told of more, and tells whether the connection can take a
    /// request.
    fn rests(&mut self) -> bool {
        self.stirred.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.stirred));
        self.drive(&mut Context::from_waker(&waker)).is_pending() && self.sender.is_ready()
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Pin::new(&mut self.driver).poll(cx)
    }

    /// Sends a request and waits for the answer's head.
    pub(super) fn send(
        mut self: Box<Self>,
        request: Request<SendBody>,
        watch: &mut Watch,
    ) -> impl Future<Output = Result<Head, (Failure, Sent)>> + Send {
        watch.adopt(self.alarm.take());
        let answer = self.sender.try_send_request(request);
        Sending { answer, connection: Some(self), watch, is_written: false }
    }

    /// Gives the connection back to its core's pool, if it is fit for another request.
    fn give_back(mut self: Box<Self>, watch: &mut Watch) {
        let Some(pools) = self.pools.upgrade() else { return };
        if self.rests() {
            self.used = true;
            self.alarm = watch.release();
            self.since = super::watch::now();
            let keep = self.keep;
            pools.mine().put(self, keep);
        }
    }
}

pin_project! {
    /// A request that has been handed to a connection, until the answer's head is there.
    struct Sending<'w, A> {
        #[pin]
        answer: A,
        // None once the head is there: the connection goes on with the answer's body.
        connection: Option<Box<H1>>,
        watch: &'w mut Watch,
        is_written: bool,
    }
}

impl<A> Sending<'_, A>
where
    A: Future<Output = Result<Response<HyperBody>, TrySendError<Request<SendBody>>>>,
{
    /// Drives the connection and looks whether the answer is there.
    fn look(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Head, (Failure, Sent)>> {
        let this = self.project();
        let closed = this.connection.as_mut().is_none_or(|connection| connection.drive(cx).is_ready());
        match this.answer.poll(&mut idle_context()) {
            Poll::Ready(Ok(response)) => {
                let connection = this.connection.take();
                let wrap = |body| UpstreamBody::H1(H1Body { body, held: None, dry: false, connection });
                Poll::Ready(Ok(Head::of(response, wrap)))
            }
            Poll::Ready(Err(mut error)) => {
                let sent = error.take_message().map_or(Sent::Gone, |request| Sent::Returned(Box::new(request)));
                Poll::Ready(Err((Failure::from_hyper(error.into_error()), sent)))
            }
            Poll::Pending if closed => {
                let text = "the provider closed the connection before it answered";
                let told = Error::provider(ErrorKind::ProviderCut, text);
                Poll::Ready(Err((Failure::Told(told), Sent::Gone)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<A> Future for Sending<'_, A>
where
    A: Future<Output = Result<Response<HyperBody>, TrySendError<Request<SendBody>>>>,
{
    type Output = Result<Head, (Failure, Sent)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The first time there is a request to write and no answer to read. Later the answer may be
        // there: a waker left with the driver then would be woken by whoever reads its body.
        if std::mem::replace(self.as_mut().project().is_written, true)
            && let Poll::Ready(outcome) = self.as_mut().look(&mut idle_context())
        {
            return Poll::Ready(outcome);
        }
        if let Poll::Ready(outcome) = self.as_mut().look(cx) {
            return Poll::Ready(outcome);
        }
        self.project().watch.poll(cx).map(|error| Err((Failure::Told(error), Sent::Gone)))
    }
}

/// Whether a kept connection's far side has sent something, its close perhaps. As a waker it is what
/// the socket calls, so that a connection on which nothing has happened need not be looked at.
#[derive(Default)]
struct Stirred(AtomicBool);

impl Wake for Stirred {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A context whose waker does nothing.
fn idle_context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The body of an answer on HTTP/1.1, with the connection that it is read from.
pub struct H1Body {
    body: HyperBody,
    /// An end or an error that came behind bytes already gathered.
    held: Option<Result<(), Error>>,
    /// The connection had nothing more when it was driven last, and its task's waker is not with it.
    dry: bool,
    connection: Option<Box<H1>>,
}

impl H1Body {
    /// The next bytes: all that has arrived, in one piece.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>, watch: &mut Watch) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(end) = self.held.take() {
            return Poll::Ready(self.finish(end, watch));
        }
        let mut burst = Burst::Empty;
        while burst.len() < GATHER {
            match self.poll_frame(cx, &burst) {
                Poll::Ready(Some(Ok(chunk))) => burst.push(chunk),
                Poll::Ready(end) => {
                    let end = end.map_or(Ok(()), |error| error.map(|_| ()));
                    return match burst.take() {
                        Some(bytes) => {
                            self.held = Some(end);
                            Poll::Ready(Some(Ok(bytes)))
                        }
                        None => Poll::Ready(self.finish(end, watch)),
                    };
                }
                Poll::Pending => break,
            }
        }
        match burst.take() {
            Some(bytes) => {
                watch.touch();
                Poll::Ready(Some(Ok(bytes)))
            }
            None => Poll::Ready(Some(Err(ready!(watch.poll(cx))))),
        }
    }

    /// One frame. Leaves the task's waker with the socket only where nothing has been gathered:
    /// otherwise the caller returns with bytes and comes again.
    fn poll_frame(&mut self, cx: &mut Context<'_>, burst: &Burst) -> Poll<Option<Result<Bytes, Error>>> {
        if let Poll::Ready(frame) = self.read() {
            return Poll::Ready(frame);
        }
        // Right after a burst the connection is known to be dry: it need only be left the waker.
        if !std::mem::take(&mut self.dry) {
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            let _ = connection.drive(&mut idle_context());
            if let Poll::Ready(frame) = self.read() {
                return Poll::Ready(frame);
            }
        }
        if !matches!(burst, Burst::Empty) {
            self.dry = true;
            return Poll::Pending;
        }
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        let _ = connection.drive(cx);
        self.read()
    }

    fn read(&mut self) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(&mut idle_context()));
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(cut(&error)))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => return Poll::Ready(Some(Ok(bytes))),
                    Err(_trailers) => {}
                },
            }
        }
    }

    fn finish(&mut self, end: Result<(), Error>, watch: &mut Watch) -> Option<Result<Bytes, Error>> {
        let connection = self.connection.take();
        match end {
            Ok(()) => {
                if let Some(connection) = connection {
                    connection.give_back(watch);
                }
                None
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// A body error as the house's error.
pub(super) fn cut(error: &hyper::Error) -> Error {
    if error.is_parse() {
        return Error::provider(ErrorKind::ProviderGarbled, "the provider's answer is not HTTP")
            .with_cause(chain(error));
    }
    Error::provider(ErrorKind::ProviderCut, "the provider's answer broke off").with_cause(chain(error))
}

/// Frames that arrived together. One frame is passed on as it is; more are copied into one piece,
/// because every piece costs a chunk header and a queue entry on the way out.
enum Burst {
    Empty,
    One(Bytes),
    Many(BytesMut),
}

impl Burst {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, chunk: Bytes) {
        match self {
            Self::Empty => *self = Self::One(chunk),
            Self::One(first) => {
                let mut many = BytesMut::with_capacity((first.len() + chunk.len()).max(1024));
                many.extend_from_slice(first);
                many.extend_from_slice(&chunk);
                *self = Self::Many(many);
            }
            Self::Many(many) => many.extend_from_slice(&chunk),
        }
    }

    fn take(self) -> Option<Bytes> {
        match self {
            Self::Empty => None,
            Self::One(bytes) => Some(bytes),
            Self::Many(bytes) => Some(bytes.freeze()),
        }
    }
}
