//! A connection, a client, and the gateway behind it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use atp_core::port::{BoxFuture, Gateway, ModelCard};
use atp_core::{
    Answer, AnswerBody, Caller, Decision, Error, ErrorKind, Exchange, FullBody, MicroUsd, Notes, Observation,
    Operation, Payload, Plan, Qos, Quality, RateFacts, Reply, Report, RequestId, Upshot, Usage, Weights,
};
use atp_proto::router::v1::router_service_client::RouterServiceClient;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tonic::body::Body;

use crate::http::Control;
use crate::{Drain, Entrance, KeyRing, Limits, Services, Settings};

/// What a provider that tells its usage tells.
pub(super) const USAGE: Usage = Usage { input: 300, output: 100, cached_input: 20, reasoning: 7 };

/// An exchange that the gateway got.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) exchange: Exchange,
    pub(super) body: Value,
    pub(super) text: String,
}

/// Answers as it was told; remembers what it was asked.
#[derive(Default)]
pub(super) struct Played {
    pub(super) answers: Mutex<VecDeque<Result<Answer, Error>>>,
    pub(super) seen: Mutex<Vec<Seen>>,
    pub(super) observed: Mutex<Vec<Observation>>,
    pub(super) refused: Mutex<Vec<(Option<Operation>, ErrorKind)>>,
    /// Bodies that have not been dropped.
    pub(super) held: Arc<AtomicUsize>,
}

/// A stream of pieces that then ends, breaks, or waits for ever.
pub(super) struct Pieces {
    left: VecDeque<Bytes>,
    then: Option<Result<(), Error>>,
    report: Report,
    ended: bool,
    held: Arc<AtomicUsize>,
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AnswerBody for Pieces {
    fn poll_chunk(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(piece) = self.left.pop_front() {
            return Poll::Ready(Some(Ok(piece)));
        }
        match self.then.clone() {
            None => return Poll::Pending,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(())) => {}
        }
        self.ended = true;
        self.report.usage = Some(USAGE);
        Poll::Ready(None)
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn cost(&self) -> Option<MicroUsd> {
        self.ended.then_some(MicroUsd(700))
    }
}

fn typed(content_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        ("x-ratelimit-limit-requests".parse().unwrap(), HeaderValue::from_static("60")),
    ])
}

impl Played {
    pub(super) fn will(&self, answer: Result<Answer, Error>) {
        self.answers.lock().unwrap().push_back(answer);
    }

    pub(super) fn whole(&self, body: &str) {
        let report = Report { usage: Some(USAGE), complete: true, content: true, ..Report::default() };
        let body = Box::pin(FullBody::new(Bytes::from(body.to_owned()), report));
        let (status, headers) = (StatusCode::OK, typed("application/json"));
        self.will(Ok(Answer { status, headers, limits: RateFacts::default(), body }));
    }

    pub(super) fn pieces(&self, pieces: impl IntoIterator<Item = Bytes>, then: Option<Result<(), Error>>) {
        self.held.fetch_add(1, Ordering::SeqCst);
        let (left, held) = (pieces.into_iter().collect(), Arc::clone(&self.held));
        let body = Box::pin(Pieces { left, then, report: Report::default(), ended: false, held });
        let (status, headers) = (StatusCode::OK, typed("text/event-stream"));
        self.will(Ok(Answer { status, headers, limits: RateFacts::default(), body }));
    }

    pub(super) fn last(&self) -> Seen {
        self.seen.lock().unwrap().pop().expect("the gateway was asked")
    }
}

fn notes() -> Notes {
    Notes {
        provider: Some(Arc::from("up")),
        model: Some(Arc::from("target-1")),
        attempts: 2,
        chosen: Some(Arc::from("small")),
        events: vec![atp_core::PlanEvent::Escalate { model: Arc::from("large"), reason: "failure" }],
        ..Notes::default()
    }
}

/// A plan of nothing but the request.
pub(super) fn plan(exchange: &Exchange) -> Arc<Plan> {
    Arc::new(Plan {
        id: exchange.id,
        tenant: Arc::clone(&exchange.caller.tenant),
        route: Arc::clone(&exchange.model),
        cluster: Arc::from("chat"),
        prompt_hash: 7,
        quality: Quality::High,
        weights: Weights::of(Quality::High),
        max_cost: exchange.hints.as_ref().and_then(|hints| hints.max_cost),
        latency_slo: None,
        strategy: Arc::from("contextual"),
        reason: Arc::from("it looked best"),
        candidates: Vec::new(),
        order: Vec::new(),
        roles: Vec::new(),
        explored: false,
    })
}

