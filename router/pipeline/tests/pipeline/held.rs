//! What is held back of a stream until its first content: given up without a trace, or given on
//! without loss or repetition.

use std::time::Duration;

use atp_core::{Error, ErrorKind, Operation, Retry};
use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::timeout;

use crate::kit::*;

fn cut() -> Error {
    Error::provider(ErrorKind::ProviderCut, "cut")
}

#[tokio::test(start_paused = true)]
async fn a_break_before_content_is_answered_by_another_target() {
    for before in
        [vec![], vec![quiet("role;")], vec![quiet(": comment"), Beat::Wait(Duration::from_secs(1)), quiet("role;")]]
    {
        let mut beats = before;
        beats.push(Beat::Break(cut()));
        let first = Scripted::new("first", vec![Play::Stream(beats)]);
        let second = Scripted::new("second", vec![stream()]);
        let house = House::serving(&[&first, &second]);
        let reply = house.ask(streamed("m")).await;
        assert_eq!(reply.notes.attempts, 2);
        assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "role;hello", "no byte of the first try");
        house.closed(1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_told_before_content_is_answered_by_another_target() {
    let told = Error::provider(ErrorKind::ProviderOverloaded, "busy");
    let first = Scripted::new(
        "first",
        vec![Play::Stream(vec![quiet("role;"), Beat::Failure("busy!".into(), told), Beat::Hang])],
    );
    let second = Scripted::new("second", vec![stream()]);
    let house = House::serving(&[&first, &second]);
    let reply = house.ask(streamed("m")).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "role;hello");
    house.closed(1);
    assert_eq!(house.metric("atp_upstream_attempts_total", &[("outcome", "overloaded")]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn an_error_told_before_content_that_nobody_can_mend_goes_out_as_it_was_told() {
    let told = Error::provider(ErrorKind::ProviderFailed, "told").with_retry(Retry::Never);
    let far = Scripted::new(
        "far",
        vec![Play::Stream(vec![quiet("role;"), Beat::Failure("error!".into(), told), quiet("end")])],
    );
    let house = House::serving(&[&far]);
    let reply = house.ask(streamed("m")).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "role;error!end");
    house.closed(1);
    assert_eq!(house.row().error, Some("provider_failed"));
}

#[tokio::test(start_paused = true)]
async fn content_ends_the_holding_back() {
    let far = Scripted::new("far", vec![Play::Stream(vec![quiet("role;"), content("x"), Beat::Hang])]);
    let house = House::serving(&[&far]);
    let mut body = house.ask(streamed("m")).await.result.unwrap().body;
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "role;");
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "x");
    assert!(body.as_mut().take_full().is_none(), "a stream is not whole");
    drop(body);
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn an_end_without_content_is_an_answer() {
    let far = Scripted::new("far", vec![Play::Stream(vec![quiet("role;"), quiet("[DONE]")])]);
    let house = House::serving(&[&far]);
    let body = house.ask(streamed("m")).await.result.unwrap().body;
    assert_eq!(read(body).await.unwrap(), "role;[DONE]");
    house.closed(1);
    assert_eq!(far.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn comments_without_end_are_held_back_up_to_64_kib() {
    let kib = Bytes::from(vec![b'.'; 1_024]);
    let mut beats = vec![Beat::Quiet(kib); 64];
    beats.push(Beat::Hang);
    let far = Scripted::new("far", vec![Play::Stream(beats)]);
    let house = House::serving(&[&far]);
    let reply = timeout(Duration::from_secs(1), house.ask(streamed("m"))).await.expect("the answer has begun");
    let mut body = reply.result.unwrap().body;
    for _ in 0..64 {
        assert_eq!(next(&mut body).await.unwrap().unwrap().len(), 1_024);
    }
    drop(body);
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn of_other_streams_the_first_chunk_is_the_beginning() {
    for operation in [Operation::Audio, Operation::Images] {
        let far = Scripted::new("far", vec![Play::Stream(vec![quiet("RIFF"), Beat::Hang])]);
        let house = House::serving(&[&far]);
        let mut exchange = streamed("m");
        exchange.operation = operation;
        let reply = timeout(Duration::from_secs(1), house.ask(exchange)).await.expect("the answer has begun");
        drop(reply);
        house.closed(1);
    }
}

fn beats() -> impl Strategy<Value = Vec<Beat>> {
    let beat = prop_oneof![
        4 => "[a-z]{1,9}".prop_map(|text| Beat::Quiet(text.into())),
        4 => "[A-Z]{1,9}".prop_map(|text| Beat::Content(text.into())),
        2 => (0u64..2_000).prop_map(|millis| Beat::Wait(Duration::from_millis(millis))),
    ];
    prop::collection::vec(beat, 0..12)
}

fn text_of(beats: &[Beat]) -> String {
    let bytes = beats.iter().filter_map(|beat| match beat {
        Beat::Quiet(bytes) | Beat::Content(bytes) => Some(bytes),
        _ => None,
    });
    bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect()
}

proptest! {
    #[test]
    fn what_goes_out_is_what_one_target_sent_whole_or_up_to_its_break(first in beats(), second in beats()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let has_content = first.iter().any(|beat| matches!(beat, Beat::Content(_)));
            let (sent_first, sent_second) = (text_of(&first), text_of(&second));
            let mut broken = first;
            broken.push(Beat::Break(cut()));
            let one = Scripted::new("one", vec![Play::Stream(broken)]);
            let other = Scripted::new("other", vec![Play::Stream(second)]);
            let house = House::serving(&[&one, &other]);
            let heard = read(house.ask(streamed("m")).await.result.unwrap().body).await;
            let expected = if has_content { Err(sent_first) } else { Ok(sent_second) };
            assert_eq!(heard.map_err(|(text, _)| text), expected);
            house.closed(1);
        });
    }
}
