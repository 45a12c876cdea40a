//! The far sides, hand-played: providers that follow a script, and a ledger that remembers.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use atp_core::answer::BoxBody;
use atp_core::port::{BoxFuture, Chat, Dialect, Gateway, Journal, Ledger, Provider, Try, UsageRow};
use atp_core::{
    Answer, AnswerBody, Caller, Continuity, Error, Exchange, Features, Fields, Finish, FullBody, Operation, Payload,
    Price, Qos, RateFacts, Reply, Report, RequestId, Restarts, Resume, Reuse, Rope, Signs, Timeouts, Usage,
};
use atp_pipeline::{Model, Parts, Pipeline, PipelineMetrics, Snapshot, Target};
use atp_routing::window::WindowRules;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use prometheus::Registry;

pub(crate) const PRICE: Price = Price { input: 1_000_000, output: 2_000_000, cached_input: 500_000 };
pub(crate) const USAGE: Usage = Usage { input: 10, output: 5, cached_input: 0, reasoning: 0 };
/// [`USAGE`] at [`PRICE`].
pub(crate) const COST: u64 = 20;

/// What a provider does with one try.
#[derive(Clone, Debug)]
pub(crate) enum Play {
    /// Answers with a whole body, after a while.
    Full(Duration, Bytes, Option<Usage>),
    /// Fails, after a while.
    Fail(Duration, Error),
    /// Answers with a stream.
    Stream(Vec<Beat>),
    /// Is silent for ever.
    Hang,
}

/// One thing that happens in a stream.
#[derive(Clone, Debug)]
pub(crate) enum Beat {
    /// Bytes without content: a role, a comment.
    Quiet(Bytes),
    /// Bytes with content.
    Content(Bytes),
    /// Nothing, for a while.
    Wait(Duration),
    /// Bytes that tell an error.
    Failure(Bytes, Error),
    /// The stream breaks.
    Break(Error),
    /// The usage, and the proper end with what follows.
    Usage(Usage),
    /// Why the model stopped.
    Finish(Finish),
    /// Nothing ever comes again.
    Hang,
}

pub(crate) fn full(text: &'static str) -> Play {
    Play::Full(Duration::ZERO, Bytes::from_static(text.as_bytes()), Some(USAGE))
}

pub(crate) fn fail(error: Error) -> Play {
    Play::Fail(Duration::ZERO, error)
}

pub(crate) fn content(text: &'static str) -> Beat {
    Beat::Content(Bytes::from_static(text.as_bytes()))
}

pub(crate) fn quiet(text: &'static str) -> Beat {
    Beat::Quiet(Bytes::from_static(text.as_bytes()))
}

/// A stream of two pieces, with usage and a proper end.
pub(crate) fn stream() -> Play {
    Play::Stream(vec![quiet("role;"), content("hel"), content("lo"), Beat::Usage(USAGE)])
}

/// A provider that follows a script; the last play is repeated for ever.
pub(crate) struct Scripted {
    name: Arc<str>,
    plays: Mutex<VecDeque<Play>>,
    pub(crate) seen: Mutex<Vec<Seen>>,
    working: Arc<AtomicUsize>,
}

/// What one try looked like to the provider.
pub(crate) struct Seen {
    pub(crate) model: String,
    pub(crate) payload: Option<Bytes>,
    pub(crate) timeouts: Timeouts,
    /// The text that it was to go on with.
    pub(crate) begun: Option<String>,
    /// The most output tokens that it was asked for beside what the request itself says.
    pub(crate) ceiling: Option<u64>,
    pub(crate) at: tokio::time::Instant,
}

impl Scripted {
    pub(crate) fn new(name: &str, plays: Vec<Play>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            plays: Mutex::new(plays.into()),
            seen: Mutex::default(),
            working: Arc::default(),
        })
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Tries and answers that have neither ended nor been dropped.
    pub(crate) fn working(&self) -> usize {
        self.working.load(Ordering::SeqCst)
    }

    fn next(&self) -> Play {
        let mut plays = self.plays.lock().unwrap();
        if plays.len() > 1 { plays.pop_front().unwrap() } else { plays.front().cloned().unwrap() }
    }
}

