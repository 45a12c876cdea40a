//! A declared, simulated provider: for a first try without a key, for tests and for benchmarks.
//!
//! It answers inside the process, without a socket, as OpenAI's endpoints would: chat, legacy
//! completions, embeddings, moderations and the list of models. Every text says that it is
//! simulated, and so do the answer's `system_fingerprint` and the header `x-atp-simulated`.
//!
//! What it says depends on the seed and the request alone; when it says it, and which of the
//! configured faults befalls it, depends also on how many requests came before.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use atp_core::body::Payload;
use atp_core::port::{BoxFuture, Provider, Try};
use atp_core::{Answer, Error, ErrorKind, FullBody, Operation, Report, Usage};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::dice::Dice;
use crate::going_on;
use capacity::{Facts, Gate, Seat};
use chat::Author;
use embeddings::EmbeddingsRequest;
use generation::Generation;
use moderations::ModerationsRequest;
use pace::{Deadlines, Fault, Pace};
use refusal::Refusal;
use request::{ChatRequest, CompletionRequest};
use slip::Slip;
use stream::{PacedBody, Script};
use wire::{Shape, UsageField};

mod capacity;
mod chat;
mod config;
mod distribution;
mod embeddings;
mod generation;
mod moderations;
mod pace;
mod refusal;
mod request;
mod schema;
mod slip;
mod stream;
mod text;
mod tokens;
mod tools;
mod wire;
mod words;

pub use config::{ConfigFault, SimulatedConfig, SimulatedModel, SimulatedPrice, SimulatedRateLimit};
pub use distribution::Distribution;

/// The provider.
#[derive(Debug)]
pub struct Simulated {
    name: Arc<str>,
    seed: u64,
    models: BTreeMap<String, Model>,
    /// How many requests have come: the part of chance that is not in the request.
    count: AtomicU64,
}

#[derive(Debug)]
struct Model {
    config: SimulatedModel,
    gate: Gate,
}

/// What a request is answered with, once it has been read.
enum Content {
    /// A chat or legacy completion.
    Generation(Generation, Shape, Delivery),
    /// A body that is made at once.
    Body(Vec<u8>, Usage),
}

/// A request that has been admitted and waits for its turn.
struct Decided<'a> {
    gate: &'a Gate,
    content: Content,
    pace: Pace,
    deadlines: Deadlines,
    facts: Facts,
}

/// How a completion is given.
#[derive(Clone, Copy)]
enum Delivery {
    /// As one body.
    Whole,
    /// As events.
    Stream(UsageField),
}

/// A request as read, before its model is known.
enum Request {
    Chat(ChatRequest),
    Completion(CompletionRequest),
    Embeddings(EmbeddingsRequest),
    Moderations(ModerationsRequest),
}

impl Simulated {
    /// Makes the provider.
    ///
    /// # Errors
    /// Everything that is wrong in the configuration.
    pub fn new(name: Arc<str>, config: SimulatedConfig) -> Result<Self, Vec<ConfigFault>> {
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let model = |config: SimulatedModel| Model { gate: Gate::new(&config), config };
        let models = config.models.into_iter().map(|(name, config)| (name, model(config))).collect();
        Ok(Self { name, seed: config.seed, models, count: AtomicU64::new(0) })
    }

    /// How many requests a model with a capacity is serving now.
    #[cfg(test)]
    pub(crate) fn serving(&self, model: &str) -> usize {
        self.models.get(model).map_or(0, |model| model.gate.load().0 as usize)
    }

