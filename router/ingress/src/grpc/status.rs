//! Errors as gRPC tells them: the one place with its codes, details and metadata.
//!
//! Trap: clients refuse metadata beyond some kilobytes, and see another error then; so texts are bounded here.

use std::collections::HashMap;

use atp_core::{Error, ErrorKind, Side};
use atp_dialects::openai::errors;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tonic::{Code, Status};

use crate::respond::ERROR;

/// The longest message, in bytes as they stand in a header, and the longest description in the details.
const LONGEST: (usize, usize) = (2_048, 512);

/// Whose words an ErrorInfo's reason is.
const DOMAIN: &str = "atp.router";

/// When a client of gRPC's own retries comes again, in milliseconds; below zero it does not.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The table.
fn code(error: &Error) -> Code {
    match error.kind() {
        ErrorKind::InvalidRequest | ErrorKind::Validation | ErrorKind::PromptTooLarge => Code::InvalidArgument,
        ErrorKind::ProviderRejected => rejected(error),
        ErrorKind::Authentication => Code::Unauthenticated,
        ErrorKind::Permission | ErrorKind::PolicyDenied => Code::PermissionDenied,
        ErrorKind::NotFound | ErrorKind::ModelNotFound => Code::NotFound,
        ErrorKind::MethodNotAllowed => Code::Unimplemented,
        ErrorKind::BodyTooLarge | ErrorKind::RateLimited | ErrorKind::Backpressure | ErrorKind::BudgetDenied => {
            Code::ResourceExhausted
        }
        ErrorKind::Cancelled if error.side() == Side::Caller => Code::Cancelled,
        ErrorKind::Preempted
        | ErrorKind::NoModelsAvailable
        | ErrorKind::Cancelled
        | ErrorKind::ProviderOverloaded
        | ErrorKind::ProviderFailed
        | ErrorKind::ProviderUnreachable
        | ErrorKind::ProviderCut => Code::Unavailable,
        ErrorKind::RequestTimeout
        | ErrorKind::TimeoutConnect
        | ErrorKind::TimeoutFirstByte
        | ErrorKind::TimeoutIdle
        | ErrorKind::TimeoutTotal => Code::DeadlineExceeded,
        ErrorKind::Configuration => Code::FailedPrecondition,
        ErrorKind::ProviderAuth | ErrorKind::ProviderGarbled | ErrorKind::Internal => Code::Internal,
    }
}

/// What a provider's own refusal of a request means.
fn rejected(error: &Error) -> Code {
    match error.provider_reply().map(|reply| reply.status.as_u16()) {
        Some(401 | 403) => Code::PermissionDenied,
        Some(404) => Code::NotFound,
        Some(409) => Code::Aborted,
        Some(413) => Code::ResourceExhausted,
        _ => Code::InvalidArgument,
    }
}

/// The status of an error.
pub(super) fn status(error: &Error) -> Status {
    let code = code(error);
    let message = told(error);
    let details = Details::of(error, code, &message).encode_to_vec();
    Status::with_details(code, bounded(&message, LONGEST.0), Bytes::from(details))
}

/// What a status says, as headers or trailers. Only `x-request-id` and the notes are missing.
pub(super) fn headers(error: &Error) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // When to come again, and the provider's own facts.
    errors::headers(error, &mut headers);
    headers.insert(ERROR, HeaderValue::from_static(error.kind().code()));
    let pushback = match error.retry_after() {
        Some(pause) => i64::try_from(pause.as_nanos().div_ceil(1_000_000)).ok(),
        None => headers.contains_key("x-should-retry").then_some(-1),
    };
    if let Some(millis) = pushback {
        headers.insert(PUSHBACK, HeaderValue::from(millis));
    }
    put(&status(error), &mut headers);
    headers
}

/// Adds a status to headers.
pub(super) fn put(status: &Status, headers: &mut HeaderMap) {
    if status.add_header(headers).is_err() {
        headers.insert(Status::GRPC_STATUS, HeaderValue::from(status.code() as i32));
    }
}

/// The words of OpenAI's dialect, which are the provider's own where it gave any that may be shown.
fn told(error: &Error) -> String {
    let body: serde_json::Value = serde_json::from_slice(&errors::body(error)).unwrap_or_default();
    let words = body.pointer("/error/message").and_then(serde_json::Value::as_str);
    words.filter(|words| !words.is_empty()).unwrap_or_else(|| error.public()).to_owned()
}

