//! The HTTP surface: which path is what, and how a request becomes an exchange.

mod handle;
mod routes;
mod wishes;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use atp_core::port::Gateway;
use atp_core::{Error, ErrorKind, Operation, RequestId};
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use rand::RngExt;

use crate::clock;
use crate::drain::{Drain, Phase};
use crate::respond::{self, Asked, CORRELATION_ID, OutBody, REQUEST_ID};
use crate::settings::Settings;
use routes::Route;

/// Answers health and metrics paths, made elsewhere and handed in.
pub type Control = Arc<dyn Fn(&str) -> Option<Response<Bytes>> + Send + Sync>;

/// The HTTP surface. Cheap to clone; every connection has one.
#[derive(Clone)]
pub struct Entrance(Arc<Inner>);

struct Inner {
    gateway: Arc<dyn Gateway>,
    settings: Arc<ArcSwap<Settings>>,
    control: Control,
    drain: Drain,
    routes: routes::Table,
}

impl Entrance {
    /// Joins the surface to the one service behind it.
    #[must_use]
    pub fn new(gateway: Arc<dyn Gateway>, settings: Arc<ArcSwap<Settings>>, control: Control, drain: Drain) -> Self {
        Self(Arc::new(Inner { gateway, settings, control, drain, routes: routes::Table::new() }))
    }

    /// Answers one request.
    async fn answer(self, request: Request<Incoming>) -> Result<Response<OutBody>, Infallible> {
        let asked = asked(clock::now(), &request);
        let mut response = match self.dispatch(request, &asked).await {
            Ok(response) => response,
            Err(refused) => self.refuse(&refused, &asked),
        };
        if self.0.drain.phase() >= Phase::Leaving {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn dispatch(&self, request: Request<Incoming>, asked: &Asked) -> Result<Response<OutBody>, Refused> {
        let route = self.0.routes.find(request.method(), request.uri().path());
        match route {
            Route::Operation(operation, path) => {
                handle::operation(&self.0, request, operation, path, asked).await.map_err(Refused::of(operation))
            }
            Route::Raw { provider, rest } => {
                let (provider, rest) = (Arc::from(provider), Arc::from(rest));
                handle::raw(&self.0, request, provider, rest, asked).await.map_err(Refused::of(Operation::Raw))
            }
            Route::Models => handle::models(&self.0, &request, asked).map_err(Refused::from),
            Route::Model(name) => handle::model_card(&self.0, &request, name, asked).map_err(Refused::from),
            Route::WrongMethod(allowed) => Err(wrong_method(&request, allowed).into()),
            Route::Unknown => self.control(&request).ok_or_else(|| unknown(&request).into()),
        }
    }

    fn control(&self, request: &Request<Incoming>) -> Option<Response<OutBody>> {
        if request.method() != http::Method::GET {
            return None;
        }
        (self.0.control)(request.uri().path()).map(|response| response.map(OutBody::full))
    }

    fn refuse(&self, refused: &Refused, asked: &Asked) -> Response<OutBody> {
        self.0.gateway.refused(refused.operation, &refused.error);
        respond::refusal(&refused.error, asked)
    }
}

impl hyper::service::Service<Request<Incoming>> for Entrance {
    type Response = Response<OutBody>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.clone().answer(request))
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

fn asked(received: Instant, request: &Request<Incoming>) -> Asked {
    let id = RequestId::from_parts(clock::unix_millis(received), rand::rng().random());
    let correlation = request.headers().get(CORRELATION_ID).or_else(|| request.headers().get(REQUEST_ID)).cloned();
    Asked { id, received, correlation }
}

fn wrong_method(request: &Request<Incoming>, allowed: &str) -> Error {
    let text = format!("{} {} does not exist; use {allowed}", request.method(), request.uri().path());
    Error::caller(ErrorKind::MethodNotAllowed, text)
}

fn unknown(request: &Request<Incoming>) -> Error {
    let text = format!(
        "{} {} does not exist here; chat is POST /v1/chat/completions, the models are at GET /v1/models",
        request.method(),
        request.uri().path()
    );
    Error::caller(ErrorKind::NotFound, text)
}
