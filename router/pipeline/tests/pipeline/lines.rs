//! What the log tells: a failure once, with all that names it; a refusal and a success only to those
//! who look.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use atp_core::{Error, ErrorKind};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::kit::*;

/// A log that remembers its lines.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("atp_pipeline") || metadata.target() == atp_pipeline::REQUESTS
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push((*event.metadata().level(), line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Log {
    /// The lines at or above `level`.
    fn lines(&self, level: Level) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|(of, _)| *of <= level).map(|(_, line)| line.clone()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_once_with_all_that_names_it() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let error = || Error::provider(ErrorKind::ProviderFailed, "the provider failed").with_cause("status 500");
    let far = Scripted::new("far", vec![fail(error())]);
    let house = House::serving(&[&far]);
    let exchange = chat("m");
    let id = exchange.id.to_string();
    house.ask(exchange).await.result.unwrap_err();
    let lines = log.lines(Level::WARN);
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
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let far = Scripted::new("far", vec![full("a"), full("b")]);
    let house = House::serving(&[&far]);
    read(house.ask(chat("m")).await.result.unwrap().body).await.unwrap();
    drop(house.ask(chat("m")).await);
    house.ask(chat("unknown")).await.result.unwrap_err();
    assert_eq!(log.lines(Level::INFO), Vec::<String>::new());
    let lines = log.lines(Level::DEBUG);
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, part) in lines.iter().zip(["served", "cancelled", "error=\"model_not_found\""]) {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_price_is_warned_of_once_a_snapshot() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let far = Scripted::new("far", vec![full("a")]);
    let mut free = model("m", &[&far]);
    free.price = None;
    let snapshot = snapshot(vec![free]);
    let house = House::new(&[&far], &snapshot);
    for _ in 0..3 {
        read(house.ask(chat("m")).await.result.unwrap().body).await.unwrap();
    }
    assert_eq!(log.lines(Level::WARN).len(), 1);
    house.pipeline.swap(&snapshot).unwrap();
    read(house.ask(chat("m")).await.result.unwrap().body).await.unwrap();
    let lines = log.lines(Level::WARN);
    assert!(lines.len() == 2 && lines[1].contains("has no price"), "{lines:?}");
}
