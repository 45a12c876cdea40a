//! One claim per way out of the pipeline: every guard is back at zero, every exchange is settled
//! exactly once.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Gateway, Outcome};
use atp_core::{Error, ErrorKind, MicroUsd, Operation};
use tokio::time::timeout;

use crate::kit::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_served_with_its_cost() {
    let far = Scripted::new("far", vec![Play::Full(SECOND, "hello".into(), Some(USAGE))]);
    let house = House::serving(&[&far]);
    let reply = house.ask(chat("m")).await;
    assert_eq!(reply.notes.provider.as_deref(), Some("far"));
    assert_eq!(reply.notes.model.as_deref(), Some("far-model"));
    assert_eq!((reply.notes.attempts, reply.notes.cost, reply.notes.waited), (1, Some(MicroUsd(COST)), SECOND));
    let mut answer = reply.result.unwrap();
    assert_eq!(house.pipeline.in_flight(), 1, "the answer's body holds the permit");
    assert_eq!(answer.body.as_mut().take_full().as_deref(), Some(b"hello".as_slice()));
    assert!(next(&mut answer.body).await.is_none());
    house.closed(1);
    let row = house.row();
    assert_eq!((row.outcome, row.status, row.error), (Outcome::Served, 200, None));
    assert_eq!((row.usage, row.cost), (Some(USAGE), Some(MicroUsd(COST))));
    assert_eq!((&*row.model, &*row.provider, &*row.target, row.attempts), ("m", "far", "far-model", 1));
    assert_eq!((row.first_byte_us, row.total_us, row.overhead_us), (1_000_000, 1_000_000, 0));
    assert_eq!(house.metric("atp_cost_microusd_total", &[("model", "m"), ("provider", "far")]), COST as f64);
    assert_eq!(house.metric("atp_tokens_total", &[("direction", "output")]), 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_served_as_it_came() {
    let far = Scripted::new("far", vec![stream()]);
    let house = House::serving(&[&far]);
    let reply = house.ask(streamed("m")).await;
    assert_eq!(reply.notes.cost, None, "a stream's cost is not known when its head goes out");
    let mut body = reply.result.unwrap().body;
    let mut text = String::new();
    while let Some(chunk) = next(&mut body).await {
        assert_eq!(body.cost(), None, "nor while it lasts");
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    assert_eq!(text, "role;hello");
    assert_eq!(body.cost(), Some(MicroUsd(COST)));
    assert_eq!(house.row().cost, body.cost(), "the caller is told what the books hold");
    drop(body);
    house.closed(1);
    assert_eq!(house.metric("atp_time_to_first_token_seconds", &[("model", "m")]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_has_cost_what_was_told_until_then() {
    let cut = Error::provider(ErrorKind::ProviderCut, "gone");
    let beats = |usage: Option<Beat>| {
        let told = usage.into_iter().chain([content("hel"), Beat::Break(cut.clone())]);
        Play::Stream(told.collect())
    };
    let far = Scripted::new("far", vec![beats(Some(Beat::Usage(USAGE))), beats(None)]);
    let house = House::serving(&[&far]);
    for cost in [Some(MicroUsd(COST)), None] {
        let mut body = house.ask(streamed("m")).await.result.unwrap().body;
        assert_eq!(next(&mut body).await.unwrap().unwrap(), "hel");
        assert_eq!((body.cost(), next(&mut body).await.unwrap().is_err()), (None, true));
        assert_eq!((body.cost(), house.rows().last().unwrap().cost), (cost, cost));
    }
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_answered_in_one_piece_has_its_cost_in_its_head() {
    let far = Scripted::new("far", vec![full("hello")]);
    let house = House::serving(&[&far]);
    let reply = house.ask(streamed("m")).await;
    assert_eq!(reply.notes.cost, Some(MicroUsd(COST)));
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "hello");
    house.closed(1);
    assert_eq!(house.row().cost, Some(MicroUsd(COST)));
}

#[tokio::test(start_paused = true)]
async fn an_error_is_settled_as_failed() {
    let far = Scripted::new("far", vec![fail(Error::caller(ErrorKind::ProviderRejected, "bad value"))]);
    let house = House::serving(&[&far]);
    let reply = house.ask(chat("m")).await;
    assert_eq!(reply.result.unwrap_err().kind(), ErrorKind::ProviderRejected);
    assert_eq!(reply.notes.attempts, 1);
    house.closed(1);
    let row = house.row();
    assert_eq!((row.outcome, row.error, row.status), (Outcome::Failed, Some("provider_rejected"), 500));
    // The provider did its work: it refused the caller.
    assert_eq!(house.metric("atp_upstream_attempts_total", &[("outcome", "served")]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_a_failure_with_the_status_that_was_sent() {
    let cut = Error::provider(ErrorKind::ProviderCut, "the provider's answer broke off");
    let far = Scripted::new("far", vec![Play::Stream(vec![content("hel"), Beat::Break(cut)])]);
    let house = House::serving(&[&far]);
    let reply = house.ask(streamed("m")).await;
    let (text, error) = read(reply.result.unwrap().body).await.unwrap_err();
    assert_eq!((text.as_str(), error.kind()), ("hel", ErrorKind::ProviderCut));
    house.closed(1);
    let row = house.row();
    assert_eq!((row.outcome, row.error, row.status), (Outcome::Failed, Some("provider_cut"), 200));
    assert_eq!(far.calls(), 1, "content has gone out: no other try");
}

#[tokio::test(start_paused = true)]
async fn an_error_told_inside_a_stream_is_a_failure_and_its_bytes_pass() {
    let told = Error::provider(ErrorKind::ProviderFailed, "told inside");
    let beats = vec![content("hel"), Beat::Failure("error!".into(), told), quiet("end")];
    let far = Scripted::new("far", vec![Play::Stream(beats)]);
    let house = House::serving(&[&far]);
    let reply = house.ask(streamed("m")).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "helerror!end");
    house.closed(1);
    assert_eq!(house.row().outcome, Outcome::Failed);
    assert_eq!(house.metric("atp_upstream_attempts_total", &[("outcome", "failed")]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn no_time_left_is_its_own_error() {
    let slow = Scripted::new(
        "slow",
        vec![Play::Fail(SECOND * 3, Error::provider(ErrorKind::ProviderFailed, "after a long while"))],
    );
    let other = Scripted::new("other", vec![full("never asked")]);
    let house = House::serving(&[&slow, &other]);
    let mut exchange = chat("m");
    exchange.patience = Some(SECOND * 2);
    let error = house.ask(exchange).await.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimeoutTotal);
    assert!(error.cause().unwrap().contains("after a long while"), "{error}");
    assert_eq!(other.calls(), 0);
    assert_eq!(slow.seen.lock().unwrap()[0].timeouts.total, SECOND * 2, "each timer is lowered to what is left");
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_the_caller_shortened_tells_nothing_about_the_provider() {
    let late = || fail(Error::provider(ErrorKind::TimeoutFirstByte, "no first byte"));
    let far = Scripted::new("far", vec![late()]);
    let house = House::serving(&[&far]);
    let mut exchange = chat("m");
    exchange.patience = Some(SECOND);
    house.ask(exchange).await.result.unwrap_err();
    assert_eq!(house.metric("atp_upstream_attempts_total", &[("outcome", "cancelled")]), 1.0);
    house.ask(chat("m")).await.result.unwrap_err();
    assert_eq!(house.metric("atp_upstream_attempts_total", &[("outcome", "failed")]), 1.0);
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_gone_before_the_head_cancels_the_try() {
    let far = Scripted::new("far", vec![Play::Hang]);
    let house = House::serving(&[&far]);
    assert!(timeout(SECOND, house.ask(chat("m"))).await.is_err());
    house.closed(1);
    let row = house.row();
    assert_eq!((row.outcome, row.status, row.error), (Outcome::Cancelled, 499, Some("request_cancelled")));
    assert_eq!((&*row.provider, row.attempts, row.overhead_us), ("far", 1, 0));
    assert_eq!(house.metric("atp_upstream_attempts_total", &[("outcome", "cancelled")]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_gone_while_chunks_are_held_back_cancels_the_try() {
    let far = Scripted::new("far", vec![Play::Stream(vec![quiet("role"), Beat::Hang])]);
    let house = House::serving(&[&far]);
    assert!(timeout(SECOND, house.ask(streamed("m"))).await.is_err());
    house.closed(1);
    assert_eq!(house.row().outcome, Outcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_caller_gone_in_a_pause_between_tries_is_settled() {
    let far = Scripted::new("far", vec![fail(overloaded(SECOND)), full("later")]);
    let house = House::serving(&[&far]);
    assert!(timeout(SECOND / 2, house.ask(chat("m"))).await.is_err());
    house.closed(1);
    assert_eq!(far.calls(), 1);
    assert_eq!(house.row().outcome, Outcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_caller_gone_mid_stream_settles_what_was_told() {
    let beats = vec![Beat::Usage(USAGE), content("hel"), Beat::Hang];
    let far = Scripted::new("far", vec![Play::Stream(beats)]);
    let house = House::serving(&[&far]);
    let mut body = house.ask(streamed("m")).await.result.unwrap().body;
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "hel");
    assert_eq!((house.pipeline.in_flight(), far.working()), (1, 1));
    drop(body);
    house.closed(1);
    let row = house.row();
    assert_eq!((row.outcome, row.status, row.usage), (Outcome::Cancelled, 499, Some(USAGE)));
    assert_eq!(row.cost, Some(MicroUsd(COST)), "partial usage is settled");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_is_a_caller_gone() {
    let far = Scripted::new("far", vec![full("unread")]);
    let house = House::serving(&[&far]);
    drop(house.ask(chat("m")).await);
    house.closed(1);
    assert_eq!(house.row().outcome, Outcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_is_never_polled_leaves_no_trace() {
    let far = Scripted::new("far", vec![full("unasked")]);
    let house = House::serving(&[&far]);
    drop(house.pipeline.call(chat("m")));
    house.closed(0);
    assert_eq!(far.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn unknown_usage_and_unknown_price_are_counted_not_zero() {
    let far = Scripted::new("far", vec![Play::Full(Duration::ZERO, "a".into(), None), full("b")]);
    let mut free = model("free", &[&far]);
    free.price = None;
    let house = House::new(&[&far], &snapshot(vec![model("m", &[&far]), free]));
    for name in ["m", "free"] {
        read(house.ask(chat(name)).await.result.unwrap().body).await.unwrap();
    }
    house.closed(2);
    assert_eq!(house.metric("atp_unknown_usage_total", &[("model", "m")]), 1.0);
    assert_eq!(house.metric("atp_unknown_price_total", &[("model", "free")]), 1.0);
    assert!(house.rows().iter().all(|row| row.cost.is_none()));
    assert_eq!(house.rows()[1].usage, Some(USAGE));
}

#[tokio::test(start_paused = true)]
async fn a_wildcards_price_is_that_of_the_name_it_stands_for() {
    let far = Scripted::new("far", vec![full("a")]);
    let mut any = model("any/*", &[&far]);
    any.price = None;
    any.targets[0].model = "*".into();
    any.targets[0].price_by_name = Some(Arc::new(|name| (name == "known").then_some(PRICE)));
    let house = House::new(&[&far], &snapshot(vec![any]));
    for (name, cost) in [("any/known", Some(MicroUsd(COST))), ("any/other", None)] {
        let reply = house.ask(chat(name)).await;
        assert_eq!(reply.notes.cost, cost, "{name}");
        read(reply.result.unwrap().body).await.unwrap();
        assert_eq!(house.rows().last().unwrap().cost, cost, "{name}");
    }
    house.closed(2);
    assert_eq!(house.metric("atp_unknown_price_total", &[("model", "any/*")]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_an_entrance_is_counted() {
    let far = Scripted::new("far", vec![full("unasked")]);
    let house = House::serving(&[&far]);
    let error = Error::caller(ErrorKind::Authentication, "no key");
    house.pipeline.refused(None, &error);
    house.pipeline.refused(Some(Operation::Chat), &error);
    assert_eq!(house.metric("atp_requests_total", &[("operation", "none"), ("outcome", "refused")]), 1.0);
    assert_eq!(house.metric("atp_requests_total", &[("operation", "chat"), ("error", "authentication_failed")]), 1.0);
    assert_eq!(house.metric("error_code_authentication_failed_total", &[]), 2.0);
    assert!(house.rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn answers_outlive_the_pipeline_that_gave_them() {
    let far = Scripted::new("far", vec![stream()]);
    let House { pipeline, registry, .. } = House::serving(&[&far]);
    let body = pipeline.call(streamed("m")).await.result.unwrap().body;
    let weak = Arc::downgrade(&far);
    drop((pipeline, registry, far));
    assert!(weak.upgrade().is_some(), "the exchange keeps what it began with");
    assert_eq!(read(body).await.unwrap(), "role;hello");
    assert!(weak.upgrade().is_none(), "and gives it back with its end");
}

fn overloaded(pause: Duration) -> Error {
    Error::provider(ErrorKind::ProviderOverloaded, "busy").with_retry(atp_core::Retry::After(pause))
}
