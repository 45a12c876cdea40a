//! Claims about a model's cell as a whole: who shares, who is given what was kept, and what it spends.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use atp_core::answer::BoxBody;
use atp_core::port::{BoxFuture, Try};
use atp_core::{
    Answer, AnswerBody, Caller, Error, ErrorKind, Fields, Finish, FullBody, Notes, RateFacts, Reply, Report, RequestId,
    Restarts, Side,
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use prometheus::Registry;

use super::*;
use crate::snapshot::Target;

const BODY: &str = r#"{"model":"m","temperature":0}"#;

/// A request that can have but one answer.
pub(super) fn exchange(tenant: &str) -> Exchange {
    Exchange {
        id: RequestId::from_parts(1, 1),
        caller: Arc::new(Caller { tenant: tenant.into(), ..Caller::anonymous() }),
        operation: Operation::Chat,
        model: "m".into(),
        method: Method::POST,
        path: "/chat/completions".into(),
        headers: HeaderMap::new(),
        payload: Payload::Rope(Rope::from(Bytes::from_static(BODY.as_bytes()))),
        fields: Fields { greedy: true, ..Fields::default() },
        stream: true,
        qos: Qos::default(),
        session: None,
        reuse: Reuse::Allowed,
        restarts: Restarts::Refused,
        patience: None,
        hints: None,
        received: clock::now(),
    }
}

struct Nobody(Arc<str>);

impl Provider for Nobody {
    fn name(&self) -> &Arc<str> {
        &self.0
    }

    fn call<'a>(&'a self, _: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(std::future::pending())
    }
}

const RULES: CacheRules = CacheRules { ttl: Duration::from_secs(60), max_bytes: 1 << 20, max_entry: 4096 };

fn model(coalesce: bool, cache: Option<CacheRules>) -> Model {
    let target = Target::new(Arc::new(Nobody("p".into())), "m");
    Model { coalesce, cache, ..Model::new("m", vec![target]) }
}

fn cell(coalesce: bool, cache: Option<CacheRules>) -> Arc<Cell> {
    made(&model(coalesce, cache), None).unwrap()
}

fn made(model: &Model, before: Option<&Arc<Cell>>) -> Option<Arc<Cell>> {
    Cell::of(model, || CacheFamilies::register(&Registry::new()).unwrap().of("m"), before)
}

fn find(cell: &Arc<Cell>, exchange: &Exchange) -> Found {
    cell.find(exchange, Cell::concerns(exchange).unwrap())
}

fn done() -> Report {
    Report { finish: Some(Finish::Stop), content: true, complete: true, ..Report::default() }
}

/// A body that yields what it is given, one piece at a time, each after a turn of the runtime.
struct Slow {
    pieces: VecDeque<Result<Bytes, Error>>,
    report: Report,
    turn: bool,
    alive: Arc<AtomicUsize>,
}

impl AnswerBody for Slow {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        self.turn = !self.turn;
        if self.turn {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.pieces.pop_front();
        if next.is_none() {
            self.report = done();
        }
        Poll::Ready(next)
    }

    fn report(&self) -> &Report {
        &self.report
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

fn reply(body: BoxBody) -> Reply {
    let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), limits: RateFacts::default(), body };
    Reply { notes: Notes { attempts: 1, ..Notes::default() }, result: Ok(answer) }
}

fn stream(pieces: Vec<Result<Bytes, Error>>, alive: &Arc<AtomicUsize>) -> BoxFuture<'static, Reply> {
    alive.fetch_add(1, Ordering::SeqCst);
    let alive = Arc::clone(alive);
    let body = Slow { pieces: pieces.into(), report: Report::default(), turn: false, alive };
    Box::pin(async move { reply(Box::pin(body)) })
}

fn words() -> Vec<Result<Bytes, Error>> {
    ["one ", "two ", "three"].map(|word| Ok(Bytes::from(word))).into()
}

fn broken() -> Error {
    Error::provider(ErrorKind::ProviderCut, "cut")
}

async fn read(mut body: BoxBody) -> Result<Vec<String>, Error> {
    if let Some(whole) = body.as_mut().take_full() {
        return Ok(vec![String::from_utf8(whole.to_vec()).unwrap()]);
    }
    let mut all = Vec::new();
    while let Some(piece) = poll_fn(|cx| body.as_mut().poll_chunk(cx)).await {
        all.push(String::from_utf8(piece?.to_vec()).unwrap());
    }
    assert!(body.report().complete, "who has read the end knows the end");
    Ok(all)
}

#[expect(clippy::disallowed_methods, reason = "the test's stand-in for the server's tracked tasks")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

/// Calls under way, as newcomers find them.
fn under_way(cell: &Cell) -> usize {
    cell.shards.iter().map(|shard| lock(shard).flights.len()).sum()
}

fn lead(found: Found) -> (Lead, Seat) {
    match found {
        Found::Lead(lead, seat) => (lead, seat),
        _ => panic!("expected to lead"),
    }
}

fn join(found: Found) -> Seat {
    match found {
        Found::Join(seat) => seat,
        _ => panic!("expected to join"),
    }
}

