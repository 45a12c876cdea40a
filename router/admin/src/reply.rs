//! Answers of the control plane: JSON, text, and errors in the house's own shape.

use atp_core::{Error, ErrorKind};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// Where an error's code stands beside the body.
const X_ATP_ERROR: HeaderName = HeaderName::from_static("x-atp-error");

/// The text format of Prometheus, version 0.0.4.
pub(crate) const METRICS_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// An answer of this moment: nothing on this surface may be kept by a cache or taken for a page.
pub(crate) fn full(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut text = body.to_string();
    text.push('\n');
    full(status, JSON_TYPE, text)
}

/// An error: `{"error": code, "detail": text}` and the code in `x-atp-error`.
pub(crate) fn error(error: &Error) -> Response<Bytes> {
    let code = error.kind().code();
    let mut response = json(status(error.kind()), &json!({ "error": code, "detail": error.public() }));
    response.headers_mut().insert(X_ATP_ERROR, HeaderValue::from_static(code));
    response
}

/// The refusal of a method, which must name those that are allowed (RFC 9110, 15.5.6).
pub(crate) fn method_not_allowed(refusal: &Error, allowed: HeaderValue) -> Response<Bytes> {
    let mut response = error(refusal);
    response.headers_mut().insert(ALLOW, allowed);
    response
}

/// The status of each kind that this surface can meet.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
        ErrorKind::Validation => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Authentication => StatusCode::UNAUTHORIZED,
        ErrorKind::Permission | ErrorKind::PolicyDenied => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::RateLimited | ErrorKind::Backpressure => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
