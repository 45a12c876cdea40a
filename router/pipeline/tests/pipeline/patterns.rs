//! Names that callers ask for behind a pattern: each has a lane of its own.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Gateway, Provider};
use atp_core::{Error, ErrorKind, Retry};
use atp_pipeline::view::FlowView;
use atp_pipeline::{Model, Snapshot, Target};
use atp_routing::window::WindowRules;
use tokio::time::sleep;

use crate::kit::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Names of a pattern that have lanes of their own.
const MOST: usize = 256;

fn pattern(provider: &Arc<Scripted>) -> Model {
    let mut model = Model::new("gpt-*", vec![Target::new(Arc::clone(provider) as Arc<dyn Provider>, "x-*")]);
    model.targets[0].window = WindowRules { min: 1, start: 1, max: 1 };
    model
}

fn once(models: Vec<Model>) -> Snapshot {
    let mut snapshot = snapshot(models);
    snapshot.retries.rules.max_attempts = 1;
    snapshot
}

fn busy() -> Play {
    fail(Error::provider(ErrorKind::ProviderOverloaded, "busy").with_retry(Retry::After(MINUTE)))
}

fn missing() -> Play {
    fail(Error::provider(ErrorKind::ProviderRejected, "no such model"))
}

fn slow() -> Play {
    Play::Full(SECOND, "slow".into(), Some(USAGE))
}

