//! One HTTP/1.1 connection, driven by the exchange that borrows it.
//!
//! There is no task and no channel: the future that waits for an answer's head, and then the answer's
//! body, own the socket and read it themselves. An open stream holds no buffer while it waits: what
//! arrives is read into a buffer that all connections of a core share, and goes on in a piece of its
//! own size ([`wire`]). What the bytes mean is decided by three plain parts: [`request`] writes heads,
//! [`response`] reads them, [`framing`] finds the end of bodies.

mod framing;
mod request;
mod response;
mod upload;
mod wire;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Instant;

use atp_core::percore::PerCore;
use atp_core::{Error, ErrorKind};
use bytes::{Bytes, BytesMut};
use http::Method;

use self::framing::Framing;
use self::response::{Parsed, ResponseHead};
use self::upload::Upload;
use super::connect::Socket;
use super::pool::Pool;
use super::transport::{Failure, Sent};
use super::watch::{Alarm, Watch};
use super::{Head, Outgoing, UpstreamBody};

/// A connection between two requests, or in the hands of one.
pub(super) struct H1 {
    socket: Socket,
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
    /// A connection on a fresh socket.
    pub(super) fn new(socket: Socket, pools: &Arc<PerCore<Pool>>, keep: usize) -> Box<Self> {
        let (since, pools, stirred) = (super::watch::now(), Arc::downgrade(pools), Arc::default());
        Box::new(Self { socket, since, used: false, alarm: None, stirred, pools, keep })
    }

    /// Whether the kept connection can still take a request. Where the far side has stirred, what it
    /// has sent is read: for an unused connection that can only be its close.
    pub(super) fn usable(&mut self) -> bool {
        !self.stirred.0.load(Ordering::Relaxed) || self.rests()
    }

    /// Reads what there is, asks to be told of more, and tells whether the connection can take a
    /// request: whatever comes unasked, an answer to nothing or the close, makes it unfit.
    fn rests(&mut self) -> bool {
        self.stirred.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.stirred));
        wire::read(&mut self.socket, &mut Context::from_waker(&waker)).is_pending()
    }

    /// Sends a request and waits for the answer's head.
    pub(super) fn send<'w>(
        mut self: Box<Self>,
        out: &mut Outgoing<'_>,
        watch: &'w mut Watch,
    ) -> impl Future<Output = Result<Head, (Failure, Sent)>> + Send + use<'w> {
        watch.adopt(self.alarm.take());
        let (method, upload) = (out.method.clone(), Upload::new(out));
        Sending { connection: Some(self), upload: Some(upload), method, told: BytesMut::new(), broken: None, watch }
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

/// A request on its way, until the answer's head is there.
struct Sending<'w> {
    // None once the head is there: the connection goes on with the answer's body.
    connection: Option<Box<H1>>,
    // None once it has failed, or goes on beside the answer's body.
    upload: Option<Upload>,
    method: Method,
    /// The beginning of a head that has not come whole.
    told: BytesMut,
    /// Why nothing more can be written. An answer may stand in the socket all the same.
    broken: Option<Failure>,
    watch: &'w mut Watch,
}

impl Future for Sending<'_> {
    type Output = Result<Head, (Failure, Sent)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.write(cx);
        if let Poll::Ready(outcome) = this.read(cx) {
            return Poll::Ready(outcome);
        }
        if let Some(failure @ Failure::Body(_)) = this.broken.take_if(|failure| matches!(failure, Failure::Body(_))) {
            return Poll::Ready(Err((failure, Sent::Gone)));
        }
        this.watch.poll(cx).map(|error| Err((Failure::Told(error), Sent::Gone)))
    }
}

