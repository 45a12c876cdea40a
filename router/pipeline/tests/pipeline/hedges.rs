//! A second target beside a slow first one: who wins, who is dropped, who pays.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::Gateway;
use atp_core::{Error, ErrorKind};
use atp_pipeline::{Hedge, Model};
use tokio::time::{Instant, sleep};

use crate::kit::*;

const SECOND: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_millis(300);

fn after(wait: Duration, text: &'static str) -> Play {
    Play::Full(wait, text.into(), Some(USAGE))
}

fn failed() -> Error {
    Error::provider(ErrorKind::ProviderFailed, "failed")
}

fn hedging(providers: &[&Arc<Scripted>]) -> Model {
    Model { hedge: Some(Hedge { after: Some(AFTER), ..Hedge::default() }), ..model("m", providers) }
}

fn house(providers: &[&Arc<Scripted>]) -> House {
    House::new(providers, &snapshot(vec![hedging(providers)]))
}

fn hedges(house: &House, outcome: &str) -> f64 {
    house.metric("atp_hedges_total", &[("outcome", outcome)])
}

/// Asks, and tells who answered, with how many tries, and after which time.
async fn asked(house: &House) -> (Result<String, ErrorKind>, u32, Duration) {
    let start = Instant::now();
    let reply = house.ask(chat("m")).await;
    let (attempts, took) = (reply.notes.attempts, start.elapsed());
    let provider = reply.notes.provider.clone().unwrap();
    let result = match reply.result {
        Ok(answer) => {
            read(answer.body).await.unwrap();
            Ok(provider.to_string())
        }
        Err(error) => Err(error.kind()),
    };
    (result, attempts, took)
}