fn lanes(view: &FlowView) -> Vec<&str> {
    view.lanes.iter().map(|lane| &*lane.model).collect()
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_told_for_one_name_is_obeyed_for_it_and_for_no_other() {
    let far = Scripted::new("far", vec![busy(), full("well")]);
    let house = House::new(&[&far], &once(vec![pattern(&far)]));
    house.ask(chat("gpt-one")).await.result.unwrap_err();
    let again = house.ask(chat("gpt-one")).await.result.unwrap_err();
    assert!(again.retry_after().is_some_and(|pause| pause > SECOND * 50), "{again}");
    assert_eq!(far.calls(), 1, "the provider asked for a pause, and gets it");
    assert!(house.ask(chat("gpt-two")).await.result.is_ok(), "another model was not meant");
    sleep(MINUTE * 2).await;
    assert!(house.ask(chat("gpt-one")).await.result.is_ok());
    house.closed(4);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_name_waits_for_no_other() {
    let far = Scripted::new("far", vec![slow()]);
    let house = House::new(&[&far], &once(vec![pattern(&far)]));
    let mut calls: Vec<_> = ["one", "one", "two"].map(|name| house.pipeline.call(chat(&format!("gpt-{name}")))).into();
    calls.iter_mut().for_each(still_waits);
    assert_eq!(far.calls(), 2, "one slot each, and the second of the same name waits");
    let view = house.pipeline.flow();
    let waiting: Vec<_> = view.pools.iter().map(|pool| (&*pool.model, pool.waiting[1])).collect();
    assert!(waiting.contains(&("gpt-one", 1)) && waiting.contains(&("gpt-two", 0)), "{waiting:?}");
    assert!(all(calls).await.iter().all(Result::is_ok));
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn a_name_has_one_lane_whichever_way_leads_there() {
    let far = Scripted::new("far", vec![slow()]);
    let by_name = Model::new("named", vec![Target::new(Arc::clone(&far) as Arc<dyn Provider>, "x-one")]);
    let mut other = pattern(&far);
    other.name = "other/*".into();
    let house = House::new(&[&far], &once(vec![pattern(&far), with_slots(1, by_name), other]));
    let mut calls: Vec<_> = ["gpt-one", "named", "other/one"].map(|name| house.pipeline.call(chat(name))).into();
    calls.iter_mut().for_each(still_waits);
    assert_eq!(far.calls(), 1);
    assert_eq!(lanes(&house.pipeline.flow()).iter().filter(|model| **model == "x-one").count(), 1);
    assert!(all(calls).await.iter().all(Result::is_ok));
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn a_reload_forgets_nothing_that_was_learnt_of_a_name() {
    let far = Scripted::new("far", vec![busy(), full("well")]);
    let house = House::new(&[&far], &once(vec![pattern(&far)]));
    house.ask(chat("gpt-one")).await.result.unwrap_err();
    let mut wider = pattern(&far);
    wider.targets[0].window.max = 7;
    house.pipeline.swap(&once(vec![model("more", &[&far]), wider])).unwrap();
    house.ask(chat("gpt-one")).await.result.unwrap_err();
    assert_eq!(far.calls(), 1, "the pause holds");
    let view = house.pipeline.flow();
    assert_eq!(view.lanes.iter().find(|lane| &*lane.model == "x-one").unwrap().max, 7, "by the new rules");
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn names_are_bounded_and_made_up_ones_make_room_for_real_ones() {
    let plays = (0..MOST).map(|_| missing()).chain([full("well")]).collect();
    let far = Scripted::new("far", plays);
    let house = House::new(&[&far], &once(vec![pattern(&far)]));
    for index in 0..MOST {
        house.ask(chat(&format!("gpt-no{index}"))).await.result.unwrap_err();
    }
    assert_eq!(house.pipeline.flow().lanes.len(), MOST + 1, "one each, and the pattern's");
    for index in 0..MOST {
        assert!(house.ask(chat(&format!("gpt-{index}"))).await.result.is_ok());
    }
    let view = house.pipeline.flow();
    assert_eq!(view.lanes.len(), MOST + 1);
    assert!(!lanes(&view).contains(&"x-no0") && lanes(&view).contains(&"x-0") && lanes(&view).contains(&"x-255"));
    // All of these were answered: who comes now shares the pattern's own lane.
    assert!(house.ask(chat("gpt-late")).await.result.is_ok());
    let view = house.pipeline.flow();
    let shared = view.pools.iter().find(|pool| &*pool.model == "gpt-*").unwrap();
    assert_eq!((view.lanes.len(), shared.granted > 0), (MOST + 1, true));
    // Too long for a name.
    assert!(house.ask(chat(&format!("gpt-{}", "y".repeat(300)))).await.result.is_ok());
    assert_eq!(house.pipeline.flow().lanes.len(), MOST + 1);
    house.closed(2 * MOST + 2);
}

#[tokio::test(start_paused = true)]
async fn names_that_nobody_asks_for_are_forgotten_and_their_counters_are_not() {
    let far = Scripted::new("far", vec![missing(), full("well"), slow()]);
    let house = House::new(&[&far], &once(vec![pattern(&far)]));
    let grants = |house: &House| house.metric("fair_sched_grants_total", &[("model", "gpt-*")]);
    house.ask(chat("gpt-missing")).await.result.unwrap_err();
    assert!(house.ask(chat("gpt-one")).await.result.is_ok());
    assert_eq!((lanes(&house.pipeline.flow()).len(), grants(&house)), (3, 2.0));
    house.pipeline.sweep();
    sleep(MINUTE * 2).await;
    house.pipeline.sweep();
    assert_eq!(lanes(&house.pipeline.flow()), ["x-*", "x-one"], "what no provider ever answered goes first");
    let mut call = house.pipeline.call(chat("gpt-two"));
    still_waits(&mut call);
    house.pipeline.sweep();
    sleep(MINUTE * 20).await;
    house.pipeline.sweep();
    assert_eq!(lanes(&house.pipeline.flow()), ["x-*", "x-two"], "what is in use stays");
    drop(call);
    sleep(MINUTE * 20).await;
    house.pipeline.sweep();
    assert_eq!((lanes(&house.pipeline.flow()), grants(&house)), (vec!["x-*"], 3.0));
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn no_name_becomes_a_label() {
    let far = Scripted::new("far", vec![full("well")]);
    let house = House::new(&[&far], &once(vec![pattern(&far)]));
    let series = || house.registry.gather().iter().map(|family| family.get_metric().len()).sum::<usize>();
    drop(house.ask(chat("gpt-first")).await);
    let before = series();
    for index in 0..50 {
        drop(house.ask(chat(&format!("gpt-{index}"))).await);
    }
    assert_eq!(series(), before);
    assert_eq!(house.metric("fair_sched_grants_total", &[("model", "gpt-*")]), 51.0);
    assert_eq!(house.metric("flow_window_cap", &[("provider", "far"), ("model", "x-*")]), 52.0, "the sum of all");
}

#[tokio::test(start_paused = true)]
async fn looking_a_name_up_makes_no_lane() {
    let far = Scripted::new("far", vec![full("well")]);
    let house = House::new(&[&far], &once(vec![pattern(&far)]));
    assert!(house.pipeline.model("gpt-one").is_some());
    assert!(house.pipeline.plan(&chat("gpt-one")).is_ok());
    assert_eq!(lanes(&house.pipeline.flow()), ["x-*"]);
}
