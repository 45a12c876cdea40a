//! Refusals in OpenAI's words: status, type, code, parameter and message.

use std::borrow::Cow;
use std::time::Duration;

use atp_core::{Error, ErrorKind};
use atp_dialects::openai::errors;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

/// Why a simulated model does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// OpenAI's `type`.
    pub(super) kind: &'static str,
    /// OpenAI's `code`.
    pub(super) code: Option<&'static str>,
    /// The request field at fault.
    pub(super) param: Option<Cow<'static, str>>,
    /// Names the field, the value and the way out.
    pub(super) message: String,
    /// After how long another try may be served.
    pub(super) retry_after: Option<Duration>,
}

/// OpenAI's error body, also the last event of a stream that fails after its start.
#[derive(Serialize)]
struct Body<'a> {
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, kind, code, param: None, message: message.into(), retry_after: None }
    }

    /// A value that is not allowed.
    pub(super) fn invalid(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let refusal = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", Some("invalid_value"), message);
        Self { param: Some(param.into()), ..refusal }
    }

    /// A parameter that real models have and simulated ones do not.
    pub(super) fn unsupported(param: &'static str, message: impl Into<String>) -> Self {
        Self { code: Some("unsupported_parameter"), ..Self::invalid(param, message) }
    }

    /// A body that cannot be read.
    pub(super) fn unreadable(what: &str, why: impl std::fmt::Display) -> Self {
        let message = format!("the body is not a {what} request: {why}");
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message)
    }

    /// More tokens than the model's window holds.
    pub(super) fn context(window: u64, prompt: u64, answer: u64) -> Self {
        let message = format!(
            "this model's maximum context length is {window} tokens, but {} were requested ({prompt} in the prompt, \
             {answer} in the answer); shorten the prompt or ask for a shorter answer",
            prompt.saturating_add(answer)
        );
        Self { code: Some("context_length_exceeded"), ..Self::invalid("messages", message) }
    }

    /// A model that the provider does not have.
    pub(super) fn model(name: &str, has: &[&str]) -> Self {
        let message = format!("the model `{name}` does not exist; this provider simulates {}", has.join(", "));
        let refusal = Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("model_not_found"), message);
        Self { param: Some("model".into()), ..refusal }
    }

    /// A path that the provider does not serve.
    pub(super) fn path(path: &str) -> Self {
        let message = format!(
            "the simulated provider does not serve {path}; it has /chat/completions, /completions, /embeddings, \
             /moderations and /models"
        );
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", None, message)
    }

    /// Too many requests, by rate or by number.
    pub(super) fn overloaded(message: String, retry_after: Duration) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "requests", Some("rate_limit_exceeded"), message);
        Self { retry_after: Some(retry_after), ..refusal }
    }

    /// The configured share of failures.
    pub(super) fn failed() -> Self {
        let message = "the simulated model failed, as its error_rate asks";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None, message)
    }

    /// The configured share of streams that fail after their start.
    pub(super) fn failed_in_stream() -> Self {
        let message = "the simulated model failed after its stream began, as its stream_error_rate asks";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None, message)
    }

    /// OpenAI's JSON for it.
    pub(super) fn body(&self) -> Vec<u8> {
        let told = Told { message: &self.message, r#type: self.kind, param: self.param.as_deref(), code: self.code };
        serde_json::to_vec(&Body { error: told }).unwrap_or_default()
    }

    /// The error value of a refusal that is told inside an answer whose status said success.
    pub(super) fn in_stream(&self) -> Error {
        Error::provider(ErrorKind::ProviderFailed, self.message.clone())
    }

    /// The error value, with the provider's own reply in it.
    pub(super) fn into_error(self, mut headers: HeaderMap) -> Error {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(pause) = self.retry_after {
            // Whole seconds, rounded up: a caller that waits as told is not refused again.
            let whole = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(whole.max(1)));
            let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            headers.insert(HeaderName::from_static("retry-after-ms"), HeaderValue::from(millis.max(1)));
        }
        // Read as any provider's refusal is. None of the hints is a date, so no clock is needed.
        errors::classify(self.status, &headers, Bytes::from(self.body()), Duration::ZERO)
    }
}
