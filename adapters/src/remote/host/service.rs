//! The calls of `AdapterService`.

use atp_core::port::BoxFuture;
use atp_core::{Error, ErrorKind};
use atp_proto::adapter::v1::adapter_service_server::AdapterService;
use atp_proto::adapter::v1::{
    CapabilitiesRequest, CapabilitiesResponse, CompleteRequest, EmbedRequest, EmbedResponse, EstimateRequest,
    EstimateResponse, HealthRequest, HealthResponse, StreamRequest,
};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Estimate, Host, complete, embed, exchange, oldest};

/// The service.
#[derive(Clone)]
pub(super) struct Adapter(pub(super) Host);

#[tonic::async_trait]
impl AdapterService for Adapter {
    type StreamStream = oldest::Replies;
    type CompleteStream = complete::Replies;

    async fn estimate(&self, request: Request<EstimateRequest>) -> Result<Response<EstimateResponse>, Status> {
        let request = request.into_inner();
        let exchange = exchange::chat(&request.prompt_json).map_err(|error| status(&error))?;
        self.0.health.teach();
        Ok(Response::new(told(self.0.estimates.estimate(&exchange))))
    }

    async fn stream(&self, request: Request<StreamRequest>) -> Result<Response<Self::StreamStream>, Status> {
        oldest::stream(&self.0, &request.into_inner().prompt_json).await.map(Response::new)
    }

    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        Ok(Response::new(self.0.health.told()))
    }

    async fn capabilities(&self, _: Request<CapabilitiesRequest>) -> Result<Response<CapabilitiesResponse>, Status> {
        Ok(Response::new(self.0.facts().clone()))
    }

    async fn complete(
        &self,
        request: Request<Streaming<CompleteRequest>>,
    ) -> Result<Response<Self::CompleteStream>, Status> {
        // Boxed: the future of every other call would have room for it otherwise.
        let answer: BoxFuture<'_, _> = Box::pin(complete::complete(&self.0, request.into_inner()));
        answer.await.map(Response::new)
    }

    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        embed::embed(&self.0, request.into_inner()).await.map(Response::new)
    }
}

fn told(estimate: Estimate) -> EstimateResponse {
    let split = serde_json::json!({ "input": estimate.input, "output": estimate.output });
    EstimateResponse {
        in_tokens: estimate.input,
        out_tokens: estimate.output,
        usd_micros: estimate.usd_micros.unwrap_or_default(),
        p95_tokens: estimate.p95_tokens,
        p95_usd_micros: estimate.p95_usd_micros.unwrap_or_default(),
        variance_tokens: estimate.variance_tokens,
        variance_usd: estimate.variance_usd,
        confidence: estimate.confidence,
        // Nobody here runs tools: what they cost is theirs to tell.
        tool_cost_breakdown_json: String::new(),
        assumptions: estimate.assumptions,
        token_estimates_json: split.to_string(),
    }
}

/// An error as a status, for the calls whose answers have no room for one.
pub(super) fn status(error: &Error) -> Status {
    let code = match error.kind() {
        ErrorKind::InvalidRequest | ErrorKind::Validation | ErrorKind::ProviderRejected | ErrorKind::PromptTooLarge => {
            Code::InvalidArgument
        }
        ErrorKind::NotFound | ErrorKind::ModelNotFound => Code::NotFound,
        ErrorKind::Authentication | ErrorKind::ProviderAuth => Code::Unauthenticated,
        ErrorKind::Permission | ErrorKind::PolicyDenied => Code::PermissionDenied,
        ErrorKind::BodyTooLarge
        | ErrorKind::RateLimited
        | ErrorKind::Backpressure
        | ErrorKind::BudgetDenied
        | ErrorKind::ProviderOverloaded => Code::ResourceExhausted,
        ErrorKind::Cancelled | ErrorKind::Preempted => Code::Cancelled,
        ErrorKind::RequestTimeout
        | ErrorKind::TimeoutConnect
        | ErrorKind::TimeoutFirstByte
        | ErrorKind::TimeoutIdle
        | ErrorKind::TimeoutTotal => Code::DeadlineExceeded,
        ErrorKind::NoModelsAvailable | ErrorKind::ProviderUnreachable | ErrorKind::ProviderCut => Code::Unavailable,
        ErrorKind::MethodNotAllowed => Code::Unimplemented,
        ErrorKind::ProviderFailed | ErrorKind::ProviderGarbled | ErrorKind::Configuration | ErrorKind::Internal => {
            Code::Internal
        }
    };
    Status::new(code, error.public())
}
