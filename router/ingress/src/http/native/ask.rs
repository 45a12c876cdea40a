//! `POST /v1/ask`: the exchange's answer as plan, events, chunks and a final message, or in one piece.

use std::pin::Pin;
use std::sync::Arc;

use atp_core::answer::BoxBody;
use atp_core::{Answer, Error, ErrorKind, FullBody, Reply};
use atp_dialects::native::{Answered, Framing, frame, whole_answer};
use atp_dialects::openai::chat::said;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;

use super::JSON;
use super::exchange::to_ask;
use super::told::{Known, Told};
use crate::clock;
use crate::http::Inner;
use crate::respond::{self, Asked, OutBody, Tongue, Trailers};

/// The largest answer that is read as one piece, in bytes: more than any model says at once.
pub(super) const LONGEST: usize = 8 << 20;

/// Keeps proxies in front from gathering what comes in pieces.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) async fn ask(
    inner: &Inner,
    head: &Parts,
    body: Incoming,
    asked: &Asked,
) -> Result<Response<OutBody>, Error> {
    let (exchange, ask) = to_ask(inner, head, body, asked).await?;
    let (model, stream) = (Arc::clone(&exchange.model), exchange.stream);
    let Reply { notes, result } = inner.gateway.call(exchange).await;
    let known = Known {
        model: notes.chosen.clone().unwrap_or(model),
        phase: notes.phase,
        plan: notes.plan.clone(),
        events: notes.events.clone(),
        notes: ask.notes,
        cost: notes.cost,
        received: asked.received,
    };
    let (result, trailers) = match result {
        Err(error) => (Err(error), Trailers::Unasked),
        Ok(answer) if stream => {
            let accept = head.headers.get(ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
            (Ok(streamed(answer, known, Framing::of_accept(accept))), Trailers::of(&head.headers))
        }
        Ok(answer) => (in_one_piece(answer, &known, asked).await, Trailers::Unasked),
    };
    Ok(respond::reply(Reply { notes, result }, asked, trailers, Tongue::Native))
}

fn streamed(answer: Answer, known: Known, framing: Framing) -> Answer {
    let mut headers = described(answer.headers.clone(), framing.content_type());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    Answer { status: StatusCode::OK, headers, limits: answer.limits, body: Box::pin(Told::new(answer, known, framing)) }
}

/// The provider's facts, beside what describes the new body.
fn described(mut headers: HeaderMap, content_type: &'static str) -> HeaderMap {
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers
}

async fn in_one_piece(answer: Answer, known: &Known, asked: &Asked) -> Result<Answer, Error> {
    let Answer { headers, limits, mut body, .. } = answer;
    let bytes = gathered(&mut body, LONGEST, too_long).await?;
    let report = body.report().clone();
    if let Some(failure) = report.failure {
        return Err(failure);
    }
    let text = said(&bytes).unwrap_or_default();
    let answered = Answered {
        text: &text,
        model: &known.model,
        usage: report.usage,
        finish: report.finish,
        cost: body.cost().or(known.cost),
        latency: clock::now().saturating_duration_since(asked.received),
        phase: known.phase,
        plan: known.plan.as_deref(),
        events: &known.events,
    };
    let id = asked.id.to_string();
    let whole = frame::whole(&whole_answer(&answered, &id, &known.notes));
    let body = Box::pin(FullBody::new(whole, report));
    Ok(Answer { status: StatusCode::OK, headers: described(headers, JSON), limits, body })
}

/// All bytes of a body that is no longer than `longest`; what was borrowed for it is given back with it.
pub(crate) async fn gathered(body: &mut BoxBody, longest: usize, too_long: fn() -> Error) -> Result<Bytes, Error> {
    if let Some(bytes) = body.as_mut().take_full() {
        return Ok(bytes);
    }
    let mut whole = BytesMut::new();
    while let Some(piece) = std::future::poll_fn(|cx| Pin::as_mut(body).poll_chunk(cx)).await {
        whole.extend_from_slice(&piece?);
        if whole.len() > longest {
            return Err(too_long());
        }
    }
    Ok(whole.freeze())
}

/// An answer that does not end.
pub(super) fn too_long() -> Error {
    let text =
        format!("the answer is longer than {LONGEST} bytes; ask /v1/chat/completions, which passes it on as it comes");
    Error::provider(ErrorKind::ProviderGarbled, text)
}