impl Provider for Scripted {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn call<'a>(&'a self, attempt: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>> {
        let payload = match attempt.payload {
            Payload::Rope(rope) => Some(rope.to_bytes()),
            Payload::Once { .. } => None,
        };
        self.seen.lock().unwrap().push(Seen {
            model: attempt.model.to_owned(),
            payload,
            timeouts: attempt.timeouts,
            begun: match attempt.continuity {
                Continuity::Continue(resume) => Some(resume.text.clone()),
                Continuity::None | Continuity::Remember => None,
            },
            ceiling: attempt.ceiling,
            at: tokio::time::Instant::now(),
        });
        let resume = match attempt.continuity {
            Continuity::None => None,
            Continuity::Remember => Some(Resume { text: String::new(), tokens: 0, envelope: Bytes::new() }),
            Continuity::Continue(resume) => Some(resume.clone()),
        };
        let play = self.next();
        let working = Working::new(&self.working);
        Box::pin(async move {
            let body: BoxBody = match play {
                Play::Full(wait, bytes, usage) => {
                    pause(wait).await;
                    let report = Report { usage, content: true, complete: true, ..Report::default() };
                    Box::pin(FullBody::new(bytes, report))
                }
                Play::Fail(wait, error) => {
                    pause(wait).await;
                    return Err(error);
                }
                Play::Stream(beats) => Box::pin(Beats {
                    left: beats.into(),
                    sleep: None,
                    report: Report::default(),
                    resume,
                    _working: working,
                }),
                Play::Hang => std::future::pending().await,
            };
            Ok(Answer { status: StatusCode::OK, headers: HeaderMap::new(), limits: RateFacts::default(), body })
        })
    }
}

