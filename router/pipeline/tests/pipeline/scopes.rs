//! Labels of data: who does not carry one sees nothing of it, by whatever name he is asked.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Gateway, Outcome};
use atp_core::{Caller, Error, ErrorKind, Exchange, Fields, Hints, Operation, Side, Timeouts};
use atp_pipeline::snapshot::CacheRules;
use atp_pipeline::{Model, RawProvider, Snapshot};

use crate::kit::*;

/// The models `open`, and `inner`, which may see what is labelled `pii`.
fn house() -> (House, Arc<Scripted>) {
    let far = Scripted::new("far", vec![full("hello")]);
    let cache = CacheRules { ttl: Duration::from_secs(60), max_bytes: 1 << 20, max_entry: 1 << 16 };
    let open = Model { coalesce: true, cache: Some(cache), ..model("open", &[&far]) };
    let mut inner = model("inner", &[&far]);
    inner.facts.data_scopes = Some(vec!["pii".into()]);
    let raw = RawProvider { provider: Arc::clone(&far) as _, timeouts: Timeouts::default() };
    let snapshot = Snapshot { providers: vec![raw], ..snapshot(vec![open, inner, model("any-*", &[&far])]) };
    (House::new(&[&far], &snapshot), far)
}

fn labelled(label: &str, exchange: Exchange) -> Exchange {
    let hints = Hints { data_scope: Some(label.into()), ..Hints::default() };
    Exchange { hints: Some(Box::new(hints)), ..exchange }
}

fn denied(error: &Error) {
    assert_eq!((error.kind(), error.side()), (ErrorKind::Permission, Side::Caller));
    assert_eq!(error.param(), Some("x-atp-data-scope"));
}

#[tokio::test(start_paused = true)]
async fn a_model_without_the_label_is_not_asked_by_its_name_either() {
    let (house, far) = house();
    for name in ["open", "any-model"] {
        let error = house.ask(labelled("pii", chat(name))).await.result.unwrap_err();
        denied(&error);
        for part in ["`pii`", "`inner`", "x-atp-data-scope"] {
            assert!(error.public().contains(part), "{error}");
        }
        denied(&house.pipeline.plan(&labelled("pii", chat(name))).unwrap_err());
    }
    let error = house.ask(labelled("secret", chat("inner"))).await.result.unwrap_err();
    assert!(error.public().contains("no model may"), "{error}");
    let raw = Exchange { operation: Operation::Raw, ..chat("far") };
    denied(&house.ask(labelled("pii", raw)).await.result.unwrap_err());
    assert_eq!(far.calls(), 0);
    assert!(house.rows().iter().all(|row| row.outcome == Outcome::Refused && row.cost.is_none()));
    house.closed(4);
}

#[tokio::test(start_paused = true)]
async fn who_carries_the_label_answers_and_what_has_none_goes_anywhere() {
    let (house, far) = house();
    let raw = Exchange { operation: Operation::Raw, ..chat("far") };
    let other_hints = Exchange { hints: Some(Box::default()), ..chat("open") };
    for exchange in [labelled("pii", chat("inner")), chat("inner"), chat("open"), other_hints, raw] {
        read(house.ask(exchange).await.result.unwrap().body).await.unwrap();
    }
    assert_eq!(far.calls(), 5);
    house.closed(5);
}

#[tokio::test(start_paused = true)]
async fn the_label_of_a_key_holds_where_the_request_has_none() {
    let (house, far) = house();
    let hints = Some(Box::new(Hints { data_scope: Some("pii".into()), ..Hints::default() }));
    let caller = Arc::new(Caller { hints, ..Caller::anonymous() });
    let error = house.ask(Exchange { caller, ..chat("open") }).await.result.unwrap_err();
    denied(&error);
    assert_eq!(far.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_label_keeps_out_of_answers_that_are_shared_too() {
    let (house, far) = house();
    let greedy = || Exchange { fields: Fields { greedy: true, ..Fields::default() }, ..chat("open") };
    let secret = labelled("pii", greedy());
    let (one, other) = tokio::join!(house.ask(secret), house.ask(greedy()));
    denied(&one.result.unwrap_err());
    assert_eq!(read(other.result.unwrap().body).await.unwrap(), "hello");
    assert_eq!(far.calls(), 1);
}
