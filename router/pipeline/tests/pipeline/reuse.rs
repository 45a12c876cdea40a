//! Answers that are shared and kept: what callers get, what it costs, and what the books say.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::Outcome;

use atp_core::{Caller, Error, ErrorKind, Exchange, Fields, Finish, Hints, MicroUsd, Operation, Reuse, Reused, Usage};
use atp_pipeline::snapshot::{Budget, Budgets, CacheRules, Per};
use atp_pipeline::{KeyLimit, Model, Snapshot};

use crate::kit::*;

const RULES: CacheRules = CacheRules { ttl: Duration::from_secs(60), max_bytes: 1 << 20, max_entry: 1 << 16 };

fn sharing(far: &std::sync::Arc<Scripted>, coalesce: bool, cache: Option<CacheRules>) -> House {
    let model = Model { coalesce, cache, ..model("m", &[far]) };
    House::new(&[far], &snapshot(vec![model]))
}

/// A request that can have but one answer.
fn greedy() -> Exchange {
    Exchange { fields: Fields { greedy: true, ..Fields::default() }, ..streamed("m") }
}

/// An answer in three beats, a second apart, that ends properly.
fn slow() -> Play {
    Play::Stream(vec![
        quiet("role;"),
        content("hel"),
        Beat::Wait(Duration::from_secs(1)),
        content("lo"),
        Beat::Usage(USAGE),
        Beat::Finish(Finish::Stop),
    ])
}

