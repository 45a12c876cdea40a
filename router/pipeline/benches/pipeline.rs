//! What the whole request path costs without a provider: one exchange through every step, answered
//! at once, and settled.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use atp_core::port::{BoxFuture, Chat, Dialect, Gateway, Ledger, Provider, Try, UsageRow};
use atp_core::{
    Answer, Caller, Error, Exchange, Features, Fields, FullBody, Operation, Payload, Price, Qos, RateFacts, Report,
    RequestId, Restarts, Reuse, Rope, Signs, Usage,
};
use atp_pipeline::snapshot::{Escalation, Manner, RouteRules, Sticky};
use atp_pipeline::{KeyLimit, Model, Parts, Pipeline, PipelineMetrics, RateLimit, Snapshot, Target};
use atp_routing::bandit::Strategy;
use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method, StatusCode};

struct AtOnce(Arc<str>);

impl Provider for AtOnce {
    fn name(&self) -> &Arc<str> {
        &self.0
    }

    fn call<'a>(&'a self, _: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(async {
            let usage = Some(Usage { input: 100, output: 20, ..Usage::default() });
            let report = Report { usage, content: true, complete: true, ..Report::default() };
            let body = Box::pin(FullBody::new(Bytes::from_static(b"{}"), report));
            Ok(Answer { status: StatusCode::OK, headers: HeaderMap::new(), limits: RateFacts::default(), body })
        })
    }
}

struct Forget;

impl Ledger for Forget {
    fn record(&self, row: UsageRow) {
        black_box(row);
    }
}

/// What `auto` chooses among.
const CHOICE: [&str; 3] = ["a", "b", "c"];

fn auto() -> RouteRules {
    RouteRules {
        name: "auto".into(),
        listed: true,
        candidates: CHOICE.map(Arc::from).to_vec(),
        manner: Manner::One(Strategy::Contextual),
        weights: None,
        explore: 0.05,
        prior_weight: 10.0,
        half_life: Duration::from_secs(86_400),
        safety: None,
        escalation: Escalation::default(),
        sticky: Sticky::default(),
        experiment: None,
    }
}

fn pipeline(rate: Option<RateLimit>) -> Option<Pipeline> {
    let metrics = PipelineMetrics::register(&prometheus::Registry::new()).ok()?;
    let dialect = Dialect {
        status: |_| 500,
        restart: |_| Bytes::new(),
        features: |_, _| Features::default(),
        signs: |_, _| Signs::default(),
        length: |_, _| Bytes::new(),
        text: |_, _| None,
        chat: |_, _, _, _| Chat { operation: Operation::Chat, path: "", body: Rope::new(), fields: Fields::default() },
    };
    let parts = Parts { ledger: Arc::new(Forget), metrics, spawn: Arc::new(drop), dialect, journal: None };
    let targets = vec![Target::new(Arc::new(AtOnce("far".into())), "far-model")];
    let price = Some(Price { input: 1_000_000, output: 2_000_000, cached_input: 500_000 });
    let mut models = vec![Model { price, ..Model::new("m", targets.clone()) }];
    models.extend(CHOICE.map(|name| Model { price, ..Model::new(name, targets.clone()) }));
    let keys = vec![KeyLimit { key: "anonymous".into(), rate }];
    Pipeline::new(parts, &Snapshot { models, keys, routes: vec![auto()], ..Snapshot::default() }).ok()
}

fn exchange(caller: &Arc<Caller>, model: &Arc<str>, path: &Arc<str>) -> Exchange {
    Exchange {
        id: RequestId::from_parts(1, 1),
        caller: Arc::clone(caller),
        operation: Operation::Chat,
        model: Arc::clone(model),
        method: Method::POST,
        path: Arc::clone(path),
        headers: HeaderMap::new(),
        payload: Payload::Rope(Rope::from(Bytes::from_static(b"{\"model\":\"m\"}"))),
        fields: Fields::default(),
        stream: false,
        qos: Qos::default(),
        session: None,
        reuse: Reuse::Allowed,
        restarts: Restarts::Refused,
        patience: None,
        hints: None,
        received: tokio::time::Instant::now().into_std(),
    }
}

fn serve(pipeline: &Pipeline, exchange: Exchange) -> Option<Bytes> {
    let mut call = pin!(pipeline.call(exchange));
    // The provider answers at once, so one poll is all.
    let Poll::Ready(reply) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { return None };
    reply.result.ok()?.body.as_mut().take_full()
}

fn bench(criterion: &mut Criterion) {
    let (caller, model, path) = (Arc::new(Caller::anonymous()), Arc::from("m"), Arc::from("/chat/completions"));
    // So fast that nothing is ever refused.
    let period = Duration::from_nanos(1);
    for (name, rate) in
        [("one exchange", None), ("one exchange, rate limited", Some(RateLimit { period, burst: NonZeroU32::MAX }))]
    {
        let Some(pipeline) = pipeline(rate) else { continue };
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(
                || exchange(&caller, &model, &path),
                |exchange| serve(&pipeline, exchange).map(black_box),
                BatchSize::SmallInput,
            );
        });
    }
}

/// What choosing adds to one exchange: the plan, its walk, and what is learnt at the end. Reading the prompt is
/// not part of it; that is the dialect's.
fn choosing(criterion: &mut Criterion) {
    let (caller, path) = (Arc::new(Caller::anonymous()), Arc::from("/chat/completions"));
    let Some(pipeline) = pipeline(None) else { return };
    for (name, model) in [("one exchange, by name", Arc::from("a")), ("one exchange, chosen", Arc::from("auto"))] {
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(
                || exchange(&caller, &model, &path),
                |exchange| serve(&pipeline, exchange).map(black_box),
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, bench, choosing);
criterion_main!(benches);
