//! The oldest form of a chat: a prompt as JSON in, typed pieces of text out.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atp_core::answer::BoxBody;
use atp_core::port::Try;
use atp_core::{Answer, Continuity, Error, Exchange, Finish, Payload, Timeouts, Usage};
use atp_dialects::openai::chat::{Said, said};
use atp_proto::adapter::v1::StreamResponse;
use futures_util::Stream;
use serde_json::{Value, json};
use tonic::Status;

use super::health::Call;
use super::{Host, exchange};

/// The answer's messages.
pub(super) type Replies = Pin<Box<dyn Stream<Item = Result<StreamResponse, Status>> + Send>>;

/// Answers one call. Whether the provider streams is the prompt's `stream`; the answer's form is the same.
///
/// # Errors
/// The adapter is leaving; anything else is told in a message.
pub(super) async fn stream(host: &Host, prompt: &str) -> Result<Replies, Status> {
    let mut call = host.health.begin()?;
    match ask(host, prompt).await {
        Ok(answer) => Ok(Box::pin(Pieces { answer: Some(answer), said: Said::new(), text: String::new(), call })),
        Err(error) => {
            call.failed(&error);
            Ok(Box::pin(futures_util::stream::iter([Ok(failure(&error))])))
        }
    }
}

async fn ask(host: &Host, prompt: &str) -> Result<Answer, Error> {
    let mut exchange: Exchange = exchange::chat(prompt)?;
    let payload = std::mem::replace(&mut exchange.payload, Payload::Rope(atp_core::Rope::new()));
    let model = exchange.model.to_string();
    let attempt = Try {
        exchange: &exchange,
        model: &model,
        payload,
        continuity: Continuity::None,
        ceiling: None,
        timeouts: Timeouts::default(),
    };
    host.provider.call(attempt).await
}

struct Pieces {
    /// `None` once it has ended.
    answer: Option<Answer>,
    said: Said,
    /// The text so far.
    text: String,
    call: Call,
}

impl Pieces {
    fn piece(&mut self, body: &mut BoxBody, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(whole) = body.as_mut().take_full() {
            self.text = said(&whole).unwrap_or_default();
            return Poll::Ready(Step::End);
        }
        loop {
            match ready!(body.as_mut().poll_chunk(cx)) {
                Some(Ok(bytes)) => {
                    let before = self.text.len();
                    self.said.feed(&bytes, &mut self.text);
                    if self.text.len() > before {
                        return Poll::Ready(Step::Partial(self.text.get(before..).unwrap_or_default().to_owned()));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Step::Failed(error)),
                None => {
                    self.said.finish(&mut self.text);
                    return Poll::Ready(Step::End);
                }
            }
        }
    }
}

enum Step {
    Partial(String),
    End,
    Failed(Error),
}

impl Stream for Pieces {
    type Item = Result<StreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(mut answer) = this.answer.take() else { return Poll::Ready(None) };
        let step = this.piece(&mut answer.body, cx);
        let report = answer.body.report();
        let usage = report.usage;
        let message = match step {
            Poll::Pending => {
                this.answer = Some(answer);
                return Poll::Pending;
            }
            Poll::Ready(Step::Partial(text)) => {
                let message = reply("agent.result.partial", &json!({ "text": text }), usage, More::Yes);
                this.answer = Some(answer);
                message
            }
            Poll::Ready(Step::End) => {
                this.call.served();
                let finish = report.finish.map_or("stop", Finish::label);
                let content = json!({ "text": this.text, "finish_reason": finish });
                reply("agent.result.final", &content, usage, More::No)
            }
            Poll::Ready(Step::Failed(error)) => {
                this.call.failed(&error);
                failure(&error)
            }
        };
        Poll::Ready(Some(Ok(message)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

fn failure(error: &Error) -> StreamResponse {
    let pause = error.retry_after().map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
    let content = json!({ "code": error.kind().code(), "message": error.public(), "retry_after_ms": pause });
    reply("agent.result.error", &content, None, More::No)
}

fn reply(kind: &str, content: &Value, usage: Option<Usage>, more: More) -> StreamResponse {
    let Usage { input, output, .. } = usage.unwrap_or_default();
    StreamResponse {
        r#type: kind.to_owned(),
        content_json: content.to_string(),
        // Nobody has measured how sure the model is.
        confidence: 0.0,
        partial_in_tokens: input,
        partial_out_tokens: output,
        partial_usd_micros: 0,
        more: more == More::Yes,
    }
}
