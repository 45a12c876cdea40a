//! Ten thousand exchanges that end in every way at random times: everything comes back.

use std::num::NonZeroUsize;
use std::time::Duration;

use atp_core::port::Outcome;
use atp_core::{Error, ErrorKind, Retry};
use atp_pipeline::{Hedge, Model, OnDisconnect, Snapshot};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{sleep, timeout};

use crate::kit::{snapshot as kit_snapshot, *};

const EXCHANGES: usize = 10_000;

fn random_error(rng: &mut StdRng) -> Error {
    let kind = ErrorKind::ALL[rng.random_range(0..ErrorKind::ALL.len())];
    let error = if rng.random_bool(0.2) { Error::caller(kind, "x") } else { Error::provider(kind, "x") };
    if rng.random_bool(0.2) { error.with_retry(Retry::After(millis(rng, 500))) } else { error }
}

fn millis(rng: &mut StdRng, below: u64) -> Duration {
    Duration::from_millis(rng.random_range(0..below))
}

fn random_play(rng: &mut StdRng) -> Play {
    match rng.random_range(0..10) {
        0 => Play::Hang,
        1..=3 => Play::Fail(millis(rng, 300), random_error(rng)),
        4..=5 => Play::Full(millis(rng, 300), "whole".into(), Some(USAGE)),
        _ => {
            let beats = (0..rng.random_range(0..10)).map(|_| match rng.random_range(0..20) {
                0 => Beat::Hang,
                1 => Beat::Break(random_error(rng)),
                2 => Beat::Failure("told".into(), random_error(rng)),
                3 => Beat::Usage(USAGE),
                4..=9 => Beat::Wait(millis(rng, 100)),
                10..=14 => quiet("quiet"),
                _ => content("content"),
            });
            Play::Stream(beats.collect())
        }
    }
}

