//! The upstream's answer on its way back to who asked the persona.

use std::sync::Arc;

use atp_core::{Answer, Error, ErrorKind, Finish, FullBody, Retry};
use atp_dialects::openai::persona::settled;
use atp_dialects::openai::texts::{changed, said, texts};
use atp_privacy::{Class, Vault};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};

use super::Tools;
use super::request::Worn;
use super::stream::Restoring;

/// What was masked, by kind: `email=2, card=1`.
const MASKED: HeaderName = HeaderName::from_static("x-atp-masked");

/// Takes calls out that may not be passed on, and puts values back.
pub(super) fn read(mut answer: Answer, worn: Worn) -> Result<Answer, Error> {
    if let Some(masked) = told(&worn.vault) {
        answer.headers.insert(MASKED, masked);
    }
    if worn.persona.tools == Tools::All && worn.vault.is_empty() {
        return Ok(answer);
    }
    let events = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream");
    if answer.headers.get(CONTENT_TYPE).is_some_and(events) {
        answer.body = Box::pin(Restoring::new(answer.body, worn));
        return Ok(answer);
    }
    let mut report = answer.body.report().clone();
    let Some(body) = answer.body.as_mut().take_full() else { return Err(too_large()) };
    let settled = settled(&body, &|name| worn.persona.tools.allows(name));
    if settled.is_empty {
        return Err(nothing_left(&settled.denied, &worn));
    }
    log_denied(&settled.denied, &worn);
    if settled.stopped {
        report.finish = Some(Finish::Stop);
    }
    let body = settled.body.map_or(body, Bytes::from);
    let body = restored(&body, &worn.vault).map_or(body, Bytes::from);
    answer.body = Box::pin(FullBody::new(body, report));
    Ok(answer)
}

fn restored(body: &[u8], vault: &Arc<Vault>) -> Option<Vec<u8>> {
    if vault.is_empty() {
        return None;
    }
    let texts = texts(body).ok()?;
    let changes: Vec<_> =
        texts.into_iter().filter_map(|text| Some(said(text.place, &vault.restore(&text.text)?))).collect();
    Some(changed(body, &changes))
}

/// Counts, never values.
fn told(vault: &Vault) -> Option<HeaderValue> {
    let counts = Class::ALL.map(|class| (class.label(), vault.count(class)));
    let told: Vec<String> =
        counts.into_iter().filter(|(_, count)| *count > 0).map(|(label, count)| format!("{label}={count}")).collect();
    if told.is_empty() { None } else { HeaderValue::try_from(told.join(", ")).ok() }
}

/// An answer that cannot be looked through is not passed on.
pub(super) fn too_large() -> Error {
    Error::provider(
        ErrorKind::ProviderGarbled,
        "the provider's answer is too large to be looked through for its persona",
    )
}

pub(super) fn nothing_left(denied: &[String], worn: &Worn) -> Error {
    let text =
        format!("the model called a tool that the persona `{}` may not use, and said nothing else", worn.persona.name);
    // The router's own rule, so that no caller can have a provider blamed; another model may do better.
    Error::router(ErrorKind::PolicyDenied, text).with_retry(Retry::Elsewhere).with_cause(format!("{denied:?}"))
}

/// The name of a tool that was not offered is the model's invention, or its upstream's.
pub(super) fn log_denied(denied: &[String], worn: &Worn) {
    if !denied.is_empty() {
        tracing::warn!(persona = %worn.persona.name, tools = ?denied, "a model called tools that its persona may not use");
    }
}
