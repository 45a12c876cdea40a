//! Names: exact, aliases, patterns, raw providers; and reloads.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Gateway, Provider};
use atp_core::{Error, ErrorKind, Operation, Retry, Timeouts};
use atp_pipeline::{Model, RawProvider, Snapshot, Target};

use crate::kit::*;

fn wildcard(pattern: &str, provider: &Arc<Scripted>, target: &str) -> Model {
    Model::new(pattern, vec![Target::new(Arc::clone(provider) as Arc<dyn Provider>, target)])
}

async fn served_by(house: &House, name: &str) -> Option<(String, String)> {
    let reply = house.ask(chat(name)).await;
    reply.result.ok()?;
    Some((reply.notes.provider?.as_ref().into(), reply.notes.model?.as_ref().into()))
}

#[tokio::test(start_paused = true)]
async fn exact_names_win_then_the_longest_prefix() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| Scripted::new(name, vec![full("x")]));
    let mut exact = model("gpt-4o", &[&a]);
    exact.aliases = vec!["smart".into(), "house/*".into()];
    let models = vec![
        wildcard("*", &d, "*"),
        wildcard("gpt-*", &b, "family"),
        wildcard("groq/*", &c, "*"),
        wildcard("gpt-4*", &c, "x-*-y"),
        exact,
    ];
    let house = House::new(&[&a, &b, &c, &d], &snapshot(models));
    for (name, provider, target) in [
        ("gpt-4o", "a", "a-model"),
        ("smart", "a", "a-model"),
        ("house/anything", "a", "a-model"),
        ("gpt-3", "b", "family"),
        ("gpt-4-turbo", "c", "x--turbo-y"),
        ("groq/llama/3", "c", "llama/3"),
        ("groq/", "d", "groq/"),
        ("else", "d", "else"),
    ] {
        assert_eq!(served_by(&house, name).await, Some((provider.into(), target.into())), "{name}");
    }
    assert_eq!(c.seen.lock().unwrap()[0].model, "x--turbo-y", "the provider hears what the notes tell");
    house.closed(8);
    assert_eq!(house.metric("atp_request_duration_seconds", &[("model", "gpt-4*")]), 1.0);
    assert_eq!(house.metric("atp_request_duration_seconds", &[("model", "gpt-4-turbo")]), 0.0);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_model_names_the_field_the_value_and_the_way_out() {
    let far = Scripted::new("far", vec![full("x")]);
    let house = House::new(&[&far], &snapshot(vec![model("gpt-4o", &[&far]), model("other", &[&far])]));
    let error = house.ask(chat("gpt-4p")).await.result.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::ModelNotFound, Some("model")));
    assert!(error.public().contains("`gpt-4p`") && error.public().contains("`gpt-4o`"), "{error}");
    let error = house.ask(chat(&format!("x\u{1b}[31m{}", "y".repeat(9_999)))).await.result.unwrap_err();
    assert!(error.public().contains("/v1/models") && error.public().len() < 300, "{error}");
    assert!(!error.public().contains('\u{1b}'));
    assert_eq!(far.calls(), 0);
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn raw_requests_reach_a_provider_by_its_name() {
    let far = Scripted::new("far", vec![full("raw")]);
    let raw = RawProvider { provider: Arc::clone(&far) as Arc<dyn Provider>, timeouts: Timeouts::default() };
    let house = House::new(&[&far], &Snapshot { providers: vec![raw], ..snapshot(vec![]) });
    let mut exchange = chat("far");
    exchange.operation = Operation::Raw;
    let reply = house.ask(exchange).await;
    assert_eq!((reply.notes.provider.as_deref(), reply.notes.model), (Some("far"), None));
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "raw");
    let mut exchange = chat("fat");
    exchange.operation = Operation::Raw;
    let error = house.ask(exchange).await.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.public().contains("`far`"), "{error}");
    house.closed(2);
    assert_eq!(house.metric("atp_unknown_usage_total", &[]), 0.0, "raw requests are not priced by tokens");
    assert!(house.ask(chat("far")).await.result.is_err(), "a provider is not a model");
}

