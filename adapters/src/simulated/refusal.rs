//! Refusals that only a simulated provider has.

use http::StatusCode;

pub(super) use crate::refusal::Refusal;

impl Refusal {
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
}