/// Asks, reads a while, and leaves at some time, or reads to the end.
async fn one(house: &House, rng: &mut StdRng) {
    let name = ["cancel", "drain", "complete", "unknown"][rng.random_range(0..4)];
    let mut exchange = if rng.random_bool(0.7) { streamed(name) } else { chat(name) };
    exchange.fields.max_tokens = rng.random_bool(0.5).then_some(3);
    exchange.patience = rng.random_bool(0.3).then(|| millis(rng, 2_000));
    let leaves_after = millis(rng, 1_000);
    let whole = rng.random_bool(0.5);
    // Whatever happens, the caller is gone in the end.
    let _gone = timeout(leaves_after, async {
        let Ok(mut answer) = house.ask(exchange).await.result else { return };
        if whole && answer.body.as_mut().take_full().is_some() {
            return;
        }
        while let Some(Ok(_)) = next(&mut answer.body).await {}
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_random_endings_leave_nothing_borrowed() {
    let mut rng = StdRng::seed_from_u64(2);
    let plays = |rng: &mut StdRng| (0..3_000).map(|_| random_play(rng)).chain([full("last")]).collect();
    let providers = ["one", "two", "three"].map(|name| Scripted::new(name, plays(&mut rng)));
    let refs: Vec<_> = providers.iter().collect();
    let models =
        [("cancel", OnDisconnect::Cancel), ("drain", OnDisconnect::Drain(3)), ("complete", OnDisconnect::Complete)];
    let models = models.map(|(name, policy)| {
        // Breakers would open for good, and most endings never be met.
        let mut model = without_breakers(model(name, &refs));
        model.on_disconnect = policy;
        model
    });
    let snapshot = Snapshot { max_concurrent: NonZeroUsize::new(40), ..kit_snapshot(models.to_vec()) };
    let house = House::new(&refs, &snapshot);
    for batch in 0..EXCHANGES / 50 {
        // Now and then long enough for what goes on without its caller to be ended.
        sleep(if batch % 5 == 0 { GRACE } else { Duration::ZERO }).await;
        let mut exchanges = Vec::new();
        for place in 0..50 {
            let mut dice = StdRng::seed_from_u64((batch * 50 + place) as u64);
            let house = &house;
            exchanges.push(Box::pin(async move { one(house, &mut dice).await }));
        }
        join(exchanges).await;
        assert!(house.pipeline.in_flight() <= 40, "the limit holds");
    }
    // What goes on without its caller and never ends is ended by whoever tracks it.
    sleep(GRACE * 2).await;
    house.closed(EXCHANGES);
    let outcomes = Outcome::ALL.map(|outcome| house.rows().iter().filter(|row| row.outcome == outcome).count());
    assert!(outcomes.iter().all(|count| *count > 500), "every ending was met: {outcomes:?}");
}

/// A request of any class, tenant and session, with any patience.
fn any(rng: &mut StdRng) -> atp_core::Exchange {
    let name = ["plain", "hedged", "lasting"][rng.random_range(0..3)];
    let tenant = ["a", "b", "c", "d", "e"][rng.random_range(0..5)];
    let qos = atp_core::Qos::ALL[rng.random_range(0..3)];
    let mut exchange = from(tenant, qos, if rng.random_bool(0.7) { streamed(name) } else { chat(name) });
    exchange.patience = rng.random_bool(0.3).then(|| millis(rng, 2_000));
    exchange.session = rng.random_bool(0.5).then(|| format!("s{}", rng.random_range(0..20)).into());
    exchange
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_who_wait_and_leave_at_random_leave_every_slot_and_place_free() {
    let mut rng = StdRng::seed_from_u64(3);
    let plays = |rng: &mut StdRng| (0..4_000).map(|_| random_play(rng)).chain([full("last")]).collect();
    let providers = ["one", "two"].map(|name| Scripted::new(name, plays(&mut rng)));
    let refs: Vec<_> = providers.iter().collect();
    let snapshot = |slots: u32| {
        let narrow = |name: &str| with_slots(slots, model(name, &refs));
        let hedge = Some(Hedge { after: Some(Duration::from_millis(50)), extra_per_mille: 500 });
        let lasting = Model { on_disconnect: OnDisconnect::Complete, ..narrow("lasting") };
        let models = vec![narrow("plain"), Model { hedge, ..without_breakers(narrow("hedged")) }, lasting];
        Snapshot { has_gold: true, ..kit_snapshot(models) }
    };
    let house = House::new(&refs, &snapshot(6));
    for batch in 0..EXCHANGES / 50 {
        sleep(if batch % 5 == 0 { GRACE } else { Duration::ZERO }).await;
        let mut exchanges = Vec::new();
        for place in 0..50 {
            let mut dice = StdRng::seed_from_u64((batch * 50 + place) as u64);
            let house = &house;
            exchanges.push(Box::pin(async move {
                sleep(millis(&mut dice, 200)).await;
                let leaves_after = millis(&mut dice, 1_500);
                let asked = async {
                    let Ok(mut answer) = house.ask(any(&mut dice)).await.result else { return };
                    while let Some(Ok(_)) = next(&mut answer.body).await {}
                };
                let _gone = timeout(leaves_after, asked).await;
            }));
        }
        // In the middle of it windows and targets change.
        let reload = async {
            sleep(Duration::from_millis(100)).await;
            house.pipeline.swap(&snapshot(rng.random_range(1..8))).unwrap();
            house.pipeline.sweep();
        };
        tokio::join!(join(exchanges), reload);
    }
    sleep(GRACE * 2).await;
    house.closed(EXCHANGES);
    let flow = house.pipeline.flow();
    let sum = |of: fn(&atp_pipeline::view::PoolView) -> u64| flow.pools.iter().map(of).sum::<u64>();
    let (enqueued, preempted) = (sum(|pool| pool.enqueued), sum(|pool| pool.preempted));
    assert!(enqueued > 1_000 && preempted > 100, "much was waited for: {enqueued}, {preempted}");
    assert!(flow.lanes.iter().all(|lane| lane.limit <= lane.max));
    let outcomes = Outcome::ALL.map(|outcome| house.rows().iter().filter(|row| row.outcome == outcome).count());
    assert!(outcomes.iter().all(|count| *count > 100), "every ending was met: {outcomes:?}");
}

/// Polls all to their ends, in an order that the dice of time decide.
pub(crate) async fn join(mut all: Vec<std::pin::Pin<Box<impl Future<Output = ()>>>>) {
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
