//! What a router says when it refuses, and what to do about it.

use serde::Deserialize;
use serde_json::Value;

use super::http::Answer;
use crate::failure::Failure;

/// The longest error body that is read, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// So many characters of a body that is no error object are shown.
const MAX_EXCERPT: usize = 200;

/// OpenAI's error object.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ErrorObject {
    #[serde(default)]
    message: Option<String>,
    /// Text from most servers, a number from some.
    #[serde(default)]
    code: Option<Value>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorObject,
}

/// Reads the rest of an answer that is no success.
pub(super) fn of_answer(mut answer: Answer) -> Failure {
    let body = answer.body.read_all(MAX_BODY).unwrap_or_default();
    let object = serde_json::from_slice::<ErrorBody>(&body).ok().map(|body| body.error);
    let told = object.as_ref().and_then(|object| object.message.clone()).or_else(|| detail(&body));
    let message = told.unwrap_or_else(|| excerpt(&body));
    let code = answer.header("x-atp-error").map(str::to_owned).or_else(|| object.and_then(|object| code(&object)));
    let hint = hint(code.as_deref(), answer.status, answer.header("retry-after"));
    Failure {
        hint,
        code,
        status: Some(answer.status),
        request_id: answer.header("x-request-id").map(str::to_owned),
        ..Failure::new(message)
    }
}

/// The text of an error of the router's own endpoints: `{"error": code, "detail": text}`.
fn detail(body: &[u8]) -> Option<String> {
    let told: Value = serde_json::from_slice(body).ok()?;
    told.get("error")?.as_str()?;
    told.get("detail")?.as_str().map(str::to_owned)
}

/// An error that came within a stream.
pub(crate) fn of_event(object: &ErrorObject) -> Failure {
    let message =
        object.message.clone().unwrap_or_else(|| "the stream ended with an error that says nothing".to_owned());
    let code = code(object);
    Failure { hint: hint(code.as_deref(), 0, None), code, ..Failure::new(message) }
}

fn code(object: &ErrorObject) -> Option<String> {
    match object.code.as_ref()? {
        Value::String(code) => Some(code.clone()),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("the answer is empty");
    let shown: String = line.chars().take(MAX_EXCERPT).collect();
    format!("the request was refused: {shown}")
}

/// The way out, by the code, else by the status.
fn hint(code: Option<&str>, status: u16, retry_after: Option<&str>) -> Option<String> {
    let by_code = code.and_then(|code| match code {
        "authentication_failed" => Some(KEY),
        "permission_denied" => Some("this key may not do that; ask whoever keeps the router's `keys`"),
        "policy_denied" => {
            Some("the model may not be told what the request holds; take that out, or ask another model with -m")
        }
        "model_not_found" => Some(MODELS),
        "prompt_too_large" => {
            Some("shorten the prompt, or raise `limits.max_prompt_chars` in the router's configuration")
        }
        "body_too_large" => Some("shorten the prompt, or raise the router's limit on the body"),
        "rate_limited" | "backpressure" | "provider_overloaded" => Some(LATER),
        "no_models_available" | "provider_failed" | "provider_unreachable" | "provider_cut" | "provider_garbled" => {
            Some("the provider behind this model fails; try another model with -m, or see the router's log")
        }
        "provider_auth" => Some("the provider refuses the router's own key; check `api_key` of that provider"),
        "timeout_connect" | "timeout_first_byte" | "timeout_idle" | "timeout_total" => {
            Some("the provider is too slow; try again, another model with -m, or raise `timeouts` of the target")
        }
        _ => None,
    });
    let general = by_code.or(match status {
        401 => Some(KEY),
        404 => Some("is this the address of a router? `atp models` should list its models"),
        429 => Some(LATER),
        _ => None,
    })?;
    let wait = retry_after.filter(|_| general == LATER).and_then(|seconds| seconds.trim().parse::<u64>().ok());
    Some(wait.map_or_else(|| general.to_owned(), |seconds| format!("try again in {seconds} s")))
}

const KEY: &str = "give one of the router's keys with --key or ATP_API_KEY";
const MODELS: &str = "`atp models` lists the models of this router";
const LATER: &str = "try again in a moment";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_follows_the_code_then_the_status() {
        assert_eq!(hint(Some("model_not_found"), 404, None).as_deref(), Some(MODELS));
        assert_eq!(hint(None, 401, None).as_deref(), Some(KEY));
        assert_eq!(hint(Some("rate_limited"), 429, Some("7")).as_deref(), Some("try again in 7 s"));
        assert_eq!(hint(Some("rate_limited"), 429, Some("Wed, 21 Oct 2026 07:28:00 GMT")).as_deref(), Some(LATER));
        assert_eq!(hint(Some("internal_error"), 500, None), None);
    }

    #[test]
    fn a_page_instead_of_an_error_object_is_shown_in_part() {
        assert_eq!(excerpt(b"\n <h1>Bad Gateway</h1>\nx"), "the request was refused: <h1>Bad Gateway</h1>");
        assert_eq!(
            excerpt("ä".repeat(900).as_bytes()).chars().count(),
            "the request was refused: ".len() + MAX_EXCERPT
        );
    }

    #[test]
    fn the_routers_own_errors_are_read_too() {
        let own = br#"{"error":"validation_error","detail":"`quality` is \"best\""}"#;
        assert_eq!(detail(own).as_deref(), Some("`quality` is \"best\""));
        assert_eq!(detail(br#"{"detail":"Not Found"}"#), None);
    }

    #[test]
    fn an_error_event_keeps_its_message_and_code() {
        let object: ErrorObject =
            serde_json::from_str(r#"{"message":"cut","code":"provider_cut","type":"x"}"#).expect("json");
        let failure = of_event(&object);
        assert_eq!((failure.message.as_str(), failure.code.as_deref()), ("cut", Some("provider_cut")));
        let object: ErrorObject = serde_json::from_str(r#"{"message":"m","code":503}"#).expect("json");
        assert_eq!(of_event(&object).code.as_deref(), Some("503"));
    }
}
