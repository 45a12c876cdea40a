//! The HTTP surface: which path is what, and how a request becomes an exchange.

pub(crate) mod asking;
pub(crate) mod handle;
pub(crate) mod native;
mod routes;
pub(crate) mod wishes;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use atp_core::port::Gateway;
use atp_core::{Error, ErrorKind, Operation, RequestId};
use bytes::Bytes;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use rand::RngExt;

use crate::clock;
use crate::drain::{Drain, Phase};
use crate::grpc::{self, Services};
use crate::respond::{self, Asked, CORRELATION_ID, OutBody, REQUEST_ID, Tongue};
use crate::settings::Settings;
use routes::Route;

/// Answers health and metrics paths, made elsewhere and handed in.
pub type Control = Arc<dyn Fn(&str) -> Option<Response<Bytes>> + Send + Sync>;

/// The HTTP surface. Cheap to clone; every connection has one.
#[derive(Clone)]
pub struct Entrance {
    inner: Arc<Inner>,
    /// Who is at the other end of the connection, where that is known.
    peer: Option<SocketAddr>,
}

pub(crate) struct Inner {
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) settings: Arc<ArcSwap<Settings>>,
    control: Control,
    pub(crate) drain: Drain,
    routes: routes::Table,
    pub(crate) grpc: grpc::Surface,
}

impl Entrance {
    /// Joins the surface to the one service behind it.
    #[must_use]
    pub fn new(gateway: Arc<dyn Gateway>, settings: Arc<ArcSwap<Settings>>, control: Control, drain: Drain) -> Self {
        Self::with_services(gateway, settings, control, drain, Services::new())
    }

    /// The same, with gRPC services beside the router's own.
    #[must_use]
    pub fn with_services(
        gateway: Arc<dyn Gateway>,
        settings: Arc<ArcSwap<Settings>>,
        control: Control,
        drain: Drain,
        services: Services,
    ) -> Self {
        let grpc = grpc::Surface::new(services, &control, &drain);
        let routes = routes::Table::new();
        Self { inner: Arc::new(Inner { gateway, settings, control, drain, routes, grpc }), peer: None }
    }

    /// The surface as it is met by who is at the other end of one connection.
    pub(crate) fn met_by(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Answers one request. Its head is lent: what an async function owns is copied into its state,
    /// and again into that of the next.
    async fn answer(&self, head: &mut Parts, body: Incoming, asked: &Asked) -> Response<OutBody> {
        let mut response = match self.dispatch(head, body, asked).await {
            Ok(response) => response,
            Err(refused) => self.refuse(&refused, asked),
        };
        if self.inner.drain.phase() >= Phase::Leaving {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn dispatch(&self, head: &mut Parts, body: Incoming, asked: &Asked) -> Result<Response<OutBody>, Refused> {
        match self.inner.routes.find(&head.method, head.uri.path()) {
            Route::Operation(operation, path) => {
                let answer = handle::operation(&self.inner, head, body, operation, path, asked);
                answer.await.map_err(Refused::of(operation))
            }
            Route::Raw { provider, rest } => {
                let (provider, rest) = (Arc::from(provider), Arc::from(rest));
                let answer = Box::pin(handle::raw(&self.inner, head, body, provider, rest, asked));
                answer.await.map_err(Refused::of(Operation::Raw))
            }
            Route::Native(endpoint) => Ok(Box::pin(native::answer(&self.inner, head, body, endpoint, asked)).await),
            Route::Models => handle::models(&self.inner, head, asked).map_err(Refused::from),
            Route::Model(name) => handle::model_card(&self.inner, head, name, asked).map_err(Refused::from),
            Route::WrongMethod(allowed) => Err(wrong_method(head, allowed).into()),
            Route::Unknown if grpc::meant(&head.headers) => {
                Box::pin(grpc::answer(&self.inner, head, body, asked, self.peer)).await.map_err(Refused::from)
            }
            Route::Unknown => self.control(head).ok_or_else(|| unknown(head).into()),
        }
    }

    fn control(&self, head: &Parts) -> Option<Response<OutBody>> {
        if head.method != http::Method::GET {
            return None;
        }
        (self.inner.control)(head.uri.path()).map(|response| response.map(OutBody::full))
    }

    fn refuse(&self, refused: &Refused, asked: &Asked) -> Response<OutBody> {
        self.inner.gateway.refused(refused.operation, &refused.error);
        respond::refusal(&refused.error, asked, Tongue::OpenAi)
    }
}

impl hyper::service::Service<Request<Incoming>> for Entrance {
    type Response = Response<OutBody>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let entrance = self.clone();
        let (mut head, body) = request.into_parts();
        let asked = asked(clock::now(), &head.headers);
        Box::pin(async move { Ok(entrance.answer(&mut head, body, &asked).await) })
    }
}

/// An error found before the gateway was asked.
struct Refused {
    operation: Option<Operation>,
    error: Error,
}

impl Refused {
    fn of(operation: Operation) -> impl Fn(Error) -> Self {
        move |error| Self { operation: Some(operation), error }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { operation: None, error }
    }
}

fn asked(received: Instant, headers: &HeaderMap) -> Asked {
    let id = RequestId::from_parts(clock::unix_millis(received), rand::rng().random());
    let correlation = headers.get(CORRELATION_ID).or_else(|| headers.get(REQUEST_ID)).cloned();
    Asked { id, received, correlation }
}

fn wrong_method(head: &Parts, allowed: &str) -> Error {
    let text = format!("{} {} does not exist; use {allowed}", head.method, head.uri.path());
    Error::caller(ErrorKind::MethodNotAllowed, text)
}

fn unknown(head: &Parts) -> Error {
    let text = format!(
        "{} {} does not exist here; chat is POST /v1/chat/completions, the models are at GET /v1/models",
        head.method,
        head.uri.path()
    );
    Error::caller(ErrorKind::NotFound, text)
}
