//! What is told about sharing to whoever traces it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atp_core::port::Gateway;
use atp_core::{Exchange, Qos};
use atp_pipeline::Snapshot;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::kit::*;

/// The spans by name, with the fields of each.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeMap<&'static str, Vec<String>>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && *metadata.level() <= Level::DEBUG && metadata.target().starts_with("atp_pipeline")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        self.0.lock().unwrap().entry(attributes.metadata().name()).or_default().push(fields.0);
        Id::from_u64(1)
    }

    /// What becomes known of a span only later stands under a name of its own.
    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut fields = Fields(String::new());
        values.record(&mut fields);
        self.0.lock().unwrap().entry("recorded later").or_default().push(fields.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn turns_windows_and_preemptions_are_spans_with_the_mission_s_attributes() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let far = Scripted::new("far", vec![Play::Full(Duration::from_secs(1), "slow".into(), Some(USAGE))]);
    let mut model = model("m", &[&far]);
    model.targets[0].window = atp_routing::window::WindowRules { min: 1, start: 1, max: 64 };
    let house = House::new(&[&far], &Snapshot { has_gold: true, ..snapshot(vec![model]) });
    let call = |tenant, qos| house.pipeline.call(from(tenant, qos, chat("m")));
    // The first two fill the slot and the one beside it; gold has no room, and bronze gives way.
    let mut calls = vec![call("a", Qos::Bronze), call("b", Qos::Bronze), call("b", Qos::Bronze), call("c", Qos::Gold)];
    calls.iter_mut().for_each(still_waits);
    assert!(all(calls).await.iter().all(Result::is_ok));
    let spans = spans.0.lock().unwrap();
    for (name, attributes) in [
        ("fair.acquire", &["fair.fast_path=true", "fair.qos=\"bronze\"", "window.allowed="][..]),
        ("fair.select", &["fair.granted_session=", "fair.wait_ms="]),
        ("aimd.feedback", &["aimd.session=\"far\"", "before=", "after=", "latency_ms=", "ok=true"]),
        ("window.update", &["window.before=1 ", "window.after=", "window.delta=", "why=Grown"]),
        ("preempt.select", &["preempt.count=1", "preempt.reason="]),
    ] {
        let told = spans.get(name).unwrap_or_else(|| panic!("no span {name} among {:?}", spans.keys()));
        let whole = told.iter().any(|fields| attributes.iter().all(|attribute| fields.contains(attribute)));
        assert!(whole, "{name} with {attributes:?}: {told:?}");
    }
    drop(spans);
    house.closed(4);
}

#[tokio::test(start_paused = true)]
async fn a_choice_is_a_span_with_the_mission_s_attributes() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let far = Scripted::new("far", vec![full("x")]);
    let mut all = snapshot(vec![model("m", &[&far])]);
    all.routes = vec![crate::plan::cheapest("auto", &["m"])];
    let house = House::new(&[&far], &all);
    drop(house.ask(chat("auto")).await);
    let spans = spans.0.lock().unwrap();
    let told =
        |name: &str| spans.get(name).unwrap_or_else(|| panic!("no span {name} among {:?}", spans.keys())).concat();
    assert!(told("ask").contains("route=\"auto\""));
    let select = told("bandit.select");
    for attribute in ["bandit.strategy=\"cheapest\"", "bandit.cluster=\"chat\"", "bandit.candidates=1"] {
        assert!(select.contains(attribute), "{select}");
    }
    assert!(told("recorded later").contains("bandit.choice=\"m\""));
    drop(spans);
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn budgets_are_spans_with_the_mission_s_attributes() {
    use atp_core::MicroUsd;
    use atp_pipeline::KeyLimit;
    use atp_pipeline::snapshot::{Budget, Budgets, Per};

    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    // Twelve ordinary answers, one that costs a hundred times as much, and one that is not covered.
    let dear = atp_core::Usage { input: 1_000, output: 500, ..USAGE };
    let plays = (0..12).map(|_| full("x")).chain([Play::Full(Duration::ZERO, "x".into(), Some(dear))]).collect();
    let far = Scripted::new("far", plays);
    let budget = Budget { cost: Some(MicroUsd(12 * COST + 2_000)), tokens: None, per: Per::Day };
    let budgets = Budgets { keys: vec![vec![budget]], ..Budgets::default() };
    let keys = vec![KeyLimit { key: "a".into(), rate: None }];
    let house = House::new(&[&far], &Snapshot { keys, budgets, ..snapshot(vec![model("m", &[&far])]) });
    let ask = || Exchange {
        fields: atp_core::Fields { max_tokens: Some(5), ..atp_core::Fields::default() },
        ..from("a", Qos::Silver, chat("m"))
    };
    for _ in 0..13 {
        assert!(house.ask(ask()).await.result.is_ok());
    }
    assert!(house.ask(ask()).await.result.is_err());
    let spans = spans.0.lock().unwrap();
    for (name, attributes) in [
        ("budget.check", &["budget.accounts=1", "budget.tokens=", "budget.usd_micros="][..]),
        ("budget.denied", &["budget.reason=\"the budget of the key `a`"]),
        ("budget.spike_detected", &["budget.whose=\"key\"", "budget.name=\"a\"", "budget.z="]),
    ] {
        let told = spans.get(name).unwrap_or_else(|| panic!("no span {name} among {:?}", spans.keys()));
        assert!(attributes.iter().all(|attribute| told[0].contains(attribute)), "{told:?}");
    }
    assert_eq!((spans["budget.check"].len(), spans["budget.denied"].len()), (14, 1));
}
