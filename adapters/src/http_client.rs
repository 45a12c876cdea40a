//! The HTTP client towards one provider: one origin, one connection pool per core.
//!
//! HTTP/1.1 connections are driven inside the request that uses them, not by a task of their own:
//! the request's task polls the connection, the connection reads the socket, the bytes come out of
//! the same poll. A wake-up of another task per head and per chunk is saved, and a request that is
//! dropped takes its connection and its socket with it, so that the provider sees the caller leave
//! at once. HTTP/2 connections are shared by many requests and do have a task each.
//!
//! Who owns what: a connection belongs to the pool of the core that opened it, or to the one
//! exchange that borrowed it, never to both. It comes back when the answer's body has been read to
//! its end; otherwise it ends with the body.

mod connect;
mod dial;
mod h1;
mod h2;
mod opening;
mod origin;
mod payload;
mod pool;
mod stream;
mod transport;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use atp_core::percore::PerCore;
use atp_core::{Error, Rope, Timeouts};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};

pub use h1::H1Body;
pub(crate) use h2::Spawn;
pub use origin::{Origin, OriginError};
pub use payload::SendBody;
pub use stream::UpstreamBody;
pub use watch::Watch;
pub(crate) use watch::now;

use opening::Turn;
use pool::Pool;
use transport::{Failure, Sent};

/// Which HTTP version to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Http2 {
    /// HTTP/2 where TLS negotiates it, HTTP/1.1 elsewhere.
    #[default]
    Auto,
    /// HTTP/2 always, on plain TCP with prior knowledge.
    On,
    /// HTTP/1.1 always.
    Off,
}

/// How a client behaves. All durations are wall time.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Which HTTP version to speak.
    pub http2: Http2,
    /// Streams per HTTP/2 connection before another connection is opened. Providers allow about a
    /// hundred (RFC 9113 recommends no less); half of that leaves room for their own retries.
    pub streams_per_connection: usize,
    /// How long an unused connection is kept. Below the 60 s after which common load balancers
    /// close theirs, so that the close is ours and no request meets it.
    pub idle: Duration,
    /// Unused connections kept per core.
    pub idle_per_core: usize,
    /// How long a shared connection with open streams may be silent before it is asked for a sign
    /// of life, and again how long that may take before it counts as dead. Twice this is well below
    /// the two minutes in which a first byte is due.
    pub silence: Duration,
    /// Certificate authorities to trust beside the built-in ones, in PEM.
    pub extra_roots: Option<Vec<u8>>,
    /// Who the client is, for servers that ask.
    pub identity: Option<Identity>,
}

/// A client's certificate, with those that lead to its authority, and its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificates, the client's own first.
    pub chain: Vec<u8>,
    /// The key.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    /// The key is nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            http2: Http2::Auto,
            streams_per_connection: 50,
            idle: Duration::from_secs(50),
            idle_per_core: 256,
            silence: Duration::from_secs(15),
            extra_roots: None,
            identity: None,
        }
    }
}

/// A client for one origin.
pub struct HttpClient {
    origin: Origin,
    settings: ClientSettings,
    tls: Option<connect::Tls>,
    pools: Arc<PerCore<Pool>>,
    open: Arc<AtomicUsize>,
}

/// A request that can be made again: the client may have to send it twice where a kept connection
/// turns out to be closed.
pub struct Outgoing<'a> {
    /// The method.
    pub method: Method,
    /// Path and query on the origin.
    pub uri: Uri,
    /// The headers. `host` is among them or among those over them.
    pub headers: &'a HeaderMap,
    /// Headers that stand over those, in the place of any of the same name.
    pub over: Option<&'a HeaderMap>,
    /// The body.
    pub body: SendBody,
    /// The timers.
    pub timeouts: Timeouts,
}

impl Outgoing<'_> {
    /// The request as hyper takes it, for HTTP/2. A body that can be sent only once goes with the first.
    fn request(&mut self) -> Request<SendBody> {
        let mut request = Request::new(self.body.lend());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = merged(self.headers, self.over);
        request
    }
}

/// Few headers are put into a map that has room for them and for the length that hyper adds. Of many
/// a clone is made, although it has to grow then: it keeps the places that were computed when the map
/// was made, and only those over it are computed.
fn merged(headers: &HeaderMap, over: Option<&HeaderMap>) -> HeaderMap {
    const FEW: usize = 6;
    let more = over.map_or(0, HeaderMap::len) + 1;
    let mut merged = if headers.len() > FEW {
        headers.clone()
    } else {
        let mut few = HeaderMap::with_capacity(headers.len() + more);
        for (name, value) in headers {
            few.append(name.clone(), value.clone());
        }
        few
    };
    for (name, value) in over.into_iter().flatten() {
        merged.insert(name.clone(), value.clone());
    }
    merged
}

/// An answer's head, its body still on the wire, and the timer that goes on watching it.
pub struct Incoming {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The rest of the answer.
    pub body: UpstreamBody,
    /// Runs on: first byte, then idle, never beyond the total.
    pub watch: Watch,
}

impl HttpClient {
    /// Makes a client for `workers` cores. Opens nothing.
    ///
    /// # Errors
    /// Where the TLS settings cannot be used.
    pub fn new(origin: Origin, settings: ClientSettings, workers: usize) -> Result<Self, OriginError> {
        let tls = if origin.https() { Some(connect::Tls::new(&settings)?) } else { None };
        let pools = Arc::new(PerCore::new(workers, Pool::default));
        Ok(Self { origin, settings, tls, pools, open: Arc::default() })
    }

