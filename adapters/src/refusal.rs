//! Refusals of providers in this process, in OpenAI's words: status, type, code, parameter and message.

use std::borrow::Cow;
use std::time::Duration;

use atp_core::{Error, ErrorKind};
use atp_dialects::openai::errors;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

/// Why a model in this process does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// OpenAI's `type`.
    pub(crate) kind: &'static str,
    /// OpenAI's `code`.
    pub(crate) code: Option<&'static str>,
    /// The request field at fault.
    pub(crate) param: Option<Cow<'static, str>>,
    /// Names the field, the value and the way out.
    pub(crate) message: String,
    /// After how long another try may be served.
    pub(crate) retry_after: Option<Duration>,
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
    /// One of any kind.
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        code: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self { status, kind, code, param: None, message: message.into(), retry_after: None }
    }

    /// A value that is not allowed.
    pub(crate) fn invalid(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let refusal = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", Some("invalid_value"), message);
        Self { param: Some(param.into()), ..refusal }
    }

    /// A parameter that other models have and this one does not.
    pub(crate) fn unsupported(param: &'static str, message: impl Into<String>) -> Self {
        Self { code: Some("unsupported_parameter"), ..Self::invalid(param, message) }
    }

    /// A body that cannot be read.
    pub(crate) fn unreadable(what: &str, why: impl std::fmt::Display) -> Self {
        let message = format!("the body is not a {what} request: {why}");
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message)
    }

    /// More tokens than the model's window holds.
    pub(crate) fn context(window: u64, prompt: u64, answer: u64) -> Self {
        let message = format!(
            "this model's maximum context length is {window} tokens, but {} were requested ({prompt} in the prompt, \
             {answer} in the answer); shorten the prompt or ask for a shorter answer",
            prompt.saturating_add(answer)
        );
        Self { code: Some("context_length_exceeded"), ..Self::invalid("messages", message) }
    }

    /// Too many requests, by rate or by number.
    pub(crate) fn overloaded(message: String, retry_after: Duration) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "requests", Some("rate_limit_exceeded"), message);
        Self { retry_after: Some(retry_after), ..refusal }
    }

    /// OpenAI's JSON for it.
    pub(crate) fn body(&self) -> Vec<u8> {
        let told = Told { message: &self.message, r#type: self.kind, param: self.param.as_deref(), code: self.code };
        serde_json::to_vec(&Body { error: told }).unwrap_or_default()
    }

    /// The error value of a refusal that is told inside an answer whose status said success.
    pub(crate) fn in_stream(&self) -> Error {
        Error::provider(ErrorKind::ProviderFailed, self.message.clone())
    }

    /// The error value, with the provider's own reply in it.
    pub(crate) fn into_error(self, mut headers: HeaderMap) -> Error {
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
