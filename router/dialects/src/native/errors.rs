//! Errors as the router's own endpoints tell them: `{"error": code, "detail": text}`. The one place with the codes
//! and statuses of that taxonomy.
//!
//! The taxonomy is small and each of its codes has one status, but for `invalid_request`, which keeps those that HTTP
//! itself gives a meaning. Where a code stands for several kinds, the detail begins with the kind's own code, so that
//! nothing is lost: `backpressure` with `budget_denied: ...`, `external_service_error` with `provider_cut: ...`.

use atp_core::{Error, ErrorKind, Side};
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

/// Client closed the request: nginx's number for it, which nobody receives but logs and books.
const CLIENT_CLOSED: u16 = 499;

/// A code of the taxonomy, and its status.
type Row = (&'static str, StatusCode);

const INVALID: &str = "invalid_request";
const EXTERNAL: Row = ("external_service_error", StatusCode::BAD_GATEWAY);
const BUSY: Row = ("backpressure", StatusCode::TOO_MANY_REQUESTS);

/// The table.
fn row(kind: ErrorKind, side: Side) -> Row {
    match kind {
        ErrorKind::InvalidRequest => (INVALID, StatusCode::BAD_REQUEST),
        // A provider that refuses the request as the caller's fault; one that lacks the model is at fault itself.
        ErrorKind::ProviderRejected if side == Side::Caller => (INVALID, StatusCode::BAD_REQUEST),
        ErrorKind::MethodNotAllowed => (INVALID, StatusCode::METHOD_NOT_ALLOWED),
        ErrorKind::BodyTooLarge => (INVALID, StatusCode::PAYLOAD_TOO_LARGE),
        ErrorKind::RequestTimeout => (INVALID, StatusCode::REQUEST_TIMEOUT),
        ErrorKind::Validation => ("validation_error", StatusCode::UNPROCESSABLE_ENTITY),
        ErrorKind::Authentication => ("authentication_failed", StatusCode::UNAUTHORIZED),
        ErrorKind::Permission => ("permission_denied", StatusCode::FORBIDDEN),
        ErrorKind::PolicyDenied => ("policy_denied", StatusCode::FORBIDDEN),
        ErrorKind::NotFound => ("not_found", StatusCode::NOT_FOUND),
        ErrorKind::ModelNotFound => ("model_not_found", StatusCode::NOT_FOUND),
        ErrorKind::PromptTooLarge => ("prompt_too_large", StatusCode::PAYLOAD_TOO_LARGE),
        ErrorKind::RateLimited => ("rate_limited", StatusCode::TOO_MANY_REQUESTS),
        ErrorKind::Backpressure | ErrorKind::Preempted | ErrorKind::BudgetDenied => BUSY,
        ErrorKind::NoModelsAvailable => ("no_models_available", StatusCode::SERVICE_UNAVAILABLE),
        ErrorKind::Cancelled => ("request_cancelled", cancelled(side)),
        ErrorKind::ProviderRejected
        | ErrorKind::ProviderAuth
        | ErrorKind::ProviderOverloaded
        | ErrorKind::ProviderFailed
        | ErrorKind::ProviderUnreachable
        | ErrorKind::ProviderCut
        | ErrorKind::ProviderGarbled
        | ErrorKind::TimeoutConnect
        | ErrorKind::TimeoutFirstByte
        | ErrorKind::TimeoutIdle
        | ErrorKind::TimeoutTotal => EXTERNAL,
        ErrorKind::Configuration => ("configuration_error", StatusCode::INTERNAL_SERVER_ERROR),
        ErrorKind::Internal => ("internal_error", StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Who left: the caller, or the router that is ending.
fn cancelled(side: Side) -> StatusCode {
    match side {
        Side::Caller => StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::BAD_REQUEST),
        Side::Router | Side::Provider => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The code of the taxonomy: `error` in the body, and `x-atp-error`.
#[must_use]
pub fn code(error: &Error) -> &'static str {
    row(error.kind(), error.side()).0
}

/// The status.
#[must_use]
pub fn status(error: &Error) -> StatusCode {
    row(error.kind(), error.side()).1
}

/// What happened, in words: which field, which value, and the way out. Begins with the kind's own code where the
/// taxonomy's is another, and for a prompt that is too large, whose clients look for it there.
#[must_use]
pub fn detail(error: &Error) -> String {
    let own = error.kind().code();
    if own == code(error) && error.kind() != ErrorKind::PromptTooLarge {
        error.public().to_owned()
    } else {
        format!("{own}: {}", error.public())
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    detail: String,
}

/// The body.
#[must_use]
pub fn body(error: &Error) -> Bytes {
    let body = Body { error: code(error), detail: detail(error) };
    // Two strings: nothing in it can fail to serialise.
    Bytes::from(serde_json::to_vec(&body).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The taxonomy, as it is published.
    const TAXONOMY: [&str; 16] = [
        "prompt_too_large",
        "no_models_available",
        "rate_limited",
        "request_cancelled",
        "backpressure",
        "internal_error",
        "authentication_failed",
        "permission_denied",
        "policy_denied",
        "invalid_request",
        "model_not_found",
        "configuration_error",
        "external_service_error",
        "validation_error",
        "not_found",
        "eseq_retry",
    ];

    fn told(kind: ErrorKind, side: Side) -> (u16, serde_json::Value) {
        let error = Error::new(kind, side, "why");
        (status(&error).as_u16(), serde_json::from_slice(&body(&error)).unwrap())
    }

    #[test]
    fn every_kind_has_a_code_of_the_taxonomy_and_none_has_success() {
        for kind in ErrorKind::ALL {
            for side in [Side::Caller, Side::Router, Side::Provider] {
                let (status, body) = told(kind, side);
                assert!(TAXONOMY.contains(&body["error"].as_str().unwrap()), "{kind:?}: {body}");
                assert!((400..600).contains(&status), "{kind:?}: {status}");
                assert!(body["detail"].as_str().unwrap().ends_with("why"));
            }
        }
    }

    #[test]
    fn what_the_taxonomy_does_not_tell_apart_the_detail_does() {
        let cases = [
            (ErrorKind::BudgetDenied, Side::Caller, 429, "backpressure", "budget_denied: why"),
            (ErrorKind::Backpressure, Side::Router, 429, "backpressure", "why"),
            (ErrorKind::PromptTooLarge, Side::Caller, 413, "prompt_too_large", "prompt_too_large: why"),
            (ErrorKind::ProviderCut, Side::Provider, 502, "external_service_error", "provider_cut: why"),
            (ErrorKind::ProviderRejected, Side::Caller, 400, "invalid_request", "provider_rejected: why"),
            (ErrorKind::Validation, Side::Caller, 422, "validation_error", "why"),
            (ErrorKind::NoModelsAvailable, Side::Router, 503, "no_models_available", "why"),
        ];
        for (kind, side, wanted, code, detail) in cases {
            let (status, body) = told(kind, side);
            assert_eq!((status, &body), (wanted, &serde_json::json!({ "error": code, "detail": detail })));
        }
    }
}
