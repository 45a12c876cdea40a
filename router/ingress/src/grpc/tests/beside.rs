//! What stands beside the router's own service: health, reflection, services that were handed in.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use atp_core::Qos;
use http::{Request, Response};
use prost::Message;
use tonic::body::Body;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1 as reflection;

use super::scene::{PEER, Scene};
use crate::drain::Phase;
use crate::grpc::{Peer, ROUTER};
use crate::{KeyRing, Limits, Services, Settings};

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_is_what_readiness_is_and_a_watcher_hears_of_the_end() {
    let scene = Scene::open().await;
    let mut client = HealthClient::new(scene.channel.clone());
    for service in ["", ROUTER] {
        assert_eq!(client.check(of(service)).await.unwrap().into_inner().status(), ServingStatus::Serving);
    }
    assert_eq!(client.check(of("nobody")).await.unwrap_err().code(), tonic::Code::NotFound);
    let mut watching = client.watch(of(ROUTER)).await.unwrap().into_inner();
    let status = |message: Option<HealthCheckResponse>| message.map(|message| message.status());
    assert_eq!(status(watching.message().await.unwrap()), Some(ServingStatus::Serving));
    let mut unknown = client.watch(of("nobody")).await.unwrap().into_inner();
    assert_eq!(status(unknown.message().await.unwrap()), Some(ServingStatus::ServiceUnknown));
    scene.drain.advance(Phase::Leaving);
    let soon = tokio::time::timeout(Duration::from_millis(200), watching.message()).await.unwrap();
    assert_eq!(status(soon.unwrap()), Some(ServingStatus::NotServing));
    assert_eq!(client.check(of("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    scene.drain.advance(Phase::Closing);
    assert_eq!(watching.message().await.unwrap_err().code(), tonic::Code::Unavailable);
}

async fn reflected(scene: &mut Scene, request: reflection::server_reflection_request::MessageRequest) -> Vec<u8> {
    let request = reflection::ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let body = [&[0u8][..], &(request.encoded_len() as u32).to_be_bytes(), &request.encode_to_vec()].concat();
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let answer = scene.raw(path, &[("content-type", "application/grpc")], body).await;
    http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn reflection_tells_of_every_service_that_is_served_and_of_their_files() {
    use reflection::server_reflection_request::MessageRequest;
    let mut scene = Scene::open().await;
    let list = reflected(&mut scene, MessageRequest::ListServices(String::new())).await;
    let text = String::from_utf8_lossy(&list);
    assert!(text.contains(ROUTER) && text.contains("grpc.health.v1.Health"));
    assert!(!text.contains("atp.adapter.v1"), "what is not served is not told: {text}");
    let symbol = MessageRequest::FileContainingSymbol("atp.router.v1.ChatRequest".to_owned());
    let file = reflected(&mut scene, symbol).await;
    assert!(String::from_utf8_lossy(&file).contains("max_output_tokens"));
}

#[tokio::test]
async fn every_method_of_the_file_is_served() {
    let mut scene = Scene::open().await;
    let files = prost_types::FileDescriptorSet::decode(atp_proto::DESCRIPTORS).unwrap();
    let file = files.file.iter().find(|file| file.package() == "atp.router.v1").unwrap();
    let methods: Vec<&str> = file.service[0].method.iter().map(prost_types::MethodDescriptorProto::name).collect();
    assert_eq!((file.service[0].name(), methods.len()), ("RouterService", 8));
    for method in methods {
        let answer =
            scene.raw(&format!("/{ROUTER}/{method}"), &[("content-type", "application/grpc")], vec![0; 5]).await;
        let status = answer.headers().get("grpc-status").map(|value| value.to_str().unwrap().to_owned());
        assert_ne!(status.as_deref(), Some("12"), "{method}");
    }
}

/// A service that remembers who called it.
#[derive(Clone, Default)]
struct Handed(Arc<Mutex<Option<(Peer, String)>>>);

impl tonic::server::NamedService for Handed {
    const NAME: &'static str = "test.Handed";
}

impl tower_service::Service<Request<Body>> for Handed {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Response<Body>, std::convert::Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = *request.extensions().get::<Peer>().unwrap();
        let token = request.headers()["authorization"].to_str().unwrap().to_owned();
        *self.0.lock().unwrap() = Some((peer, format!("{token} {}", request.uri().path())));
        std::future::ready(Ok(tonic::Status::already_exists("here").into_http()))
    }
}

#[tokio::test]
async fn a_service_that_is_handed_in_sees_who_calls_it() {
    let handed = Handed::default();
    let settings = Settings { keys: KeyRing::open_as(Qos::Silver), limits: Limits::default() };
    let mut scene = Scene::with(settings, Services::new().with(handed.clone())).await;
    let headers = [("content-type", "application/grpc"), ("authorization", "Bearer t")];
    let answer = scene.raw("/test.Handed/Call", &headers, vec![0; 5]).await;
    assert_eq!(answer.headers()["grpc-status"], "6");
    let (peer, told) = handed.0.lock().unwrap().take().unwrap();
    assert_eq!((peer.0, told.as_str()), (PEER, "Bearer t /test.Handed/Call"));
}
