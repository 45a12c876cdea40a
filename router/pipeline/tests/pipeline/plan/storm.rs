//! Ten thousand exchanges with routes that end in every way at random times: everything comes back.

use std::num::NonZeroUsize;

use atp_core::port::{Gateway, JournalFile};
use atp_core::{Caller, Error, ErrorKind, Observation, Retry};
use atp_pipeline::OnDisconnect;
use atp_routing::journal;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{sleep, timeout};

use super::*;

const EXCHANGES: usize = 10_000;

fn millis(rng: &mut StdRng, below: u64) -> Duration {
    Duration::from_millis(rng.random_range(0..below))
}

fn error(rng: &mut StdRng) -> Error {
    let kind = ErrorKind::ALL[rng.random_range(0..ErrorKind::ALL.len())];
    let error = if rng.random_bool(0.1) { Error::caller(kind, "x") } else { Error::provider(kind, "x") };
    if rng.random_bool(0.2) { error.with_retry(Retry::After(millis(rng, 500))) } else { error }
}

fn play(rng: &mut StdRng) -> Play {
    match rng.random_range(0..10) {
        0 => Play::Hang,
        1..=2 => Play::Fail(millis(rng, 300), error(rng)),
        3..=6 => {
            let text = ["whole", "sorry", "perhaps", "{}", "{"][rng.random_range(0..5)];
            Play::Full(millis(rng, 400), text.into(), Some(USAGE))
        }
        _ => {
            let beats = (0..rng.random_range(0..8)).map(|_| match rng.random_range(0..20) {
                0 => Beat::Hang,
                1 => Beat::Break(error(rng)),
                2 => Beat::Failure("told".into(), error(rng)),
                3 => Beat::Usage(USAGE),
                4..=9 => Beat::Wait(millis(rng, 200)),
                10..=12 => quiet("quiet"),
                13 => content("sorry"),
                _ => content("content"),
            });
            Play::Stream(beats.collect())
        }
    }
}

async fn one(three: &Three, rng: &mut StdRng) {
    let name = ["auto", "auto:fast", "auto:high", "held", "solid"][rng.random_range(0..5)];
    let mut exchange = if rng.random_bool(0.5) { streamed(name) } else { chat(name) };
    if rng.random_bool(0.3) {
        exchange = saying("json", exchange);
    }
    exchange.fields.greedy = rng.random_bool(0.3);
    exchange.patience = rng.random_bool(0.2).then(|| millis(rng, 2_000));
    if rng.random_bool(0.6) {
        exchange = within(millis(rng, 600) + Duration::from_millis(1), exchange);
    }
    let (id, leaves_after) = (exchange.id, millis(rng, 1_500));
    let _gone = timeout(leaves_after, async {
        let Ok(mut answer) = three.house.ask(exchange).await.result else { return };
        if answer.body.as_mut().take_full().is_some() {
            return;
        }
        while let Some(Ok(_)) = next(&mut answer.body).await {}
    })
    .await;
    if rng.random_bool(0.3) {
        let score = Observation::scored(id, rng.random());
        let _unknown = three.house.pipeline.observe(&Caller::anonymous(), &score);
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_random_walks_leave_nothing_borrowed_and_replay() {
    let mut rng = StdRng::seed_from_u64(4);
    let mut plays = || (0..6_000).map(|_| play(&mut rng)).chain([full("last")]).collect();
    let three = Three::with([plays(), plays(), plays()], |all| {
        let rules = || RouteRules {
            manner: Manner::One(Strategy::Contextual),
            explore: 0.2,
            ..cheapest("auto", &["cheap", "solid", "best"])
        };
        let held = Escalation { hold_streams: true, ..Escalation::default() };
        all.routes = vec![rules(), RouteRules { name: "held".into(), escalation: held, ..rules() }];
        all.models[2].on_disconnect = OnDisconnect::Complete;
        all.models[1].cache =
            Some(atp_pipeline::CacheRules { ttl: Duration::from_secs(1), max_bytes: 1 << 20, max_entry: 1 << 16 });
        all.max_concurrent = NonZeroUsize::new(40);
    });
    for batch in 0..EXCHANGES / 50 {
        sleep(if batch % 5 == 0 { GRACE } else { Duration::ZERO }).await;
        let mut exchanges = Vec::new();
        for place in 0..50 {
            let mut dice = StdRng::seed_from_u64((batch * 50 + place) as u64);
            let three = &three;
            exchanges.push(Box::pin(async move { one(three, &mut dice).await }));
        }
        crate::storm::join(exchanges).await;
    }
    sleep(2 * GRACE).await;
    three.house.closed(EXCHANGES);
    let lines = three.lines.of(JournalFile::Decisions);
    let report = journal::replay(lines.iter().map(String::as_str));
    assert!(report.is_identical(), "{:?}", report.first);
    assert!(report.decisions > EXCHANGES as u64 / 2, "{}", report.decisions);
}
