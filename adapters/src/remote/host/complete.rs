//! One try: the request's messages in, the answer's messages out.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atp_core::answer::BoxBody;
use atp_core::port::Try;
use atp_core::{Answer, Continuity, Error, ErrorKind, Exchange, Operation, Payload, Rope, Usage};
use atp_proto::adapter::v1::{CompleteRequest, CompleteResponse, Report, RequestHead, ResponseHead};
use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame};
use tonic::{Status, Streaming};

use super::super::values;
use super::health::Call;
use super::{Host, exchange};

/// The answer's messages.
pub(super) type Replies = Pin<Box<dyn Stream<Item = Result<CompleteResponse, Status>> + Send>>;

/// Answers one call.
///
/// # Errors
/// A call that is not what the protocol says; whatever happens to the request is told in a message.
pub(super) async fn complete(host: &Host, mut messages: Streaming<CompleteRequest>) -> Result<Replies, Status> {
    let mut call = host.health.begin()?;
    let first = messages.message().await?.ok_or_else(|| Status::invalid_argument("the call holds no message"))?;
    let head = first.head.ok_or_else(|| Status::invalid_argument("the first message holds no `head`"))?;
    let answer = answer(host, head, first.body, messages).await;
    Ok(match answer {
        Ok((answer, lesson)) => replies(answer, lesson, call),
        Err(error) => {
            call.failed(&error);
            one(CompleteResponse { error: Some(values::error_value(&error)), ..CompleteResponse::default() })
        }
    })
}

async fn answer(
    host: &Host,
    mut head: RequestHead,
    first: Bytes,
    messages: Streaming<CompleteRequest>,
) -> Result<(Answer, Option<Lesson>), Error> {
    let timeouts = values::timeouts_of(head.timeouts.take());
    let (model, ceiling) = (head.model.clone(), head.ceiling);
    let resume = head.resume.take().map(values::resume_of);
    let upload =
        matches!(values::operation_of(head.operation), Some(Operation::Images | Operation::Audio | Operation::Raw));
    let (exchange, payload, kept) = if upload {
        // What follows is sent on while it arrives: uploads can be of any length.
        let head_of_body = Rope::from(first);
        let exchange = exchange::of_head(head, &head_of_body)?;
        (exchange, Payload::Once { head: head_of_body, rest: Box::pin(Rest(messages)) }, None)
    } else {
        let body = gather(first, messages, host.most).await?;
        let kept = host.health.teaches().then(|| body.clone());
        (exchange::of_head(head, &body)?, Payload::Rope(body), kept)
    };
    let continuity = resume.as_ref().map_or(Continuity::None, Continuity::Continue);
    let attempt = Try { exchange: &exchange, model: &model, payload, continuity, ceiling, timeouts };
    let answer = host.provider.call(attempt).await?;
    Ok((answer, lesson(host, exchange, kept)))
}

/// The whole of a request's body.
async fn gather(first: Bytes, mut messages: Streaming<CompleteRequest>, most: usize) -> Result<Rope, Error> {
    let mut body = Rope::from(first);
    loop {
        if body.len() > most {
            let text = format!("the request is larger than the {most} bytes that this adapter takes");
            return Err(Error::caller(ErrorKind::BodyTooLarge, text));
        }
        match messages.message().await.map_err(|status| left(&status))? {
            Some(message) => body.push(message.body),
            None => return Ok(body),
        }
    }
}

fn left(status: &Status) -> Error {
    Error::caller(ErrorKind::Cancelled, "the request broke off").with_cause(status)
}

/// The rest of a body that is sent on while it arrives.
struct Rest(Streaming<CompleteRequest>);

impl Body for Rest {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let next = ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(next.map(|message| match message {
            Ok(message) => Ok(Frame::data(message.body)),
            Err(status) => Err(left(&status)),
        }))
    }
}

/// What is to be learnt of a request's end.
type Lesson = Box<dyn FnOnce(Usage) + Send>;

/// Somebody has asked for estimates, so that what a request used is worth reading it for.
fn lesson(host: &Host, mut exchange: Exchange, body: Option<Rope>) -> Option<Lesson> {
    let estimates = std::sync::Arc::clone(&host.estimates);
    exchange.payload = Payload::Rope(body?);
    Some(Box::new(move |usage| estimates.learn(&exchange, &usage)))
}

fn replies(answer: Answer, lesson: Option<Lesson>, mut call: Call) -> Replies {
    let Answer { status, headers, limits, mut body } = answer;
    let head = ResponseHead {
        status: u32::from(status.as_u16()),
        headers: values::headers(&headers),
        limits: values::limits(&limits),
    };
    if let Some(whole) = body.as_mut().take_full() {
        let report = body.report();
        call.served();
        if let (Some(lesson), Some(usage)) = (lesson, report.usage) {
            lesson(usage);
        }
        let report = Some(values::report(report));
        return one(CompleteResponse { head: Some(head), body: whole, report, error: None });
    }
    Box::pin(Pieces { body: Some(body), head: Some(head), told: None, call, lesson })
}

fn one(message: CompleteResponse) -> Replies {
    Box::pin(futures_util::stream::iter([Ok(message)]))
}

/// The messages of a stream, each sent as it comes; those that are ready together go out together, because the
/// encoder asks for more until there is none.
struct Pieces {
    /// `None` once it has ended.
    body: Option<BoxBody>,
    /// Until it has been sent.
    head: Option<ResponseHead>,
    /// The report that was sent last.
    told: Option<Report>,
    call: Call,
    lesson: Option<Lesson>,
}

impl Stream for Pieces {
    type Item = Result<CompleteResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let next = ready!(body.as_mut().poll_chunk(cx));
        let now = body.report();
        let report = Some(values::report(now)).filter(|report| this.told.as_ref() != Some(report));
        let mut message = CompleteResponse { head: this.head.take(), report, ..CompleteResponse::default() };
        this.told = message.report.clone().or_else(|| this.told.take());
        match next {
            Some(Ok(bytes)) => message.body = bytes,
            Some(Err(error)) => {
                this.call.failed(&error);
                message.error = Some(values::error_value(&error));
                this.body = None;
            }
            None => {
                this.call.served();
                if let (Some(lesson), Some(usage)) = (this.lesson.take(), now.usage) {
                    lesson(usage);
                }
                this.body = None;
            }
        }
        Poll::Ready(Some(Ok(message)))
    }
}
