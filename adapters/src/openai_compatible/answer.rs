//! The provider's answer: an error, a whole reply, or a stream with a tap on its side.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use atp_core::answer::BoxBody;
use atp_core::{Answer, AnswerBody, Error, ErrorKind, Exchange, FullBody, Operation, Report, Resume};
use atp_dialects::openai::chat::{StreamTap, read_reply};
use atp_dialects::openai::errors;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use super::request::Reading;
use crate::http_client::{Collected, Incoming, UpstreamBody, Watch, collect};

/// The most of an error body that is kept: enough for any provider's explanation.
const ERROR_BODY_CAP: usize = 64 * 1024;

/// Room for the headers that are passed on and those that the entrance adds. hyper keeps the map for
/// the life of the connection, so more than enough would be paid by every open stream.
const ROOM: usize = 12;

/// Reads an answer as far as it has to be read before it can be passed on.
pub(super) fn read(
    mut incoming: Incoming,
    exchange: &Exchange,
    reading: Reading<'_>,
    cap: usize,
) -> impl Future<Output = Result<Answer, Error>> + Send {
    let operation = exchange.operation;
    let raw = operation == Operation::Raw;
    // A block, not an async function: that would keep its arguments beside what it makes of them.
    async move {
        if incoming.status.as_u16() >= 400 {
            return Err(refused(&mut incoming).await);
        }
        if !incoming.status.is_success() && !raw {
            let text = format!(
                "the provider answered with status {}, which is no answer to a model call",
                incoming.status.as_u16()
            );
            return Err(Error::provider(ErrorKind::ProviderGarbled, text));
        }
        let mut headers = HeaderMap::with_capacity(ROOM);
        let limits = errors::passthrough_headers(&incoming.headers, &mut headers, unix_now);
        let (status, kind) = (incoming.status, Kind::of(&incoming.headers));
        if kind == Kind::Events {
            let body = StreamBody::new(incoming.body, incoming.watch, reading.tap());
            return Ok(Answer { status, headers, limits, body: Box::pin(body) });
        }
        if raw && incoming.headers.get(CONTENT_LENGTH).is_none() {
            return Ok(Answer { status, headers, limits, body: through(incoming, SmallVec::new()) });
        }
        match collect(&mut incoming.body, &mut incoming.watch, cap).await? {
            Collected::Whole(rope) => {
                let read = kind == Kind::Json && !rope.is_empty();
                let mut report = if read { read_reply(operation, &rope) } else { Report::default() };
                (report.complete, report.content) = (true, true);
                match report.failure.take_if(|_| !raw) {
                    Some(failure) => Err(failure),
                    None => {
                        let body = Box::pin(FullBody::new(rope.to_bytes(), report));
                        Ok(Answer { status, headers, limits, body })
                    }
                }
            }
            Collected::TooLarge(rope) => {
                let body = through(incoming, rope.into_parts().into_iter().collect());
                Ok(Answer { status, headers, limits, body })
            }
        }
    }
}

async fn refused(incoming: &mut Incoming) -> Error {
    let body = match collect(&mut incoming.body, &mut incoming.watch, ERROR_BODY_CAP).await {
        Ok(collected) => collected.into_bytes(),
        // The status alone still tells what happened.
        Err(_) => Bytes::new(),
    };
    errors::classify(incoming.status, &incoming.headers, body, unix_now())
}

#[expect(clippy::disallowed_methods, reason = "retry hints may be dates; this file owns the adapter's wall clock")]
fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// What an answer is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Events,
    Json,
    Other,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Self {
        let told = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let is = |wanted: &[u8]| told.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted));
        if is(b"application/json") {
            Self::Json
        } else if is(b"text/event-stream") {
            Self::Events
        } else {
            Self::Other
        }
    }
}

fn through(incoming: Incoming, first: Pieces) -> BoxBody {
    let report = Report { content: true, ..Report::default() };
    Box::pin(ThroughBody { upstream: incoming.body, watch: incoming.watch, first, report })
}

/// Pieces on their way out, next one last.
type Pieces = SmallVec<[Bytes; 4]>;

/// A stream of events, passed on as it arrives, with a tap that reads along.
struct StreamBody {
    upstream: Option<UpstreamBody>,
    watch: Watch,
    tap: StreamTap,
    /// What the tap has let through and nobody has taken yet, in order. The tap is fed only when this
    /// is empty and lets one piece through at the most, so that taking the first moves nothing.
    ready: Vec<Bytes>,
    end: Option<Error>,
}

impl StreamBody {
    fn new(upstream: UpstreamBody, watch: Watch, tap: StreamTap) -> Self {
        Self { upstream: Some(upstream), watch, tap, ready: Vec::new(), end: None }
    }

    fn close(&mut self, error: Option<Error>) {
        self.upstream = None;
        self.tap.finish(&mut self.ready);
        let cut = || self.tap.report().failure.clone().filter(|failure| failure.kind() == ErrorKind::ProviderCut);
        self.end = error.or_else(cut);
        // Half an event that was held back is of no use to the caller, and in the way of the error.
        if self.end.is_some() {
            self.ready.clear();
        }
    }
}

impl AnswerBody for StreamBody {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let this = &mut *self;
        loop {
            if !this.ready.is_empty() {
                return Poll::Ready(Some(Ok(this.ready.remove(0))));
            }
            let Some(upstream) = &mut this.upstream else { return Poll::Ready(this.end.take().map(Err)) };
            match ready!(upstream.poll_data(cx, &mut this.watch)) {
                Some(Ok(bytes)) => {
                    this.tap.feed(bytes, &mut this.ready);
                    if let Some(error) = this.tap.broken() {
                        // What came before it is whole, and goes out.
                        this.end = Some(error.clone());
                        this.upstream = None;
                    }
                }
                Some(Err(error)) => this.close(Some(error)),
                None => this.close(None),
            }
        }
    }

    fn report(&self) -> &Report {
        self.tap.report()
    }

    fn resume(&self) -> Option<Resume> {
        self.tap.resume()
    }
}

/// Bytes of any kind, passed on as they arrive.
struct ThroughBody {
    upstream: UpstreamBody,
    watch: Watch,
    first: Pieces,
    report: Report,
}

impl AnswerBody for ThroughBody {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let this = &mut *self;
        if !this.first.is_empty() {
            return Poll::Ready(Some(Ok(this.first.remove(0))));
        }
        let next = ready!(this.upstream.poll_data(cx, &mut this.watch));
        this.report.complete = next.is_none();
        Poll::Ready(next)
    }

    fn report(&self) -> &Report {
        &self.report
    }
}