#[tokio::test(start_paused = true)]
async fn identical_requests_share_one_call_and_one_pays() {
    let far = Scripted::new("far", vec![slow()]);
    let house = sharing(&far, true, None);
    let asked = || async { house.ask(greedy()).await };
    let (first, second, third) = tokio::join!(asked(), asked(), asked());
    let told: Vec<_> = [&first, &second, &third].map(|reply| (reply.notes.reused, reply.notes.attempts)).into();
    assert_eq!(told, [(None, 1), (Some(Reused::Coalesced), 0), (Some(Reused::Coalesced), 0)]);
    for reply in [first, second, third] {
        assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "role;hello");
    }
    assert_eq!(far.calls(), 1);
    let mut rows = house.rows();
    rows.sort_by_key(|row| std::cmp::Reverse(row.cost));
    let costs: Vec<_> = rows.iter().map(|row| (row.cost, row.attempts, &*row.provider, row.outcome)).collect();
    let free = (Some(MicroUsd(0)), 0, "", Outcome::Served);
    assert_eq!(costs, [(Some(MicroUsd(COST)), 1, "far", Outcome::Served), free, free]);
    assert!(rows.iter().all(|row| row.usage == Some(USAGE) && row.status == 200));
    assert_eq!(house.metric("atp_coalesced_total", &[("model", "m")]), 2.0);
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_given_again_for_nothing() {
    let far = Scripted::new("far", vec![slow()]);
    for coalesce in [false, true] {
        let house = sharing(&far, coalesce, Some(RULES));
        let calls = far.calls();
        for reused in [None, Some(Reused::Hit), Some(Reused::Hit)] {
            let reply = house.ask(greedy()).await;
            assert_eq!(reply.notes.reused, reused);
            assert_eq!(reply.notes.cost, reused.map(|_| MicroUsd(0)));
            assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "role;hello");
        }
        assert_eq!(far.calls(), calls + 1);
        assert_eq!(house.metric("atp_cache_total", &[("result", "hit")]), 2.0);
        assert_eq!(house.metric("atp_cache_entries", &[("model", "m")]), 1.0);
        assert!(house.rows().iter().all(|row| row.outcome == Outcome::Served && row.finish == Some(Finish::Stop)));
        // A fresh answer is asked for; and what nobody may keep is neither taken nor kept.
        for reuse in [Reuse::Renew, Reuse::Forbidden] {
            let reply = house.ask(Exchange { reuse, ..greedy() }).await;
            assert_eq!(reply.notes.reused, None);
            read(reply.result.unwrap().body).await.unwrap();
        }
        assert_eq!(far.calls(), calls + 3);
        tokio::time::advance(RULES.ttl).await;
        house.pipeline.sweep();
        assert_eq!(house.metric("atp_cache_entries", &[("model", "m")]), 0.0);
        assert_eq!(house.pipeline.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_may_leave_and_the_call_goes_on_for_the_others() {
    let far = Scripted::new("far", vec![slow()]);
    let house = sharing(&far, true, Some(RULES));
    let mut first = house.ask(greedy()).await.result.unwrap().body;
    let second = house.ask(greedy()).await.result.unwrap().body;
    next(&mut first).await.unwrap().unwrap();
    drop(first);
    assert_eq!(read(second).await.unwrap(), "role;hello");
    settled().await;
    house.closed(2);
    assert_eq!(house.ask(greedy()).await.notes.reused, Some(Reused::Hit));
}

#[tokio::test(start_paused = true)]
async fn when_all_have_left_the_provider_is_left_too() {
    let far = Scripted::new("far", vec![Play::Hang, Play::Stream(vec![content("x"), Beat::Hang])]);
    for begun in [false, true] {
        let house = sharing(&far, true, Some(RULES));
        let asked = || async { tokio::time::timeout(Duration::from_secs(1), house.ask(greedy())).await };
        let replies = tokio::join!(asked(), asked());
        assert_eq!((replies.0.is_ok(), replies.1.is_ok()), (begun, begun));
        drop(replies);
        settled().await;
        assert_eq!((far.working(), house.pipeline.in_flight()), (0, 0), "begun: {begun}");
        assert!(house.rows().iter().all(|row| row.outcome == Outcome::Cancelled));
        assert_eq!(house.rows().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_to_all_and_asked_for_once() {
    let broken = Error::provider(ErrorKind::ProviderRejected, "no").with_retry(atp_core::Retry::Never);
    let far = Scripted::new("far", vec![Play::Fail(Duration::from_secs(1), broken)]);
    let house = sharing(&far, true, Some(RULES));
    let asked = || async { house.ask(greedy()).await };
    let (first, second) = tokio::join!(asked(), asked());
    assert_eq!((first.notes.attempts, second.notes.attempts), (1, 0));
    for reply in [first, second] {
        assert_eq!(reply.result.unwrap_err().kind(), ErrorKind::ProviderRejected);
    }
    assert_eq!(far.calls(), 1);
    settled().await;
    house.closed(2);
    assert!(house.rows().iter().all(|row| row.outcome == Outcome::Failed));
    house.ask(greedy()).await.result.unwrap_err();
    assert_eq!(far.calls(), 2, "no error is kept");
}

#[tokio::test(start_paused = true)]
async fn who_came_later_does_not_lose_by_the_time_that_the_first_has_used_up() {
    let second = Duration::from_secs(1);
    let error = Error::provider(ErrorKind::TimeoutTotal, "over").with_retry(atp_core::Retry::Never);
    let far = Scripted::new("far", vec![Play::Fail(second, error), slow()]);
    let house = sharing(&far, true, None);
    let later = async {
        tokio::time::sleep(second / 2).await;
        house.ask(greedy()).await
    };
    let (first, later) = tokio::join!(house.ask(greedy()), later);
    assert_eq!(first.result.unwrap_err().kind(), ErrorKind::TimeoutTotal);
    assert_eq!(read(later.result.unwrap().body).await.unwrap(), "role;hello");
    assert_eq!(far.calls(), 2);
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn what_may_differ_is_neither_shared_nor_kept() {
    let far = Scripted::new("far", vec![full("hello")]);
    let house = sharing(&far, true, Some(RULES));
    let other = Exchange { operation: Operation::Images, ..greedy() };
    for exchange in [chat("m"), chat("m"), other] {
        let reply = house.ask(exchange).await;
        assert_eq!(reply.notes.reused, None);
        read(reply.result.unwrap().body).await.unwrap();
    }
    assert_eq!(far.calls(), 3);
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_answers_of_a_model_that_did_not_change() {
    let far = Scripted::new("far", vec![slow()]);
    let other = Scripted::new("other", vec![slow()]);
    let of = |far| snapshot(vec![Model { cache: Some(RULES), ..model("m", &[far]) }]);
    let house = House::new(&[&far, &other], &of(&far));
    read(house.ask(greedy()).await.result.unwrap().body).await.unwrap();
    house.pipeline.swap(&of(&far)).unwrap();
    let hit = house.ask(greedy()).await;
    assert_eq!(hit.notes.reused, Some(Reused::Hit));
    drop(hit);
    house.pipeline.swap(&of(&other)).unwrap();
    assert_eq!(house.ask(greedy()).await.notes.reused, None, "another target is another answer");
    assert_eq!(house.metric("atp_cache_entries", &[("model", "m")]), 0.0);
}

/// A house of one tenant, whose key `poor` may use so many tokens and whose key `rich` as many as it likes.
fn poor_and_rich(far: &Arc<Scripted>, coalesce: bool, tokens: u64) -> House {
    let model = Model { coalesce, cache: Some(RULES), ..model("m", &[far]) };
    let budget = Budget { cost: None, tokens: Some(tokens), per: Per::Total };
    let keys = ["poor", "rich"].map(|key| KeyLimit { key: key.into(), rate: None }).into();
    let budgets = Budgets { keys: vec![vec![budget], vec![]], ..Budgets::default() };
    House::new(&[far], &Snapshot { keys, budgets, ..snapshot(vec![model]) })
}

fn of(key: &str, index: usize, exchange: Exchange) -> Exchange {
    let caller = Caller { key: key.into(), tenant: "acme".into(), index, ..Caller::anonymous() };
    let fields = Fields { max_tokens: Some(5), ..exchange.fields.clone() };
    Exchange { caller: Arc::new(caller), fields, ..exchange }
}

/// A stream of so many tokens, a second after its first.
fn tokens(count: usize) -> Play {
    let mut beats = vec![content("data: x\n\n"), Beat::Wait(Duration::from_secs(1))];
    beats.extend((1..count).map(|_| content("data: x\n\n")));
    beats.push(Beat::Finish(Finish::Stop));
    beats.push(Beat::Usage(Usage { input: 1, output: count as u64, ..Usage::default() }));
    Play::Stream(beats)
}

#[tokio::test(start_paused = true)]
async fn what_a_budget_has_cut_short_is_not_kept() {
    for coalesce in [false, true] {
        let far = Scripted::new("far", vec![tokens(100)]);
        let house = poor_and_rich(&far, coalesce, 9);
        let torso = read(house.ask(of("poor", 0, greedy())).await.result.unwrap().body).await.unwrap();
        assert!(torso.ends_with("length;"), "{torso}");
        let whole = house.ask(of("rich", 1, greedy())).await;
        assert_eq!(whole.notes.reused, None, "coalesce: {coalesce}");
        assert_eq!(read(whole.result.unwrap().body).await.unwrap().matches('x').count(), 100);
        // What came to its own end is kept all the same.
        assert_eq!(house.ask(of("rich", 1, greedy())).await.notes.reused, Some(Reused::Hit));
        settled().await;
        house.closed(3);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_ceiling_has_kept_short_is_not_kept() {
    let bounded = Play::Stream(vec![
        content("data: x\n\n"),
        Beat::Usage(Usage { input: 1, output: 4, ..Usage::default() }),
        Beat::Finish(Finish::Length),
    ]);
    let far = Scripted::new("far", vec![bounded.clone(), bounded, tokens(5)]);
    let house = sharing(&far, false, Some(RULES));
    let capped = |cap, most| {
        let hints = Hints { max_cost: Some(MicroUsd(cap)), ..Hints::default() };
        let fields = Fields { max_tokens: Some(most), ..greedy().fields };
        Exchange { hints: Some(Box::new(hints)), fields, ..greedy() }
    };
    let ask = async |exchange| {
        let reply = house.ask(exchange).await;
        (reply.notes.reused, read(reply.result.unwrap().body).await.unwrap())
    };
    ask(capped(1_000, 5)).await;
    assert_eq!(far.seen.lock().unwrap()[0].ceiling, None);
    assert_eq!(ask(capped(1_000, 5)).await.0, Some(Reused::Hit), "a length that was asked for is part of the request");
    let fresh = sharing(&far, false, Some(RULES));
    let reply = fresh.ask(capped(2_001, 5_000)).await;
    read(reply.result.unwrap().body).await.unwrap();
    assert_eq!(far.seen.lock().unwrap()[1].ceiling, Some(1_000));
    assert_eq!(fresh.ask(greedy()).await.notes.reused, None, "a length that a ceiling set is not");
}

#[tokio::test(start_paused = true)]
async fn who_shares_a_call_does_not_end_with_the_firsts_budget() {
    let second = Duration::from_secs(1);
    let far = Scripted::new("far", vec![tokens(100)]);
    let house = poor_and_rich(&far, true, 9);
    let poor = async { read(house.ask(of("poor", 0, greedy())).await.result.unwrap().body).await };
    let rich = async {
        tokio::time::sleep(second / 2).await;
        let reply = house.ask(of("rich", 1, greedy())).await;
        (reply.notes.reused, read(reply.result.unwrap().body).await)
    };
    let (poor, (reused, rich)) = tokio::join!(poor, rich);
    assert!(poor.unwrap().ends_with("length;"));
    assert_eq!(reused, Some(Reused::Coalesced));
    let (torso, error) = rich.unwrap_err();
    assert!(!torso.contains("length;"), "it breaks off, and does not look whole");
    assert!(error.public().contains("its own budget"), "{error}");
    settled().await;
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn who_has_read_nothing_of_a_call_that_could_not_be_paid_for_makes_his_own() {
    let far = Scripted::new("far", vec![tokens(10)]);
    // The first is refused once it has taken a seat; who waits for its call learns nothing of its budget.
    let house = poor_and_rich(&far, true, 1);
    let (poor, rich) = tokio::join!(house.ask(of("poor", 0, greedy())), house.ask(of("rich", 1, greedy())));
    assert_eq!(poor.result.unwrap_err().kind(), ErrorKind::BudgetDenied);
    assert_eq!(rich.notes.reused, None);
    assert_eq!(read(rich.result.unwrap().body).await.unwrap().matches('x').count(), 10);
    settled().await;
    house.closed(2);
}

/// Lets tasks that have been woken run.
async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
