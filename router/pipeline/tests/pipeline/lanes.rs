//! What lanes learn from how tries end, and who is kept away from them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use atp_core::port::{BoxFuture, Gateway, Provider, Try};
use atp_core::{Answer, Error, ErrorKind, FullBody, RateFact, RateFacts, Reply, Report, Retry, Side};
use atp_pipeline::{Model, Target};
use http::{HeaderMap, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::kit::*;

const SECOND: Duration = Duration::from_secs(1);

fn failed() -> Error {
    Error::provider(ErrorKind::ProviderFailed, "failed")
}

/// Fails `times` times, then answers after `wait`.
fn recovering(times: usize, wait: Duration) -> Arc<Scripted> {
    let mut plays = vec![fail(failed()); times];
    plays.push(Play::Full(wait, "well".into(), Some(USAGE)));
    Scripted::new("far", plays)
}

/// A house whose exchanges are one try each.
fn single(far: &Arc<Scripted>) -> House {
    let mut snapshot = snapshot(vec![model("m", &[far])]);
    snapshot.retries.rules.max_attempts = 1;
    House::new(&[far], &snapshot)
}

fn state(house: &House) -> &'static str {
    house.pipeline.flow().lanes[0].state
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_fails_is_left_alone_and_comes_back_by_one_probe_at_a_time() {
    let far = recovering(5, SECOND);
    let house = single(&far);
    for _ in 0..5 {
        house.ask(chat("m")).await.result.unwrap_err();
    }
    assert_eq!(state(&house), "ejected");
    assert_eq!(house.metric("circuits_open", &[]), 1.0);
    let error = house.ask(chat("m")).await.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoModelsAvailable);
    let pause = error.retry_after().unwrap();
    assert!(pause >= SECOND && pause <= SECOND * 5 / 4, "the time of the probe: {pause:?}");
    assert_eq!(far.calls(), 5, "nobody asked it");

    sleep(pause).await;
    let mut calls: Vec<_> = (0..10).map(|_| house.pipeline.call(chat("m"))).collect();
    let refused = ended(&mut calls).into_iter().filter(|reply| reply.result.is_err()).count();
    assert_eq!((refused, far.calls()), (9, 6), "one probe, and nobody waits for it");
    assert_eq!(state(&house), "probing");
    assert!(all(calls).await[0].is_ok());
    assert_eq!(state(&house), "serving");

    // It begins small, so that no herd follows the probe.
    let mut calls: Vec<_> = (0..10).map(|_| house.pipeline.call(chat("m"))).collect();
    calls.iter_mut().for_each(still_waits);
    assert!((1..=4).contains(&house.pipeline.flow().lanes[0].in_flight));
    assert!(all(calls).await.iter().all(Result::is_ok));
    house.closed(5 + 1 + 10 + 10);
}

/// Polls all once, and takes out those that have come to an end.
fn ended(calls: &mut Vec<BoxFuture<'static, Reply>>) -> Vec<Reply> {
    let mut ended = Vec::new();
    calls.retain_mut(|call| match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(reply) => {
            ended.push(reply);
            false
        }
        Poll::Pending => true,
    });
    ended
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_its_caller_leaves_is_given_to_another() {
    let far = recovering(5, SECOND);
    let house = single(&far);
    for _ in 0..5 {
        house.ask(chat("m")).await.result.unwrap_err();
    }
    sleep(SECOND * 2).await;
    let mut probe = house.pipeline.call(chat("m"));
    still_waits(&mut probe);
    assert_eq!(far.calls(), 6);
    drop(probe);
    let mut next = house.pipeline.call(chat("m"));
    still_waits(&mut next);
    assert_eq!(far.calls(), 7);
    drop(next.await);
    house.closed(7);
}

#[tokio::test(start_paused = true)]
async fn a_probe_has_told_with_its_first_token_however_long_its_answer_goes_on() {
    let mut plays = vec![fail(failed()); 5];
    plays.push(Play::Stream(vec![content("well"), Beat::Hang]));
    let far = Scripted::new("far", plays);
    let house = single(&far);
    for _ in 0..5 {
        house.ask(chat("m")).await.result.unwrap_err();
    }
    sleep(SECOND * 2).await;
    let answer = house.ask(streamed("m")).await.result.unwrap();
    assert_eq!(state(&house), "serving");
    drop(answer);
    house.closed(6);
}