    /// Everything that needs no waiting: reading, counting, and deciding what to say and when.
    fn decide(&self, attempt: &Try<'_>) -> Result<Decided<'_>, Error> {
        going_on::refuse(attempt)?;
        let start = Instant::now();
        let request = Request::read(attempt).map_err(|refusal| refusal.into_error(HeaderMap::new()))?;
        let name = request.model(attempt);
        let Some((name, model)) = self.models.get_key_value(name) else {
            let known: Vec<&str> = self.models.keys().map(String::as_str).collect();
            return Err(Refusal::model(name, &known).into_error(HeaderMap::new()));
        };
        let (facts, counted) = model.gate.count(start);
        let refuse = |refusal: Refusal| refusal.into_error(facts.headers.clone());
        counted.map_err(refuse)?;
        let mut dice = Dice::new(&[self.seed, self.count.fetch_add(1, Ordering::Relaxed)]);
        if dice.chance(model.config.error_rate) {
            return Err(refuse(Refusal::failed()));
        }
        let pace = Pace::draw(&model.config, &mut dice);
        let slip = Slip::draw(&model.config, &mut dice);
        let author = Author { seed: self.seed, name, model: &model.config, slip, id: attempt.exchange.id };
        let content = request.content(&author).map_err(refuse)?;
        Ok(Decided { gate: &model.gate, content, pace, deadlines: Deadlines::new(start, attempt.timeouts), facts })
    }

    /// The list of models, for a raw call to it.
    fn list(&self, attempt: &Try<'_>) -> Option<Vec<u8>> {
        let exchange = attempt.exchange;
        let path = exchange.path.split('?').next().unwrap_or_default();
        let asked = exchange.operation == Operation::Raw && exchange.method == http::Method::GET && path == "/models";
        asked.then(|| {
            let card = |name: &String| serde_json::json!({ "id": name, "object": "model", "created": 0, "owned_by": "simulated" });
            let data: Vec<_> = self.models.keys().map(card).collect();
            serde_json::json!({ "object": "list", "data": data }).to_string().into_bytes()
        })
    }
}

impl Provider for Simulated {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn call<'a>(&'a self, attempt: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>> {
        if let Some(list) = self.list(&attempt) {
            return Box::pin(ready(Ok(full(list, Facts::default(), None))));
        }
        match self.decide(&attempt) {
            Ok(decided) => Box::pin(decided.deliver()),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

impl Request {
    fn read(attempt: &Try<'_>) -> Result<Self, Refusal> {
        let exchange = attempt.exchange;
        let path = exchange.path.split('?').next().unwrap_or_default();
        let body = match &attempt.payload {
            Payload::Rope(rope) => rope.to_bytes(),
            Payload::Once { .. } => return Err(Refusal::path(path)),
        };
        match (exchange.operation, path) {
            (Operation::Chat, _) | (Operation::Raw, "/chat/completions") => {
                let mut request = ChatRequest::read(&body)?;
                attempt.ceiling.into_iter().for_each(|most| request.bound(most));
                Ok(Self::Chat(request))
            }
            (Operation::Completions, _) | (Operation::Raw, "/completions") => {
                let mut request = CompletionRequest::read(&body)?;
                attempt.ceiling.into_iter().for_each(|most| request.bound(most));
                Ok(Self::Completion(request))
            }
            (Operation::Embeddings, _) | (Operation::Raw, "/embeddings") => {
                EmbeddingsRequest::read(&body).map(Self::Embeddings)
            }
            (Operation::Moderations, _) | (Operation::Raw, "/moderations") => {
                ModerationsRequest::read(&body).map(Self::Moderations)
            }
            (Operation::Images | Operation::Audio | Operation::Raw, _) => Err(Refusal::path(path)),
        }
    }

    /// The model asked for: the router's choice, or for a raw call the body's.
    fn model<'a>(&'a self, attempt: &'a Try<'_>) -> &'a str {
        let named = match self {
            Self::Chat(request) => &request.model,
            Self::Completion(request) => &request.model,
            Self::Embeddings(request) => &request.model,
            Self::Moderations(request) => &request.model,
        };
        match (attempt.exchange.operation, named) {
            (Operation::Raw, Some(named)) => named,
            _ => attempt.model,
        }
    }

