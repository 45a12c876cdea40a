//! From a provider's refusal to the one error value: what happened, whose fault, what next.

use std::time::Duration;

use atp_core::error::ProviderReply;
use atp_core::{Error, ErrorKind, Retry, Side};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::words::Words;
use super::{hints, passthrough_headers, words};

/// The most of an unreadable body that goes to the log, in bytes.
const EXCERPT: usize = 200;

/// The account has no credit: waiting does not help, another target may.
const QUOTA: &[&str] = &["insufficient_quota", "billing_error", "billing_hard_limit_reached", "billing_not_active"];
/// The target does not have the model.
const MODEL: &[&str] = &["model_not_found", "invalid_model", "model_not_available", "model_not_active"];
const OVERLOADED: &[&str] = &[
    "overloaded_error",
    "overloaded",
    "server_is_overloaded",
    "engine_overloaded",
    "slow_down",
    "over_capacity",
    "service_unavailable",
    "unavailable_error",
    "UNAVAILABLE",
];
const RATE: &[&str] =
    &["rate_limit_exceeded", "rate_limit_error", "rate_limited", "tokens", "requests", "RESOURCE_EXHAUSTED"];
const REJECTED: &[&str] = &[
    "invalid_request_error",
    "context_length_exceeded",
    "exceed_context_size_error",
    "content_policy_violation",
    "content_filter",
    "invalid_prompt",
    "BadRequestError",
    "INVALID_ARGUMENT",
];

/// Reads a provider's refusal. `now_unix` is the time since the Unix epoch, for hints that are
/// dates. The provider's status, body and the headers fit to be passed on are kept.
#[must_use]
pub fn classify(status: StatusCode, headers: &HeaderMap, body: Bytes, now_unix: Duration) -> Error {
    let words = words::read(&body);
    let mut error = judged(status, words.as_ref());
    if error.kind() == ErrorKind::ProviderOverloaded
        && !is_quota(words.as_ref())
        && let Some(pause) = hints::pause(headers, now_unix)
    {
        error = error.with_retry(Retry::After(pause));
    }
    if words.is_none() && !body.is_empty() {
        error = error.with_cause(excerpt(&body));
    }
    let mut kept = HeaderMap::new();
    let limits = passthrough_headers(headers, &mut kept, || now_unix);
    error.with_provider_reply(ProviderReply { status, headers: kept, body, limits })
}

/// The error of a refusal that came inside an answer, without a status of its own; and the status
/// that its words stand for.
pub(crate) fn classify_words(words: &Words) -> (Option<StatusCode>, Error) {
    let status = words.status().and_then(|code| StatusCode::from_u16(code).ok()).or_else(|| status_told(words));
    let error = match status {
        Some(status) => judged(status, Some(words)),
        None => Error::provider(ErrorKind::ProviderFailed, public(words.message.as_deref(), None)),
    };
    (status, error)
}

/// The status that an error's names stand for.
fn status_told(words: &Words) -> Option<StatusCode> {
    Some(if words.is_any(RATE) || words.is_any(QUOTA) {
        StatusCode::TOO_MANY_REQUESTS
    } else if words.is_any(OVERLOADED) {
        StatusCode::SERVICE_UNAVAILABLE
    } else if words.is_any(MODEL) || words.is_any(&["not_found_error", "NotFoundError"]) {
        StatusCode::NOT_FOUND
    } else if words.is_any(&["authentication_error", "invalid_api_key"]) {
        StatusCode::UNAUTHORIZED
    } else if words.is_any(&["permission_error"]) {
        StatusCode::FORBIDDEN
    } else if words.is_any(REJECTED) {
        StatusCode::BAD_REQUEST
    } else {
        return None;
    })
}

fn is_quota(words: Option<&Words>) -> bool {
    words.is_some_and(|words| words.is_any(QUOTA))
}

fn judged(status: StatusCode, words: Option<&Words>) -> Error {
    let (kind, side, retry) = judge(status, words);
    let text = match status {
        // The provider's words may quote the router's key.
        StatusCode::UNAUTHORIZED => "the provider refused the router's own credentials".to_owned(),
        _ => public(words.and_then(|words| words.message.as_deref()), Some(status)),
    };
    let error = Error::new(kind, side, text).with_retry(retry);
    match words.and_then(|words| words.param.clone()) {
        Some(param) if side == Side::Caller => error.with_param(param),
        _ => error,
    }
}

fn judge(status: StatusCode, words: Option<&Words>) -> (ErrorKind, Side, Retry) {
    let provider = |kind| (kind, Side::Provider, Retry::Elsewhere);
    match status.as_u16() {
        401..=403 => provider(ErrorKind::ProviderAuth),
        400 | 404 if lacks_model(status, words) => provider(ErrorKind::ProviderRejected),
        408 | 409 | 425 => provider(ErrorKind::ProviderFailed),
        429 | 503 | 529 => provider(ErrorKind::ProviderOverloaded),
        400..=499 => (ErrorKind::ProviderRejected, Side::Caller, Retry::Never),
        500.. => provider(ErrorKind::ProviderFailed),
        _ => provider(ErrorKind::ProviderGarbled),
    }
}

/// Whether the target, not the request, is at fault: it does not know the model, or a 404 comes
/// from something that does not even speak the dialect (a wrong base URL).
fn lacks_model(status: StatusCode, words: Option<&Words>) -> bool {
    let Some(words) = words else { return status == StatusCode::NOT_FOUND };
    if words.is_any(MODEL) {
        return true;
    }
    if words.message.as_deref().is_some_and(wrong_endpoint) {
        return true;
    }
    let names_model = words.message.as_ref().is_some_and(|text| text.to_ascii_lowercase().contains("model"));
    // The default "Not Found" of a web framework that has no such route.
    let is_bare = words.message.as_deref() == Some("Not Found");
    status == StatusCode::NOT_FOUND && (names_model || is_bare)
}

/// Whether a message says that this model is not for this endpoint: "This is not a chat model and thus not supported in
/// the v1/chat/completions endpoint" (`OpenAI`), "The model does not support Chat Completions API" (vLLM), "\"all-minilm\"
/// does not support chat" (Ollama).
fn wrong_endpoint(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let endpoints = ["chat", "generate", "completions", "embed"];
    message.contains("not a chat model")
        || endpoints.iter().any(|name| {
            ["does not support ", "does not support the "].iter().any(|says| message.contains(&format!("{says}{name}")))
        })
}

/// The text for the caller: the provider's own message where there is one.
fn public(message: Option<&str>, status: Option<StatusCode>) -> String {
    match (message, status) {
        (Some(message), _) => message.to_owned(),
        (None, Some(status)) => format!("the provider answered with status {}", status.as_u16()),
        (None, None) => "the provider told an error inside its answer".to_owned(),
    }
}

fn excerpt(body: &[u8]) -> String {
    let start = String::from_utf8_lossy(body.get(..EXCERPT.min(body.len())).unwrap_or_default());
    format!("{} bytes: {start:?}", body.len())
}