#[tokio::test(start_paused = true)]
async fn those_who_waited_before_the_lane_was_ejected_are_served_when_it_is_well_again() {
    let mut plays = vec![Play::Fail(SECOND, failed()); 5];
    plays.push(full("well"));
    let far = Scripted::new("far", plays);
    let mut snapshot = snapshot(vec![with_slots(5, model("m", &[&far]))]);
    snapshot.retries.rules.max_attempts = 1;
    let house = House::new(&[&far], &snapshot);
    let mut calls: Vec<_> = (0..8).map(|_| house.pipeline.call(chat("m"))).collect();
    calls.iter_mut().for_each(still_waits);
    let start = Instant::now();
    let served = all(calls).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(served, 3, "five failed, and nobody else was lost");
    assert!(start.elapsed() < SECOND * 3, "{:?}", start.elapsed());
    house.closed(8);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_told_when_no_lane_will_be_well_in_time() {
    let far = Scripted::new("far", vec![Play::Fail(SECOND, failed())]);
    let mut snapshot = snapshot(vec![with_slots(5, model("m", &[&far]))]);
    snapshot.retries.rules.max_attempts = 1;
    snapshot.models[0].targets[0].breaker.rest = SECOND * 60;
    snapshot.models[0].targets[0].breaker.longest_rest = SECOND * 60;
    let house = House::new(&[&far], &snapshot);
    let mut calls: Vec<_> = (0..12).map(|_| house.pipeline.call(chat("m"))).collect();
    calls.iter_mut().for_each(still_waits);
    let start = Instant::now();
    let kinds: Vec<ErrorKind> = all(calls).await.into_iter().map(|result| result.unwrap_err().kind()).collect();
    // The first four that fail make room for four more; the fifth ejects the lane.
    assert_eq!(kinds[..9], [ErrorKind::ProviderFailed; 9]);
    assert_eq!(kinds[9..], [ErrorKind::NoModelsAvailable; 3]);
    assert_eq!(start.elapsed(), SECOND * 2, "those who waited were told when it happened");
    house.closed(12);
}

#[tokio::test(start_paused = true)]
async fn blame_is_exact() {
    let caller = |kind| Error::new(kind, Side::Caller, "x");
    let router = |kind| Error::new(kind, Side::Router, "x");
    for (error, ejects) in [
        (failed(), true),
        (Error::provider(ErrorKind::ProviderUnreachable, "x"), true),
        (Error::provider(ErrorKind::TimeoutConnect, "x"), true),
        (Error::provider(ErrorKind::TimeoutFirstByte, "x"), true),
        (caller(ErrorKind::ProviderRejected), false),
        (router(ErrorKind::Internal), false),
        (Error::provider(ErrorKind::ProviderOverloaded, "x").with_retry(Retry::Elsewhere), false),
        (caller(ErrorKind::Cancelled), false),
    ] {
        let far = Scripted::new("far", vec![fail(error.clone())]);
        let house = single(&far);
        for _ in 0..5 {
            sleep(SECOND / 10).await;
            house.ask(chat("m")).await.result.unwrap_err();
        }
        assert_eq!(state(&house), if ejects { "ejected" } else { "serving" }, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_ejects_its_lane_at_once_and_no_other() {
    let bad = Scripted::new("bad", vec![fail(Error::provider(ErrorKind::ProviderAuth, "key refused"))]);
    let good = Scripted::new("good", vec![full("saved")]);
    let house = House::serving(&[&bad, &good]);
    for _ in 0..3 {
        assert!(house.ask(chat("m")).await.result.is_ok());
    }
    let states: Vec<&str> = house.pipeline.flow().lanes.iter().map(|lane| lane.state).collect();
    assert_eq!((states, bad.calls(), good.calls()), (vec!["ejected", "serving"], 1, 3));
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_rested_comes_back_although_another_serves() {
    let first = recovering(5, Duration::ZERO);
    let second = Scripted::new("second", vec![full("saved")]);
    let house = House::serving(&[&first, &second]);
    for _ in 0..10 {
        assert!(house.ask(chat("m")).await.result.is_ok());
    }
    assert_eq!((first.calls(), second.calls()), (5, 10));
    sleep(SECOND * 2).await;
    for _ in 0..5 {
        let answer = house.ask(chat("m")).await.result.unwrap();
        read(answer.body).await.unwrap();
    }
    assert_eq!((state(&house), first.calls(), second.calls()), ("serving", 10, 10));
    house.closed(15);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_the_caller_has_shortened_tells_nothing_about_the_lane() {
    let far = Scripted::new("far", vec![fail(Error::provider(ErrorKind::TimeoutFirstByte, "silent"))]);
    let house = single(&far);
    for _ in 0..10 {
        let mut hasty = chat("m");
        hasty.patience = Some(SECOND);
        house.ask(hasty).await.result.unwrap_err();
    }
    assert_eq!((state(&house), house.pipeline.flow().lanes[0].cuts), ("serving", 0));
    house.closed(10);
}

/// Asks for a stream of each play at once, none of which ends, and tells how long it takes until all have
/// begun.
async fn all_begin(waits: impl IntoIterator<Item = Duration>) -> Duration {
    let play = |wait| Play::Stream(vec![Beat::Wait(wait), content("first"), Beat::Hang]);
    let plays: Vec<Play> = waits.into_iter().map(play).collect();
    let count = plays.len();
    let house = House::serving(&[&Scripted::new("far", plays)]);
    let start = Instant::now();
    let mut calls: Vec<_> = (0..count).map(|_| house.pipeline.call(streamed("m"))).collect();
    let mut streams = Vec::new();
    std::future::poll_fn(|cx| {
        calls.retain_mut(|call| match call.as_mut().poll(cx) {
            Poll::Ready(reply) => {
                streams.push(reply.result.unwrap());
                false
            }
            Poll::Pending => true,
        });
        if calls.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let took = start.elapsed();
    assert_eq!(house.pipeline.flow().lanes[0].in_flight as usize, count, "none of them ends");
    drop(streams);
    house.closed(count);
    took
}

#[tokio::test(start_paused = true)]
async fn a_window_grows_by_first_tokens_so_that_many_long_streams_fit() {
    let took = all_begin(std::iter::repeat_n(SECOND / 5, 1_000)).await;
    assert!(took < SECOND * 8, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn thousands_of_long_streams_fit_where_first_tokens_come_as_they_like() {
    let mut dice = StdRng::seed_from_u64(5);
    let took = all_begin((0..5_000).map(|_| Duration::from_millis(dice.random_range(20..600)))).await;
    assert!(took < SECOND * 20, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn overload_cuts_the_window() {
    let busy = Error::provider(ErrorKind::ProviderOverloaded, "busy");
    let far = Scripted::new("far", vec![fail(busy), full("well")]);
    let house = single(&far);
    let before = house.pipeline.flow().lanes[0].limit;
    house.ask(chat("m")).await.result.unwrap_err();
    let lane = &house.pipeline.flow().lanes[0];
    assert!(lane.limit < before && lane.cuts == 1, "{lane:?}");
    house.closed(1);
}

/// A provider that lets ten requests a second through, tells so with every answer, and has few left.
struct Told {
    name: Arc<str>,
    left: Mutex<(f64, Instant)>,
    refused: AtomicUsize,
}

impl Told {
    const LIMIT: f64 = 600.0;

    fn take(&self) -> Result<RateFacts, Error> {
        let mut left = self.left.lock().unwrap();
        let now = Instant::now();
        left.0 = (left.0 + 10.0 * (now - left.1).as_secs_f64()).min(Self::LIMIT);
        left.1 = now;
        if left.0 < 1.0 {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Error::provider(ErrorKind::ProviderOverloaded, "busy"));
        }
        left.0 -= 1.0;
        let reset = Duration::from_secs_f64((Self::LIMIT - left.0) / 10.0);
        let requests = RateFact { limit: Some(600), remaining: Some(left.0 as u64), reset: Some(reset) };
        Ok(RateFacts { requests, ..RateFacts::default() })
    }
}

impl Provider for Told {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn call<'a>(&'a self, _: Try<'a>) -> BoxFuture<'a, Result<Answer, Error>> {
        let answer = self.take().map(|limits| {
            let report = Report { usage: Some(USAGE), content: true, complete: true, ..Report::default() };
            let body = Box::pin(FullBody::new("x".into(), report));
            Answer { status: StatusCode::OK, headers: HeaderMap::new(), limits, body }
        });
        Box::pin(async move { answer })
    }
}

#[tokio::test(start_paused = true)]
async fn tries_begin_no_faster_than_the_provider_tells() {
    let left = Mutex::new((20.0, Instant::now()));
    let told = Arc::new(Told { name: "far".into(), left, refused: AtomicUsize::new(0) });
    let target = Target::new(Arc::clone(&told) as Arc<dyn Provider>, "far-model");
    let house = House::new(&[], &snapshot(vec![Model::new("m", vec![target])]));
    house.ask(chat("m")).await.result.unwrap();
    let lane = &house.pipeline.flow().lanes[0];
    assert!(lane.requests_per_minute.is_some_and(|rate| (590..=610).contains(&rate)), "{lane:?}");
    let start = Instant::now();
    let calls: Vec<_> = (0..60).map(|_| house.pipeline.call(chat("m"))).collect();
    let results = all(calls).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let (took, enqueued) = (start.elapsed(), house.pipeline.flow().pools[0].enqueued);
    assert!((SECOND * 4..SECOND * 8).contains(&took), "sixty at ten a second, of which some were left: {took:?}");
    assert!(enqueued > 30 && told.refused.load(Ordering::Relaxed) == 0, "they waited here, not there: {enqueued}");
    house.closed(61);
}

#[tokio::test(start_paused = true)]
async fn models_that_lead_to_the_same_lane_share_it() {
    let far = Scripted::new("far", vec![Play::Full(SECOND, "slow".into(), None)]);
    let models = vec![with_slots(1, model("one", &[&far])), with_slots(1, model("other", &[&far]))];
    let house = House::new(&[&far], &snapshot(models));
    assert_eq!(house.pipeline.flow().lanes.len(), 1);
    let mut calls: Vec<_> = ["one", "other", "one", "other"].map(|name| house.pipeline.call(chat(name))).into();
    calls.iter_mut().for_each(still_waits);
    assert_eq!(far.calls(), 1);
    let start = Instant::now();
    assert!(all(calls).await.iter().all(Result::is_ok));
    assert_eq!(start.elapsed(), SECOND * 4);
    house.closed(4);
}
