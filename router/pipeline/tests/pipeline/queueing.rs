//! Waiting for a turn: every way in and every way out.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::Gateway;
use atp_core::{Error, ErrorKind, Qos, Reply, Retry};
use atp_pipeline::{Model, OnDisconnect, Queue, RawProvider};
use tokio::time::{Instant, sleep};

use crate::kit::*;

const SECOND: Duration = Duration::from_secs(1);

fn slow() -> Play {
    Play::Full(SECOND, "slow".into(), Some(USAGE))
}

/// A house with one model of one slot.
fn narrow(far: &Arc<Scripted>) -> House {
    House::new(&[far], &snapshot(vec![with_slots(1, model("m", &[far]))]))
}

fn waiting(house: &House) -> usize {
    house.pipeline.flow().pools[0].waiting.iter().sum()
}

fn refusal(reply: Reply) -> (ErrorKind, Option<Duration>) {
    let error = reply.result.unwrap_err();
    assert_eq!(reply.notes.attempts, 0, "no provider was asked");
    (error.kind(), error.retry_after())
}

#[tokio::test(start_paused = true)]
async fn who_finds_room_waits_for_nobody() {
    let far = Scripted::new("far", vec![slow()]);
    let house = narrow(&far);
    let reply = house.ask(chat("m")).await;
    assert_eq!((reply.notes.queued, reply.notes.waited), (Duration::ZERO, SECOND));
    read(reply.result.unwrap().body).await.unwrap();
    let pool = &house.pipeline.flow().pools[0];
    assert_eq!((pool.granted, pool.enqueued, pool.dequeued, pool.dropped), (1, 0, 0, 0));
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn who_finds_none_waits_and_his_wait_is_not_the_providers_time() {
    let far = Scripted::new("far", vec![slow()]);
    let house = narrow(&far);
    let ask = || async {
        let reply = house.ask(chat("m")).await;
        let (queued, waited) = (reply.notes.queued, reply.notes.waited);
        read(reply.result.unwrap().body).await.unwrap();
        (queued, waited)
    };
    let (first, second, third) = tokio::join!(ask(), ask(), ask());
    assert_eq!(first, (Duration::ZERO, SECOND));
    assert_eq!(second, (SECOND, SECOND));
    assert_eq!(third, (SECOND * 2, SECOND));
    let pool = &house.pipeline.flow().pools[0];
    assert_eq!((pool.granted, pool.enqueued, pool.dequeued), (3, 2, 2));
    assert_eq!(pool.longest_wait, SECOND * 2);
    assert!(house.rows().iter().all(|row| row.overhead_us < 10_000), "a wait is no work of the router's");
    assert_eq!(house.metric("fair_sched_enqueued_total", &[("model", "m")]), 2.0);
    assert_eq!(house.metric("fair_sched_wait_ms", &[("model", "m")]), 2.0);
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
    let far = Scripted::new("far", vec![slow()]);
    let queue = Queue { max_waiting: 1, ..Queue::default() };
    let house = House::new(&[&far], &snapshot(vec![Model { queue, ..with_slots(1, model("m", &[&far])) }]));
    let mut first = house.pipeline.call(chat("m"));
    let mut second = house.pipeline.call(chat("m"));
    still_waits(&mut first);
    still_waits(&mut second);
    let start = Instant::now();
    let refused = refusal(house.ask(chat("m")).await);
    assert_eq!(refused, (ErrorKind::Backpressure, Some(SECOND)), "nothing is known of the drain");
    assert_eq!(start.elapsed(), Duration::ZERO);
    // Another class has a line of its own.
    let mut bronze = house.pipeline.call(from("other", Qos::Bronze, chat("m")));
    still_waits(&mut bronze);
    assert_eq!(waiting(&house), 2);
    assert!(all(vec![first, second, bronze]).await.iter().all(Result::is_ok));
    let (kind, pause) = refusal(full_house(&house).await);
    assert!(kind == ErrorKind::Backpressure && pause.unwrap() > SECOND, "{pause:?}: two of a second each stand before");
    assert_eq!(house.pipeline.flow().pools[0].dropped, 2);
}

/// Fills slot and queue, and tells what the next one gets.
async fn full_house(house: &House) -> Reply {
    let mut filling: Vec<_> = (0..2).map(|_| house.pipeline.call(chat("m"))).collect();
    filling.iter_mut().for_each(still_waits);
    house.ask(chat("m")).await
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_refused() {
    let far = Scripted::new("far", vec![Play::Hang]);
    let queue = Queue { max_wait: SECOND, ..Queue::default() };
    let house = House::new(&[&far], &snapshot(vec![Model { queue, ..with_slots(1, model("m", &[&far])) }]));
    let mut first = house.pipeline.call(chat("m"));
    still_waits(&mut first);
    let start = Instant::now();
    assert_eq!(refusal(house.ask(chat("m")).await), (ErrorKind::Backpressure, Some(SECOND)));
    assert_eq!(start.elapsed(), SECOND);
    let mut hasty = chat("m");
    hasty.patience = Some(SECOND / 4);
    assert_eq!(refusal(house.ask(hasty).await).0, ErrorKind::Backpressure);
    assert_eq!(start.elapsed(), SECOND + SECOND / 4, "a caller's patience is shorter than the queue's");
    drop(first);
    assert_eq!(house.pipeline.flow().pools[0].dropped, 2);
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_patience_refuses_whom_it_cannot_serve_at_once() {
    let far = Scripted::new("far", vec![Play::Hang]);
    let queue = Queue { max_wait: Duration::ZERO, ..Queue::default() };
    let house = House::new(&[&far], &snapshot(vec![Model { queue, ..with_slots(1, model("m", &[&far])) }]));
    let mut first = house.pipeline.call(chat("m"));
    still_waits(&mut first);
    assert_eq!(refusal(house.ask(chat("m")).await).0, ErrorKind::Backpressure);
    drop(first);
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_waiting_leaves_the_queue_at_once() {
    let far = Scripted::new("far", vec![slow()]);
    let house = narrow(&far);
    let mut first = house.pipeline.call(chat("m"));
    let mut second = house.pipeline.call(chat("m"));
    let mut third = house.pipeline.call(chat("m"));
    [&mut first, &mut second, &mut third].into_iter().for_each(still_waits);
    assert_eq!(waiting(&house), 2);
    drop(second);
    assert_eq!(waiting(&house), 1);
    drop(first.await);
    let reply = third.await;
    assert_eq!(reply.notes.queued, SECOND, "the turn of who left went to the next");
    drop(reply);
    assert_eq!(far.calls(), 2);
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn work_that_may_go_on_without_its_caller_does_not_begin_without_him() {
    let far = Scripted::new("far", vec![slow()]);
    let mut lasting = with_slots(1, model("m", &[&far]));
    lasting.on_disconnect = OnDisconnect::Complete;
    let house = House::new(&[&far], &snapshot(vec![lasting]));
    let mut first = house.pipeline.call(chat("m"));
    let mut second = house.pipeline.call(chat("m"));
    [&mut first, &mut second].into_iter().for_each(still_waits);
    drop(second);
    tokio::task::yield_now().await;
    assert_eq!(waiting(&house), 0);
    drop(first.await);
    sleep(SECOND * 5).await;
    assert_eq!(far.calls(), 1);
    house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_as_its_owner_leaves_goes_to_the_next() {
    let far = Scripted::new("far", vec![slow()]);
    let house = narrow(&far);
    let first = house.ask(chat("m")).await;
    let mut second = house.pipeline.call(chat("m"));
    let mut third = house.pipeline.call(chat("m"));
    [&mut second, &mut third].into_iter().for_each(still_waits);
    // The end of the first gives the second its turn, which the second never sees.
    drop(first);
    assert_eq!(waiting(&house), 1);
    assert_eq!(house.pipeline.flow().lanes[0].in_flight, 1);
    drop(second);
    assert_eq!(waiting(&house), 0, "the third has it now");
    assert!(third.await.result.is_ok());
    assert_eq!(far.calls(), 2);
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn a_failed_over_try_waits_for_the_next_target_before_those_who_come_new() {
    let failing = Error::provider(ErrorKind::ProviderFailed, "failed");
    let first = Scripted::new("first", vec![slow(), Play::Fail(SECOND / 2, failing), slow()]);
    let second = Scripted::new("second", vec![slow()]);
    let house = House::new(&[&first, &second], &snapshot(vec![with_slots(1, model("m", &[&first, &second]))]));
    // The first two fill both lanes; the third follows at the first lane, fails, and waits for the second.
    let ask = |wait: Duration| {
        let house = &house;
        async move {
            sleep(wait).await;
            let reply = house.ask(chat("m")).await;
            (reply.notes.provider.clone(), reply.notes.attempts, reply.result.is_ok(), Instant::now())
        }
    };
    let start = Instant::now();
    let (a, b, c, d) =
        tokio::join!(ask(Duration::ZERO), ask(SECOND * 9 / 10), ask(SECOND * 95 / 100), ask(SECOND * 99 / 100));
    assert_eq!((a.0.as_deref(), b.0.as_deref()), (Some("first"), Some("second")));
    // It began at 1.0, failed at 1.5, got its second lane at 1.9.
    assert_eq!((c.0.as_deref(), c.1, c.2, c.3 - start), (Some("second"), 2, true, SECOND * 29 / 10));
    assert_eq!((d.0.as_deref(), d.2), (Some("first"), true));
    house.closed(4);
}

#[tokio::test(start_paused = true)]
async fn a_failed_over_try_waits_for_whichever_target_is_free_first() {
    let failing = Error::provider(ErrorKind::ProviderFailed, "failed");
    let first = Scripted::new("first", vec![fail(failing), Play::Hang]);
    let (second, third) = (Scripted::new("second", vec![Play::Hang]), Scripted::new("third", vec![slow()]));
    let providers = [&first, &second, &third];
    let narrow = |name: &str, far: &Arc<Scripted>| with_slots(1, model(name, &[far]));
    let models = vec![with_slots(1, model("m", &providers)), narrow("on-second", &second), narrow("on-third", &third)];
    let house = House::new(&providers, &snapshot(models));
    let mut filling = vec![house.pipeline.call(chat("on-second")), house.pipeline.call(chat("on-third"))];
    filling.iter_mut().for_each(still_waits);
    let start = Instant::now();
    let third_call = filling.pop().unwrap();
    let (reply, _) = tokio::join!(house.ask(chat("m")), all(vec![third_call]));
    assert_eq!((reply.notes.provider.as_deref(), reply.notes.attempts), (Some("third"), 2));
    assert_eq!(start.elapsed(), SECOND * 2, "the second was its next, and stays full");
    drop((reply, filling));
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn a_reload_drops_nobody_who_waits() {
    let far = Scripted::new("far", vec![slow()]);
    let near = Scripted::new("near", vec![slow()]);
    let house = narrow(&far);
    let calls = |count: usize| (0..count).map(|_| house.pipeline.call(chat("m"))).collect::<Vec<_>>();
    let mut before = calls(3);
    before.iter_mut().for_each(still_waits);
    // The same lanes: the same pool.
    house.pipeline.swap(&snapshot(vec![with_slots(1, model("m", &[&far]))])).unwrap();
    assert_eq!(waiting(&house), 2);
    // Other lanes: a new pool, beside which the old one empties.
    house.pipeline.swap(&snapshot(vec![with_slots(1, model("m", &[&far, &near]))])).unwrap();
    assert_eq!(waiting(&house), 0);
    let mut after = calls(3);
    after.iter_mut().for_each(still_waits);
    let start = Instant::now();
    assert!(all(before.into_iter().chain(after).collect()).await.iter().all(Result::is_ok));
    assert_eq!((far.calls(), near.calls()), (4, 2), "both pools share the first lane");
    assert_eq!(start.elapsed(), SECOND * 4);
    house.closed(6);
}

#[tokio::test(start_paused = true)]
async fn a_wider_window_lets_those_in_who_wait() {
    let far = Scripted::new("far", vec![slow()]);
    let house = narrow(&far);
    let mut calls: Vec<_> = (0..4).map(|_| house.pipeline.call(chat("m"))).collect();
    calls.iter_mut().for_each(still_waits);
    assert_eq!(waiting(&house), 3);
    house.pipeline.swap(&snapshot(vec![with_slots(3, model("m", &[&far]))])).unwrap();
    assert_eq!(waiting(&house), 1);
    assert!(all(calls).await.iter().all(Result::is_ok));
    house.closed(4);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_too_long_to_wait_refuses_at_once_for_as_long() {
    let busy = Error::provider(ErrorKind::ProviderOverloaded, "busy").with_retry(Retry::After(SECOND * 60));
    let far = Scripted::new("far", vec![fail(busy), full("later")]);
    let house = House::serving(&[&far]);
    house.ask(chat("m")).await.result.unwrap_err();
    sleep(SECOND * 10).await;
    let (kind, pause) = refusal(house.ask(chat("m")).await);
    assert_eq!(kind, ErrorKind::Backpressure);
    assert!((SECOND * 50..SECOND * 51).contains(&pause.unwrap()), "{pause:?}");
    // From then on a wait is no longer than the queue allows.
    sleep(SECOND * 25).await;
    let start = Instant::now();
    assert!(house.ask(chat("m")).await.result.is_ok());
    assert!((SECOND * 25..SECOND * 26).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(far.calls(), 2);
    house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn raw_providers_have_lanes_and_queues_too() {
    let far = Scripted::new("far", vec![slow()]);
    let mut house = snapshot(Vec::new());
    house.providers = vec![RawProvider { provider: far.clone(), timeouts: atp_core::Timeouts::default() }];
    let house = House::new(&[&far], &house);
    assert_eq!(house.pipeline.flow().pools.len(), 0, "nobody has asked yet");
    let mut exchange = chat("far");
    exchange.operation = atp_core::Operation::Raw;
    drop(house.ask(exchange).await);
    let flow = house.pipeline.flow();
    assert_eq!((&*flow.pools[0].model, flow.pools[0].granted), ("providers/far", 1));
    assert_eq!((&*flow.lanes[0].provider, &*flow.lanes[0].model, flow.lanes[0].state), ("far", "", "serving"));
    house.closed(1);
}
