//! An answer as it grows, under the try's timers: as events, or gathered to one body.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use atp_core::{AnswerBody, Error, ErrorKind, Finish, Report, Usage};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, Sleep, sleep_until};

use super::line::Said;
use crate::deadlines::{Deadlines, cut};
use crate::head::{Head, Shape, event, finish_name, usage_json};
use crate::refusal::Refusal;

/// An answer. Dropping it tells the model to stop.
pub(super) struct Growing {
    pub(super) said: UnboundedReceiver<Said>,
    pub(super) head: Head,
    pub(super) input: u64,
    pub(super) deadlines: Deadlines,
}

impl Growing {
    /// The next thing said, under the timers that bound the wait for an answer's first byte.
    pub(super) async fn first(&mut self) -> Result<Said, Error> {
        let (limit, kind) = self.deadlines.before_first();
        match tokio::time::timeout_at(limit, self.said.recv()).await {
            Err(_) => Err(self.deadlines.error(kind)),
            Ok(None) => Err(cut()),
            Ok(Some(Said::Failed(error))) => Err(failed(&error).into_error(http::HeaderMap::new())),
            Ok(Some(said)) => Ok(said),
        }
    }

    /// All of it as one body.
    pub(super) async fn whole(mut self) -> Result<(Vec<u8>, Report), Error> {
        let mut text = String::new();
        let (made, finish) = loop {
            match self.first().await? {
                Said::End(rest, made, finish) => {
                    text.push_str(&rest);
                    break (made, finish);
                }
                Said::More(more, _) => text.push_str(&more),
                Said::Failed(error) => return Err(failed(&error).into_error(http::HeaderMap::new())),
            }
        };
        let mut choice = json!({ "index": 0, "finish_reason": finish_name(finish), "logprobs": null });
        if let Value::Object(choice) = &mut choice {
            match self.head.shape {
                Shape::Chat => {
                    let message = json!({ "role": "assistant", "content": text, "refusal": null });
                    choice.insert("message".to_owned(), message)
                }
                Shape::Completion => choice.insert("text".to_owned(), json!(text)),
            };
        }
        let usage = Usage { input: self.input, output: made, ..Usage::default() };
        let mut answer = self.head.envelope(false);
        answer.insert("choices".to_owned(), json!([choice]));
        answer.insert("usage".to_owned(), usage_json(usage));
        let report =
            Report { usage: Some(usage), finish: Some(finish), content: true, complete: true, ..Report::default() };
        Ok((Value::Object(answer).to_string().into_bytes(), report))
    }
}

/// The refusal of a model that failed.
fn failed(error: &str) -> Refusal {
    Refusal::new(http::StatusCode::INTERNAL_SERVER_ERROR, "server_error", None, format!("the model failed: {error}"))
}

/// The body of a stream.
pub(super) struct Stream {
    growing: Growing,
    include_usage: bool,
    /// What had been said before the body was asked.
    first: Option<Said>,
    begun: bool,
    /// When the present wait began.
    waiting: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
    ended: bool,
    /// An error that comes behind the events before it.
    broken: Option<Error>,
    report: Report,
}

impl Stream {
    pub(super) fn new(growing: Growing, first: Said, include_usage: bool) -> Self {
        let sleep = Box::pin(sleep_until(growing.deadlines.total));
        let report = Report::default();
        let (first, begun) = (Some(first), false);
        Self { growing, include_usage, first, begun, waiting: None, sleep, ended: false, broken: None, report }
    }

    /// Takes what has been said up to now.
    fn gather(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) {
        while !self.ended {
            let said = match self.first.take() {
                Some(said) => Some(said),
                None => match self.growing.said.poll_recv(cx) {
                    Poll::Ready(said) => said,
                    Poll::Pending => return,
                },
            };
            match said {
                Some(said) => self.write(said, out),
                None => {
                    self.ended = true;
                    self.broken = Some(cut());
                }
            }
        }
    }

    fn write(&mut self, said: Said, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            if self.growing.head.shape == Shape::Chat {
                self.chunk(json!({ "delta": { "role": "assistant", "content": "" } }), None, out);
            }
        }
        match said {
            Said::More(text, made) => self.text(&text, made, out),
            Said::End(text, made, finish) => {
                self.text(&text, made, out);
                self.end(finish, out);
            }
            Said::Failed(error) => {
                let refusal = failed(&error);
                let told: Value = serde_json::from_slice(&refusal.body()).unwrap_or_default();
                event(&told, out);
                self.report.failure = Some(refusal.in_stream());
                self.ended = true;
            }
        }
    }

    fn text(&mut self, text: &str, made: u64, out: &mut Vec<u8>) {
        self.report.usage = Some(Usage { input: self.growing.input, output: made, ..Usage::default() });
        if text.is_empty() {
            return;
        }
        self.report.content = true;
        let choice = match self.growing.head.shape {
            Shape::Chat => json!({ "delta": { "content": text } }),
            Shape::Completion => json!({ "text": text }),
        };
        self.chunk(choice, None, out);
    }

    fn end(&mut self, finish: Finish, out: &mut Vec<u8>) {
        self.report.finish = Some(finish);
        let is_chat = self.growing.head.shape == Shape::Chat;
        let last = if is_chat { json!({ "delta": {} }) } else { json!({ "text": "" }) };
        self.chunk(last, Some(finish_name(finish)), out);
        if self.include_usage {
            let mut chunk = self.growing.head.envelope(true);
            chunk.insert("choices".to_owned(), json!([]));
            chunk.insert("usage".to_owned(), usage_json(self.report.usage.unwrap_or_default()));
            event(&Value::Object(chunk), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.report.complete = true;
        self.ended = true;
    }

    fn chunk(&self, mut choice: Value, finish: Option<&str>, out: &mut Vec<u8>) {
        if let Value::Object(choice) = &mut choice {
            choice.insert("index".to_owned(), json!(0));
            choice.insert("finish_reason".to_owned(), json!(finish));
            choice.insert("logprobs".to_owned(), Value::Null);
        }
        let mut chunk = self.growing.head.envelope(true);
        chunk.insert("choices".to_owned(), json!([choice]));
        if self.include_usage {
            chunk.insert("usage".to_owned(), Value::Null);
        }
        event(&Value::Object(chunk), out);
    }

    fn fail(&mut self, kind: ErrorKind) -> Poll<Option<Result<Bytes, Error>>> {
        self.ended = true;
        // The model stops at its next token.
        self.growing.said.close();
        Poll::Ready(Some(Err(self.growing.deadlines.error(kind))))
    }
}

impl AnswerBody for Stream {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let this = &mut *self;
        let now = Instant::now();
        if !this.ended && now >= this.growing.deadlines.total {
            return this.fail(ErrorKind::TimeoutTotal);
        }
        let mut out = Vec::new();
        this.gather(cx, &mut out);
        if !out.is_empty() {
            this.waiting = None;
            return Poll::Ready(Some(Ok(Bytes::from(out))));
        }
        if this.ended {
            return Poll::Ready(this.broken.take().map(Err));
        }
        let since = *this.waiting.get_or_insert(now);
        let (limit, kind) = this.growing.deadlines.between(since);
        if this.sleep.deadline() != limit {
            this.sleep.as_mut().reset(limit);
        }
        match this.sleep.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => this.fail(kind),
        }
    }

    fn report(&self) -> &Report {
        &self.report
    }
}
