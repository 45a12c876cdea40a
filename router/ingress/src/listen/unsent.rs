//! Callers on HTTP/2 that do not take their answers.
//!
//! On HTTP/1.1 a caller that stops reading blocks the socket, and the socket's own clock ends it. On
//! HTTP/2 he may go on reading the connection and never open a stream's window: nothing is blocked
//! but that stream, and it would wait for ever with all that its answer has borrowed. So what is
//! handed to the protocol is counted until it has been written. A stream of which nothing has been
//! taken for the caller's patience is reset; a connection that as a whole takes nothing is ended,
//! for the last piece of an answer outlives the stream's task.
//!
//! Answers are handed over in pieces no larger than a frame, so that what waits for the caller waits
//! where it is counted and not in the protocol's own queue. Clocks are set while something is unsent, and
//! not for every piece.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::http::Entrance;
use crate::respond::{Broken, OutBody};

/// The most that is handed over at once: HTTP/2's usual largest frame (RFC 9113, 6.5.2).
const PIECE: usize = 16 << 10;

tokio::task_local! {
    /// The account of the stream whose task this is.
    static STREAM: Arc<Account>;
}

/// What has been handed over and not been written yet: by a stream, or by all of a connection's.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Pieces.
    unsent: AtomicUsize,
    /// How often something has been written, be it a part of a piece.
    written: AtomicUsize,
    /// The connection's account, in a stream's.
    whole: Option<Arc<Account>>,
}

impl Account {
    fn handed(&self) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.handed());
    }

    fn wrote(&self) {
        self.written.fetch_add(1, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.wrote());
    }

    fn gone(&self) {
        self.unsent.fetch_sub(1, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.gone());
    }
}

/// Bytes on their way. They count as unsent until they are dropped.
pub(super) struct Piece {
    bytes: Bytes,
    account: Arc<Account>,
}

impl Piece {
    fn new(bytes: Bytes, account: &Arc<Account>) -> Self {
        account.handed();
        Self { bytes, account: Arc::clone(account) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.account.wrote();
        self.account.gone();
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.account.wrote();
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.account.wrote();
        self.bytes.copy_to_bytes(len)
    }
}

/// An answer's body in counted pieces.
pub(super) struct Counted {
    body: OutBody,
    /// What is left of the chunk that was cut last.
    rest: Bytes,
    account: Arc<Account>,
}

impl Counted {
    fn cut(&mut self, mut bytes: Bytes) -> Frame<Piece> {
        self.rest = bytes.split_off(bytes.len().min(PIECE));
        Frame::data(Piece::new(bytes, &self.account))
    }
}

impl Body for Counted {
    type Data = Piece;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Broken>>> {
        let this = &mut *self;
        if !this.rest.is_empty() {
            let rest = std::mem::take(&mut this.rest);
            return Poll::Ready(Some(Ok(this.cut(rest))));
        }
        let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)?) else { return Poll::Ready(None) };
        let frame = match frame.into_data() {
            Ok(bytes) => this.cut(bytes),
            // What follows a body is no data, and passes as it is.
            Err(frame) => Frame::trailers(frame.into_trailers().unwrap_or_default()),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// The surface, its answers counted on the account of the stream that asks.
pub(super) struct Counting(pub(super) Entrance);

impl hyper::service::Service<Request<Incoming>> for Counting {
    type Response = Response<Counted>;
    type Error = Infallible;
    type Future = Counts<<Entrance as hyper::service::Service<Request<Incoming>>>::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Counts { answer: self.0.call(request) }
    }
}

pin_project! {
    /// An answer on its way to be counted.
    pub(super) struct Counts<F> {
        #[pin]
        answer: F,
    }
}

impl<F: Future<Output = Result<Response<OutBody>, Infallible>>> Future for Counts<F> {
    type Output = Result<Response<Counted>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(self.project().answer.poll(cx));
        // Outside of a stream's task nobody would look at the account; there is no such place.
        let account = STREAM.try_with(Arc::clone).unwrap_or_default();
        Poll::Ready(Ok(response.map(|body| Counted { body, rest: Bytes::new(), account })))
    }
}

/// Looks at an account, and tells when nothing of what is unsent has been written for too long: after
/// the caller's patience, and within one look more.
pub(super) struct Vigil {
    account: Arc<Account>,
    between_looks: Duration,
    clock: Option<Pin<Box<Sleep>>>,
    /// What had been written at the last look.
    seen: usize,
    /// Looks in a row that found nothing written.
    in_vain: u32,
}

impl Vigil {
    /// Looks in one patience.
    const LOOKS: u32 = 4;

    pub(super) fn over(account: Arc<Account>, patience: Duration) -> Self {
        Self { account, between_looks: patience / Self::LOOKS, clock: None, seen: 0, in_vain: 0 }
    }

    /// Ready once patience is over. To be polled whenever something may have been handed over.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.clock.is_none() {
                if self.account.unsent.load(Ordering::Relaxed) == 0 {
                    self.in_vain = 0;
                    return Poll::Pending;
                }
                self.seen = self.account.written.load(Ordering::Relaxed);
            }
            let pause = self.between_looks;
            let clock = self.clock.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            ready!(clock.as_mut().poll(cx));
            self.clock = None;
            // The clock was set while something was unsent; if nothing has been written since, that
            // still is.
            let stands = self.account.written.load(Ordering::Relaxed) == self.seen;
            self.in_vain = if stands { self.in_vain + 1 } else { 0 };
            if self.in_vain == Self::LOOKS {
                return Poll::Ready(());
            }
        }
    }
}

/// Puts the tasks of HTTP/2 streams onto this core's runtime, each with an account and a vigil.
#[derive(Clone)]
pub(super) struct Tasks {
    pub(super) whole: Arc<Account>,
    pub(super) patience: Duration,
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "a stream's task ends with its connection")]
    fn execute(&self, task: F) {
        let account = Arc::new(Account { whole: Some(Arc::clone(&self.whole)), ..Account::default() });
        let vigil = Vigil::over(Arc::clone(&account), self.patience);
        drop(tokio::spawn(Watched { task: STREAM.scope(account, task), vigil }));
    }
}

pin_project! {
    /// A stream's task that ends when the caller's patience does. What it drops resets the stream.
    struct Watched<F> {
        #[pin]
        task: F,
        vigil: Vigil,
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.task.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        ready!(this.vigil.poll_over(cx));
        tracing::debug!("an HTTP/2 caller has not taken its answer; the stream is reset");
        Poll::Ready(())
    }
}