/// As much of a text as stands in a header of so many bytes: what is not plain is three bytes there for each.
fn bounded(text: &str, longest: usize) -> &str {
    let mut room = longest;
    for (at, letter) in text.char_indices() {
        let plain = letter.is_ascii() && !letter.is_ascii_control() && letter != '%';
        let Some(left) = room.checked_sub(if plain { 1 } else { 3 * letter.len_utf8() }) else {
            return text.get(..at).unwrap_or_default();
        };
        room = left;
    }
    text
}

/// google.rpc.Status.
#[derive(Message)]
struct Details {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// google.rpc.ErrorInfo.
#[derive(Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: HashMap<String, String>,
}

/// google.rpc.RetryInfo.
#[derive(Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

/// google.rpc.BadRequest.
#[derive(Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

#[derive(Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

impl Details {
    fn of(error: &Error, code: Code, message: &str) -> Self {
        let any = |name: &str, value: Vec<u8>| prost_types::Any {
            type_url: format!("type.googleapis.com/google.rpc.{name}"),
            value,
        };
        let status =
            error.provider_reply().map(|reply| ("provider_status".to_owned(), reply.status.as_str().to_owned()));
        let info = ErrorInfo {
            reason: error.kind().code().to_ascii_uppercase(),
            domain: DOMAIN.to_owned(),
            metadata: status.into_iter().collect(),
        };
        let mut details = vec![any("ErrorInfo", info.encode_to_vec())];
        if let Some(pause) = error.retry_after() {
            let retry_delay = prost_types::Duration::try_from(pause).ok();
            details.push(any("RetryInfo", RetryInfo { retry_delay }.encode_to_vec()));
        }
        if let Some(field) = error.param() {
            let description = bounded(message, LONGEST.1).to_owned();
            let violation = FieldViolation { field: bounded(field, LONGEST.1).to_owned(), description };
            details.push(any("BadRequest", BadRequest { field_violations: vec![violation] }.encode_to_vec()));
        }
        Self { code: code as i32, message: bounded(message, LONGEST.1).to_owned(), details }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use atp_core::Retry;

    use super::*;

    #[test]
    fn every_kind_has_a_code_and_none_is_ok_or_unknown() {
        for kind in ErrorKind::ALL {
            for side in [Side::Caller, Side::Router, Side::Provider] {
                let told = status(&Error::new(kind, side, "why"));
                assert!(!matches!(told.code(), Code::Ok | Code::Unknown), "{kind:?}");
                assert_eq!(told.message(), "why");
            }
        }
    }

    #[test]
    fn a_pause_and_a_field_stand_in_the_details() {
        let error = Error::caller(ErrorKind::RateLimited, "slow down")
            .with_retry(Retry::After(Duration::from_millis(1_500)))
            .with_param("model");
        let headers = headers(&error);
        assert_eq!(
            (&headers["grpc-status"], &headers["grpc-retry-pushback-ms"]),
            (&"8".parse().unwrap(), &"1500".parse().unwrap())
        );
        assert_eq!(
            (&headers["retry-after"], &headers["x-atp-error"]),
            (&"2".parse().unwrap(), &"rate_limited".parse().unwrap())
        );
        let status = status(&error);
        let details = Details::decode(status.details()).unwrap();
        let [info, retry, field] = details.details.as_slice() else { panic!("{details:?}") };
        assert_eq!(ErrorInfo::decode(&*info.value).unwrap().reason, "RATE_LIMITED");
        let pause = RetryInfo::decode(&*retry.value).unwrap().retry_delay.unwrap();
        assert_eq!((pause.seconds, pause.nanos), (1, 500_000_000));
        assert_eq!(BadRequest::decode(&*field.value).unwrap().field_violations[0].field, "model");
    }

    #[test]
    fn a_long_text_is_cut_where_a_header_ends() {
        assert_eq!(bounded("abc", 2), "ab");
        assert_eq!(bounded("aä%", 8), "aä");
        let long = "ä".repeat(10_000);
        let headers = headers(&Error::caller(ErrorKind::Validation, long).with_param("x".repeat(5_000)));
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!(size < 6_000, "{size}");
    }
}
