//! Ollama by its own API: `/api/chat`, `/api/generate` and `/api/embed`, with OpenAI's dialect
//! towards the caller. Everything else below its address is passed through as it is.
//!
//! Its own API carries what the compatible endpoint drops: reasoning, model options, `keep_alive`,
//! probabilities. What it cannot carry is told in the answer's `x-atp-losses`.

mod messages;
mod reply;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use atp_core::port::{BoxFuture, Provider, Try};
use atp_core::{
    Answer, AnswerBody, Error, ErrorKind, FullBody, Operation, Payload, RateFacts, Report, Rope, Secret, Timeouts,
};
use atp_dialects::openai::errors;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use crate::going_on;
use crate::http_client::{
    Collected, HttpClient, Incoming, OriginError, Outgoing, SendBody, UpstreamBody, Watch, collect,
};

use reply::{Head, Shape};
use request::Translated;
use stream::Decoder;

/// The largest whole answer, in bytes: embeddings of two thousand texts stay below it.
const WHOLE_ANSWER_CAP: usize = 256 << 20;

/// The most of an error body that is kept.
const ERROR_BODY_CAP: usize = 64 * 1024;

/// What is known of one Ollama.
#[derive(Debug, Clone)]
pub struct OllamaConfig {
    /// The configured name.
    pub name: Arc<str>,
    /// A key, where a proxy before it wants one; sent as `authorization: Bearer`.
    pub api_key: Option<Secret>,
    /// Headers added to every call.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// The provider.
pub struct Ollama {
    name: Arc<str>,
    client: HttpClient,
    fixed: HeaderMap,
    chat: Uri,
    generate: Uri,
    embed: Uri,
}

/// What is to be done with an answer.
enum Plan {
    Completion(Head, Translated),
    Embeddings(Arc<str>, Translated),
    Raw,
}

/// Everything of a try that outlives its start.
struct Prepared {
    plan: Plan,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: SendBody,
    timeouts: Timeouts,
}

impl Ollama {
    /// Makes the provider. Opens nothing.
    ///
    /// # Errors
    /// A key that cannot be sent, or a base URL that belongs to the compatible endpoint.
    pub fn new(config: OllamaConfig, client: HttpClient) -> Result<Self, OriginError> {
        let origin = client.origin();
        if origin.base().ends_with("/v1") || origin.base().ends_with("/api") {
            let base = origin.base();
            let text = format!(
                "base_url ends in {base}; Ollama's own API wants the address alone, such as http://127.0.0.1:11434 \
                 (the compatible endpoint below /v1 is kind openai)"
            );
            return Err(OriginError(text));
        }
        let mut fixed = HeaderMap::new();
        fixed.insert(HOST, origin.host_header().clone());
        // The answer's bytes are read here, so they must come as they are.
        fixed.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in &config.headers {
            fixed.insert(name.clone(), value.clone());
        }
        if let Some(key) = config.api_key.filter(|key| !key.is_empty()) {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose())).map_err(|_| {
                OriginError(format!("the key of provider {:?} holds bytes that no header can carry", config.name))
            })?;
            value.set_sensitive(true);
            fixed.insert(AUTHORIZATION, value);
        }
        let (chat, generate, embed) =
            (origin.target("/api/chat")?, origin.target("/api/generate")?, origin.target("/api/embed")?);
        Ok(Self { name: config.name, client, fixed, chat, generate, embed })
    }

    fn prepare(&self, attempt: Try<'_>) -> Result<Prepared, Error> {
        going_on::refuse(&attempt)?;
        let Try { exchange, model, payload, timeouts, ceiling, .. } = attempt;
        if exchange.operation == Operation::Raw {
            let uri = self.client.origin().target(&exchange.path);
            let uri = uri.map_err(|error| Error::caller(ErrorKind::InvalidRequest, error.0))?;
            let mut headers = exchange.headers.clone();
            headers.extend(self.fixed.clone());
            let (method, body) = (exchange.method.clone(), SendBody::from(payload));
            return Ok(Prepared { plan: Plan::Raw, method, uri, headers, body, timeouts });
        }
        let Payload::Rope(rope) = payload else { return Err(no_such(exchange.operation)) };
        let bytes = rope.to_bytes();
        let id = exchange.id.to_string();
        let head = |shape| Head {
            shape,
            id: id.trim_start_matches("req_").to_owned(),
            created: exchange.id.unix_millis() / 1000,
            model: model.to_owned(),
            fingerprint: Arc::from(reply::FINGERPRINT),
        };
        let (plan, uri) = match exchange.operation {
            Operation::Chat => {
                (Plan::Completion(head(Shape::Chat), request::chat(&bytes, model)?.bounded(ceiling)), &self.chat)
            }
            Operation::Completions => (
                Plan::Completion(head(Shape::Completion), request::generate(&bytes, model)?.bounded(ceiling)),
                &self.generate,
            ),
            Operation::Embeddings => (Plan::Embeddings(Arc::from(model), request::embed(&bytes, model)?), &self.embed),
            other => return Err(no_such(other)),
        };
        let mut headers = self.fixed.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = match &plan {
            Plan::Completion(_, translated) | Plan::Embeddings(_, translated) => translated.body.to_string(),
            Plan::Raw => String::new(),
        };
        let body = SendBody::from(Rope::from(Bytes::from(body)));
        Ok(Prepared { plan, method: Method::POST, uri: uri.clone(), headers, body, timeouts })
    }

    async fn exchange(&self, prepared: Prepared) -> Result<Answer, Error> {
        let Prepared { plan, method, uri, headers, body, timeouts } = prepared;
        let mut out = Outgoing { method, uri, headers: &headers, over: None, body, timeouts };
        let mut incoming = self.client.send(&mut out).await?;
        if incoming.status.as_u16() >= 400 {
            let told = collect(&mut incoming.body, &mut incoming.watch, ERROR_BODY_CAP).await;
            // The status alone still tells what happened.
            let body = told.map(Collected::into_bytes).unwrap_or_default();
            // Ollama tells no dates, so no clock is needed to read its hints.
            return Err(errors::classify(incoming.status, &incoming.headers, body, Duration::ZERO));
        }
        match plan {
            Plan::Raw => Ok(through(incoming)),
            _ if !incoming.status.is_success() => {
                let text = format!("the provider answered with status {}", incoming.status.as_u16());
                Err(Error::provider(ErrorKind::ProviderGarbled, text))
            }
            Plan::Completion(head, translated) if translated.stream => Ok(streamed(incoming, head, &translated)),
            Plan::Completion(head, translated) => {
                let body = whole(incoming).await?;
                Ok(full(reply::whole(&body, &head)?, &translated.losses))
            }
            Plan::Embeddings(model, translated) => {
                let body = whole(incoming).await?;
                Ok(full(reply::embeddings(&body, &model, translated.base64)?, &translated.losses))
            }
        }
    }
}

