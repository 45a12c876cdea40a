//! `RegistryService`: what adapters say to the router.

use atp_proto::adapter::v1::registry_service_server::{RegistryService, RegistryServiceServer};
use atp_proto::adapter::v1::{
    LeaveRequest, LeaveResponse, RegisterRequest, RegisterResponse, ReportRequest, ReportResponse,
};
use tonic::{Request, Response, Status};

use super::Fleet;

/// Bytes of a message: names and figures, no bodies.
const MOST: usize = 256 << 10;

/// The service of a fleet.
pub(crate) fn service(fleet: Fleet) -> RegistryServiceServer<Registry> {
    RegistryServiceServer::new(Registry(fleet)).max_decoding_message_size(MOST)
}

/// The service.
#[derive(Clone)]
pub(crate) struct Registry(Fleet);

impl Registry {
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let shown = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        self.0.0.terms.load().admit(shown.and_then(|value| value.strip_prefix("Bearer ")))
    }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[tonic::async_trait]
impl RegistryService for Registry {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        self.admit(&request)?;
        let lease = self.0.register(request.into_inner())?;
        let terms = self.0.0.terms.load();
        let (report_every_ms, silence_ms) = (millis(terms.report_every), millis(terms.silence));
        Ok(Response::new(RegisterResponse { lease, report_every_ms, silence_ms }))
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        self.admit(&request)?;
        let ReportRequest { lease, health } = request.into_inner();
        let health = health.ok_or_else(|| Status::invalid_argument("`health` is missing"))?;
        self.0.report(&lease, health)?;
        Ok(Response::new(ReportResponse {}))
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<LeaveResponse>, Status> {
        self.admit(&request)?;
        self.0.leave(&request.into_inner().lease);
        Ok(Response::new(LeaveResponse {}))
    }
}
