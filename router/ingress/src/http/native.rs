//! The router's own endpoints: ask, plan, feedback, observe, decisions. An ask is a chat to everything behind this
//! file: the same exchange on the same path, so that books, budgets and metrics hold; only its words differ.

pub(crate) mod ask;
mod exchange;
#[cfg(test)]
mod tests;
mod told;

use std::sync::Arc;

use atp_core::{Caller, Error, ErrorKind, Operation, RequestId};
use atp_dialects::native::request::{Told, feedback, observation};
use atp_dialects::native::{decision, frame, noted, planned};
use http::request::Parts;
use http::{Method, Response};
use hyper::body::Incoming;
use serde::Serialize;

use super::Inner;
use super::handle::admit;
use crate::intake::{self, Intake};
use crate::respond::{self, Asked, OutBody, Tongue};

const JSON: &str = "application/json";

/// One of the router's own endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    /// `POST /v1/ask`.
    Ask,
    /// `POST /v1/plan`.
    Plan,
    /// `POST /v1/feedback`.
    Feedback,
    /// `POST /v1/observe`.
    Observe,
    /// `GET /v1/decisions/{id}`.
    Decision(&'a str),
}

impl Endpoint<'_> {
    const fn method(self) -> Method {
        match self {
            Self::Ask | Self::Plan | Self::Feedback | Self::Observe => Method::POST,
            Self::Decision(_) => Method::GET,
        }
    }

    /// What a refusal counts as.
    const fn operation(self) -> Option<Operation> {
        match self {
            Self::Ask => Some(Operation::Chat),
            Self::Plan | Self::Feedback | Self::Observe | Self::Decision(_) => None,
        }
    }
}

/// Answers, a refusal included.
pub(super) async fn answer(
    inner: &Inner,
    head: &Parts,
    body: Incoming,
    endpoint: Endpoint<'_>,
    asked: &Asked,
) -> Response<OutBody> {
    let done = match endpoint {
        _ if head.method != endpoint.method() => Err(wrong_method(head, &endpoint.method())),
        Endpoint::Ask => ask::ask(inner, head, body, asked).await,
        Endpoint::Plan => plan(inner, head, body, asked).await,
        Endpoint::Feedback => told(inner, head, body, asked, feedback).await,
        Endpoint::Observe => told(inner, head, body, asked, observation).await,
        Endpoint::Decision(id) => decided(inner, head, id, asked),
    };
    done.unwrap_or_else(|error| {
        inner.gateway.refused(endpoint.operation(), &error);
        respond::refusal(&error, asked, Tongue::Native)
    })
}

fn json(message: &impl Serialize, asked: &Asked) -> Response<OutBody> {
    respond::bytes(JSON, frame::whole(message), asked)
}

fn wrong_method(head: &Parts, allowed: &Method) -> Error {
    let text = format!("{} {} does not exist; use {allowed}", head.method, head.uri.path());
    Error::caller(ErrorKind::MethodNotAllowed, text)
}

/// `POST /v1/plan`.
async fn plan(inner: &Inner, head: &Parts, body: Incoming, asked: &Asked) -> Result<Response<OutBody>, Error> {
    let (exchange, notes) = exchange::to_plan(inner, head, body, asked).await?;
    let plan = inner.gateway.plan(&exchange)?;
    Ok(json(&planned(&plan, &notes), asked))
}

/// `POST /v1/feedback` and `POST /v1/observe`.
async fn told(
    inner: &Inner,
    head: &Parts,
    body: Incoming,
    asked: &Asked,
    read: fn(&[u8]) -> Result<Told, Error>,
) -> Result<Response<OutBody>, Error> {
    let (caller, limits) = admit(inner, &head.headers)?;
    let mut intake = Intake::new(body, &head.headers, &limits, asked.received)?;
    let told = read(&intake::whole(&mut intake).await?)?;
    take(inner, &caller, &told)?;
    let message = match told.observation {
        atp_core::Observation { score: Some(_), .. } => "the score was taken",
        atp_core::Observation { better_than: Some(_), .. } => "the comparison was taken",
        _ => "the observation was taken",
    };
    Ok(json(&noted(message, &told.notes), asked))
}

/// Hands on what is told of an answer.
pub(crate) fn take(inner: &Inner, caller: &Caller, told: &Told) -> Result<(), Error> {
    if let Some(model) = &told.model {
        matches(inner, caller, told.observation.id, model)?;
    }
    inner.gateway.observe(caller, &told.observation)
}

/// Whether the model that a caller names is the one that answered, where that is known: what is told of one model
/// must not be learnt of another.
fn matches(inner: &Inner, caller: &Caller, id: RequestId, model: &str) -> Result<(), Error> {
    let Some(decision) = inner.gateway.decision(caller, id) else { return Ok(()) };
    let used = decision.result.as_ref().and_then(|result| result.model.as_ref());
    match used.filter(|used| used.as_ref() != model) {
        Some(used) => {
            let text = format!("`model` is {model:?}; {id} was answered by {used:?}: send that");
            Err(Error::caller(ErrorKind::Validation, text).with_param("model"))
        }
        None => Ok(()),
    }
}

/// `GET /v1/decisions/{id}`.
fn decided(inner: &Inner, head: &Parts, id: &str, asked: &Asked) -> Result<Response<OutBody>, Error> {
    let (caller, _): (Arc<Caller>, _) = admit(inner, &head.headers)?;
    let found = RequestId::parse(id).and_then(|id| inner.gateway.decision(&caller, id));
    match found {
        Some(found) => Ok(json(&decision(&found), asked)),
        None => {
            let text = format!(
                "no choice is remembered for {id:?}; send the `x-atp-plan` of an answer to this tenant that is not too old"
            );
            Err(Error::caller(ErrorKind::NotFound, text))
        }
    }
}
