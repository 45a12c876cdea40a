//! gRPC services beside the router's own: health and reflection, and those that whoever composes the router hands in.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use atp_core::port::BoxFuture;
use atp_core::{Error, ErrorKind};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;

use super::{ROUTER, health, status};
use crate::drain::{Drain, Phase};
use crate::http::Control;
use crate::respond::{Broken, OutBody};

/// The address that a call came from; in the extensions of each request that a service is handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// A service whose type has been forgotten.
type Handler = Box<dyn Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// Services that are served beside the router's own, each under its name.
///
/// A service is what tonic generates of a protocol file (`RegistryServiceServer::new(..)`). It gets requests as they
/// came: all headers are its metadata, and [`Peer`] stands in its extensions (`request.extensions().get::<Peer>()`).
/// Nobody has looked at their key, and tonic's own limit holds for their size. A stream that still waits for
/// something to tell when the router closes is ended with UNAVAILABLE, so that a watcher does not hold up leaving.
#[derive(Default)]
pub struct Services {
    handlers: Vec<(&'static str, Handler)>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.handlers.iter().map(|(name, _)| name)).finish()
    }
}

impl Services {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more. Reflection tells of it where [`atp_proto::DESCRIPTORS`] do.
    #[must_use]
    pub fn with<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let handler = move |request| -> BoxFuture<'static, Response<Body>> {
            // Generated servers are ready at any time.
            let answer = service.clone().call(request);
            Box::pin(async move {
                let Ok(response) = answer.await;
                response
            })
        };
        self.handlers.push((S::NAME, Box::new(handler)));
        self
    }

    fn find(&self, service: &str) -> Option<&Handler> {
        self.handlers.iter().find(|(name, _)| *name == service).map(|(_, handler)| handler)
    }
}

/// Everything beside the router's own service.
pub(crate) struct Surface {
    services: Services,
    /// Those that are told of, the router's own among them.
    names: Vec<&'static str>,
    /// Made when it is asked for the first time: few routers are ever asked, and it holds every file twice.
    reflection: OnceLock<Services>,
}

impl Surface {
    /// Adds health and reflection to what was handed in.
    pub(crate) fn new(services: Services, control: &Control, drain: &Drain) -> Self {
        let mut names: Vec<&'static str> = services.handlers.iter().map(|(name, _)| *name).collect();
        names.push(ROUTER);
        let health = health::server(Arc::clone(control), drain.clone(), names.clone());
        names.push("grpc.health.v1.Health");
        Self { services: services.with(health), names, reflection: OnceLock::new() }
    }

    /// The services' names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied()
    }

    fn find(&self, service: &str) -> Option<&Handler> {
        if service.starts_with("grpc.reflection.") {
            return self.reflection.get_or_init(|| reflected(&self.names)).find(service);
        }
        self.services.find(service)
    }

    /// The answer of a service; `None` where there is none of that name.
    pub(crate) fn answer(
        &self,
        service: &str,
        head: &mut Parts,
        body: Incoming,
        peer: Option<SocketAddr>,
        drain: &Drain,
    ) -> Option<BoxFuture<'static, Response<OutBody>>> {
        let handler = self.find(service)?;
        let mut request = Request::new(Body::new(body));
        *request.method_mut() = std::mem::take(&mut head.method);
        *request.uri_mut() = std::mem::take(&mut head.uri);
        *request.headers_mut() = std::mem::take(&mut head.headers);
        *request.version_mut() = head.version;
        if let Some(peer) = peer {
            request.extensions_mut().insert(Peer(peer));
        }
        let (answer, drain) = (handler(request), drain.clone());
        Some(Box::pin(async move {
            let closing = Box::pin(async move { drain.reached(Phase::Closing).await });
            answer
                .await
                .map(|body| OutBody::Made(Box::pin(UntilClosing { body, closing: Some(closing), ended: false })))
        }))
    }
}

/// Reflection of `names`, in both of its versions.
fn reflected(names: &[&'static str]) -> Services {
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(atp_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        names.iter().fold(builder, |builder, name| builder.with_service_name(*name))
    };
    match (builder().build_v1(), builder().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => Services::new().with(v1).with(v1alpha),
        // Descriptors that the build made; a test reads them.
        (v1, v1alpha) => {
            let why = [v1.err(), v1alpha.err()].into_iter().flatten().map(|error| error.to_string());
            tracing::error!(why = why.collect::<Vec<_>>().join("; "), "there is no gRPC reflection");
            Services::new()
        }
    }
}

/// A body that ends when the router closes, where it has nothing to tell then.
struct UntilClosing {
    body: Body,
    closing: Option<BoxFuture<'static, ()>>,
    ended: bool,
}

impl http_body::Body for UntilClosing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let broken = |status: tonic::Status| {
                Broken(Error::router(ErrorKind::Internal, "a gRPC service broke off").with_cause(status))
            };
            return Poll::Ready(frame.map(|frame| frame.map_err(broken)));
        }
        if let Some(closing) = &mut self.closing
            && closing.as_mut().poll(cx).is_ready()
        {
            (self.closing, self.ended) = (None, true);
            let text = "the router is ending; call it again, and another one answers";
            let mut trailers = HeaderMap::new();
            status::put(&tonic::Status::unavailable(text), &mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }
}
