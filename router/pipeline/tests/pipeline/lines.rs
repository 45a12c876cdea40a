//! What the log tells: a failure once, with all that names it; a refusal and a success only to those
//! who look.

use atp_core::{Error, ErrorKind};
use tracing::Level;

use crate::hearing::listen;
use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_once_with_all_that_names_it() {
    let log = listen();
    let error = || Error::provider(ErrorKind::ProviderFailed, "the provider failed").with_cause("status 500");
    let far = Scripted::new("far", vec![fail(error())]);
    let house = House::serving(&[&far]);
    let exchange = chat("m");
    let id = exchange.id.to_string();
    house.ask(exchange).await.result.unwrap_err();
    let lines = log.heard().lines(Level::WARN);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        &id,
        "key_name=\"anonymous\"",
        "model=\"m\"",
        "provider=\"far\"",
        "attempts=3",
        "step=\"lane\"",
        "error=\"provider_failed\"",
        "side=\"provider\"",
        "cause=\"status 500\"",
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_served_refused_or_left_is_told_only_at_debug_level() {
    let log = listen();
    let far = Scripted::new("far", vec![full("a"), full("b")]);
    let house = House::serving(&[&far]);
    read(house.ask(chat("m")).await.result.unwrap().body).await.unwrap();
    drop(house.ask(chat("m")).await);
    house.ask(chat("unknown")).await.result.unwrap_err();
    assert_eq!(log.heard().lines(Level::INFO), Vec::<String>::new());
    let lines = log.heard().lines(Level::DEBUG);
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, part) in lines.iter().zip(["served", "cancelled", "error=\"model_not_found\""]) {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_price_is_warned_of_once_a_snapshot() {
    let log = listen();
    let far = Scripted::new("far", vec![full("a")]);
    let mut free = model("m", &[&far]);
    free.price = None;
    let snapshot = snapshot(vec![free]);
    let house = House::new(&[&far], &snapshot);
    for _ in 0..3 {
        read(house.ask(chat("m")).await.result.unwrap().body).await.unwrap();
    }
    assert_eq!(log.heard().lines(Level::WARN).len(), 1);
    house.pipeline.swap(&snapshot).unwrap();
    read(house.ask(chat("m")).await.result.unwrap().body).await.unwrap();
    let lines = log.heard().lines(Level::WARN);
    assert!(lines.len() == 2 && lines[1].contains("has no price"), "{lines:?}");
}
