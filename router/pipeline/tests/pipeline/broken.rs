//! Streams that break off after content, and go on: what the caller reads, what it costs, who is blamed.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::Outcome;
use atp_core::{Error, ErrorKind, Exchange, MicroUsd, Restarts, Usage};
use atp_pipeline::Model;
use atp_pipeline::snapshot::MidStream;

use crate::kit::*;

fn cut() -> Error {
    Error::provider(ErrorKind::ProviderCut, "the connection broke")
}

fn broken(words: &[&'static str]) -> Play {
    let mut beats = vec![quiet("role;")];
    beats.extend(words.iter().map(|word| content(word)));
    beats.push(Beat::Break(cut()));
    Play::Stream(beats)
}

fn rest(words: &[&'static str], input: u64, output: u64) -> Play {
    let mut beats: Vec<Beat> = words.iter().map(|word| content(word)).collect();
    beats.push(Beat::Usage(Usage { input, output, ..Usage::default() }));
    Play::Stream(beats)
}

/// A house whose model goes on in this way, at all targets but those that are named.
fn house(providers: &[&Arc<Scripted>], failover: MidStream, without: &[usize]) -> House {
    let mut model = Model { failover, ..model("m", providers) };
    for (index, target) in model.targets.iter_mut().enumerate() {
        target.prefill = !without.contains(&index);
    }
    House::new(providers, &snapshot(vec![model]))
}

fn accepting() -> Exchange {
    Exchange { restarts: Restarts::Accepted, ..streamed("m") }
}

fn begun(provider: &Scripted) -> Vec<Option<String>> {
    provider.seen.lock().unwrap().iter().map(|seen| seen.begun.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn another_target_goes_on_where_one_broke_off() {
    let first = Scripted::new("first", vec![broken(&["one ", "two "])]);
    let mute = Scripted::new("mute", vec![full("nobody asks who cannot go on")]);
    let second = Scripted::new("second", vec![rest(&["three ", "four"], 12, 2)]);
    let house = house(&[&first, &mute, &second], MidStream::Continue, &[1]);
    let reply = house.ask(streamed("m")).await;
    let mut body = reply.result.unwrap().body;
    let mut text = String::new();
    while let Some(chunk) = next(&mut body).await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    assert_eq!(text, "role;one two three four");
    assert_eq!((mute.calls(), begun(&second)), (0, vec![Some("one two ".to_owned())]));
    // The caller had a prompt of 10 tokens and reads 4; the second provider was given 12 and made 2.
    let whole = Usage { input: 10, output: 4, ..Usage::default() };
    assert_eq!(body.report().usage, Some(whole));
    let row = house.row();
    assert_eq!((row.usage, row.attempts, &*row.provider, row.outcome), (Some(whole), 2, "second", Outcome::Served));
    // Each at its own: 10 + 2 tokens of the first, 12 + 2 of the second.
    let cost = MicroUsd((10 + 2 * 2) + (12 + 2 * 2));
    assert_eq!((row.cost, body.cost()), (Some(cost), Some(cost)));
    assert_eq!(house.metric("atp_tokens_total", &[("provider", "first"), ("direction", "input")]), 10.0);
    assert_eq!(house.metric("atp_tokens_total", &[("provider", "second"), ("direction", "output")]), 2.0);
    assert_eq!(house.metric("atp_upstream_attempts_total", &[("provider", "first"), ("outcome", "failed")]), 1.0);
    assert_eq!(house.metric("atp_streams_broken_total", &[("way", "continue")]), 1.0);
    drop(body);
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn it_may_break_off_more_than_once_and_anywhere() {
    for (kept, again) in [(1, 1), (1, 3), (3, 1), (4, 2)] {
        let words = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let first = Scripted::new("first", vec![broken(&words[..kept])]);
        let second = Scripted::new("second", vec![broken(&words[kept..kept + again])]);
        let third = Scripted::new("third", vec![rest(&words[kept + again..], 100, 1)]);
        let house = house(&[&first, &second, &third], MidStream::Continue, &[]);
        let told = read(house.ask(streamed("m")).await.result.unwrap().body).await.unwrap();
        // A second provider's role is its adapter's to take out; this one is hand-played.
        assert_eq!(told.replace("role;", ""), words.concat());
        assert_eq!(begun(&third), [Some(words[..kept + again].concat())]);
        assert_eq!(house.row().attempts, 3);
        house.closed(1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_accepts_a_marker_is_answered_anew() {
    for failover in [MidStream::Restart, MidStream::Continue] {
        let first = Scripted::new("first", vec![broken(&["a tool call"])]);
        let second = Scripted::new("second", vec![stream()]);
        let house = house(&[&first, &second], failover, &[]);
        let body = house.ask(accepting()).await.result.unwrap().body;
        assert_eq!(read(body).await.unwrap(), "role;a tool callanew(provider_cut);role;hello");
        let row = house.row();
        assert_eq!((row.usage, row.attempts, row.outcome), (Some(USAGE), 2, Outcome::Served));
        // What is void was made all the same: a prompt of 10 and one piece, then the whole answer.
        assert_eq!(row.cost, Some(MicroUsd(COST + 10 + 2 * 2)));
        house.closed(1);
    }
}

#[tokio::test(start_paused = true)]
async fn otherwise_it_ends_with_the_error() {
    let cases = [
        (MidStream::Off, accepting(), cut()),
        (MidStream::Restart, streamed("m"), cut()),
        (MidStream::Continue, accepting(), cut().with_retry(atp_core::Retry::Never)),
    ];
    for (failover, exchange, error) in cases {
        let first = Scripted::new("first", vec![Play::Stream(vec![content("x"), Beat::Break(error)])]);
        let second = Scripted::new("second", vec![full("nobody asks")]);
        let house = house(&[&first, &second], failover, &[]);
        let (text, error) = read(house.ask(exchange).await.result.unwrap().body).await.unwrap_err();
        assert_eq!((text.as_str(), error.kind(), second.calls()), ("x", ErrorKind::ProviderCut, 0));
        assert_eq!((house.row().outcome, house.row().error), (Outcome::Failed, Some("provider_cut")));
        house.closed(1);
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_go_on_the_first_break_is_told() {
    let failed = Error::provider(ErrorKind::ProviderFailed, "boom");
    let first = Scripted::new("first", vec![broken(&["one "]), fail(failed.clone())]);
    let second = Scripted::new("second", vec![fail(failed)]);
    let house = house(&[&first, &second], MidStream::Continue, &[]);
    let (text, error) = read(house.ask(streamed("m")).await.result.unwrap().body).await.unwrap_err();
    assert_eq!((text.as_str(), error.kind()), ("role;one ", ErrorKind::ProviderCut));
    let row = house.row();
    assert_eq!((row.outcome, row.error, row.status), (Outcome::Failed, Some("provider_cut"), 200));
    assert!(row.attempts >= 2 && row.cost.is_none());
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_another_is_asked_leaves_nothing_behind() {
    let first = Scripted::new("first", vec![broken(&["one "])]);
    let second = Scripted::new("second", vec![Play::Hang]);
    let house = house(&[&first, &second], MidStream::Continue, &[]);
    let mut body = house.ask(streamed("m")).await.result.unwrap().body;
    let reading = async { while next(&mut body).await.is_some() {} };
    assert!(tokio::time::timeout(Duration::from_secs(1), reading).await.is_err());
    assert_eq!(second.working(), 1);
    drop(body);
    assert_eq!(house.row().outcome, Outcome::Cancelled);
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_break_off_costs_and_tells_what_it_did() {
    let far = Scripted::new("far", vec![stream()]);
    let house = house(&[&far], MidStream::Continue, &[]);
    let mut body = house.ask(accepting()).await.result.unwrap().body;
    while next(&mut body).await.is_some() {}
    assert_eq!((body.report().usage, body.cost()), (Some(USAGE), Some(MicroUsd(COST))));
    assert_eq!(house.row().cost, Some(MicroUsd(COST)));
    assert_eq!(house.metric("atp_streams_broken_total", &[]), 0.0);
    drop(body);
    house.closed(1);
}