impl Gateway for Played {
    fn call(&self, exchange: Exchange) -> BoxFuture<'static, Reply> {
        let Payload::Rope(rope) = &exchange.payload else { panic!("a call is held") };
        let text = String::from_utf8(rope.to_bytes().to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap();
        self.seen.lock().unwrap().push(Seen { exchange, body, text });
        let result = self.answers.lock().unwrap().pop_front();
        Box::pin(async move {
            match result {
                Some(result) => Reply { notes: notes(), result },
                None => std::future::pending().await,
            }
        })
    }

    fn refused(&self, operation: Option<Operation>, error: &Error) {
        self.refused.lock().unwrap().push((operation, error.kind()));
    }

    fn models(&self) -> Vec<ModelCard> {
        vec![ModelCard { id: Arc::from("m"), owner: Arc::from("up"), created: 5 }]
    }

    fn model(&self, _: &str) -> Option<ModelCard> {
        None
    }

    fn plan(&self, exchange: &Exchange) -> Result<Arc<Plan>, Error> {
        Ok(plan(exchange))
    }

    fn decision(&self, _: &Caller, id: RequestId) -> Option<Arc<Decision>> {
        let seen = self.seen.lock().unwrap();
        let plan = plan(&seen.iter().find(|seen| seen.exchange.id == id)?.exchange);
        let result = Upshot { model: Some(Arc::from("small")), outcome: "served", ..Upshot::default() };
        Some(Arc::new(Decision { plan, result: Some(result), score: Some(0.5) }))
    }

    fn observe(&self, _: &Caller, observation: &Observation) -> Result<(), Error> {
        self.observed.lock().unwrap().push(observation.clone());
        Ok(())
    }
}

/// A connection as the generated clients need one.
#[derive(Clone)]
pub(super) struct Channel(SendRequest<Body>);

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Response<Incoming>, hyper::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        *request.uri_mut() = format!("http://router{path}").parse().unwrap();
        Box::pin(self.0.send_request(request))
    }
}

/// Everything of a test.
pub(super) struct Scene {
    pub(super) gateway: Arc<Played>,
    pub(super) entrance: Entrance,
    pub(super) drain: Drain,
    pub(super) channel: Channel,
    pub(super) client: RouterServiceClient<Channel>,
}

pub(super) const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4_711);

impl Scene {
    /// A router without keys.
    pub(super) async fn open() -> Self {
        Self::with(Settings { keys: KeyRing::open_as(Qos::Silver), limits: Limits::default() }, Services::new()).await
    }

    /// A router with one key.
    pub(super) async fn with_key(key: &str) -> Self {
        let digest = Sha256::digest(key.as_bytes()).into();
        let keys = KeyRing::new([(digest, Arc::new(Caller::anonymous()))]);
        Self::with(Settings { keys, limits: Limits::default() }, Services::new()).await
    }

    #[expect(clippy::disallowed_methods, reason = "both ends of the connection are tasks that end with their test")]
    pub(super) async fn with(settings: Settings, services: Services) -> Self {
        let gateway = Arc::<Played>::default();
        let drain = Drain::new();
        let control: Control = Arc::new(|path| (path == "/readyz").then(|| Response::new(Bytes::from_static(b"{}"))));
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let port: Arc<dyn Gateway> = Arc::clone(&gateway) as _;
        let entrance = Entrance::with_services(port, settings, control, drain.clone(), services).met_by(PEER);
        let (near, far) = tokio::io::duplex(256 << 10);
        let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(far), entrance.clone());
        tokio::spawn(served);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
        tokio::spawn(connection);
        let channel = Channel(sender);
        let client = RouterServiceClient::new(channel.clone());
        Self { gateway, entrance, drain, channel, client }
    }

    /// A call by hand: a path, headers, a body.
    pub(super) async fn raw(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response<Incoming> {
        let mut request = Request::post(format!("http://router{path}")).header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Body::new(http_body_util::Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {}));
        self.channel.0.send_request(request.body(body).unwrap()).await.unwrap()
    }
}
