//! Reading a request's body: bounded in size and time, scanned while it arrives.

pub mod form;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use atp_core::{Error, ErrorKind, Fields, Operation, Rope};
use atp_dialects::openai::prompt;
use atp_dialects::scan::{Scanner, scan};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::clock;
use crate::doorbell::muffled;
use crate::settings::Limits;

/// A caller that sends at least this many bytes a second is never cut off.
const SLOWEST: u32 = 16 * 1024;

/// Reads pieces of a body under its limits.
pub(crate) struct Intake<B = Incoming> {
    body: B,
    limits: Limits,
    started: Instant,
    received: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Intake<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    /// Checks what can be known before the first byte.
    pub(crate) fn new(body: B, headers: &HeaderMap, limits: &Limits, started: Instant) -> Result<Self, Error> {
        if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|value| value.as_bytes() != b"identity") {
            let text = format!("content-encoding {encoding:?} is not understood; send the body without compression");
            return Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("content-encoding"));
        }
        let intake = Self { body, limits: limits.clone(), started, received: 0, timer: None };
        match intake.body.size_hint().lower() {
            announced if announced > limits.max_body as u64 => Err(intake.too_large(announced)),
            _ => Ok(intake),
        }
    }

    /// The next piece, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        let body = Pin::new(&mut self.body);
        let (polled, struck) = muffled(|| body.poll_frame(cx));
        if let Some(bell) = struck.filter(|_| !self.body.is_end_stream()) {
            // The connection waits for room to read on.
            bell.wake();
        }
        if let Poll::Ready(frame) = polled {
            self.timer = None;
            return Poll::Ready(match frame {
                None => Ok(None),
                Some(Ok(frame)) => self.count(frame.into_data().unwrap_or_default()).map(Some),
                Some(Err(cause)) => {
                    let text = "the request's body ended before all of it was sent";
                    Err(Error::caller(ErrorKind::Cancelled, text).with_cause(cause))
                }
            });
        }
        // The timer is made only once there is something to wait for: a body that came with its
        // head, as nearly all do, never needs it.
        let deadline = self.started + self.limits.body_timeout + seconds_for(self.received);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        timer.as_mut().poll(cx).map(|()| Err(self.too_slow()))
    }

    fn count(&mut self, piece: Bytes) -> Result<Bytes, Error> {
        self.received += piece.len();
        if self.received > self.limits.max_body {
            return Err(self.too_large(self.received as u64));
        }
        Ok(piece)
    }

    /// Whether everything has been read.
    pub(crate) fn ended(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Bytes still to come, where the caller announced them.
    pub(crate) fn left(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    fn too_large(&self, size: u64) -> Error {
        let text = format!(
            "the body is at least {size} bytes, and this router takes at most {}; send less, or raise limits.max_body",
            self.limits.max_body
        );
        Error::caller(ErrorKind::BodyTooLarge, text)
    }

    fn too_slow(&self) -> Error {
        let text = format!(
            "the body came too slowly: {} bytes in {:?}; send faster, or raise limits.body_timeout",
            self.received,
            clock::now() - self.started
        );
        Error::caller(ErrorKind::RequestTimeout, text)
    }
}

fn seconds_for(bytes: usize) -> Duration {
    Duration::from_secs(bytes as u64) / SLOWEST
}

/// Reads and scans a JSON body.
pub(crate) async fn json(intake: &mut Intake, operation: Operation) -> Result<(Rope, Fields), Error> {
    let mut scanner = Scanner::new();
    let mut rope = Rope::new();
    while !intake.ended() {
        let Some(piece) = intake.next().await? else { break };
        scanner.push(&piece);
        rope.push(piece);
    }
    let fields = scanner.finish()?;
    fits(&intake.limits, operation, &rope)?;
    Ok((rope, fields))
}

/// Reads a body that is looked at once it is whole.
pub(crate) async fn whole(intake: &mut Intake) -> Result<Bytes, Error> {
    let mut rope = Rope::new();
    while !intake.ended() {
        let Some(piece) = intake.next().await? else { break };
        rope.push(piece);
    }
    Ok(rope.to_bytes())
}

/// Scans a body that is in memory.
pub(crate) fn scanned(limits: &Limits, operation: Operation, rope: &Rope) -> Result<Fields, Error> {
    let fields = scan(rope)?;
    fits(limits, operation, rope)?;
    Ok(fields)
}

/// Whether a prompt is no longer than the limit.
fn fits(limits: &Limits, operation: Operation, rope: &Rope) -> Result<(), Error> {
    // A body has at least as many bytes as its prompt has characters.
    let Some(limit) = limits.max_prompt_chars.filter(|limit| rope.len() as u64 > *limit) else { return Ok(()) };
    let chars = prompt::chars(operation, rope)?;
    if chars > limit {
        let text = format!(
            "the prompt has {chars} characters, and this router takes at most {limit}; shorten it, or raise limits.max_prompt_chars"
        );
        return Err(Error::caller(ErrorKind::PromptTooLarge, text).with_param("messages"));
    }
    Ok(())
}
