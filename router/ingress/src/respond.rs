//! Answers on their way out: the one place that makes HTTP responses of replies and errors.

pub(crate) mod value;

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use atp_core::answer::BoxBody;
use atp_core::{Answer, Error, Notes, Reply, RequestId};
use atp_dialects::native;
use atp_dialects::openai::errors;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, TE, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use crate::clock;

/// `x-request-id`: names the request here and in every log line.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `x-correlation-id`: the caller's own name for it, echoed.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const PROVIDER: HeaderName = HeaderName::from_static("x-atp-provider");
/// The provider's name of the model that answered.
const MODEL: HeaderName = HeaderName::from_static("x-atp-model");
/// The router's name of it, where the router chose it.
const CHOSEN: HeaderName = HeaderName::from_static("x-atp-chosen-model");
/// The id of the choice, where the router made one: what `GET /v1/decisions/{id}` is asked for.
const PLAN: HeaderName = HeaderName::from_static("x-atp-plan");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-atp-attempts");
/// A header where the cost is known before the head goes out, else a trailer for who wants those.
pub(crate) const COST: HeaderName = HeaderName::from_static("x-atp-cost-usd");
/// `hit` or `coalesced`, where no provider made the answer for this request.
const CACHE: HeaderName = HeaderName::from_static("x-atp-cache");
const QUEUED: HeaderName = HeaderName::from_static("x-atp-queued-ms");
const OVERHEAD: HeaderName = HeaderName::from_static("x-atp-overhead-us");
pub(crate) const ERROR: HeaderName = HeaderName::from_static("x-atp-error");

/// What every answer to one request needs to know of it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) id: RequestId,
    pub(crate) received: Instant,
    pub(crate) correlation: Option<HeaderValue>,
}

/// Whether the caller reads what follows a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trailers {
    Welcome,
    Unasked,
}

impl Trailers {
    /// What `te` says (RFC 9110, 10.1.4). It is looked at as hyper does before it lets a trailer out
    /// on HTTP/1.1, so that none is announced that cannot follow.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut codings = headers.get_all(TE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        if codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers")) {
            Self::Welcome
        } else {
            Self::Unasked
        }
    }
}

/// The dialect that a refusal is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tongue {
    OpenAi,
    Native,
}

/// A response's body.
pub enum OutBody {
    /// In memory; sent with its length.
    Full(Option<Bytes>),
    /// Passed on as it arrives.
    Stream(Relay),
    /// Made elsewhere, with what follows it.
    Made(MadeBody),
}

/// A body that another part of the entrance makes.
pub(crate) type MadeBody = Pin<Box<dyn Body<Data = Bytes, Error = Broken> + Send>>;

impl OutBody {
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

/// A reply as a response.
pub(crate) fn reply(reply: Reply, asked: &Asked, trailers: Trailers, tongue: Tongue) -> Response<OutBody> {
    // What the head tells is not told again.
    let trailers = if reply.notes.cost.is_some() { Trailers::Unasked } else { trailers };
    let mut response = match reply.result {
        Ok(answer) => success(answer, trailers),
        Err(error) => failure(&error, tongue),
    };
    notes(&reply.notes, asked.received, response.headers_mut());
    asked.mark(response.headers_mut());
    response
}

/// A refusal that never reached the gateway.
pub(crate) fn refusal(error: &Error, asked: &Asked, tongue: Tongue) -> Response<OutBody> {
    let mut response = failure(error, tongue);
    asked.mark(response.headers_mut());
    response
}

/// Bytes made by the router itself.
pub(crate) fn bytes(content_type: &'static str, body: Bytes, asked: &Asked) -> Response<OutBody> {
    let mut response = Response::new(OutBody::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    asked.mark(response.headers_mut());
    response
}

impl Asked {
    /// Names the request in an answer's headers.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_bytes(&self.id.to_ascii()) {
            headers.insert(REQUEST_ID, value);
        }
        if let Some(correlation) = &self.correlation {
            headers.insert(CORRELATION_ID, correlation.clone());
        }
    }
}