#[tokio::test(start_paused = true)]
async fn who_answers_in_time_is_alone() {
    let (first, second) =
        (Scripted::new("first", vec![after(AFTER - AFTER / 10, "a")]), Scripted::new("second", vec![full("b")]));
    let house = house(&[&first, &second]);
    assert_eq!(asked(&house).await, (Ok("first".into()), 1, AFTER - AFTER / 10));
    assert_eq!(second.calls(), 0);
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn the_second_wins_where_it_answers_first_and_the_first_is_dropped_at_once() {
    let (first, second) =
        (Scripted::new("first", vec![Play::Hang]), Scripted::new("second", vec![after(SECOND / 10, "b")]));
    let house = house(&[&first, &second]);
    assert_eq!(asked(&house).await, (Ok("second".into()), 2, AFTER + SECOND / 10));
    assert_eq!((first.working(), hedges(&house, "won")), (0, 1.0));
    let row = house.row();
    assert_eq!((&*row.provider, row.attempts, row.usage), ("second", 2, Some(USAGE)));
    assert_eq!(house.metric("atp_upstream_attempts_total", &[("provider", "first"), ("outcome", "cancelled")]), 1.0);
    assert_eq!(house.pipeline.flow().lanes[0].failures, 0, "a loser tells nothing about its lane");
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn the_first_wins_where_it_answers_after_all_and_the_second_is_dropped_at_once() {
    let (first, second) = (Scripted::new("first", vec![after(SECOND, "a")]), Scripted::new("second", vec![Play::Hang]));
    let house = house(&[&first, &second]);
    assert_eq!(asked(&house).await, (Ok("first".into()), 2, SECOND));
    assert_eq!((second.calls(), second.working(), hedges(&house, "lost")), (1, 0, 1.0));
    assert_eq!(&*house.row().provider, "first");
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_streams_first_content_decides_and_what_the_loser_told_is_spent_not_answered() {
    let told = vec![quiet("role;"), Beat::Usage(USAGE), quiet("more;"), Beat::Hang];
    let first = Scripted::new("first", vec![Play::Stream(told)]);
    let second = Scripted::new("second", vec![stream()]);
    let house = house(&[&first, &second]);
    let reply = house.ask(streamed("m")).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "role;hello");
    assert_eq!(house.row().usage, Some(USAGE), "once");
    for provider in ["first", "second"] {
        let tokens = house.metric("atp_tokens_total", &[("provider", provider), ("direction", "output")]);
        assert_eq!(tokens, USAGE.output as f64, "{provider}");
    }
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn where_one_fails_the_other_goes_on() {
    for (first, second, result, outcome) in [
        (Play::Fail(SECOND, failed()), after(SECOND, "b"), (Ok("second".into()), 2, AFTER + SECOND), None),
        (after(SECOND, "a"), Play::Fail(SECOND / 10, failed()), (Ok("first".into()), 2, SECOND), Some("failed")),
    ] {
        let (first, second) = (Scripted::new("first", vec![first]), Scripted::new("second", vec![second]));
        let house = house(&[&first, &second]);
        assert_eq!(asked(&house).await, result);
        if let Some(outcome) = outcome {
            assert_eq!(hedges(&house, outcome), 1.0);
        }
        assert_eq!(house.metric("atp_upstream_attempts_total", &[("outcome", "failed")]), 1.0);
        house.closed(1);
    }
}

#[tokio::test(start_paused = true)]
async fn where_both_fail_the_walk_goes_on_with_the_third() {
    let first = Scripted::new("first", vec![Play::Fail(SECOND, failed())]);
    let second = Scripted::new("second", vec![Play::Fail(SECOND * 2, failed())]);
    let third = Scripted::new("third", vec![full("c")]);
    let house = house(&[&first, &second, &third]);
    assert_eq!(asked(&house).await, (Ok("third".into()), 3, AFTER + SECOND * 2));
    assert_eq!((first.calls(), second.calls()), (1, 1));
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_target_without_room_is_passed_over_and_nobody_waits_for_it() {
    let first = Scripted::new("first", vec![after(SECOND, "a")]);
    let second = Scripted::new("second", vec![Play::Hang]);
    let third = Scripted::new("third", vec![after(SECOND / 10, "c")]);
    let providers = [&first, &second, &third];
    let mut narrow = hedging(&providers);
    narrow.targets[1].window = with_slots(1, model("x", &[&second])).targets[0].window;
    let other = Model { hedge: None, ..with_slots(1, model("other", &[&second])) };
    let house = House::new(&providers, &snapshot(vec![narrow, other]));
    let mut filling = house.pipeline.call(chat("other"));
    still_waits(&mut filling);
    assert_eq!(asked(&house).await, (Ok("third".into()), 2, AFTER + SECOND / 10));
    drop(filling);
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn hedges_cost_no_more_than_their_budget() {
    let first = Scripted::new("first", vec![after(SECOND, "a")]);
    let second = Scripted::new("second", vec![Play::Hang]);
    let house = house(&[&first, &second]);
    for _ in 0..20 {
        let mut long = chat("m");
        long.payload = atp_core::Payload::Rope(atp_core::Rope::from(bytes::Bytes::from(vec![b'x'; 4_000])));
        read(house.ask(long).await.result.unwrap().body).await.unwrap();
    }
    // 2,000 tokens a minute whatever the traffic: two prompts of a thousand; the second is refused as
    // soon as answers are expected too.
    assert!((1..=2).contains(&second.calls()), "{}", second.calls());
    assert_eq!(hedges(&house, "unaffordable"), 20.0 - second.calls() as f64);
    house.closed(20);
}

#[tokio::test(start_paused = true)]
async fn without_a_time_of_its_own_a_hedge_waits_for_the_lanes_own_tail() {
    let quick = || Play::Stream(vec![Beat::Wait(SECOND / 10), content("quick"), Beat::Usage(USAGE)]);
    let mut plays = vec![quick(); 40];
    plays.push(Play::Hang);
    let (first, second) = (Scripted::new("first", plays), Scripted::new("second", vec![stream()]));
    let providers = [&first, &second];
    let model = Model { hedge: Some(Hedge::default()), ..model("m", &providers) };
    let house = House::new(&providers, &snapshot(vec![model]));
    for _ in 0..40 {
        assert_eq!(read(house.ask(streamed("m")).await.result.unwrap().body).await.unwrap(), "quick");
    }
    let start = Instant::now();
    let reply = house.ask(streamed("m")).await;
    let took = start.elapsed();
    assert_eq!((reply.notes.provider.as_deref(), reply.notes.attempts), (Some("second"), 2));
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "role;hello");
    assert!((SECOND / 11..SECOND / 7).contains(&took), "a little after the 95th percentile of 100 ms: {took:?}");
    house.closed(41);
}

#[tokio::test(start_paused = true)]
async fn whole_answers_have_a_tail_of_their_own() {
    // Streams of the lane begin soon; an answer that is no stream takes a second, and is not late after that.
    let quick = || Play::Stream(vec![Beat::Wait(SECOND / 10), content("quick"), Beat::Usage(USAGE)]);
    let mut plays = vec![quick(); 40];
    plays.extend(vec![after(SECOND, "whole"); 40]);
    plays.push(Play::Hang);
    let (first, second) = (Scripted::new("first", plays), Scripted::new("second", vec![full("b")]));
    let providers = [&first, &second];
    let house =
        House::new(&providers, &snapshot(vec![Model { hedge: Some(Hedge::default()), ..model("m", &providers) }]));
    for _ in 0..40 {
        read(house.ask(streamed("m")).await.result.unwrap().body).await.unwrap();
    }
    for _ in 0..40 {
        assert_eq!(asked(&house).await, (Ok("first".into()), 1, SECOND));
    }
    let (result, attempts, took) = asked(&house).await;
    assert_eq!((result, attempts), (Ok("second".into()), 2));
    assert!((SECOND * 11 / 10..SECOND * 14 / 10).contains(&took), "a little after a second: {took:?}");
    house.closed(81);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_ends_both() {
    let (first, second) = (Scripted::new("first", vec![Play::Hang]), Scripted::new("second", vec![Play::Hang]));
    let house = house(&[&first, &second]);
    let mut call = house.pipeline.call(chat("m"));
    still_waits(&mut call);
    sleep(SECOND).await;
    still_waits(&mut call);
    assert_eq!((first.working(), second.working()), (1, 1));
    drop(call);
    house.closed(1);
}
