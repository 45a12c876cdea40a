//! Request rates and exchanges in flight.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Gateway, Outcome};
use atp_core::{Caller, Error, ErrorKind, Exchange, Observation, Side};
use atp_pipeline::{KeyLimit, RateLimit, Snapshot};
use tokio::time::advance;

use crate::kit::*;

fn rate(per_second: f64, burst: u32) -> Option<RateLimit> {
    let period = Duration::from_secs_f64(1.0 / per_second);
    Some(RateLimit { period, burst: NonZeroU32::new(burst).unwrap() })
}

fn key(name: &str, rate: Option<RateLimit>) -> KeyLimit {
    KeyLimit { key: name.into(), rate }
}

fn from(name: &str, index: usize) -> Exchange {
    Exchange {
        caller: Arc::new(Caller { key: name.into(), tenant: name.into(), index, ..Caller::anonymous() }),
        ..chat("m")
    }
}

fn house(keys: Vec<KeyLimit>) -> (House, Snapshot) {
    let far = Scripted::new("far", vec![full("hello")]);
    let snapshot = Snapshot { keys, ..snapshot(vec![model("m", &[&far])]) };
    (House::new(&[&far], &snapshot), snapshot)
}

async fn ask(house: &House, exchange: Exchange) -> Result<(), Error> {
    house.ask(exchange).await.result.map(|_| ())
}

#[tokio::test(start_paused = true)]
async fn a_key_may_burst_and_then_keeps_to_its_rate() {
    let (house, _) = house(vec![key("slow", rate(10.0, 3)), key("free", None)]);
    for _ in 0..3 {
        ask(&house, from("slow", 0)).await.unwrap();
    }
    let error = ask(&house, from("slow", 0)).await.unwrap_err();
    assert_eq!((error.kind(), error.side()), (ErrorKind::RateLimited, Side::Caller));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(100)));
    assert!(error.public().contains("`slow`") && error.public().contains("100 ms"), "{error}");
    ask(&house, from("free", 1)).await.unwrap();
    advance(Duration::from_millis(100)).await;
    ask(&house, from("slow", 0)).await.unwrap();
    ask(&house, from("slow", 0)).await.unwrap_err();
    house.closed(7);
    assert_eq!(house.metric("rate_limiter_dropped_total", &[]), 2.0);
    assert_eq!(house.rows()[3].outcome, Outcome::Refused);
    assert_eq!(&*house.rows()[3].provider, "", "no provider was asked");
}

#[tokio::test(start_paused = true)]
async fn a_rate_may_be_below_one_a_second_and_between_whole_numbers() {
    for (per_second, told, wait) in [(0.25, "0.25", 4_000), (2.5, "2.5", 400)] {
        let (house, snapshot) = house(vec![key("slow", rate(per_second, 1))]);
        let wait = Duration::from_millis(wait);
        ask(&house, from("slow", 0)).await.unwrap();
        let error = ask(&house, from("slow", 0)).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(wait));
        assert!(error.public().contains(&format!("may make {told} requests a second and 1 at once")), "{error}");
        // A reload that leaves it as it was does not begin the wait anew, nor end it.
        advance(wait - Duration::from_millis(1)).await;
        house.pipeline.swap(&snapshot).unwrap();
        assert_eq!(ask(&house, from("slow", 0)).await.unwrap_err().retry_after(), Some(Duration::from_millis(1)));
        advance(Duration::from_millis(1)).await;
        ask(&house, from("slow", 0)).await.unwrap();
        ask(&house, from("slow", 0)).await.unwrap_err();
        house.closed(5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_is_no_way_to_a_fresh_burst() {
    let (house, mut snapshot) = house(vec![key("a", rate(1.0, 2)), key("b", rate(1.0, 2))]);
    for _ in 0..2 {
        ask(&house, from("a", 0)).await.unwrap();
    }
    // The keys have changed places, and another has come.
    snapshot.keys = vec![key("new", None), key("b", rate(1.0, 2)), key("a", rate(1.0, 2))];
    house.pipeline.swap(&snapshot).unwrap();
    ask(&house, from("a", 2)).await.unwrap_err();
    // Authenticated before the reload: the index is stale, the name is not.
    ask(&house, from("a", 0)).await.unwrap_err();
    ask(&house, from("b", 1)).await.unwrap();
    // Another rate is another limit.
    snapshot.keys[2].rate = rate(1.0, 3);
    house.pipeline.swap(&snapshot).unwrap();
    ask(&house, from("a", 2)).await.unwrap();
    house.closed(6);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_are_in_flight_and_each_end_makes_room() {
    let (house, mut snapshot) = house(vec![]);
    snapshot.max_concurrent = NonZeroUsize::new(2);
    house.pipeline.swap(&snapshot).unwrap();
    let first = house.ask(chat("m")).await.result.unwrap();
    let second = house.ask(chat("m")).await.result.unwrap();
    let error = ask(&house, chat("m")).await.unwrap_err();
    assert_eq!((error.kind(), error.side()), (ErrorKind::Backpressure, Side::Router));
    assert!(error.retry_after().is_some());
    drop(first);
    ask(&house, chat("m")).await.unwrap();
    drop(second);
    house.closed(4);
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_looked_at_before_the_name() {
    let (house, _) = house(vec![key("slow", rate(1.0, 1))]);
    ask(&house, from("slow", 0)).await.unwrap();
    let mut unknown = from("slow", 0);
    unknown.model = "nothing-like-it".into();
    assert_eq!(ask(&house, unknown).await.unwrap_err().kind(), ErrorKind::RateLimited);
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn plans_and_scores_count_against_the_rate_too() {
    let (house, _) = house(vec![key("slow", rate(1.0, 2))]);
    let exchange = from("slow", 0);
    house.pipeline.plan(&exchange).unwrap();
    let told = Observation { id: exchange.id, score: Some(1.0), better_than: None, latency: None, cost: None };
    let unknown = house.pipeline.observe(&exchange.caller, &told).unwrap_err();
    assert_ne!(unknown.kind(), ErrorKind::RateLimited);
    let plan = house.pipeline.plan(&exchange).unwrap_err();
    for error in [plan, house.pipeline.observe(&exchange.caller, &told).unwrap_err()] {
        assert_eq!((error.kind(), error.retry_after().is_some()), (ErrorKind::RateLimited, true));
    }
    assert_eq!(ask(&house, exchange).await.unwrap_err().kind(), ErrorKind::RateLimited);
}
