//! `grpc.health.v1`: what `/readyz` says, looked at when somebody asks. No state of its own, so that it cannot be stale.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use atp_core::port::BoxFuture;
use http::StatusCode;
use tonic::codegen::tokio_stream::Stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::drain::{Drain, Phase};
use crate::http::Control;

/// How often a watcher's status is looked at. Leaving is told at once.
const LOOK: Duration = Duration::from_millis(500);

/// The service. `names` are those that it knows beside the empty one, which is the whole router.
pub(super) fn server(control: Control, drain: Drain, names: Vec<&'static str>) -> HealthServer<Watched> {
    HealthServer::new(Watched { control, drain, names })
}

/// What can be asked about.
#[derive(Clone)]
pub(super) struct Watched {
    control: Control,
    drain: Drain,
    names: Vec<&'static str>,
}

impl Watched {
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.names.contains(&service)
    }

    /// All services stand and fall with the router.
    fn status(&self, service: &str) -> ServingStatus {
        if !self.knows(service) {
            return ServingStatus::ServiceUnknown;
        }
        let ready = (self.control)("/readyz").is_some_and(|answer| answer.status() == StatusCode::OK);
        if ready && self.drain.phase() == Phase::Serving { ServingStatus::Serving } else { ServingStatus::NotServing }
    }
}

#[tonic::async_trait]
impl Health for Watched {
    type WatchStream = Watching;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        match self.status(&service) {
            ServingStatus::ServiceUnknown => {
                let text = format!("there is no service {service:?} here; ask for one of {}", self.names.join(", "));
                Err(Status::not_found(text))
            }
            status => Ok(Response::new(HealthCheckResponse { status: status.into() })),
        }
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watching>, Status> {
        let drain = self.drain.clone();
        Ok(Response::new(Watching {
            watched: self.clone(),
            service: request.into_inner().service,
            told: None,
            look: None,
            leaving: Some(Box::pin(async move { drain.reached(Phase::Leaving).await })),
        }))
    }
}

/// A status, and each change of it.
pub(super) struct Watching {
    watched: Watched,
    service: String,
    told: Option<ServingStatus>,
    look: Option<Pin<Box<tokio::time::Sleep>>>,
    /// Once it has been reached there is no change to come.
    leaving: Option<BoxFuture<'static, ()>>,
}

impl Stream for Watching {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let status = this.watched.status(&this.service);
            if this.told != Some(status) {
                this.told = Some(status);
                return Poll::Ready(Some(Ok(HealthCheckResponse { status: status.into() })));
            }
            if let Some(leaving) = &mut this.leaving
                && leaving.as_mut().poll(cx).is_ready()
            {
                this.leaving = None;
                continue;
            }
            let look = this.look.get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK)));
            ready!(look.as_mut().poll(cx));
            this.look = None;
        }
    }
}
