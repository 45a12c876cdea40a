//! Headers of answers and refusals.

use std::time::Duration;

use atp_core::{Error, Side};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};

static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
static PROVIDER_REQUEST_ID: HeaderName = HeaderName::from_static("x-atp-provider-request-id");

/// The headers of a refusal: the provider's own facts; `retry-after` in whole seconds (rounded up)
/// and `retry-after-ms`, where a pause is known; and `x-should-retry: false` where the provider is
/// at fault and gave no time to come back at: the router has used up its own tries, and clients
/// that try on multiply the storm.
pub fn headers(error: &Error, out: &mut HeaderMap) {
    if let Some(reply) = error.provider_reply() {
        // The body is made anew, so that what describes the old one does not hold.
        let facts = reply.headers.iter().filter(|(name, _)| !name.as_str().starts_with("content-"));
        for (name, value) in facts {
            out.append(name.clone(), value.clone());
        }
    }
    match error.retry_after() {
        Some(pause) => {
            out.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(pause)));
            out.insert(RETRY_AFTER_MS.clone(), HeaderValue::from(millis(pause)));
        }
        None if error.side() == Side::Provider => {
            out.insert(SHOULD_RETRY.clone(), HeaderValue::from_static("false"));
        }
        None => {}
    }
}

fn whole_seconds(pause: Duration) -> u64 {
    pause.as_secs().saturating_add(u64::from(pause.subsec_nanos() > 0))
}

fn millis(pause: Duration) -> u64 {
    u64::try_from(pause.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Adds those headers of a provider's answer that are fit for the caller: what describes the body,
/// rate-limit and retry facts, and OpenAI's own but for whose account it was. The provider's request id goes on under
/// `x-atp-provider-request-id`, because `x-request-id` is the router's. Hop-by-hop fields, lengths,
/// cookies and server names stay behind, as does everything unknown.
pub fn passthrough_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        match name.as_str() {
            "x-request-id" | "request-id" | "apim-request-id" => {
                to.entry(&PROVIDER_REQUEST_ID).or_insert_with(|| value.clone());
            }
            text if name == CONTENT_TYPE || is_fit(text) => {
                to.append(name.clone(), value.clone());
            }
            _ => {}
        }
    }
}

fn is_fit(name: &str) -> bool {
    const EXACT: [&str; 5] =
        ["content-encoding", "content-disposition", "content-language", "cache-control", "retry-after"];
    const START: [&str; 5] = ["x-ratelimit-", "openai-", "anthropic-ratelimit-", "retry-after-", "ratelimit-"];
    // Whose account the router uses is nobody's business.
    let is_account = matches!(name, "openai-organization" | "openai-project");
    !is_account && (EXACT.contains(&name) || START.iter().any(|start| name.starts_with(start)))
}
