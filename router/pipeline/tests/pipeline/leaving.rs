//! The caller leaves, and the route lets the provider's work go on.

use std::time::Duration;

use atp_core::port::{Gateway, Outcome};
use atp_core::{Error, ErrorKind, Usage};
use atp_pipeline::OnDisconnect;
use tokio::time::{sleep, timeout};

use crate::kit::*;

const SECOND: Duration = Duration::from_secs(1);

fn house(play: Play, policy: OnDisconnect) -> House {
    let far = Scripted::new("far", vec![play]);
    let mut lasting = model("m", &[&far]);
    lasting.on_disconnect = policy;
    House::new(&[&far], &snapshot(vec![lasting]))
}

/// A stream of a token a second, a hundred of them.
fn slow_stream() -> Play {
    let beats = (0..100).flat_map(|_| [content("x"), Beat::Wait(SECOND)]);
    Play::Stream(beats.chain([Beat::Usage(USAGE)]).collect())
}

#[tokio::test(start_paused = true)]
async fn complete_reads_a_stream_to_its_end_and_settles_its_usage() {
    let house = house(slow_stream(), OnDisconnect::Complete);
    let mut body = house.ask(streamed("m")).await.result.unwrap().body;
    next(&mut body).await.unwrap().unwrap();
    drop(body);
    assert_eq!((house.pipeline.in_flight(), house.rows().len()), (1, 0), "it goes on");
    sleep(SECOND * 50).await;
    assert_eq!(house.providers[0].working(), 1);
    sleep(SECOND * 51).await;
    house.closed(1);
    let row = house.row();
    assert_eq!((row.outcome, row.status, row.usage), (Outcome::Cancelled, 499, Some(USAGE)));
    assert!(row.cost.is_some());
}

#[tokio::test(start_paused = true)]
async fn complete_goes_on_when_the_caller_leaves_before_the_head() {
    for exchange in [chat("m"), streamed("m")] {
        let house = house(Play::Full(SECOND * 10, "late".into(), Some(USAGE)), OnDisconnect::Complete);
        assert!(timeout(SECOND, house.ask(exchange)).await.is_err());
        assert_eq!(house.pipeline.in_flight(), 1);
        sleep(SECOND * 10).await;
        house.closed(1);
        let row = house.row();
        assert_eq!((row.outcome, row.usage, row.attempts), (Outcome::Cancelled, Some(USAGE), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn drain_goes_on_for_so_many_tokens() {
    let house = house(slow_stream(), OnDisconnect::Drain(5));
    let mut body = house.ask(streamed("m")).await.result.unwrap().body;
    next(&mut body).await.unwrap().unwrap();
    drop(body);
    sleep(SECOND * 4).await;
    assert_eq!(house.providers[0].working(), 1, "four of five tokens");
    sleep(SECOND * 2).await;
    house.closed(1);
    assert_eq!(house.row().outcome, Outcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn drain_counts_as_the_provider_counts_where_it_does() {
    let told = |output| Beat::Usage(Usage { output, ..USAGE });
    let beats =
        vec![told(10), content("a"), Beat::Wait(SECOND), told(200), content("b"), Beat::Wait(SECOND), content("c")];
    let house = house(Play::Stream(beats), OnDisconnect::Drain(100));
    let mut body = house.ask(streamed("m")).await.result.unwrap().body;
    next(&mut body).await.unwrap().unwrap();
    drop(body);
    sleep(SECOND * 3 / 2).await;
    house.closed(1);
    assert_eq!(house.row().usage.map(|usage| usage.output), Some(200));
}

#[tokio::test(start_paused = true)]
async fn drain_of_a_whole_answer_goes_on_only_where_the_request_bounds_it() {
    for (max_tokens, goes_on) in [(None, false), (Some(50), false), (Some(5), true)] {
        let house = house(Play::Full(SECOND * 10, "late".into(), Some(USAGE)), OnDisconnect::Drain(5));
        let mut exchange = chat("m");
        exchange.fields.max_tokens = max_tokens;
        assert!(timeout(SECOND, house.ask(exchange)).await.is_err());
        assert_eq!(house.pipeline.in_flight(), usize::from(goes_on), "{max_tokens:?}");
        sleep(SECOND * 10).await;
        house.closed(1);
        assert_eq!(house.row().usage.is_some(), goes_on);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_tried_anew_for_a_caller_who_has_left() {
    let failed = Error::provider(ErrorKind::ProviderFailed, "failed");
    let house = house(Play::Fail(SECOND * 10, failed), OnDisconnect::Complete);
    assert!(timeout(SECOND, house.ask(chat("m"))).await.is_err());
    sleep(SECOND * 60).await;
    house.closed(1);
    assert_eq!(house.providers[0].calls(), 1);
    assert_eq!(house.row().outcome, Outcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_ends_in_time_is_like_any_other() {
    for policy in [OnDisconnect::Complete, OnDisconnect::Drain(5)] {
        let house = house(stream(), policy);
        assert_eq!(read(house.ask(streamed("m")).await.result.unwrap().body).await.unwrap(), "role;hello");
        drop(house.pipeline.call(streamed("m")));
        house.closed(1);
        assert_eq!(house.row().outcome, Outcome::Served);
    }
}
