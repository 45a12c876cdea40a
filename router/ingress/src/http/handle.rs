//! From a request to an exchange, and from its reply to a response.

use std::sync::Arc;

use atp_core::{Caller, Error, ErrorKind, Exchange, Fields, Operation, Payload};
use atp_dialects::openai::models as listing;
use http::Response;
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use hyper::body::Incoming;
use smallvec::SmallVec;

use super::Inner;
use super::wishes::Wishes;
use crate::intake::{self, Intake, form};
use crate::respond::{self, Asked, OutBody, Tongue, Trailers};
use crate::settings::Limits;

/// Bytes of a raw request that are held, so that a closed kept connection can be replaced. Larger
/// ones go out as they arrive.
const RAW_HELD: usize = 1 << 20;

/// The model that OpenAI takes where a moderation names none.
const MODERATION_DEFAULT: &str = "omni-moderation-latest";

/// A model call.
pub(super) async fn operation(
    inner: &Inner,
    head: &mut Parts,
    body: Incoming,
    operation: Operation,
    path: Arc<str>,
    asked: &Asked,
) -> Result<Response<OutBody>, Error> {
    let (caller, limits) = admit(inner, &head.headers)?;
    let Wishes { patience, qos, session, reuse, restarts, hints } = Wishes::read(&head.headers, &caller)?;
    let mut intake = Intake::new(body, &head.headers, &limits, asked.received)?;
    let (payload, fields) = match form::boundary(&head.headers) {
        Some(boundary) => form::read(intake, &boundary).await?,
        None => {
            let (rope, fields) = intake::json(&mut intake, operation).await?;
            (Payload::Rope(rope), fields)
        }
    };
    let stream = fields.stream == Some(true);
    let qos = qos.unwrap_or(caller.qos);
    // Looked up here, because `te` is between the caller and the router and goes no further.
    let trailers = if stream { Trailers::of(&head.headers) } else { Trailers::Unasked };
    let exchange = Exchange {
        id: asked.id,
        caller,
        operation,
        model: model(operation, &fields)?,
        method: std::mem::take(&mut head.method),
        path,
        headers: forwardable(std::mem::take(&mut head.headers)),
        payload,
        stream,
        fields,
        qos,
        session,
        reuse,
        restarts,
        patience,
        hints,
        received: asked.received,
    };
    Ok(respond::reply(inner.gateway.call(exchange).await, asked, trailers, Tongue::OpenAi))
}

/// A request that is passed on to one provider as it is.
pub(super) async fn raw(
    inner: &Inner,
    head: &mut Parts,
    body: Incoming,
    provider: Arc<str>,
    rest: Arc<str>,
    asked: &Asked,
) -> Result<Response<OutBody>, Error> {
    let (caller, limits) = admit(inner, &head.headers)?;
    let Wishes { patience, qos, session, reuse, restarts, hints } = Wishes::read(&head.headers, &caller)?;
    let intake = Intake::new(body, &head.headers, &limits, asked.received)?;
    let qos = qos.unwrap_or(caller.qos);
    let path = match head.uri.query() {
        Some(query) => Arc::from(format!("{rest}?{query}")),
        None => rest,
    };
    let exchange = Exchange {
        id: asked.id,
        caller,
        operation: Operation::Raw,
        model: provider,
        method: std::mem::take(&mut head.method),
        path,
        headers: forwardable(std::mem::take(&mut head.headers)),
        payload: form::opaque(intake, RAW_HELD).await?,
        stream: false,
        fields: Fields::default(),
        qos,
        session,
        reuse,
        restarts,
        patience,
        hints,
        received: asked.received,
    };
    // Nobody knows what a raw request costs, so no trailer will follow.
    Ok(respond::reply(inner.gateway.call(exchange).await, asked, Trailers::Unasked, Tongue::OpenAi))
}

/// `GET /v1/models`.
pub(super) fn models(inner: &Inner, head: &Parts, asked: &Asked) -> Result<Response<OutBody>, Error> {
    admit(inner, &head.headers)?;
    Ok(respond::bytes("application/json", listing::list(&inner.gateway.models()), asked))
}

/// `GET /v1/models/{name}`.
pub(super) fn model_card(inner: &Inner, head: &Parts, name: &str, asked: &Asked) -> Result<Response<OutBody>, Error> {
    admit(inner, &head.headers)?;
    let name = percent_decoded(name);
    match inner.gateway.model(&name) {
        Some(card) => Ok(respond::bytes("application/json", listing::one(&card), asked)),
        None => {
            let text = format!("the model {name:?} is not configured; GET /v1/models lists those that are");
            Err(Error::caller(ErrorKind::ModelNotFound, text).with_param("model"))
        }
    }
}

pub(crate) fn admit(inner: &Inner, headers: &HeaderMap) -> Result<(Arc<Caller>, Limits), Error> {
    let settings = inner.settings.load();
    Ok((settings.keys.admit(headers)?, settings.limits.clone()))
}

fn model(operation: Operation, fields: &Fields) -> Result<Arc<str>, Error> {
    match fields.model.as_deref() {
        Some("") | None if operation == Operation::Moderations => Ok(Arc::from(MODERATION_DEFAULT)),
        Some("") | None => {
            let text = "you must provide a model: set 'model' to one of GET /v1/models";
            Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("model"))
        }
        Some(name) => Ok(Arc::from(name)),
    }
}

/// Takes out what is between the caller and the router: credentials, hop-by-hop fields (RFC 9110,
/// 7.6.1) and those that the next connection sets for itself.
pub(crate) fn forwardable(mut headers: HeaderMap) -> HeaderMap {
    if let Some(named) = headers.remove(header::CONNECTION) {
        let named = named.to_str().unwrap_or_default().to_owned();
        for name in named.split(',').filter_map(|name| name.trim().parse::<HeaderName>().ok()) {
            headers.remove(name);
        }
    }
    // Looking through the few names that came is cheaper than asking for each name that may not go
    // on: most of those never come.
    let stay: SmallVec<[HeaderName; 8]> = headers.keys().filter(|name| stays_here(name)).cloned().collect();
    for name in &stay {
        headers.remove(name);
    }
    headers
}

/// What the caller says to this router alone, or what the next connection says for itself. A match on
/// text is decided by length first, which tells nearly all names apart.
fn stays_here(name: &HeaderName) -> bool {
    match name.as_str() {
        "host" | "authorization" | "content-length" | "accept-encoding" | "cookie" | "te" | "trailer" => true,
        "transfer-encoding" | "upgrade" | "expect" | "proxy-authorization" | "x-api-key" | "api-key" => true,
        "keep-alive" | "x-request-id" | "x-session-id" | "x-data-scope" => true,
        other => other.starts_with("x-atp-") || other.starts_with("x-forwarded-"),
    }
}

/// Model names come with their slashes encoded by some client libraries.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let coded = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        bytes.push(coded.unwrap_or(*first));
        rest = if coded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_us_does_not_go_on() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "x-api-key", "host", "connection", "x-custom-hop", "x-atp-timeout-ms", "cookie"] {
            headers.insert(name, "x-custom-hop".parse().unwrap());
        }
        headers.insert("openai-beta", "assistants=v2".parse().unwrap());
        let out = forwardable(headers);
        assert_eq!(out.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["openai-beta"]);
    }

    #[test]
    fn encoded_slashes_in_names_are_slashes() {
        assert_eq!(percent_decoded("groq%2Fllama%zz%"), "groq/llama%zz%");
    }
}
