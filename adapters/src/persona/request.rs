//! The caller's request made a persona's.

use std::sync::Arc;

use atp_core::port::Try;
use atp_core::{Error, ErrorKind, Exchange, Payload, Rope, Timeouts};
use atp_dialects::openai::persona::{Refusal, fitted};
use atp_dialects::openai::texts::{changed, said, texts};
use atp_dialects::scan::scan;
use atp_privacy::{Class, Vault};
use bytes::Bytes;
use http::{HeaderMap, header};

use super::Persona;
use crate::going_on;

/// The caller's headers that go on. Others may hold anything, and nobody looks into them.
const HEADERS: [header::HeaderName; 3] = [header::CONTENT_TYPE, header::ACCEPT, header::USER_AGENT];
/// Those of distributed traces, which hold numbers alone.
const TRACES: [&str; 2] = ["traceparent", "tracestate"];

/// Everything of a try that outlives its start.
pub(super) struct Prepared {
    pub(super) exchange: Exchange,
    pub(super) payload: Payload,
    pub(super) ceiling: Option<u64>,
    pub(super) timeouts: Timeouts,
    pub(super) worn: Worn,
}

/// What the answer is read with.
#[derive(Debug, Clone)]
pub(super) struct Worn {
    pub(super) persona: Arc<Persona>,
    pub(super) vault: Arc<Vault>,
}

/// Masks, then puts the prompt first and the tools right. What the persona itself says is not masked.
pub(super) fn prepare(attempt: Try<'_>, persona: &Arc<Persona>) -> Result<Prepared, Error> {
    going_on::refuse(&attempt)?;
    let Try { exchange, payload, timeouts, ceiling, .. } = attempt;
    let Payload::Rope(rope) = payload else { return Err(chats_alone()) };
    let (masked, vault) = masked(rope.to_bytes(), persona)?;
    let allows = |name: &str| persona.tools.allows(name);
    let body = fitted(&masked, &persona.prompt, &allows).map_err(|refusal| refused(&refusal, persona))?;
    let rope = Rope::from(Bytes::from(body));
    let fields = scan(&rope).map_err(Error::from)?;
    let exchange = Exchange {
        id: exchange.id,
        caller: Arc::clone(&exchange.caller),
        operation: exchange.operation,
        model: Arc::clone(&exchange.model),
        method: exchange.method.clone(),
        path: Arc::clone(&exchange.path),
        headers: headers(&exchange.headers),
        payload: Payload::Rope(Rope::new()),
        fields,
        stream: exchange.stream,
        qos: exchange.qos,
        session: exchange.session.clone(),
        reuse: exchange.reuse,
        restarts: exchange.restarts,
        patience: exchange.patience,
        hints: None,
        received: exchange.received,
    };
    let worn = Worn { persona: Arc::clone(persona), vault: Arc::new(vault) };
    Ok(Prepared { exchange, payload: Payload::Rope(rope), ceiling, timeouts, worn })
}

fn headers(caller: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in HEADERS.into_iter().chain(TRACES.map(header::HeaderName::from_static)) {
        if let Some(value) = caller.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// The body without what the persona's guard minds, and what was taken out of it.
fn masked(body: Bytes, persona: &Persona) -> Result<(Bytes, Vault), Error> {
    let mut vault = Vault::default();
    if persona.guard.is_idle() {
        return Ok((body, vault));
    }
    let texts = texts(&body).map_err(|unreadable| {
        let text = format!(
            "the text at byte {} is not valid JSON text (half of a surrogate pair, or a wrong escape), and cannot be \
             looked through for personal data",
            unreadable.at
        );
        Error::caller(ErrorKind::InvalidRequest, text)
    })?;
    vault.reserve(&persona.prompt);
    let mut found = Vec::new();
    for text in texts {
        vault.reserve(&text.text);
        let findings = persona.guard.find(&text.text);
        if let Some(class) = persona.guard.blocks(&findings) {
            return Err(blocked(class, persona));
        }
        if !findings.is_empty() {
            found.push((text, findings));
        }
    }
    if found.is_empty() {
        return Ok((body, vault));
    }
    let mut changes = Vec::with_capacity(found.len());
    for (text, findings) in found {
        let masked = vault.mask(&text.text, &findings);
        changes.push(said(text.place, &masked));
    }
    let masked = changed(&body, &changes);
    Ok((Bytes::from(masked), vault))
}

/// Names the kind of data, never the data.
fn blocked(class: Class, persona: &Persona) -> Error {
    let text = format!(
        "the request holds personal data of the kind `{}`, which may not leave for the persona `{}`; take it out",
        class.label(),
        persona.name
    );
    Error::caller(ErrorKind::PolicyDenied, text).with_param("messages")
}

/// The error of everything that would go past the persona.
pub(super) fn chats_alone() -> Error {
    Error::caller(ErrorKind::InvalidRequest, "personas answer chats alone: POST /v1/chat/completions")
}

fn refused(refusal: &Refusal, persona: &Persona) -> Error {
    let name = &persona.name;
    let (param, text) = match refusal {
        Refusal::Messages => ("messages", String::from("`messages` is missing, or is no list of messages")),
        Refusal::NoList(member) => (*member, format!("`{member}` is not a list of tools")),
        Refusal::Forced(member, tool) if tool.is_empty() => {
            (*member, format!("`{member}` names no tool; name one that the persona `{name}` may use, or say `auto`"))
        }
        Refusal::Forced(member, tool) => {
            (*member, format!("`{member}` forces the tool `{tool}`, which the persona `{name}` may not use"))
        }
        Refusal::NoneLeft => {
            ("tool_choice", format!("`tool_choice` is `required`, and the persona `{name}` may use none of `tools`"))
        }
    };
    Error::caller(ErrorKind::InvalidRequest, text).with_param(param)
}