impl Sending<'_> {
    fn write(&mut self, cx: &mut Context<'_>) {
        let (Some(connection), Some(upload), None) = (&mut self.connection, &mut self.upload, &self.broken) else {
            return;
        };
        if let Poll::Ready(Err(failure)) = upload.poll(&mut connection.socket, cx) {
            self.broken = Some(failure);
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, (Failure, Sent)>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Pending };
            let piece = match ready!(wire::read(&mut connection.socket, cx)) {
                Ok(piece) if !piece.is_empty() => piece,
                Ok(_) => return Poll::Ready(Err(self.closed(None))),
                Err(cause) => return Poll::Ready(Err(self.closed(Some(cause)))),
            };
            let wire = self.with_what_was_told(piece);
            if let Some(outcome) = self.look(wire) {
                return Poll::Ready(outcome);
            }
        }
    }

    /// Looks for the answer's head, behind interim ones where those came; `None` where more has to come.
    fn look(&mut self, mut wire: Bytes) -> Option<Result<Head, (Failure, Sent)>> {
        loop {
            match response::parse(&wire, &self.method) {
                Ok(Parsed::Whole(head)) => return Some(Ok(self.begun(head))),
                Ok(Parsed::Interim(end)) => wire = wire.slice(end..),
                Ok(Parsed::Part) => {
                    self.told = BytesMut::from(&*wire);
                    return None;
                }
                Err(garbled) => return Some(Err((Failure::Garbled(garbled.to_owned()), Sent::Gone))),
            }
        }
    }

    fn with_what_was_told(&mut self, piece: Bytes) -> Bytes {
        if self.told.is_empty() {
            return piece;
        }
        let mut all = std::mem::take(&mut self.told);
        all.extend_from_slice(&piece);
        all.freeze()
    }

    fn begun(&mut self, head: ResponseHead) -> Head {
        let ResponseHead { status, headers, framing, keeps, rest } = head;
        let failed = self.broken.is_some();
        // A body that is still being sent goes on beside the answer; a connection whose request was
        // not sent whole takes no other.
        let upload = self.upload.take().filter(|upload| !failed && !upload.is_done()).map(Box::new);
        let body = H1Body {
            framing,
            rest,
            block: BytesMut::new(),
            keeps: keeps && !failed,
            upload,
            connection: self.connection.take(),
        };
        Head { status, headers, body: UpstreamBody::H1(body) }
    }

    /// The connection ended before the answer's head was whole.
    fn closed(&mut self, cause: Option<io::Error>) -> (Failure, Sent) {
        self.connection = None;
        if let Some(failure @ Failure::Body(_)) = self.broken.take() {
            return (failure, Sent::Gone);
        }
        if !self.told.is_empty() {
            let text = "the provider closed the connection within an answer's head";
            return (Failure::Told(Error::provider(ErrorKind::ProviderCut, text)), Sent::Gone);
        }
        let unsent = self.upload.take().and_then(Upload::into_unsent);
        (Failure::Closed(cause), unsent.map_or(Sent::Gone, |body| Sent::Returned(Box::new(body))))
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

/// The body of an answer on HTTP/1.1, with the connection that it is read from.
pub struct H1Body {
    framing: Framing,
    /// What has been read and not been looked at.
    rest: Bytes,
    /// Where a large body is read into.
    block: BytesMut,
    /// Whether the connection may serve again.
    keeps: bool,
    /// A request body that is still being sent.
    upload: Option<Box<Upload>>,
    connection: Option<Box<H1>>,
}

impl H1Body {
    /// The next bytes: all that has arrived, in one piece.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>, watch: &mut Watch) -> Poll<Option<Result<Bytes, Error>>> {
        self.send_on(cx);
        loop {
            if !self.rest.is_empty() && !self.framing.is_done() {
                match self.framing.take(&mut self.rest) {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => {
                        watch.touch();
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    Err(garbled) => return Poll::Ready(Some(Err(self.garbled(garbled)))),
                }
            }
            if self.framing.is_done() {
                self.finish(watch);
                return Poll::Ready(None);
            }
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            let read = match self.framing.large() {
                Some(left) => wire::read_large(&mut connection.socket, cx, left, &mut self.block),
                None => wire::read(&mut connection.socket, cx),
            };
            match read {
                Poll::Ready(Ok(piece)) if !piece.is_empty() => self.rest = piece,
                Poll::Ready(ended) => return Poll::Ready(self.ended(ended.err())),
                Poll::Pending => return Poll::Ready(Some(Err(ready!(watch.poll(cx))))),
            }
        }
    }

    fn send_on(&mut self, cx: &mut Context<'_>) {
        let (Some(upload), Some(connection)) = (&mut self.upload, &mut self.connection) else { return };
        match upload.poll(&mut connection.socket, cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.upload = None,
            // The provider has answered, and may not want the rest.
            Poll::Ready(Err(_)) => (self.upload, self.keeps) = (None, false),
        }
    }

    /// The far side has closed, or the socket has failed.
    fn ended(&mut self, cause: Option<io::Error>) -> Option<Result<Bytes, Error>> {
        self.connection = None;
        if cause.is_none() && self.framing.ends_with_connection() {
            return None;
        }
        let error = Error::provider(ErrorKind::ProviderCut, "the provider's answer broke off");
        let cause = cause.map_or_else(|| "the connection was closed".to_owned(), |cause| cause.to_string());
        Some(Err(error.with_cause(cause)))
    }

    fn garbled(&mut self, why: &'static str) -> Error {
        self.connection = None;
        Error::provider(ErrorKind::ProviderGarbled, "the provider's answer is not HTTP").with_cause(why)
    }

    /// The answer has come to its end. Bytes behind it belong to no answer: such a connection is not kept.
    fn finish(&mut self, watch: &mut Watch) {
        let Some(connection) = self.connection.take() else { return };
        if self.keeps && self.upload.is_none() && self.rest.is_empty() {
            connection.give_back(watch);
        }
    }
}
