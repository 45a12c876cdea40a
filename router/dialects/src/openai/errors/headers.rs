//! Headers of answers and refusals.

use std::time::Duration;

use atp_core::{Error, ErrorKind, RateFacts, Side};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::hints;

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
    if error.kind() == ErrorKind::BudgetDenied {
        // A budget does not come back within a client's own tries.
        out.insert(SHOULD_RETRY.clone(), HeaderValue::from_static("false"));
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
///
/// Returns what the rate-limit headers say. `now_unix` is the time since the Unix epoch; it is asked
/// only where there are such headers.
pub fn passthrough_headers(from: &HeaderMap, to: &mut HeaderMap, now_unix: impl FnOnce() -> Duration) -> RateFacts {
    let mut limited = false;
    for (name, value) in from {
        match fitness(name.as_str()) {
            Fitness::Unfit => {}
            Fitness::RequestId => {
                to.entry(&PROVIDER_REQUEST_ID).or_insert_with(|| value.clone());
            }
            fit => {
                limited |= fit == Fitness::Limit;
                to.append(name.clone(), value.clone());
            }
        }
    }
    if limited { hints::facts(from, now_unix()) } else { RateFacts::default() }
}

/// What becomes of a header.
#[derive(PartialEq, Eq)]
enum Fitness {
    Unfit,
    RequestId,
    Fit,
    /// Passed on, and read.
    Limit,
}

/// The first letter sends most names off: nearly all that providers send are unfit.
fn fitness(name: &str) -> Fitness {
    let fit = match name.as_bytes().first() {
        Some(b'c') => matches!(
            name,
            "content-type" | "content-encoding" | "content-disposition" | "content-language" | "cache-control"
        ),
        // Whose account the router uses is nobody's business.
        Some(b'o') => name.starts_with("openai-") && !matches!(name, "openai-organization" | "openai-project"),
        Some(b'a' | b'r' | b'x') if matches!(name, "x-request-id" | "request-id" | "apim-request-id") => {
            return Fitness::RequestId;
        }
        Some(b'a' | b'r' | b'x') if hints::is_of_limits(name) => return Fitness::Limit,
        Some(b'r') => name.starts_with("retry-after"),
        _ => false,
    };
    if fit { Fitness::Fit } else { Fitness::Unfit }
}