    /// The origin that this client talks to.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Connections open now, idle ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Closes connections that have been unused for longer than the settings allow.
    pub fn sweep(&self) {
        let now = watch::now();
        for mut pool in self.pools.each() {
            pool.sweep(now, self.settings.idle);
        }
    }

    /// Sends a request and waits for the answer's head.
    ///
    /// A connection that turns out to be closed or closing is replaced by a new one, once, where
    /// nothing of an answer had come: the request was never seen, or the provider gave it up with
    /// the connection. This is not a retry in the sense of the retry budget.
    ///
    /// # Errors
    /// Connect, timer and protocol errors, as provider errors that another target may cure.
    // What an async function owns is copied into its state, and again into that of the next: the
    // request is lent, and what seldom happens has a state of its own.
    pub async fn send(&self, out: &mut Outgoing<'_>) -> Result<Incoming, Error> {
        let mut watch = Watch::start(&out.timeouts);
        let kept = self.pools.mine().checkout(watch.started(), &self.settings);
        let lane = match kept {
            Some(lane) => lane,
            None => {
                let open = Box::pin(self.open(out.timeouts.connect, &watch, None));
                open.await.map_err(|failure| self.told(failure))?
            }
        };
        let (reused, kept) = (lane.reused(), out.body.is_kept());
        match lane.send(out, &mut watch).await {
            Ok(head) => Ok(head.watched(watch)),
            Err((failure, sent)) if failure.is_of_the_connection(&sent, reused) => {
                match sent {
                    Sent::Returned(body) => out.body = *body,
                    Sent::Gone if kept => {}
                    Sent::Gone => return Err(self.told(failure)),
                }
                Box::pin(self.again(out, watch)).await
            }
            Err((failure, _)) => Err(self.told(failure)),
        }
    }

    /// Sends it on a connection that is younger than the try.
    async fn again(&self, out: &mut Outgoing<'_>, mut watch: Watch) -> Result<Incoming, Error> {
        let opened = self.open(out.timeouts.connect, &watch, Some(watch.started())).await;
        let lane = opened.map_err(|failure| self.told(failure))?;
        let head = lane.send(out, &mut watch).await.map_err(|(failure, _)| self.told(failure))?;
        Ok(head.watched(watch))
    }

    fn told(&self, failure: Failure) -> Error {
        failure.into_error(self.origin.authority_str())
    }

    /// A lane on a new connection, or a stream of one that somebody else is opening. With `than` only
    /// connections younger than that count: the request has met a dead one already. Its future is
    /// rare and large, so callers box it; the future of every call would have room for it otherwise.
    async fn open(&self, connect: Duration, watch: &Watch, than: Option<Instant>) -> Result<pool::Lane, Failure> {
        let limit = connect.min(watch.left());
        let patience = tokio::time::Instant::now() + opening::PATIENCE.min(limit);
        loop {
            let turn = {
                let mut pool = self.pools.mine();
                match pool.stream(watch::now(), &self.settings, than) {
                    Some(lane) => return Ok(lane),
                    None => pool.openings.turn(self.streams_to_come()),
                }
            };
            let opening = match turn {
                Turn::Open(opening) => opening,
                Turn::Wait(waiting) => {
                    if waiting.news(patience).await {
                        continue;
                    }
                    self.pools.mine().openings.open()
                }
            };
            return connect::open(self, limit, opening).await;
        }
    }

    /// How many requests a connection that is being opened will serve at a time, as far as is known.
    fn streams_to_come(&self) -> usize {
        match (self.settings.http2, &self.tls) {
            (Http2::On, _) | (Http2::Auto, Some(_)) => self.settings.streams_per_connection,
            (Http2::Off, _) | (Http2::Auto, None) => 1,
        }
    }
}

/// Reads a body to its end, up to `cap` bytes.
///
/// # Errors
/// A cut or garbled answer, a timer, or [`Collected::TooLarge`] with what has been read.
pub async fn collect(body: &mut UpstreamBody, watch: &mut Watch, cap: usize) -> Result<Collected, Error> {
    let mut rope = Rope::new();
    let read = std::future::poll_fn(|cx| {
        loop {
            match body.poll_data(cx, watch) {
                std::task::Poll::Ready(Some(Ok(chunk))) => {
                    rope.push(chunk);
                    if rope.len() > cap {
                        return std::task::Poll::Ready(Ok(false));
                    }
                }
                std::task::Poll::Ready(Some(Err(error))) => return std::task::Poll::Ready(Err(error)),
                std::task::Poll::Ready(None) => return std::task::Poll::Ready(Ok(true)),
                std::task::Poll::Pending => return std::task::Poll::Pending,
            }
        }
    });
    let whole = read.await?;
    Ok(if whole { Collected::Whole(rope) } else { Collected::TooLarge(rope) })
}

/// What [`collect`] read.
#[derive(Debug)]
pub enum Collected {
    /// The whole body.
    Whole(Rope),
    /// More than the cap; the rest is still on the wire.
    TooLarge(Rope),
}

impl Collected {
    /// What was read, whole or not.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Whole(rope) | Self::TooLarge(rope) => rope.to_bytes(),
        }
    }
}

/// An answer's head, before the watch is put beside it.
struct Head {
    status: StatusCode,
    headers: HeaderMap,
    body: UpstreamBody,
}

impl Head {
    /// Splits a hyper response.
    fn of<B>(response: Response<B>, wrap: impl FnOnce(B) -> UpstreamBody) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body: wrap(body) }
    }

    fn watched(self, watch: Watch) -> Incoming {
        Incoming { status: self.status, headers: self.headers, body: self.body, watch }
    }
}
