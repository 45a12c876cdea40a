//! `Chat` and `ChatStream`.

mod answer;
pub(super) mod ask;
mod delta;
mod parts;
mod stream;
mod tools;

use atp_core::{Answer, Error, ErrorKind, Exchange, Operation, Reply, Rope};
use atp_proto::router::v1 as pb;
use bytes::Bytes;
use http::Response;

use super::call::Call;
use super::{routing, wire};
use crate::http::Inner;
use crate::http::asking::Asking;
use crate::http::native::ask::gathered;
use crate::respond::{Asked, OutBody};

pub(super) use answer::usage;
pub(super) use ask::Delivery;

/// Where a chat is asked, below a provider's base URL.
const PATH: &str = "/chat/completions";

/// The largest answer that is read as one piece, in bytes: images and vectors can be long.
pub(super) const LONGEST: usize = 128 << 20;

/// `Chat`.
pub(super) async fn whole(inner: &Inner, call: Call<'_>) -> Result<Response<OutBody>, Error> {
    let asked = call.asked;
    let exchange = exchange(inner, call, Delivery::Whole).await?;
    let Reply { notes, result } = inner.gateway.call(exchange).await;
    let done = match result {
        Ok(answer) => in_one_piece(answer).await,
        Err(error) => Err(error),
    };
    Ok(match done {
        Ok(Read { mut message, headers, cost }) => {
            let mut info = routing::info(asked.id, &notes, asked.received);
            info.cost_usd_micros = cost.or(info.cost_usd_micros);
            message.routing = Some(info);
            wire::unary(&message, wire::told(headers, &notes, asked), asked)
        }
        Err(error) => wire::refusal(&error, Some(&notes), asked),
    })
}

/// `ChatStream`.
pub(super) async fn streamed(inner: &Inner, call: Call<'_>) -> Result<Response<OutBody>, Error> {
    let asked = call.asked;
    let exchange = exchange(inner, call, Delivery::Stream).await?;
    let Reply { notes, result } = inner.gateway.call(exchange).await;
    Ok(match result {
        Ok(answer) => {
            let info = routing::info(asked.id, &notes, asked.received);
            let headers = wire::told(answer.headers.clone(), &notes, asked);
            wire::response(Box::pin(stream::Told::new(answer, info)), headers, asked)
        }
        Err(error) => wire::refusal(&error, Some(&notes), asked),
    })
}

async fn exchange(inner: &Inner, call: Call<'_>, delivery: Delivery) -> Result<Exchange, Error> {
    let asked = call.asked;
    let asking = routing::asking(inner, &call.head.headers)?;
    let headers = routing::onward(&call.head.headers);
    let request: pb::ChatRequest = call.message(&asking.limits).await?;
    if request.model.is_empty() {
        let text = "`model` is missing; it takes one of ListModels, or a route such as auto";
        return Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("model"));
    }
    of(&request, delivery, asking, headers, asked)
}

/// The exchange of a chat.
pub(super) fn of(
    request: &pb::ChatRequest,
    delivery: Delivery,
    mut asking: Asking,
    headers: http::HeaderMap,
    asked: &Asked,
) -> Result<Exchange, Error> {
    if let Some(routing) = &request.routing {
        routing::wish(&mut asking.wishes, routing, &asking.caller)?;
    }
    let body = ask::body(request, delivery)?;
    asking.exchange(Operation::Chat, PATH, Rope::from(Bytes::from(body)), headers, asked)
}

/// A whole answer, and what is told beside it.
struct Read {
    message: pb::ChatResponse,
    headers: http::HeaderMap,
    cost: Option<u64>,
}

async fn in_one_piece(answer: Answer) -> Result<Read, Error> {
    let Answer { headers, mut body, .. } = answer;
    let bytes = gathered(&mut body, LONGEST, too_long).await?;
    let report = body.report();
    if let Some(failure) = &report.failure {
        return Err(failure.clone());
    }
    let mut message = answer::read(&bytes)?;
    message.usage = usage(report.usage, message.usage);
    Ok(Read { message, headers, cost: body.cost().map(|cost| cost.0) })
}

/// An answer that does not end.
pub(super) fn too_long() -> Error {
    let text = format!("the answer is longer than {LONGEST} bytes; ask for less at a time");
    Error::provider(ErrorKind::ProviderGarbled, text)
}

/// An answer that is none of OpenAI's dialect.
pub(super) fn garbled(what: &str) -> Error {
    Error::provider(ErrorKind::ProviderGarbled, format!("the provider's answer {what}"))
}