impl Provider for Ollama {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn call<'a>(&'a self, attempt: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>> {
        match self.prepare(attempt) {
            Ok(prepared) => Box::pin(self.exchange(prepared)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn connections(&self) -> usize {
        self.client.connections()
    }

    fn sweep(&self) {
        self.client.sweep();
    }
}

fn no_such(operation: Operation) -> Error {
    let text = format!("Ollama has no endpoint for {}", operation.label());
    Error::provider(ErrorKind::ProviderRejected, text)
}

async fn whole(mut incoming: Incoming) -> Result<Bytes, Error> {
    match collect(&mut incoming.body, &mut incoming.watch, WHOLE_ANSWER_CAP).await? {
        Collected::Whole(rope) => Ok(rope.to_bytes()),
        Collected::TooLarge(_) => {
            let text = format!("the provider's answer is larger than {WHOLE_ANSWER_CAP} bytes");
            Err(Error::provider(ErrorKind::ProviderGarbled, text))
        }
    }
}

fn full((body, report): (Vec<u8>, Report), losses: &BTreeSet<String>) -> Answer {
    let body = Box::pin(FullBody::new(Bytes::from(body), report));
    Answer { status: StatusCode::OK, headers: headers("application/json", losses), limits: RateFacts::default(), body }
}

fn streamed(incoming: Incoming, head: Head, translated: &Translated) -> Answer {
    let decoder = Decoder::new(head, translated.include_usage);
    let body = StreamBody { upstream: Some(incoming.body), watch: incoming.watch, decoder, broken: None };
    let headers = headers("text/event-stream", &translated.losses);
    Answer { status: StatusCode::OK, headers, limits: RateFacts::default(), body: Box::pin(body) }
}

fn headers(content_type: &'static str, losses: &BTreeSet<String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Names come from the caller's own request; one that no header can carry is left out.
    let names: Vec<&str> = losses.iter().map(String::as_str).filter(|name| is_plain(name)).take(32).collect();
    if let Some(value) = Some(names.join(", ")).filter(|_| !names.is_empty())
        && let Ok(value) = HeaderValue::try_from(value)
    {
        headers.insert(HeaderName::from_static("x-atp-losses"), value);
    }
    headers
}

fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// An answer that is passed on as it is.
fn through(incoming: Incoming) -> Answer {
    let mut headers = HeaderMap::new();
    // No clock, as above: Ollama tells no dates.
    let limits = errors::passthrough_headers(&incoming.headers, &mut headers, || Duration::ZERO);
    let report = Report { content: true, ..Report::default() };
    let body = ThroughBody { upstream: incoming.body, watch: incoming.watch, report };
    Answer { status: incoming.status, headers, limits, body: Box::pin(body) }
}

/// A translated stream.
struct StreamBody {
    upstream: Option<UpstreamBody>,
    watch: Watch,
    decoder: Decoder,
    /// An error that waits for the events before it to be taken.
    broken: Option<Error>,
}

impl StreamBody {
    fn read(&mut self, read: Option<Result<Bytes, Error>>, out: &mut Vec<u8>) -> Result<(), Error> {
        match read {
            Some(Ok(bytes)) => self.decoder.feed(&bytes, out),
            Some(Err(error)) => Err(error),
            None => {
                self.upstream = None;
                self.decoder.finish(out)
            }
        }
    }
}

impl AnswerBody for StreamBody {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let this = &mut *self;
        loop {
            let Some(upstream) = &mut this.upstream else { return Poll::Ready(this.broken.take().map(Err)) };
            let read = ready!(upstream.poll_data(cx, &mut this.watch));
            let mut out = Vec::new();
            if let Err(error) = this.read(read, &mut out) {
                this.upstream = None;
                this.broken = Some(error);
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Bytes::from(out))));
            }
        }
    }

    fn report(&self) -> &Report {
        self.decoder.report()
    }
}

/// Bytes of any kind, passed on as they arrive.
struct ThroughBody {
    upstream: UpstreamBody,
    watch: Watch,
    report: Report,
}

impl AnswerBody for ThroughBody {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let this = &mut *self;
        let next = ready!(this.upstream.poll_data(cx, &mut this.watch));
        this.report.complete = next.is_none();
        Poll::Ready(next)
    }

    fn report(&self) -> &Report {
        &self.report
    }
}
