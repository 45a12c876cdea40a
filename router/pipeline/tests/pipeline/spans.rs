//! What is told about sharing to whoever traces it.

use std::time::Duration;

use atp_core::port::Gateway;
use atp_core::{Exchange, Qos};
use atp_pipeline::Snapshot;

use crate::hearing::listen;
use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn turns_windows_and_preemptions_are_spans_with_the_mission_s_attributes() {
    let listening = listen();
    let far = Scripted::new("far", vec![Play::Full(Duration::from_secs(1), "slow".into(), Some(USAGE))]);
    let mut model = model("m", &[&far]);
    model.targets[0].window = atp_routing::window::WindowRules { min: 1, start: 1, max: 64 };
    let house = House::new(&[&far], &Snapshot { has_gold: true, ..snapshot(vec![model]) });
    let call = |tenant, qos| house.pipeline.call(from(tenant, qos, chat("m")));
    // The first two fill the slot and the one beside it; gold has no room, and bronze gives way.
    let mut calls = vec![call("a", Qos::Bronze), call("b", Qos::Bronze), call("b", Qos::Bronze), call("c", Qos::Gold)];
    calls.iter_mut().for_each(still_waits);
    assert!(all(calls).await.iter().all(Result::is_ok));
    let spans = listening.heard().spans;
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
    house.closed(4);
}

#[tokio::test(start_paused = true)]
async fn a_choice_is_a_span_with_the_mission_s_attributes() {
    let listening = listen();
    let far = Scripted::new("far", vec![full("x")]);
    let mut all = snapshot(vec![model("m", &[&far])]);
    all.routes = vec![crate::plan::cheapest("auto", &["m"])];
    let house = House::new(&[&far], &all);
    drop(house.ask(chat("auto")).await);
    let spans = listening.heard().spans;
    let told =
        |name: &str| spans.get(name).unwrap_or_else(|| panic!("no span {name} among {:?}", spans.keys())).concat();
    assert!(told("ask").contains("route=\"auto\""));
    let select = told("bandit.select");
    for attribute in ["bandit.strategy=\"cheapest\"", "bandit.cluster=\"chat\"", "bandit.candidates=1"] {
        assert!(select.contains(attribute), "{select}");
    }
    assert!(told("recorded later").contains("bandit.choice=\"m\""));
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn budgets_are_spans_with_the_mission_s_attributes() {
    use atp_core::MicroUsd;
    use atp_pipeline::KeyLimit;
    use atp_pipeline::snapshot::{Budget, Budgets, Per};

    let listening = listen();
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
    let spans = listening.heard().spans;
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

#[tokio::test(start_paused = true)]
async fn who_comes_first_to_a_line_and_does_not_listen_hides_it_from_nobody() {
    let listening = listen();
    let ask = || async {
        let far = Scripted::new("far", vec![full("x")]);
        House::serving(&[&far]).ask(chat("m")).await.result.unwrap();
    };
    let elsewhere = move || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(ask());
    std::thread::spawn(elsewhere).join().unwrap();
    assert!(listening.heard().spans.is_empty(), "what other threads tell is not heard");
    ask().await;
    assert!(listening.heard().spans.contains_key("fair.acquire"));
}
