//! Any provider that speaks OpenAI's dialect.
//!
//! The caller's bytes go out as they came: only the model's name is spliced where the provider
//! knows it by another one, and a stream is asked for its usage where the caller did not ask. What
//! differs between vendors (where they live, how they take a key, what they cannot do) is data, see
//! [`crate::vendors`].

mod answer;
mod quirks;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use atp_core::port::{BoxFuture, Provider, Try};
use atp_core::{Answer, Error, ErrorKind, Operation, Secret};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Uri};

use crate::http_client::{HttpClient, OriginError, Outgoing, SendBody};

pub use quirks::{Quirks, Rename};

/// How a provider takes its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthStyle {
    /// `authorization: Bearer KEY`.
    Bearer,
    /// The key alone in a header of this name, such as Azure's `api-key`.
    Header(HeaderName),
    /// No key is sent.
    None,
}

/// What is known of one provider.
#[derive(Debug, Clone)]
pub struct OpenAiConfig {
    /// The configured name.
    pub name: Arc<str>,
    /// The key.
    pub api_key: Option<Secret>,
    /// How the key is sent.
    pub auth: AuthStyle,
    /// Headers added to every call.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A query added to every call, such as Azure's `api-version=...`; empty for none.
    pub query: String,
    /// How its requests differ from OpenAI's.
    pub quirks: Quirks,
    /// The largest answer, in bytes, that is read to its end before it is passed on. A larger one
    /// is streamed, without its usage.
    pub whole_answer_cap: usize,
}

/// A provider that speaks OpenAI's dialect.
pub struct OpenAiCompatible {
    name: Arc<str>,
    client: HttpClient,
    fixed: HeaderMap,
    query: String,
    chat: Uri,
    quirks: Quirks,
    whole_answer_cap: usize,
}

impl OpenAiCompatible {
    /// Makes the provider. Opens nothing.
    ///
    /// # Errors
    /// A key or header that cannot be sent, a base URL that cannot stand in a request.
    pub fn new(config: OpenAiConfig, client: HttpClient) -> Result<Self, OriginError> {
        let fixed = fixed_headers(&config, &client)?;
        let query = if config.query.is_empty() { String::new() } else { format!("?{}", config.query) };
        let chat = client.origin().target(&format!("/chat/completions{query}"))?;
        Ok(Self {
            name: config.name,
            client,
            fixed,
            query,
            chat,
            quirks: config.quirks,
            whole_answer_cap: config.whole_answer_cap,
        })
    }

    fn uri(&self, operation: Operation, path: &str) -> Result<Uri, Error> {
        if operation == Operation::Chat {
            return Ok(self.chat.clone());
        }
        let target = match (path.contains('?'), self.query.is_empty()) {
            (_, true) => self.client.origin().target(path),
            (false, false) => self.client.origin().target(&format!("{path}{}", self.query)),
            (true, false) => self.client.origin().target(&format!("{path}&{}", self.query.trim_start_matches('?'))),
        };
        target.map_err(|error| Error::caller(ErrorKind::InvalidRequest, error.0))
    }
}

impl Provider for OpenAiCompatible {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn call<'a>(&'a self, attempt: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>> {
        let (exchange, timeouts) = (attempt.exchange, attempt.timeouts);
        let uri = match self.uri(exchange.operation, &exchange.path) {
            Ok(uri) => uri,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (payload, reading) = match request::prepare(attempt, &self.quirks) {
            Ok(prepared) => prepared,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let mut out = Outgoing {
            method: exchange.method.clone(),
            uri,
            headers: &exchange.headers,
            over: Some(&self.fixed),
            body: SendBody::from(payload),
            timeouts,
        };
        Box::pin(async move {
            let incoming = self.client.send(&mut out).await?;
            answer::read(incoming, exchange, reading, self.whole_answer_cap).await
        })
    }

    fn connections(&self) -> usize {
        self.client.connections()
    }

    fn sweep(&self) {
        self.client.sweep();
    }
}

/// Host, key and configured headers: the same for every call.
fn fixed_headers(config: &OpenAiConfig, client: &HttpClient) -> Result<HeaderMap, OriginError> {
    let mut fixed = HeaderMap::new();
    fixed.insert(http::header::HOST, client.origin().host_header().clone());
    // The tap reads the answer's bytes, so they must come as they are.
    fixed.insert(http::header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in &config.headers {
        fixed.insert(name.clone(), value.clone());
    }
    let Some(key) = config.api_key.as_ref().filter(|key| !key.is_empty()) else { return Ok(fixed) };
    let (name, text) = match &config.auth {
        AuthStyle::Bearer => (http::header::AUTHORIZATION, format!("Bearer {}", key.expose())),
        AuthStyle::Header(name) => (name.clone(), key.expose().to_owned()),
        AuthStyle::None => return Ok(fixed),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        OriginError(format!("the key of provider {:?} holds bytes that no header can carry", config.name))
    })?;
    value.set_sensitive(true);
    fixed.insert(name, value);
    Ok(fixed)
}