fn success(answer: Answer, trailers: Trailers) -> Response<OutBody> {
    let Answer { status, headers, mut body, .. } = answer;
    let events = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    let out = match body.as_mut().take_full() {
        Some(bytes) => OutBody::full(bytes),
        None => OutBody::Stream(Relay { body, events, between: true, end: End::Open, trailers }),
    };
    let announced = trailers == Trailers::Welcome && matches!(out, OutBody::Stream(_));
    let mut response = Response::new(out);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if events {
        // Proxies in front must neither keep nor gather events.
        response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    if announced {
        // HTTP/1.1 sends only what the head announces.
        response.headers_mut().insert(TRAILER, HeaderValue::from(COST));
    }
    response
}

fn failure(error: &Error, tongue: Tongue) -> Response<OutBody> {
    let (status, body, code) = match tongue {
        Tongue::OpenAi => (errors::status(error), errors::body(error), error.kind().code()),
        Tongue::Native => (native::errors::status(error), native::errors::body(error), native::errors::code(error)),
    };
    let mut response = Response::new(OutBody::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // When to come again is told alike in both.
    errors::headers(error, headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ERROR, HeaderValue::from_static(code));
    if matches!(response.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        // The rest of the body is not read; the connection cannot be used again.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The router's own share of the time since `received`.
pub(crate) fn overhead(notes: &Notes, received: Instant) -> Duration {
    (clock::now() - received).saturating_sub(notes.waited).saturating_sub(notes.queued)
}

/// What the router tells beside an answer.
pub(crate) fn notes(notes: &Notes, received: Instant, headers: &mut HeaderMap) {
    let mut put = |name: HeaderName, value: Option<HeaderValue>| {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    };
    put(PROVIDER, notes.provider.as_ref().and_then(value::name));
    put(MODEL, notes.model.as_ref().and_then(value::name));
    put(PLAN, notes.plan.as_ref().and_then(|plan| HeaderValue::from_bytes(&plan.id.to_ascii()).ok()));
    put(CHOSEN, notes.chosen.as_ref().and_then(value::name));
    put(COST, notes.cost.and_then(value::dollars));
    put(ATTEMPTS, Some(notes.attempts).filter(|tries| *tries > 0).and_then(|tries| value::number(tries.into())));
    put(CACHE, notes.reused.map(|reused| HeaderValue::from_static(reused.label())));
    // A header only where there was a wait: most requests have none.
    let queued = (!notes.queued.is_zero()).then(|| notes.queued.as_micros().div_ceil(1_000) as u64);
    put(QUEUED, queued.and_then(value::number));
    put(OVERHEAD, value::number(overhead(notes, received).as_micros() as u64));
}

/// An answer's body on its way to the caller. Dropping it, as hyper does when the caller leaves,
/// drops everything that was borrowed for the exchange.
pub struct Relay {
    body: BoxBody,
    events: bool,
    /// Whether what has gone out ends with a whole event.
    between: bool,
    end: End,
    trailers: Trailers,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Open,
    /// The body has ended; what follows a body may still go out.
    Told,
    Done,
}

impl Relay {
    /// An error after the head has gone: told as an event where the answer is made of events, so
    /// that client libraries raise it; otherwise the connection is cut, so that a half answer is
    /// not taken for a whole one. Behind half an event nothing can be told: it would become part of
    /// that event, or end it as garbage.
    fn broken(&mut self, error: &Error) -> Result<Frame<Bytes>, Broken> {
        self.end = End::Done;
        if self.events && self.between {
            self.end = End::Told;
            Ok(Frame::data(errors::stream_event(error)))
        } else {
            Err(Broken(error.clone()))
        }
    }

    fn pass(&mut self, bytes: Bytes) -> Frame<Bytes> {
        if self.events && !bytes.is_empty() {
            self.between = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].iter().any(|blank| bytes.ends_with(blank));
        }
        Frame::data(bytes)
    }

    /// What follows the body: the cost, where the caller wants it and it has become known.
    fn last(&mut self) -> Option<Frame<Bytes>> {
        self.end = End::Done;
        if self.trailers == Trailers::Unasked {
            return None;
        }
        let cost = value::dollars(self.body.cost()?)?;
        Some(Frame::trailers(HeaderMap::from_iter([(COST, cost)])))
    }
}

/// An answer that broke off.
#[derive(Debug)]
pub struct Broken(pub(crate) Error);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Broken {}

impl Body for OutBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let relay = match &mut *self {
            Self::Full(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(relay) => relay,
            Self::Made(body) => return body.as_mut().poll_frame(cx),
        };
        match relay.end {
            End::Open => {}
            End::Told => return Poll::Ready(relay.last().map(Ok)),
            End::Done => return Poll::Ready(None),
        }
        match ready!(relay.body.as_mut().poll_chunk(cx)) {
            Some(Ok(bytes)) => Poll::Ready(Some(Ok(relay.pass(bytes)))),
            Some(Err(error)) => Poll::Ready(Some(relay.broken(&error))),
            None => Poll::Ready(relay.last().map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Stream(relay) => relay.end == End::Done,
            Self::Made(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream(_) | Self::Made(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests;
