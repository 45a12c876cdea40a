//! What comes back: an answer whose body owns everything that was borrowed for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::Status;
use crate::error::Error;
use crate::money::MicroUsd;
use crate::plan::{Plan, PlanEvent};
use crate::rate::RateFacts;
use crate::resume::Resume;
use crate::usage::Usage;

/// Why a model stopped. Small and closed: a ledger column and a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finish {
    /// It was done.
    Stop,
    /// It reached its length limit.
    Length,
    /// It calls tools.
    ToolCalls,
    /// A filter ended it.
    ContentFilter,
    /// Another reason.
    Other,
}

impl Finish {
    /// Every reason, for metrics.
    pub const ALL: [Self; 5] = [Self::Stop, Self::Length, Self::ToolCalls, Self::ContentFilter, Self::Other];

    /// The metric label and ledger value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other => "other",
        }
    }
}

/// What a body has told so far. Read it after each chunk and once more at the end: the last one
/// before the end or the drop is what counts.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Tokens, where the provider told them.
    pub usage: Option<Usage>,
    /// Why the model stopped, where the provider told it.
    pub finish: Option<Finish>,
    /// Whether content (not only a role, a comment or white space) has been seen.
    pub content: bool,
    /// Whether the answer came to its proper end.
    pub complete: bool,
    /// An error told inside an answer whose status said success. The bytes that tell it have been
    /// or will be yielded unchanged; it is here so that it is counted, and so that a try that has
    /// yielded no content can be given up for another.
    pub failure: Option<Error>,
}

/// A pull-driven answer body. Dropping it cancels what is behind it and gives back what it holds.
pub trait AnswerBody: Send {
    /// The next bytes. `None` is the proper end; an error is the end too.
    fn poll_chunk(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>>;

    /// What has been learned up to the chunks already yielded.
    fn report(&self) -> &Report;

    /// Takes the whole body at once where all of it is already in memory, so that it can go out
    /// with a length in one write. After `Some`, `poll_chunk` yields `None`.
    fn take_full(self: Pin<&mut Self>) -> Option<Bytes> {
        None
    }

    /// What another try needs to go on with this stream, should it break off now; `None` where none can,
    /// or where the try was not asked to remember it ([`crate::Continuity`]).
    fn resume(&self) -> Option<Resume> {
        None
    }

    /// Whether it was ended, or its provider told to end it, for what its caller may spend: nobody else may be
    /// given such an answer. Known once it has ended.
    fn is_cut(&self) -> bool {
        false
    }

    /// What the answer has cost, once it has ended; `None` before, and where its price or its usage
    /// is not known. Providers know no prices: the body that keeps the books tells it.
    fn cost(&self) -> Option<MicroUsd> {
        None
    }
}

/// A boxed body.
pub type BoxBody = Pin<Box<dyn AnswerBody>>;

/// A body that is already in memory.
#[derive(Debug)]
pub struct FullBody {
    bytes: Option<Bytes>,
    report: Report,
}

impl FullBody {
    /// Wraps bytes and what is known about them.
    #[must_use]
    pub fn new(bytes: Bytes, report: Report) -> Self {
        Self { bytes: Some(bytes), report }
    }
}

impl AnswerBody for FullBody {
    fn poll_chunk(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        Poll::Ready(self.bytes.take().filter(|bytes| !bytes.is_empty()).map(Ok))
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn take_full(mut self: Pin<&mut Self>) -> Option<Bytes> {
        self.bytes.take()
    }
}

/// A provider's answer.
pub struct Answer {
    /// The status to pass on.
    pub status: StatusCode,
    /// The headers to pass on: content type and the provider's own facts, no hop-by-hop fields.
    pub headers: HeaderMap,
    /// What the provider told about its rate limits.
    pub limits: RateFacts,
    /// The bytes.
    pub body: BoxBody,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Where an answer came from that no provider made for this exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reused {
    /// It was kept.
    Hit,
    /// It was being made for an identical request.
    Coalesced,
}

impl Reused {
    /// The value of `x-atp-cache`, and the metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Coalesced => "coalesced",
        }
    }
}

/// What the router tells about an exchange beside the answer: the `x-atp-*` headers.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// The provider that answered last.
    pub provider: Option<Arc<str>>,
    /// The model that answered, by the provider's name for it.
    pub model: Option<Arc<str>>,
    /// How many tries were made.
    pub attempts: u32,
    /// What it cost, where that is known before the headers go out.
    pub cost: Option<MicroUsd>,
    /// The time spent waiting for providers up to the first byte of the answer; the rest of the
    /// exchange's age is the router's own.
    pub waited: Duration,
    /// The time spent in the queue for a fair turn.
    pub queued: Duration,
    /// Where the answer came from, where no provider made it for this exchange.
    pub reused: Option<Reused>,
    /// Why this model answers, where the router chose it (`x-atp-plan`).
    pub plan: Option<Arc<Plan>>,
    /// The router's model that answered, where the router chose it.
    pub chosen: Option<Arc<str>>,
    /// Where the model that answers stood in its life when its answer began.
    pub phase: Option<Status>,
    /// What happened on the way, in its order.
    pub events: Vec<PlanEvent>,
}

/// An answer or a refusal, with the notes that belong to both.
#[derive(Debug)]
pub struct Reply {
    /// What the router tells about it.
    pub notes: Notes,
    /// The answer, or why there is none.
    pub result: Result<Answer, Error>,
}
