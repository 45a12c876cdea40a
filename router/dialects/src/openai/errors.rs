//! Errors as OpenAI's dialect tells them: the one place with its status codes, bodies and headers,
//! and the one that reads a provider's refusal into the house's error value.

mod classify;
mod headers;
mod hints;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use atp_core::{Error, ErrorKind, Side};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};

pub use classify::classify;
pub(crate) use classify::classify_words;
pub use headers::{headers, passthrough_headers};
use words::Words;

/// Client closed the request: nginx's number for it, which nobody receives but logs and books.
const CLIENT_CLOSED: u16 = 499;

/// What OpenAI calls a budget that is used up, as type and as code: clients tell it from a rate by this.
const QUOTA: &str = "insufficient_quota";

/// The status for an error: the provider's own where it gave one, so that a client library raises
/// what it would raise without the router in between; else by kind.
#[must_use]
pub fn status(error: &Error) -> StatusCode {
    match error.provider_reply().map(|reply| reply.status) {
        Some(status) if status.is_client_error() || status.is_server_error() => status,
        _ => status_of(error.kind(), error.side()),
    }
}

fn status_of(kind: ErrorKind, side: Side) -> StatusCode {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::ProviderRejected => StatusCode::BAD_REQUEST,
        ErrorKind::Validation => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Authentication => StatusCode::UNAUTHORIZED,
        ErrorKind::Permission | ErrorKind::PolicyDenied => StatusCode::FORBIDDEN,
        ErrorKind::NotFound | ErrorKind::ModelNotFound => StatusCode::NOT_FOUND,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::PromptTooLarge | ErrorKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::RateLimited | ErrorKind::Backpressure | ErrorKind::BudgetDenied => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Cancelled if side == Side::Caller => {
            StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::BAD_REQUEST)
        }
        ErrorKind::NoModelsAvailable | ErrorKind::Preempted | ErrorKind::ProviderOverloaded | ErrorKind::Cancelled => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::ProviderAuth
        | ErrorKind::ProviderFailed
        | ErrorKind::ProviderUnreachable
        | ErrorKind::ProviderCut
        | ErrorKind::ProviderGarbled => StatusCode::BAD_GATEWAY,
        ErrorKind::TimeoutConnect | ErrorKind::TimeoutFirstByte | ErrorKind::TimeoutIdle | ErrorKind::TimeoutTotal => {
            StatusCode::GATEWAY_TIMEOUT
        }
        ErrorKind::Configuration | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// OpenAI's `type` for errors that are not a provider's own.
fn type_of(kind: ErrorKind, side: Side) -> &'static str {
    match kind {
        ErrorKind::Permission | ErrorKind::PolicyDenied => "permission_error",
        ErrorKind::BudgetDenied => QUOTA,
        ErrorKind::RateLimited | ErrorKind::Backpressure | ErrorKind::ProviderOverloaded => "rate_limit_error",
        ErrorKind::TimeoutConnect | ErrorKind::TimeoutFirstByte | ErrorKind::TimeoutIdle | ErrorKind::TimeoutTotal => {
            "timeout_error"
        }
        _ if side == Side::Caller => "invalid_request_error",
        _ => "server_error",
    }
}

/// The `code` for errors that are not a provider's own: the stable code, but for the one that
/// OpenAI's own clients are known to look at.
fn code_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Authentication => "invalid_api_key",
        ErrorKind::BudgetDenied => QUOTA,
        _ => kind.code(),
    }
}

/// The body for an error: `{"error":{"message","type","param","code"}}`, always with all four keys,
/// `code` a string or null. A provider's own error object is kept with all its members; only what
/// does not fit is put right. After a 401 its message is replaced: some providers quote the key.
#[must_use]
pub fn body(error: &Error) -> Bytes {
    let own = error.provider_reply().filter(|reply| !hides_words(error) && words::is_exact(&reply.body));
    match own {
        Some(reply) => reply.body.clone(),
        None => Bytes::from(object(error).to_string()),
    }
}

/// The event that tells an error after a stream has begun. It is one line: client libraries stop
/// at it and raise.
#[must_use]
pub fn stream_event(error: &Error) -> Bytes {
    Bytes::from(format!("data: {}\n\n", object(error)))
}

/// The event by which a stream tells that what came before it is void and the answer begins anew, and why.
/// It has a name of its own, so that whoever has not asked for such events and gets one all the same does
/// not take it for a piece of the answer.
#[must_use]
pub fn restart_event(error: &Error) -> Bytes {
    let told = serde_json::json!({ "object": "atp.restart", "reason": error.kind().code() });
    Bytes::from(format!("event: atp.restart\ndata: {told}\n\n"))
}

/// Whether the provider's words are about the router's key rather than the caller's request.
fn hides_words(error: &Error) -> bool {
    error.kind() == ErrorKind::ProviderAuth
        && error.provider_reply().is_some_and(|reply| reply.status == StatusCode::UNAUTHORIZED)
}

fn object(error: &Error) -> Value {
    let mut words = error.provider_reply().and_then(|reply| words::read(&reply.body)).unwrap_or_default();
    if hides_words(error) {
        words = Words { kind: words.kind, code: words.code, ..Words::default() };
    }
    let mut members = words.members;
    let param = words.param.or_else(|| error.param().map(str::to_owned));
    let kind = words.kind.unwrap_or_else(|| type_of(error.kind(), error.side()).to_owned());
    members.insert("message".to_owned(), words.message.unwrap_or_else(|| error.public().to_owned()).into());
    members.insert("type".to_owned(), kind.into());
    members.insert("param".to_owned(), param.into());
    members.insert("code".to_owned(), words.code.unwrap_or_else(|| code_of(error.kind()).to_owned()).into());
    Value::Object(Map::from_iter([("error".to_owned(), Value::Object(members))]))
}
