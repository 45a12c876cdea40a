//! Which error leads to which next step, and what a further try may cost.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Gateway, Outcome};
use atp_core::{Error, ErrorKind, Payload, Retry, Rope, Side};
use atp_pipeline::{Retries, Snapshot};
use atp_routing::{RetryBudget, Rules};
use bytes::Bytes;
use tokio::time::Instant;

use crate::kit::*;

const SECOND: Duration = Duration::from_secs(1);

fn failed() -> Error {
    Error::provider(ErrorKind::ProviderFailed, "failed")
}

fn overloaded(pause: Duration) -> Error {
    Error::provider(ErrorKind::ProviderOverloaded, "busy").with_retry(Retry::After(pause))
}

#[tokio::test(start_paused = true)]
async fn every_kind_fails_over_if_and_only_if_it_is_not_the_callers_and_allows_it() {
    for kind in ErrorKind::ALL {
        for side in [Side::Caller, Side::Router, Side::Provider] {
            for retry in [Retry::Never, Retry::Elsewhere, Retry::After(SECOND)] {
                let error = Error::new(kind, side, "scripted").with_retry(retry);
                let first = Scripted::new("first", vec![fail(error)]);
                let second = Scripted::new("second", vec![full("saved")]);
                let house = House::serving(&[&first, &second]);
                let reply = house.ask(chat("m")).await;
                let expected = side != Side::Caller && retry != Retry::Never;
                assert_eq!(reply.result.is_ok(), expected, "{kind:?} {side:?} {retry:?}");
                assert_eq!(reply.notes.attempts, if expected { 2 } else { 1 });
                assert_eq!(second.calls(), usize::from(expected));
                let retries = house.metric("atp_retries_total", &[("reason", kind.code())]);
                assert_eq!(retries, f64::from(u8::from(expected)));
                drop(reply);
                house.closed(1);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_names_who_gave_it_and_the_time_counts_from_the_first_try() {
    let first = Scripted::new("first", vec![Play::Fail(SECOND, failed())]);
    let second = Scripted::new("second", vec![Play::Full(SECOND, "saved".into(), None)]);
    let house = House::serving(&[&first, &second]);
    let reply = house.ask(chat("m")).await;
    assert_eq!(reply.notes.provider.as_deref(), Some("second"));
    assert_eq!((reply.notes.attempts, reply.notes.waited), (2, SECOND * 2));
    drop(reply);
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn each_try_gets_the_same_payload() {
    let first = Scripted::new("first", vec![fail(failed())]);
    let second = Scripted::new("second", vec![full("saved")]);
    let house = House::serving(&[&first, &second]);
    let mut exchange = chat("m");
    exchange.payload = Payload::Rope(Rope::from(Bytes::from_static(b"the prompt")));
    read(house.ask(exchange).await.result.unwrap().body).await.unwrap();
    for provider in [&first, &second] {
        assert_eq!(provider.seen.lock().unwrap()[0].payload.as_deref(), Some(b"the prompt".as_slice()));
    }
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_can_be_sent_once_is_tried_once() {
    let first = Scripted::new("first", vec![fail(failed())]);
    let second = Scripted::new("second", vec![full("never asked")]);
    let house = House::serving(&[&first, &second]);
    let mut exchange = chat("m");
    exchange.payload = Payload::Once { head: Rope::new(), rest: Box::pin(Nothing) };
    assert!(house.ask(exchange).await.result.is_err());
    assert_eq!(second.calls(), 0);
    house.closed(1);
}

struct Nothing;

impl http_body::Body for Nothing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Error>>> {
        std::task::Poll::Ready(None)
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_target_is_asked_three_times_with_pauses() {
    let far = Scripted::new("far", vec![fail(failed())]);
    let house = House::serving(&[&far]);
    let start = Instant::now();
    assert!(house.ask(chat("m")).await.result.is_err());
    assert_eq!(far.calls(), 3);
    assert!(start.elapsed() <= Duration::from_millis(100 + 200), "full jitter below 100 and 200 ms");
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn credentials_and_silence_are_not_tried_twice_at_one_target() {
    for kind in [ErrorKind::ProviderAuth, ErrorKind::TimeoutFirstByte, ErrorKind::TimeoutIdle, ErrorKind::TimeoutTotal]
    {
        let far = Scripted::new("far", vec![fail(Error::provider(kind, "again and again"))]);
        let house = House::serving(&[&far]);
        assert_eq!(house.ask(chat("m")).await.result.unwrap_err().kind(), kind);
        assert_eq!(far.calls(), 1, "{kind:?}");
        house.closed(1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_a_target_names_is_waited_out() {
    let far = Scripted::new("far", vec![fail(overloaded(SECOND)), full("later")]);
    let house = House::serving(&[&far]);
    let start = Instant::now();
    assert!(house.ask(chat("m")).await.result.is_ok());
    let seen: Vec<Duration> = far.seen.lock().unwrap().iter().map(|seen| seen.at - start).collect();
    assert_eq!(seen.len(), 2);
    // The end of a pause is spread by a twentieth, so that not all come back at once.
    assert!(seen[1] >= SECOND && seen[1] < SECOND + Duration::from_millis(52), "{seen:?}");
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_too_long_to_wait_is_passed_on_the_soonest_of_all() {
    let first = Scripted::new("first", vec![fail(overloaded(SECOND * 30))]);
    let second = Scripted::new("second", vec![fail(overloaded(SECOND * 10))]);
    let third = Scripted::new("third", vec![fail(overloaded(SECOND * 20))]);
    let house = House::serving(&[&first, &second, &third]);
    let start = Instant::now();
    let reply = house.ask(chat("m")).await;
    let error = reply.result.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::ProviderOverloaded, Some(SECOND * 10)));
    assert_eq!((reply.notes.attempts, start.elapsed()), (3, Duration::ZERO));
    house.closed(1);
    assert_eq!(house.metric("atp_upstream_attempts_total", &[("outcome", "overloaded")]), 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_callers_patience_is_not_begun() {
    let far = Scripted::new("far", vec![fail(overloaded(SECOND))]);
    let house = House::serving(&[&far]);
    let start = Instant::now();
    let mut exchange = chat("m");
    exchange.patience = Some(SECOND / 2);
    let error = house.ask(exchange).await.result.unwrap_err();
    assert_eq!((error.retry_after(), start.elapsed()), (Some(SECOND), Duration::ZERO));
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn where_targets_fail_differently_the_last_error_counts() {
    let first = Scripted::new("first", vec![fail(overloaded(SECOND * 30))]);
    let second = Scripted::new("second", vec![fail(Error::provider(ErrorKind::ProviderAuth, "key refused"))]);
    let house = House::serving(&[&first, &second]);
    assert_eq!(house.ask(chat("m")).await.result.unwrap_err().kind(), ErrorKind::ProviderAuth);
    house.closed(1);
}

/// Asks `house` `rate` times a second for `seconds`, and returns how many were served.
async fn load(house: &House, rate: u32, seconds: u32) -> u32 {
    let mut served = 0;
    for _ in 0..rate * seconds {
        tokio::time::advance(SECOND / rate).await;
        served += u32::from(house.ask(chat("m")).await.result.is_ok());
    }
    served
}

/// No pauses between tries, so that a load keeps its rate.
fn eager(models: Vec<atp_pipeline::Model>, floor: u32) -> Snapshot {
    let backoff = atp_routing::Backoff { base: Duration::ZERO, cap: Duration::ZERO };
    let rules = Rules { backoff, ..Rules::default() };
    let budget = RetryBudget { floor, ..RetryBudget::default() };
    Snapshot { retries: Retries { budget, rules }, ..snapshot(models) }
}

#[tokio::test(start_paused = true)]
async fn a_total_outage_is_not_multiplied() {
    for targets in 1..=3 {
        let providers: Vec<Arc<Scripted>> =
            (0..targets).map(|index| Scripted::new(&format!("far-{index}"), vec![fail(failed())])).collect();
        let refs: Vec<&Arc<Scripted>> = providers.iter().collect();
        let floor = 10;
        // Without breakers, which would keep most of the tries away: the budget alone has to hold.
        let house = House::new(&refs, &eager(vec![without_breakers(model("m", &refs))], floor));
        let (rate, seconds) = (100, 50);
        assert_eq!(load(&house, rate, seconds).await, 0);
        let tries: usize = providers.iter().map(|provider| provider.calls()).sum();
        // A tenth of the requests, the floor once, before there are any, and the first way round.
        let bound = rate * seconds + rate * seconds / 10 + floor + targets;
        assert!(tries <= bound as usize, "{tries} tries for {} requests", rate * seconds);
        assert!(house.metric("atp_retry_budget_exhausted_total", &[]) > 0.0);
        house.closed((rate * seconds) as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_is_called_overload_is_not_multiplied_either() {
    let busy = || Error::provider(ErrorKind::ProviderOverloaded, "busy");
    let [one, two] = ["one", "two"].map(|name| Scripted::new(name, vec![Play::Fail(SECOND / 10, busy())]));
    let house = House::new(&[&one, &two], &eager(vec![model("m", &[&one, &two])], 10));
    // Whoever is asked so much at once is asked twice by each, before the first has failed.
    let mut asked = 0;
    for _ in 0..40 {
        let calls = (0..16).map(|_| house.pipeline.call(chat("m"))).collect();
        assert!(all(calls).await.iter().all(Result::is_err));
        asked += 16;
        tokio::time::advance(SECOND / 2).await;
    }
    let tries = one.calls() + two.calls();
    // The floor once, before there are any requests to take a tenth of.
    assert!(tries as f64 <= 1.1 * f64::from(asked) + 10.0, "{tries} tries for {asked} requests");
    house.closed(asked as usize);
}

#[tokio::test(start_paused = true)]
async fn the_outage_of_one_target_costs_no_request() {
    let dead = Scripted::new("dead", vec![fail(failed())]);
    let alive = Scripted::new("alive", vec![full("saved")]);
    let house = House::new(&[&dead, &alive], &eager(vec![model("m", &[&dead, &alive])], 0));
    assert_eq!(load(&house, 100, 20).await, 2_000);
    assert_eq!(alive.calls(), 2_000, "nobody is asked more often than the caller asks");
    // Five failures eject it; after that it is probed after 1, 2, 4 and 8 seconds, and a quarter more.
    assert!((5..=5 + 5).contains(&dead.calls()), "{}", dead.calls());
    house.closed(2_000);
}

#[tokio::test(start_paused = true)]
async fn in_a_total_outage_breakers_keep_nearly_all_tries_away() {
    let providers = ["one", "two"].map(|name| Scripted::new(name, vec![fail(failed())]));
    let refs: Vec<&Arc<Scripted>> = providers.iter().collect();
    let house = House::new(&refs, &eager(vec![model("m", &refs)], 10));
    assert_eq!(load(&house, 100, 50).await, 0);
    let tries: usize = providers.iter().map(|provider| provider.calls()).sum();
    assert!(tries < 60, "{tries} tries for 5,000 requests");
    let refused = house.rows().iter().filter(|row| row.error == Some("no_models_available")).count();
    assert!(refused > 4_900, "{refused}");
    house.closed(5_000);
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_a_failing_target_is_not_asked_again() {
    let far = Scripted::new("far", vec![fail(failed())]);
    let mut snapshot = eager(vec![model("m", &[&far])], 0);
    snapshot.retries.budget.per_mille = 0;
    let house = House::new(&[&far], &snapshot);
    assert!(house.ask(chat("m")).await.result.is_err());
    assert_eq!(far.calls(), 1);
    assert_eq!(house.metric("atp_retry_budget_exhausted_total", &[]), 1.0);
    assert_eq!(house.pipeline.retry_budget().balance, 0);
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn the_budget_tells_its_state() {
    let far = Scripted::new("far", vec![fail(failed())]);
    let house = House::serving(&[&far]);
    assert_eq!(house.pipeline.retry_budget().balance, 10);
    assert!(house.ask(chat("m")).await.result.is_err());
    assert_eq!(house.pipeline.retry_budget().balance, 8);
    tokio::time::advance(SECOND * 11).await;
    assert_eq!(house.pipeline.retry_budget().balance, 10);
    assert_eq!(house.row().outcome, Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn weights_share_the_first_places() {
    let light = Scripted::new("light", vec![full("a")]);
    let heavy = Scripted::new("heavy", vec![full("b")]);
    let reserve = Scripted::new("reserve", vec![full("c")]);
    let mut shared = model("m", &[&light, &heavy, &reserve]);
    for (target, weight) in shared.targets.iter_mut().zip([None, Some(3.0), Some(0.0)]) {
        target.weight = weight;
    }
    let house = House::new(&[&light, &heavy, &reserve], &snapshot(vec![shared]));
    for _ in 0..2_000 {
        drop(house.pipeline.call(chat("m")).await);
    }
    // Of 2,000 draws of 1/4, nine standard deviations are below 175.
    assert!(light.calls().abs_diff(500) < 175 && reserve.calls() == 0, "{}", light.calls());
    house.closed(2_000);
}
