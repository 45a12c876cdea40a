//! Errors told inside an answer whose status said success.

use atp_core::error::ProviderReply;
use atp_core::{Error, ErrorKind, RateFacts};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::openai::errors::{classify_words, words};

/// The most of a garbled line that goes to the log, in bytes.
const EXCERPT: usize = 120;

/// The error of an event or member that tells one, in any of the shapes providers use.
pub(super) fn told(raw: &[u8]) -> Error {
    // An `error` member's value alone: put back into the shape of a body.
    let body = match raw.trim_ascii().first() {
        Some(b'{') if words::read(raw).is_some_and(|words| words.nested) => raw.to_vec(),
        Some(b'{' | b'"') => [b"{\"error\":", raw, b"}"].concat(),
        _ => serde_json::json!({ "error": { "message": String::from_utf8_lossy(raw) } }).to_string().into_bytes(),
    };
    let words = words::read(&body).unwrap_or_default();
    let (status, error) = classify_words(&words);
    let reply = ProviderReply {
        status: status.unwrap_or(StatusCode::BAD_GATEWAY),
        headers: HeaderMap::new(),
        body: Bytes::from(body),
        limits: RateFacts::default(),
    };
    error.with_provider_reply(reply)
}

/// The error of something that is not the provider's protocol.
pub(super) fn garbled(data: &[u8]) -> Error {
    let excerpt = String::from_utf8_lossy(data.get(..EXCERPT.min(data.len())).unwrap_or_default()).into_owned();
    Error::provider(ErrorKind::ProviderGarbled, "the provider's answer holds what is not JSON")
        .with_cause(format_args!("{} bytes: {excerpt:?}", data.len()))
}
