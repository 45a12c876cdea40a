//! The body of an ask that is answered in pieces: the provider's stream on one side, messages on the other. It is
//! pulled by the caller, so that who reads slowly slows the provider, and who leaves ends it.
//!
//! Each message is a piece of its own, so that on HTTP/1.1 it is a chunk of its own: callers are known who take what
//! they read at a time for one message.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use atp_core::answer::BoxBody;
use atp_core::{Answer, AnswerBody, Error, MicroUsd, Plan, PlanEvent, Report, Status};
use atp_dialects::native::{Answered, Framing, aborted, chunk, event, final_message, plan_line};
use atp_dialects::openai::chat::{Said, said};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use super::ask::{LONGEST, too_long};
use crate::clock;

/// What is known of an answer before it comes.
#[derive(Debug)]
pub(super) struct Known {
    /// The router's name of the model that answers.
    pub(super) model: Arc<str>,
    /// Where that one stands in its life.
    pub(super) phase: Option<Status>,
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) events: Vec<PlanEvent>,
    /// What of the request has no effect.
    pub(super) notes: Vec<String>,
    /// What it costs, where that is known before it comes.
    pub(super) cost: Option<MicroUsd>,
    pub(super) received: Instant,
}

/// Messages in the place of a provider's stream.
pub(super) struct Told {
    body: BoxBody,
    known: Known,
    framing: Framing,
    reader: Reader,
    text: String,
    /// Chunks that have gone out.
    told: u64,
    /// Messages that have not gone out.
    out: VecDeque<Bytes>,
    stage: Stage,
}

/// How the answer's text is found.
enum Reader {
    /// In a stream of events.
    Events(Said),
    /// In a reply that came as one although a stream was asked for.
    Whole(Vec<u8>),
}

enum Stage {
    /// Nothing has gone out.
    Plan,
    /// Nothing of the provider's has been read: all of it may lie in memory.
    Fresh,
    Text,
    Done,
}

impl Told {
    pub(super) fn new(answer: Answer, known: Known, framing: Framing) -> Self {
        let events = answer.headers.get(CONTENT_TYPE);
        let events = events.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        let reader = if events { Reader::Events(Said::new()) } else { Reader::Whole(Vec::new()) };
        let (text, out) = (String::new(), VecDeque::new());
        Self { body: answer.body, known, framing, reader, text, told: 0, out, stage: Stage::Plan }
    }

    /// The plan, and what has happened since.
    fn first(&mut self) {
        let Known { plan, model, notes, events, .. } = &self.known;
        self.out.push_back(message(self.framing, &plan_line(plan.as_deref(), model, notes)));
        self.out.extend(events.iter().map(|happened| message(self.framing, &event(happened))));
    }

    /// Reads a piece of the provider's answer.
    fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        let before = self.text.len();
        let held = match &mut self.reader {
            Reader::Events(said) => {
                said.feed(piece, &mut self.text);
                0
            }
            Reader::Whole(held) => {
                held.extend_from_slice(piece);
                held.len()
            }
        };
        self.say(before);
        if self.text.len().max(held) > LONGEST { Err(too_long()) } else { Ok(()) }
    }

    /// The provider's answer has come to its end.
    fn end(&mut self) {
        let before = self.text.len();
        match &mut self.reader {
            Reader::Events(said) => said.finish(&mut self.text),
            Reader::Whole(held) => self.text.push_str(&said(held).unwrap_or_default()),
        }
        self.say(before);
    }

    /// Tells the text from `before` on, where there is any.
    fn say(&mut self, before: usize) {
        let fresh = self.text.get(before..).unwrap_or_default();
        if !fresh.is_empty() {
            self.told += 1;
            self.out.push_back(message(self.framing, &chunk(self.told, fresh, &self.known.model)));
        }
    }

    /// The last message.
    fn last(&mut self, failure: Option<&Error>) {
        let report = self.body.report();
        let answered = Answered {
            text: &self.text,
            model: &self.known.model,
            usage: report.usage,
            finish: report.finish,
            cost: self.body.cost().or(self.known.cost),
            latency: clock::now().saturating_duration_since(self.known.received),
            phase: self.known.phase,
            plan: self.known.plan.as_deref(),
            events: &self.known.events,
        };
        let last = match failure.or(report.failure.as_ref()) {
            Some(error) => message(self.framing, &aborted(&answered, error)),
            None => message(self.framing, &final_message(&answered)),
        };
        self.out.push_back(last);
        self.stage = Stage::Done;
    }

    /// The next of the provider's bytes.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if matches!(self.stage, Stage::Fresh) {
            self.stage = Stage::Text;
            if let Some(bytes) = self.body.as_mut().take_full() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
        self.body.as_mut().poll_chunk(cx)
    }
}

fn message(framing: Framing, message: &impl Serialize) -> Bytes {
    let mut out = Vec::new();
    framing.put(message, &mut out);
    Bytes::from(out)
}

impl AnswerBody for Told {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if let Some(message) = self.out.pop_front() {
                return Poll::Ready(Some(Ok(message)));
            }
            match self.stage {
                Stage::Plan => {
                    // It goes out at once: the provider may think for long before its first word.
                    self.stage = Stage::Fresh;
                    self.first();
                    continue;
                }
                Stage::Fresh | Stage::Text => {}
                Stage::Done => return Poll::Ready(None),
            }
            match ready!(self.poll_answer(cx)) {
                Some(Ok(piece)) => {
                    if let Err(error) = self.feed(&piece) {
                        self.last(Some(&error));
                    }
                }
                Some(Err(error)) => self.last(Some(&error)),
                None => {
                    self.end();
                    self.last(None);
                }
            }
        }
    }

    fn report(&self) -> &Report {
        self.body.report()
    }

    fn cost(&self) -> Option<MicroUsd> {
        self.body.cost()
    }
}
