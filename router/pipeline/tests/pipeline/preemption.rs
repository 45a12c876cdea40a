//! Gold makes bronze give way: which one, when, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Gateway, Outcome};
use atp_core::{ErrorKind, Payload, Qos, Rope, Side};
use atp_pipeline::Snapshot;
use tokio::time::{Instant, sleep};

use crate::kit::*;

const SECOND: Duration = Duration::from_secs(1);

fn slow() -> Play {
    Play::Full(SECOND, "slow".into(), Some(USAGE))
}

/// A house with one model of so many slots, and gold keys.
fn golden(far: &Arc<Scripted>, slots: u32) -> House {
    let models = vec![with_slots(slots, model("m", &[far]))];
    House::new(&[far], &Snapshot { has_gold: true, ..snapshot(models) })
}

fn bronze() -> atp_core::Exchange {
    from("batch", Qos::Bronze, chat("m"))
}

fn gold() -> atp_core::Exchange {
    from("people", Qos::Gold, chat("m"))
}

#[tokio::test(start_paused = true)]
async fn bronze_that_has_not_begun_gives_way_and_is_begun_again_unseen() {
    let far = Scripted::new("far", vec![slow()]);
    let house = golden(&far, 1);
    let mut victim = house.pipeline.call(bronze());
    still_waits(&mut victim);
    sleep(SECOND / 2).await;
    let start = Instant::now();
    let quick = async {
        read(house.ask(gold()).await.result.unwrap().body).await.unwrap();
        assert_eq!(start.elapsed(), SECOND, "gold had its turn at once");
    };
    let ((), reply) = tokio::join!(quick, victim);
    assert_eq!((reply.notes.attempts, reply.notes.queued, start.elapsed()), (2, SECOND, SECOND * 2));
    read(reply.result.unwrap().body).await.unwrap();
    assert_eq!(house.pipeline.flow().pools[0].preempted, 1);
    assert_eq!(house.metric("preemptions_total", &[]), 1.0);
    assert_eq!(house.metric("atp_retries_total", &[]), 0.0, "it is no retry");
    assert_eq!(house.metric("atp_upstream_attempts_total", &[("outcome", "cancelled")]), 1.0);
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn bronze_whose_answer_has_begun_ends_with_an_error_in_it() {
    let far = Scripted::new("far", vec![Play::Stream(vec![content("begun"), Beat::Hang]), slow()]);
    let house = golden(&far, 1);
    let mut victim = house.ask(from("batch", Qos::Bronze, streamed("m"))).await.result.unwrap();
    assert_eq!(next(&mut victim.body).await.unwrap().unwrap(), "begun");
    let start = Instant::now();
    let (ending, gold) = tokio::join!(next(&mut victim.body), house.ask(gold()));
    let error = ending.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.side()), (ErrorKind::Preempted, Side::Router));
    assert!(error.retry_after().is_some());
    assert!(gold.result.is_ok());
    assert_eq!(start.elapsed(), SECOND);
    assert!(next(&mut victim.body).await.is_none());
    drop((victim, gold));
    let rows = house.rows();
    let row = rows.iter().find(|row| &*row.tenant == "batch").unwrap();
    assert_eq!((row.outcome, row.error), (Outcome::Failed, Some("preempted")));
    assert_eq!(house.pipeline.flow().lanes[0].state, "serving");
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn who_has_not_begun_gives_way_before_who_has_and_silver_never() {
    let far = Scripted::new(
        "far",
        vec![Play::Stream(vec![content("begun"), Beat::Wait(SECOND * 9), content("end")]), slow(), slow(), slow()],
    );
    let house = golden(&far, 3);
    let streaming = house.ask(from("batch", Qos::Bronze, streamed("m"))).await.result.unwrap();
    let mut silver = house.pipeline.call(from("plain", Qos::Silver, chat("m")));
    let mut silent = house.pipeline.call(bronze());
    still_waits(&mut silver);
    still_waits(&mut silent);
    let results = all(vec![house.pipeline.call(gold()), silver, silent]).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(read(streaming.body).await.unwrap(), "begunend");
    assert_eq!(house.pipeline.flow().pools[0].preempted, 1);
    house.closed(4);
}

#[tokio::test(start_paused = true)]
async fn bronze_that_cannot_be_sent_again_is_told_to_come_back() {
    let far = Scripted::new("far", vec![slow()]);
    let house = golden(&far, 1);
    let mut exchange = bronze();
    exchange.payload = Payload::Once { head: Rope::new(), rest: Box::pin(http_body_empty()) };
    let mut victim = house.pipeline.call(exchange);
    still_waits(&mut victim);
    let results = all(vec![house.pipeline.call(gold()), victim]).await;
    assert!(results[0].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::Preempted);
    house.closed(2);
}

fn http_body_empty() -> impl http_body::Body<Data = bytes::Bytes, Error = atp_core::Error> + Send + Sync {
    struct Nothing;
    impl http_body::Body for Nothing {
        type Data = bytes::Bytes;
        type Error = atp_core::Error;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, atp_core::Error>>> {
            std::task::Poll::Ready(None)
        }
    }
    Nothing
}

#[tokio::test(start_paused = true)]
async fn a_preempted_slot_is_golds_though_others_have_waited_longer() {
    let far = Scripted::new("far", vec![slow()]);
    let house = golden(&far, 1);
    let mut victim = house.pipeline.call(bronze());
    let mut silver = house.pipeline.call(from("plain", Qos::Silver, chat("m")));
    still_waits(&mut victim);
    still_waits(&mut silver);
    let order = tokio::sync::Mutex::new(Vec::new());
    let note = |name: &'static str, call: atp_core::port::BoxFuture<'static, atp_core::Reply>| {
        let order = &order;
        async move {
            read(call.await.result.unwrap().body).await.unwrap();
            order.lock().await.push(name);
        }
    };
    tokio::join!(note("victim", victim), note("silver", silver), note("gold", house.pipeline.call(gold())));
    assert_eq!(order.lock().await[0], "gold");
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn without_bronze_gold_waits_first_in_line() {
    let far = Scripted::new("far", vec![slow()]);
    let house = golden(&far, 1);
    let silver = || from("plain", Qos::Silver, chat("m"));
    let mut calls = vec![house.pipeline.call(silver()), house.pipeline.call(gold())];
    calls.iter_mut().for_each(still_waits);
    assert_eq!(house.pipeline.flow().pools[0].waiting[Qos::Gold as usize], 1);
    assert!(all(calls).await.iter().all(Result::is_ok));
    assert_eq!(house.pipeline.flow().pools[0].preempted, 0);
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_kept_for_gold_where_there_are_gold_keys() {
    let far = Scripted::new("far", vec![slow()]);
    for (has_gold, begun) in [(true, 3), (false, 4)] {
        let models = vec![with_slots(4, model("m", &[&far]))];
        let house = House::new(&[], &Snapshot { has_gold, ..snapshot(models) });
        let mut calls: Vec<_> = (0..6).map(|_| house.pipeline.call(from("plain", Qos::Silver, chat("m")))).collect();
        calls.iter_mut().for_each(still_waits);
        assert_eq!(house.pipeline.flow().lanes[0].in_flight, begun);
        let mut gold = house.pipeline.call(gold());
        still_waits(&mut gold);
        assert_eq!(house.pipeline.flow().lanes[0].in_flight, 4);
        calls.push(gold);
        assert!(all(calls).await.iter().all(Result::is_ok));
        house.closed(7);
    }
}
