//! The gRPC surface: the router's own service in types, health, reflection, and services that are handed in.
//!
//! It stands on the port of HTTP, behind the same listeners; a path that is no route of HTTP and comes as
//! `application/grpc` leads here. The router's own service is read and written here, not by a generated server: its
//! messages come under the same limits and clocks as every body, and what is refused is told with the same notes. To
//! everything behind this file a call is an exchange as any other.

mod call;
mod chat;
mod embed;
mod fault;
mod health;
mod json;
mod plan;
mod routing;
mod services;
mod status;
#[cfg(test)]
mod tests;
mod told;
mod wire;

use std::net::SocketAddr;

use atp_core::{Error, ErrorKind, Operation};
use atp_proto::router::v1 as pb;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method, Response, Version};
use hyper::body::Incoming;

use crate::http::Inner;
use crate::respond::{Asked, OutBody};
use call::Call;

pub(crate) use services::Surface;
pub use services::{Peer, Services};

/// The router's own service.
const ROUTER: &str = "atp.router.v1.RouterService";

/// Whether a request is meant for this surface. Asked only of paths that are no route of HTTP.
pub(crate) fn meant(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Answers a call, a refusal included.
///
/// # Errors
///
/// Where the request is no call at all, and is to be refused in HTTP's words.
pub(crate) async fn answer(
    inner: &Inner,
    head: &mut Parts,
    body: Incoming,
    asked: &Asked,
    peer: Option<SocketAddr>,
) -> Result<Response<OutBody>, Error> {
    protocol(head)?;
    let path = head.uri.path().to_owned();
    let (service, method) = path.strip_prefix('/').and_then(|path| path.split_once('/')).unwrap_or_default();
    if service != ROUTER {
        if let Some(answer) = inner.grpc.answer(service, head, body, peer, &inner.drain) {
            return Ok(answer.await);
        }
        return Ok(refused(inner, None, &unknown(&path, &inner.grpc), asked));
    }
    let operation = operation(method);
    let done = match call::encoding(&head.headers) {
        Ok(()) => router(inner, Call { head, body, asked }, method, &path).await,
        Err(error) => Err(error),
    };
    Ok(done.unwrap_or_else(|error| refused(inner, operation, &error, asked)))
}

/// What a call is refused as before it has become an exchange.
fn refused(inner: &Inner, operation: Option<Operation>, error: &Error, asked: &Asked) -> Response<OutBody> {
    inner.gateway.refused(operation, error);
    wire::refusal(error, None, asked)
}

/// What a refusal counts as.
fn operation(method: &str) -> Option<Operation> {
    match method {
        "Chat" | "ChatStream" => Some(Operation::Chat),
        "Embed" => Some(Operation::Embeddings),
        _ => None,
    }
}

/// A method of the router's own service.
async fn router(inner: &Inner, call: Call<'_>, method: &str, path: &str) -> Result<Response<OutBody>, Error> {
    match method {
        "Chat" => chat::whole(inner, call).await,
        "ChatStream" => chat::streamed(inner, call).await,
        "Embed" => embed::embed(inner, call).await,
        "Plan" => plan::plan(inner, call).await,
        "Decision" => plan::decision(inner, call).await,
        "Feedback" => told::feedback(inner, call).await,
        "Observe" => told::observe(inner, call).await,
        "ListModels" => models(inner, call).await,
        _ => Err(unknown(path, &inner.grpc)),
    }
}

async fn models(inner: &Inner, call: Call<'_>) -> Result<Response<OutBody>, Error> {
    let asked = call.asked;
    let (_, limits) = crate::http::handle::admit(inner, &call.head.headers)?;
    let pb::ListModelsRequest {} = call.message(&limits).await?;
    let models = inner.gateway.models().into_iter().map(|card| pb::Model {
        id: card.id.to_string(),
        owner: card.owner.to_string(),
        created: card.created,
    });
    Ok(wire::unary(&pb::ListModelsResponse { models: models.collect() }, HeaderMap::new(), asked))
}

/// Whether gRPC is spoken at all.
fn protocol(head: &Parts) -> Result<(), Error> {
    if head.version != Version::HTTP_2 {
        let text = "gRPC needs HTTP/2, and this came over HTTP/1.1; speak HTTP/2 with prior knowledge, or by ALPN where \
                    the router has TLS (gRPC-Web is not spoken)";
        return Err(Error::caller(ErrorKind::InvalidRequest, text));
    }
    if head.method != Method::POST {
        return Err(Error::caller(
            ErrorKind::MethodNotAllowed,
            format!("gRPC is called by POST, and not by {}", head.method),
        ));
    }
    let told = head.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let told = told.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    match told {
        b"application/grpc" | b"application/grpc+proto" => Ok(()),
        other => {
            let text = format!(
                "content-type {:?} is not spoken here; gRPC's messages are application/grpc+proto",
                String::from_utf8_lossy(other)
            );
            Err(Error::caller(ErrorKind::InvalidRequest, text).with_param("content-type"))
        }
    }
}

fn unknown(path: &str, surface: &Surface) -> Error {
    let known: Vec<&str> = surface.names().collect();
    let text = format!("there is no gRPC method {path:?} here; the services are {}", known.join(", "));
    Error::caller(ErrorKind::MethodNotAllowed, text)
}