async fn pause(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

struct Working(Arc<AtomicUsize>);

impl Working {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Beats {
    left: VecDeque<Beat>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    report: Report,
    /// What was said, where that is to be remembered.
    resume: Option<Resume>,
    _working: Working,
}

impl AnswerBody for Beats {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            match self.left.pop_front() {
                None => {
                    self.report.complete = true;
                    return Poll::Ready(None);
                }
                Some(Beat::Quiet(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Some(Beat::Content(bytes)) => {
                    self.report.content = true;
                    if let Some(resume) = &mut self.resume {
                        resume.text.push_str(std::str::from_utf8(&bytes).unwrap());
                        resume.tokens += 1;
                    }
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Beat::Wait(wait)) => self.sleep = Some(Box::pin(tokio::time::sleep(wait))),
                Some(Beat::Failure(bytes, error)) => {
                    self.report.failure = Some(error);
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Beat::Break(error)) => {
                    self.left.clear();
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Beat::Usage(usage)) => self.report.usage = Some(usage),
                Some(Beat::Finish(finish)) => self.report.finish = Some(finish),
                Some(Beat::Hang) => {
                    self.left.push_front(Beat::Hang);
                    return Poll::Pending;
                }
            }
        }
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn resume(&self) -> Option<Resume> {
        self.resume.clone().filter(|resume| !resume.text.contains("tool"))
    }
}

/// A ledger that remembers.
#[derive(Default)]
pub(crate) struct Rows(Mutex<Vec<UsageRow>>);

impl Ledger for Rows {
    fn record(&self, row: UsageRow) {
        self.0.lock().unwrap().push(row);
    }
}

/// A pipeline with everything around it.
pub(crate) struct House {
    pub(crate) pipeline: Pipeline,
    pub(crate) registry: Registry,
    pub(crate) providers: Vec<Arc<Scripted>>,
    rows: Arc<Rows>,
}

/// A dialect that is simple enough to be read in an assertion.
pub(crate) const DIALECT: Dialect = Dialect {
    status: |error| if error.retry_after().is_some() { 429 } else { 500 },
    restart: |error| Bytes::from(format!("anew({});", error.kind().code())),
    features: |_, _| Features::default(),
    signs: |_, _| Signs { fences_closed: true, ..Signs::default() },
    length: |_, _| Bytes::from_static(b"length;"),
    text: |_, answer| String::from_utf8(answer.to_vec()).ok(),
    chat: |model, system, user, most| Chat {
        operation: Operation::Chat,
        path: "/chat/completions",
        body: Rope::from(Bytes::from(format!("{system}|{user}|{most}"))),
        fields: Fields { model: Some(model.to_owned()), ..Fields::default() },
    },
};

impl House {
    pub(crate) fn new(providers: &[&Arc<Scripted>], snapshot: &Snapshot) -> Self {
        Self::of(providers, snapshot, DIALECT, None)
    }

    /// A house whose callers speak a dialect of the test's own, and that keeps a journal.
    pub(crate) fn seeing<const N: usize>(
        providers: [&Arc<Scripted>; N],
        snapshot: &Snapshot,
        dialect: Dialect,
        journal: Option<Arc<dyn Journal>>,
    ) -> Self {
        Self::of(&providers, snapshot, dialect, journal)
    }

    fn of(
        providers: &[&Arc<Scripted>],
        snapshot: &Snapshot,
        dialect: Dialect,
        journal: Option<Arc<dyn Journal>>,
    ) -> Self {
        crate::hearing::install();
        let registry = Registry::new();
        let rows = Arc::new(Rows::default());
        let parts = Parts {
            ledger: Arc::clone(&rows) as Arc<dyn Ledger>,
            metrics: PipelineMetrics::register(&registry).unwrap(),
            spawn: Arc::new(spawn),
            dialect,
            journal,
        };
        let pipeline = Pipeline::new(parts, snapshot).unwrap();
        Self { pipeline, registry, rows, providers: providers.iter().map(|provider| Arc::clone(provider)).collect() }
    }

    /// A house with the model `m`, served by `providers` in order.
    pub(crate) fn serving(providers: &[&Arc<Scripted>]) -> Self {
        Self::new(providers, &snapshot(vec![model("m", providers)]))
    }

    pub(crate) async fn ask(&self, exchange: Exchange) -> Reply {
        self.pipeline.call(exchange).await
    }

    pub(crate) fn rows(&self) -> Vec<UsageRow> {
        self.rows.0.lock().unwrap().clone()
    }

    /// The only row.
    pub(crate) fn row(&self) -> UsageRow {
        let mut rows = self.rows();
        assert_eq!(rows.len(), 1, "settled exactly once");
        rows.remove(0)
    }

    /// The sum of all series of a family whose labels include `labels`.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.registry.gather();
        // A family that has no series yet is not told.
        let Some(family) = families.iter().find(|family| family.name() == name) else { return 0.0 };
        let fits = |metric: &&prometheus::proto::Metric| {
            let has = |(name, value): &(&str, &str)| {
                metric.get_label().iter().any(|pair| pair.name() == *name && pair.value() == *value)
            };
            labels.iter().all(has)
        };
        let value = |metric: &prometheus::proto::Metric| match family.get_field_type() {
            prometheus::proto::MetricType::COUNTER => metric.get_counter().get_value(),
            prometheus::proto::MetricType::GAUGE => metric.get_gauge().get_value(),
            _ => metric.get_histogram().get_sample_count() as f64,
        };
        family.get_metric().iter().filter(fits).map(value).sum()
    }

    /// Fails where `exchanges` have not been settled once each, or anything is still borrowed.
    pub(crate) fn closed(&self, exchanges: usize) {
        assert_eq!(self.rows().len(), exchanges, "each exchange settled exactly once");
        assert_eq!(self.pipeline.in_flight(), 0, "every permit back");
        assert_eq!(self.metric("atp_in_flight", &[]), 0.0);
        assert_eq!(self.metric("atp_requests_total", &[]), exchanges as f64);
        let flow = self.pipeline.flow();
        for pool in &flow.pools {
            assert_eq!(pool.waiting, [0; 3], "nobody waits for {}", pool.model);
        }
        for lane in &flow.lanes {
            assert_eq!(lane.in_flight, 0, "every slot of {}/{} is back", lane.provider, lane.model);
        }
        for tenant in &flow.tenants {
            assert_eq!((tenant.in_flight, tenant.waiting), (0, 0), "{} has nothing left", tenant.tenant);
        }
        for provider in &self.providers {
            assert_eq!(provider.working(), 0, "{} is still at work", provider.name);
            assert_eq!(
                self.metric("atp_upstream_attempts_total", &[("provider", &provider.name)]),
                provider.calls() as f64,
                "each try of {} ended once",
                provider.name
            );
        }
    }
}

/// How long the server lets work go on whose caller has left.
pub(crate) const GRACE: Duration = Duration::from_secs(120);

#[expect(clippy::disallowed_methods, reason = "the test's stand-in for the server's tracked tasks")]
fn spawn(task: BoxFuture<'static, ()>) {
    tokio::spawn(tokio::time::timeout(GRACE, task));
}

pub(crate) fn target(provider: &Arc<Scripted>) -> Target {
    Target::new(Arc::clone(provider) as Arc<dyn Provider>, format!("{}-model", provider.name))
}

pub(crate) fn model(name: &str, providers: &[&Arc<Scripted>]) -> Model {
    let targets = providers.iter().map(|provider| target(provider)).collect();
    Model { price: Some(PRICE), ..Model::new(name, targets) }
}

/// The same model, whose lanes are asked however often they fail.
pub(crate) fn without_breakers(mut model: Model) -> Model {
    for target in &mut model.targets {
        target.breaker.failures = 0;
    }
    model
}

/// The same model with windows of exactly `slots`.
pub(crate) fn with_slots(slots: u32, mut model: Model) -> Model {
    for target in &mut model.targets {
        target.window = WindowRules { min: slots, start: slots, max: slots };
    }
    model
}

/// The same request from a tenant that stands in the configuration or not, of a class.
pub(crate) fn from(tenant: &str, qos: Qos, exchange: Exchange) -> Exchange {
    let caller = Caller { key: tenant.into(), tenant: tenant.into(), qos, ..Caller::anonymous() };
    Exchange { caller: Arc::new(caller), qos, ..exchange }
}

/// Polls a future once; it is to be still pending.
pub(crate) fn still_waits(future: &mut (impl Future + Unpin)) {
    let polled = Pin::new(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "it was to wait");
}

pub(crate) fn snapshot(models: Vec<Model>) -> Snapshot {
    Snapshot { version: 1, created: 1_700_000_000, models, ..Snapshot::default() }
}

/// A whole-answer chat request.
pub(crate) fn chat(model: &str) -> Exchange {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    Exchange {
        id: RequestId::from_parts(1, COUNT.fetch_add(1, Ordering::Relaxed) as u128),
        caller: Arc::new(Caller::anonymous()),
        operation: Operation::Chat,
        model: model.into(),
        method: Method::POST,
        path: "/chat/completions".into(),
        headers: HeaderMap::new(),
        payload: Payload::Rope(Rope::from(Bytes::from_static(b"{}"))),
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

/// A streamed chat request.
pub(crate) fn streamed(model: &str) -> Exchange {
    Exchange { stream: true, ..chat(model) }
}

/// Polls all calls to their ends, beside each other, reads their answers, and tells what they came to.
pub(crate) async fn all(calls: Vec<BoxFuture<'static, Reply>>) -> Vec<Result<String, Error>> {
    let whole = |call: BoxFuture<'static, Reply>| async {
        match call.await.result {
            Ok(answer) => read(answer.body).await.map_err(|(_, error)| error),
            Err(error) => Err(error),
        }
    };
    let mut left: Vec<_> = calls.into_iter().map(|call| (Box::pin(whole(call)), None)).collect();
    poll_fn(|cx| {
        for (call, result) in left.iter_mut().filter(|(_, result)| result.is_none()) {
            if let Poll::Ready(ended) = call.as_mut().poll(cx) {
                *result = Some(ended);
            }
        }
        if left.iter().all(|(_, result)| result.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    left.into_iter().filter_map(|(_, result)| result).collect()
}

/// Reads a body to its end.
pub(crate) async fn read(mut body: BoxBody) -> Result<String, (String, Error)> {
    let mut text = String::new();
    while let Some(chunk) = next(&mut body).await {
        match chunk {
            Ok(chunk) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            Err(error) => return Err((text, error)),
        }
    }
    Ok(text)
}

/// The next chunk of a body.
pub(crate) async fn next(body: &mut BoxBody) -> Option<Result<Bytes, Error>> {
    poll_fn(|cx| body.as_mut().poll_chunk(cx)).await
}