#[tokio::test(start_paused = true)]
async fn a_reload_drops_no_stream_and_serves_new_exchanges_by_the_new_configuration() {
    let old = Scripted::new("old", vec![stream()]);
    let new = Scripted::new("new", vec![stream()]);
    let house = House::new(&[&old, &new], &snapshot(vec![model("m", &[&old])]));
    let mut body = house.ask(streamed("m")).await.result.unwrap().body;
    next(&mut body).await.unwrap().unwrap();
    house.pipeline.swap(&Snapshot { version: 2, ..snapshot(vec![model("m", &[&new])]) }).unwrap();
    assert_eq!(served_by(&house, "m").await.unwrap().0, "new");
    assert_eq!(read(body).await.unwrap(), "hello", "what was left of it");
    house.closed(2);
    assert_eq!((house.pipeline.version(), house.metric("atp_config_version", &[])), (2, 2.0));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_contradicts_itself_is_refused_and_the_old_one_stays() {
    let far = Scripted::new("far", vec![full("x")]);
    let house = House::serving(&[&far]);
    let twice = vec![model("a", &[&far]), model("a", &[&far])];
    let mut alias = model("b", &[&far]);
    alias.aliases = vec!["b".into()];
    let mut weight = model("w", &[&far]);
    weight.targets[0].weight = Some(-1.0);
    let mut nan = model("w", &[&far]);
    nan.targets[0].weight = Some(f64::NAN);
    for (models, told) in [
        (twice, "models.a"),
        (vec![alias], "models.b"),
        (vec![weight], "models.w.targets[0].weight: -1"),
        (vec![nan], "models.w.targets[0].weight: NaN"),
        (vec![wildcard("a*b*", &far, "x")], "models.a*b*"),
        (vec![wildcard("a", &far, "*")], "models.a.targets[0].model"),
        (vec![Model::new("empty", vec![])], "models.empty.targets"),
    ] {
        let error = house.pipeline.swap(&snapshot(models)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.public().starts_with(told), "{error}");
        assert!(served_by(&house, "m").await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn cards_list_the_names_and_answer_for_patterns_and_aliases() {
    let far = Scripted::new("far", vec![full("x")]);
    let mut named = model("named", &[&far]);
    named.aliases = vec!["alias".into()];
    let house = House::new(&[&far], &snapshot(vec![wildcard("gpt-*", &far, "*"), named, model("first", &[&far])]));
    let ids: Vec<String> = house.pipeline.models().iter().map(|card| card.id.to_string()).collect();
    assert_eq!(ids, ["named", "first"], "in configured order");
    for name in ["named", "alias", "gpt-5"] {
        let card = house.pipeline.model(name).unwrap();
        assert_eq!((&*card.id, &*card.owner, card.created), (name, "far", 1_700_000_000));
    }
    assert!(house.pipeline.model("unknown").is_none());
}

#[tokio::test(start_paused = true)]
async fn ready_is_who_has_a_target() {
    let far = Scripted::new("far", vec![full("x")]);
    let house = House::new(&[&far], &snapshot(vec![]));
    assert!(!house.pipeline.ready());
    house.pipeline.swap(&snapshot(vec![wildcard("*", &far, "*")])).unwrap();
    assert!(house.pipeline.ready());
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_one_model_of_a_pattern_asks_for_stops_no_other() {
    let busy = Error::provider(ErrorKind::ProviderOverloaded, "busy").with_retry(Retry::After(HOUR));
    let far = Scripted::new("far", vec![fail(busy), full("well")]);
    let mut snapshot = snapshot(vec![wildcard("gpt-*", &far, "*")]);
    snapshot.retries.rules.max_attempts = 1;
    let house = House::new(&[&far], &snapshot);
    let refused = house.ask(chat("gpt-one")).await.result.unwrap_err();
    assert_eq!(refused.retry_after(), Some(HOUR), "its caller is told all the same");
    assert!(house.ask(chat("gpt-two")).await.result.is_ok());
    house.closed(2);
}

const HOUR: Duration = Duration::from_secs(3_600);