fn hit(found: Found) -> Arc<Kept> {
    match found {
        Found::Hit(kept) => kept,
        _ => panic!("expected a hit"),
    }
}

#[test]
fn only_what_can_have_but_one_answer_is_concerned() {
    let mut exchange = exchange("a");
    let concerned = |exchange: &Exchange| Cell::concerns(exchange).is_some();
    assert!(concerned(&exchange));
    exchange.fields.n = Some(2);
    assert!(!concerned(&exchange));
    exchange.fields = Fields::default();
    assert!(!concerned(&exchange), "no temperature is not a temperature of 0");
    for (operation, wanted) in
        [(Operation::Embeddings, true), (Operation::Moderations, true), (Operation::Audio, false)]
    {
        exchange.operation = operation;
        assert_eq!(concerned(&exchange), wanted, "{operation:?}");
    }
    exchange.operation = Operation::Embeddings;
    exchange.reuse = Reuse::Forbidden;
    assert!(!concerned(&exchange));
}

#[tokio::test]
async fn all_who_ask_the_same_share_one_call_and_read_the_same() {
    let (cell, alive) = (cell(true, None), Arc::new(AtomicUsize::new(0)));
    let (leader, first) = lead(find(&cell, &exchange("a")));
    let early = join(find(&cell, &exchange("a")));
    let long = || (0..1_000).map(|number| Bytes::from(format!("{number} ")));
    spawn(leader.fly(stream(long().map(Ok).collect(), &alive)));
    let reply = first.first().await;
    assert_eq!(reply.notes.attempts, 1);
    // One that comes when the answer has begun gets it from its beginning.
    let late = join(find(&cell, &exchange("a")));
    let answers = [reply.result.unwrap(), early.other().await.unwrap().unwrap(), late.other().await.unwrap().unwrap()];
    for answer in answers {
        assert!(read(answer.body).await.unwrap().into_iter().eq(long()));
    }
    assert_eq!((alive.load(Ordering::SeqCst), under_way(&cell)), (0, 0));
    lead(find(&cell, &exchange("a")));
}

#[test]
fn who_differs_in_tenant_class_or_patience_calls_himself() {
    let cell = cell(true, None);
    let _held = lead(find(&cell, &exchange("a")));
    let _other = lead(find(&cell, &exchange("b")));
    let _gold = lead(find(&cell, &Exchange { qos: Qos::Gold, ..exchange("a") }));
    let _hasty = lead(find(&cell, &Exchange { patience: Some(Duration::from_secs(1)), ..exchange("a") }));
    let renewed = find(&cell, &Exchange { reuse: Reuse::Renew, ..exchange("a") });
    assert!(matches!(renewed, Found::Nothing));
    join(find(&cell, &exchange("a")));
}

#[tokio::test]
async fn the_first_may_leave_and_the_others_read_on() {
    let (cell, alive) = (cell(true, None), Arc::new(AtomicUsize::new(0)));
    let (leader, first) = lead(find(&cell, &exchange("a")));
    let other = join(find(&cell, &exchange("a")));
    spawn(leader.fly(stream(words(), &alive)));
    drop(first);
    assert_eq!(read(other.other().await.unwrap().unwrap().body).await.unwrap().concat(), "one two three");
}