    fn content(&self, author: &Author<'_>) -> Result<Content, Refusal> {
        let delivery = |common: &request::Common| match (common.stream(), common.include_usage()) {
            (false, _) => Delivery::Whole,
            (true, false) => Delivery::Stream(UsageField::Absent),
            (true, true) => Delivery::Stream(UsageField::Asked),
        };
        match self {
            Self::Chat(request) => {
                Ok(Content::Generation(author.chat(request)?, Shape::Chat, delivery(&request.common)))
            }
            Self::Completion(request) => {
                Ok(Content::Generation(author.completion(request)?, Shape::Completion, delivery(&request.common)))
            }
            Self::Embeddings(request) => {
                let (body, input) = request.answer(author.name, author.model)?;
                Ok(Content::Body(body, Usage { input, ..Usage::default() }))
            }
            Self::Moderations(request) => {
                let id = author.id.to_string();
                Ok(Content::Body(request.answer(author.name, &id)?, Usage::default()))
            }
        }
    }
}

impl Decided<'_> {
    /// Takes a seat and gives the answer at its pace. A stream begins at once and its body waits;
    /// anything else is told when all of it is ready, as real providers do, so that `first_byte`
    /// covers the whole work.
    async fn deliver(self) -> Result<Answer, Error> {
        let Self { gate, content, pace, deadlines, facts } = self;
        let (limit, kind) = deadlines.before_first();
        let seat = match timeout_at(limit, gate.seat()).await {
            Ok(seat) => seat.map_err(|refusal| refusal.into_error(facts.headers.clone()))?,
            Err(_) => return Err(deadlines.error(kind)),
        };
        deliver(content, pace, deadlines, seat, facts).await
    }
}

/// Gives an answer that has its seat.
async fn deliver(
    content: Content,
    pace: Pace,
    deadlines: Deadlines,
    seat: Seat,
    facts: Facts,
) -> Result<Answer, Error> {
    let seated = Instant::now();
    let (body, tokens, report) = match content {
        Content::Generation(generation, shape, Delivery::Stream(usage)) => {
            let script = Script::new(generation, shape, usage, &pace);
            let body = Box::pin(PacedBody::new(script, pace, seated, deadlines, seat));
            return Ok(Answer {
                status: StatusCode::OK,
                headers: declared(facts.headers, "text/event-stream"),
                limits: facts.limits,
                body,
            });
        }
        Content::Generation(generation, shape, Delivery::Whole) => {
            let finish = generation.choices.first().map(|choice| choice.finish);
            let report =
                Report { usage: Some(generation.usage()), finish, content: true, complete: true, failure: None };
            (wire::whole(&generation, shape), generation.longest(), report)
        }
        Content::Body(body, usage) => {
            let report = Report { usage: Some(usage), content: true, complete: true, ..Report::default() };
            (body, 1, report)
        }
    };
    let (due, fault) = match pace.fault(tokens) {
        Some((Fault::Stall, _)) => (None, None),
        Some((Fault::Cut, at)) => (Some(seated + pace.due(at)), Some(pace::cut())),
        _ => (Some(seated + pace.due(tokens.saturating_sub(1))), None),
    };
    wait(due, &deadlines).await?;
    drop(seat);
    match fault {
        Some(error) => Err(error),
        None => Ok(full(body, facts, Some(report))),
    }
}

/// Waits until an answer is ready, or for ever where it never will be, under the try's timers.
async fn wait(due: Option<Instant>, deadlines: &Deadlines) -> Result<(), Error> {
    let (limit, kind): (Instant, ErrorKind) = deadlines.before_first();
    match due {
        Some(due) if due < limit => {
            sleep_until(due).await;
            Ok(())
        }
        _ => {
            sleep_until(limit).await;
            Err(deadlines.error(kind))
        }
    }
}

/// An answer that is ready.
fn full(body: Vec<u8>, facts: Facts, report: Option<Report>) -> Answer {
    let report = report.unwrap_or(Report { content: true, complete: true, ..Report::default() });
    let body = Box::pin(FullBody::new(Bytes::from(body), report));
    let headers = declared(facts.headers, "application/json");
    Answer { status: StatusCode::OK, headers, limits: facts.limits, body }
}

fn declared(mut headers: HeaderMap, content_type: &'static str) -> HeaderMap {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(HeaderName::from_static("x-atp-simulated"), HeaderValue::from_static("true"));
    headers
}

#[cfg(test)]
mod tests;