#[tokio::test]
async fn when_the_last_leaves_the_call_is_dropped() {
    let (cell, alive) = (cell(true, None), Arc::new(AtomicUsize::new(0)));
    for begun in [false, true] {
        let (leader, first) = lead(find(&cell, &exchange("a")));
        let other = join(find(&cell, &exchange("a")));
        let endless = std::iter::repeat_with(|| Ok(Bytes::from("x"))).take(1_000_000).collect();
        spawn(leader.fly(stream(endless, &alive)));
        if begun {
            drop(first.first().await.result.unwrap());
            drop(other.other().await.unwrap().unwrap());
        } else {
            drop((first, other));
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!((alive.load(Ordering::SeqCst), under_way(&cell)), (0, 0), "begun: {begun}");
        let _next = lead(find(&cell, &exchange("a")));
    }
}

#[tokio::test]
async fn an_error_is_told_to_all_and_a_preempted_leader_to_himself_alone() {
    let cell = cell(true, Some(RULES));
    for (kind, shared) in [(ErrorKind::ProviderFailed, true), (ErrorKind::Preempted, false)] {
        let (leader, first) = lead(find(&cell, &exchange("a")));
        let other = join(find(&cell, &exchange("a")));
        let error = Error::new(kind, Side::Provider, "no");
        let refusal = Reply { notes: Notes { attempts: 3, ..Notes::default() }, result: Err(error) };
        leader.fly(Box::pin(async move { refusal })).await;
        let told = first.first().await;
        assert_eq!((told.notes.attempts, told.result.unwrap_err().kind()), (3, kind));
        let told = other.other().await.map(|result| result.unwrap_err().kind());
        assert_eq!(told, shared.then_some(kind));
    }
    lead(find(&cell, &exchange("a")));
}

#[tokio::test]
async fn what_breaks_off_is_told_behind_what_came_before_and_not_kept() {
    let (cell, alive) = (cell(true, Some(RULES)), Arc::new(AtomicUsize::new(0)));
    let (leader, first) = lead(find(&cell, &exchange("a")));
    let other = join(find(&cell, &exchange("a")));
    leader_flies(leader, vec![Ok(Bytes::from("one ")), Err(broken())], &alive);
    for mut body in [first.first().await.result.unwrap().body, other.other().await.unwrap().unwrap().body] {
        assert_eq!(poll_fn(|cx| body.as_mut().poll_chunk(cx)).await.unwrap().unwrap(), "one ");
        let told = poll_fn(|cx| body.as_mut().poll_chunk(cx)).await.unwrap().unwrap_err();
        assert_eq!(told.kind(), ErrorKind::ProviderCut);
    }
    lead(find(&cell, &exchange("a")));
}

fn leader_flies(leader: Lead, pieces: Vec<Result<Bytes, Error>>, alive: &Arc<AtomicUsize>) {
    spawn(leader.fly(stream(pieces, alive)));
}

#[tokio::test(start_paused = true)]
async fn what_came_to_its_end_is_given_again_until_it_is_too_old() {
    let (cell, alive) = (cell(true, Some(RULES)), Arc::new(AtomicUsize::new(0)));
    let (leader, first) = lead(find(&cell, &exchange("a")));
    spawn(leader.fly(stream(words(), &alive)));
    read(first.first().await.result.unwrap().body).await.unwrap();
    for _ in 0..2 {
        let again = hit(find(&cell, &exchange("a"))).answer();
        assert_eq!(read(again.body).await.unwrap(), ["one ", "two ", "three"]);
    }
    lead(find(&cell, &exchange("b")));
    assert!(matches!(find(&cell, &Exchange { reuse: Reuse::Renew, ..exchange("a") }), Found::Record(_)));
    tokio::time::advance(RULES.ttl).await;
    lead(find(&cell, &exchange("a")));
    cell.sweep(clock::now());
    assert_eq!((cell.metrics.hits.get(), cell.metrics.misses.get()), (2, 4));
}

#[tokio::test]
async fn without_coalescing_an_answer_is_kept_as_it_is_read() {
    let (cell, alive) = (cell(false, Some(RULES)), Arc::new(AtomicUsize::new(0)));
    let record = |found| match found {
        Found::Record(recorder) => recorder,
        _ => panic!("expected to record"),
    };
    for pieces in [words(), vec![Ok(Bytes::from(vec![b'x'; RULES.max_entry + 1]))], vec![Err(broken())]] {
        let is_kept = pieces.len() == 3;
        let asked = Exchange { path: format!("/{}", pieces.len()).into(), ..exchange("a") };
        let reply = record(find(&cell, &asked)).listen(stream(pieces, &alive).await);
        let _told = read(reply.result.unwrap().body).await;
        assert_eq!(matches!(find(&cell, &asked), Found::Hit(_)), is_kept);
    }
    let asked = Exchange { operation: Operation::Embeddings, ..exchange("a") };
    let whole = reply(Box::pin(FullBody::new(Bytes::from("[0.1]"), done())));
    let reply = record(find(&cell, &asked)).listen(whole);
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), ["[0.1]"]);
    assert_eq!(read(hit(find(&cell, &asked)).answer().body).await.unwrap(), ["[0.1]"]);
    // A caller who leaves in the middle leaves nothing behind.
    let reply = record(find(&cell, &exchange("c"))).listen(stream(words(), &alive).await);
    drop(reply);
    record(find(&cell, &exchange("c")));
}

#[tokio::test]
async fn a_whole_answer_is_shared_whole() {
    let cell = cell(true, Some(RULES));
    let (leader, first) = lead(find(&cell, &exchange("a")));
    let other = join(find(&cell, &exchange("a")));
    let whole = reply(Box::pin(FullBody::new(Bytes::from("{}"), done())));
    leader.fly(Box::pin(async move { whole })).await;
    let mut body = first.first().await.result.unwrap().body;
    assert_eq!(body.as_mut().take_full().unwrap(), "{}");
    assert!(body.report().complete);
    assert_eq!(read(other.other().await.unwrap().unwrap().body).await.unwrap(), ["{}"]);
    hit(find(&cell, &exchange("a")));
}

#[test]
fn a_reload_keeps_what_is_still_true() {
    let (before, rules) = (model(true, Some(RULES)), CacheRules { max_entry: 1, ..RULES });
    let cell = made(&before, None).unwrap();
    let kept = |model: &Model| made(model, Some(&cell)).is_some_and(|new| Arc::ptr_eq(&new, &cell));
    assert!(kept(&before.clone()));
    assert!(!kept(&Model { cache: Some(rules), ..before.clone() }));
    let mut other = before.clone();
    other.targets[0].model = "other".into();
    assert!(!kept(&other));
    assert!(!kept(&model(true, Some(RULES))), "the same names of another provider are not the same");
    assert!(made(&model(false, None), Some(&cell)).is_none());
}
