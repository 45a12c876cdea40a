//! Panels: several models are asked, and one answer is made of theirs.

use atp_core::port::{Gateway, Outcome};
use atp_core::{Caller, Error, ErrorKind, Fields, Finish, MicroUsd, Status};
use atp_pipeline::KeyLimit;
use atp_pipeline::snapshot::{Budget, Budgets, CacheRules, Ensemble, EnsembleMode, Per};
use atp_routing::budget::Amount;
use tokio::time::{Instant, timeout};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn after(seconds: u32, text: &'static str) -> Play {
    Play::Full(SECOND * seconds, text.into(), Some(USAGE))
}

fn silent() -> Error {
    Error::provider(ErrorKind::TimeoutFirstByte, "silent")
}

/// The three models as a panel.
fn panel(mode: &EnsembleMode, plays: [Vec<Play>; 3]) -> Three {
    Three::with(plays, |snapshot| {
        let ensemble = Ensemble { mode: mode.clone(), size: 3, agree: 0.85, patience: 5 * SECOND };
        snapshot.routes[0].manner = Manner::Several(ensemble);
    })
}

async fn answer(three: &Three) -> (String, Option<String>) {
    let reply = three.house.ask(chat("auto:fast")).await;
    let chosen = reply.notes.chosen.as_deref().map(str::to_owned);
    (read(reply.result.unwrap().body).await.unwrap(), chosen)
}

#[tokio::test(start_paused = true)]
async fn of_three_the_two_that_agree_answer() {
    let three = panel(
        &EnsembleMode::Quorum,
        [
            vec![full("the capital is Rome")],
            vec![after(1, "it is Paris, France")],
            vec![after(2, "it is Paris, France")],
        ],
    );
    assert_eq!(answer(&three).await.0, "it is Paris, France");
    let row = three.house.row();
    assert_eq!((row.outcome, row.attempts), (Outcome::Served, 3));
    assert_eq!(row.cost, Some(MicroUsd(COST + 2 * COST + 4 * COST)), "whoever asks a panel pays it");
    assert_eq!(three.house.metric("consensus_strategy_used_total", &[("strategy", "quorum")]), 1.0);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_whom_the_quorum_does_not_need() {
    let began = Instant::now();
    let three = panel(&EnsembleMode::Quorum, [vec![after(1, "yes")], vec![after(2, "yes")], vec![Play::Hang]]);
    assert_eq!(answer(&three).await.0, "yes");
    assert_eq!(began.elapsed(), 2 * SECOND);
    assert_eq!(three.far[2].working(), 0, "who is not needed is cancelled");
    let row = three.house.row();
    assert!(row.cost.is_some_and(|cost| cost.0 > 3 * COST), "its provider was sent the prompt: {:?}", row.cost);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn who_is_late_is_waited_for_so_long_and_no_longer() {
    let began = Instant::now();
    let three = panel(&EnsembleMode::Quorum, [vec![after(1, "yes")], vec![Play::Hang], vec![Play::Hang]]);
    assert_eq!(answer(&three).await.0, "yes");
    assert_eq!(began.elapsed(), 6 * SECOND);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn the_first_to_answer_wins_where_that_is_the_rule() {
    let began = Instant::now();
    let plays = [vec![after(3, "slow")], vec![fail(silent())], vec![after(1, "quick")]];
    let three = panel(&EnsembleMode::FirstWin, plays);
    assert_eq!(answer(&three).await, ("quick".to_owned(), Some("best".to_owned())));
    assert_eq!(began.elapsed(), SECOND);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_the_first_to_begin_goes_out_at_once() {
    let beats = vec![content("a"), Beat::Wait(SECOND), content("b"), Beat::Usage(USAGE)];
    let three = panel(&EnsembleMode::FirstWin, [vec![Play::Hang], vec![Play::Stream(beats)], vec![Play::Hang]]);
    let reply = three.house.ask(streamed("auto:fast")).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "ab");
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn streams_are_compared_whole() {
    let stream = |text: &'static str| vec![Play::Stream(vec![content("it is "), content(text), Beat::Usage(USAGE)])];
    let three = panel(&EnsembleMode::Quorum, [stream("Rome"), stream("Paris"), stream("Paris")]);
    let reply = three.house.ask(streamed("auto:fast")).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "it is Paris");
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn quality_weighs_where_that_is_the_rule() {
    // .65 and .8 against .9: the two together outweigh the best; alone it would win.
    let three = panel(&EnsembleMode::Weighted, [vec![full("x y z")], vec![full("x y z")], vec![full("other words")]]);
    assert_eq!(answer(&three).await.0, "x y z");
    let three = panel(&EnsembleMode::Weighted, [vec![full("one")], vec![full("two")], vec![full("three")]]);
    assert_eq!(answer(&three).await.0, "three");
}

#[tokio::test(start_paused = true)]
async fn where_all_fail_one_error_is_told_once() {
    let failing = || vec![fail(silent())];
    let three = panel(&EnsembleMode::Quorum, [failing(), failing(), failing()]);
    let reply = three.house.ask(chat("auto:fast")).await;
    assert_eq!(reply.result.unwrap_err().kind(), ErrorKind::TimeoutFirstByte);
    let row = three.house.row();
    assert_eq!((row.outcome, row.attempts), (Outcome::Failed, 3));
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_takes_the_whole_panel_with_him() {
    let three = panel(&EnsembleMode::Quorum, [vec![Play::Hang], vec![after(1, "yes")], vec![Play::Hang]]);
    assert!(timeout(2 * SECOND, three.house.ask(chat("auto:fast"))).await.is_err());
    assert_eq!(three.far.each_ref().map(|far| far.working()), [0, 0, 0]);
    assert_eq!(three.house.row().outcome, Outcome::Cancelled);
    three.house.closed(1);
}

/// A panel with an arbiter that says this.
fn arbitrated(says: &'static str, most: u64) -> (Three, Arc<Scripted>) {
    let arbiter = Scripted::new("arbiter", vec![full(says)]);
    let judge = Arc::clone(&arbiter);
    let three = Three::with([vec![full("one")], vec![after(1, "two")], vec![after(2, "three")]], move |snapshot| {
        snapshot.keys = vec![KeyLimit { key: "web".into(), rate: None }];
        let budget = Budget { cost: Some(MicroUsd(1_000_000)), tokens: None, per: Per::Day };
        snapshot.budgets = Budgets { keys: vec![vec![budget]], ..Budgets::default() };
        snapshot.models.push(graded("referee", 0.9, 1, &judge));
        let mode = EnsembleMode::Arbiter { model: "referee".into(), max_cost: MicroUsd(most) };
        let ensemble = Ensemble { mode, size: 3, agree: 0.85, patience: 5 * SECOND };
        snapshot.routes[0].manner = Manner::Several(ensemble);
    });
    (three, arbiter)
}

#[tokio::test(start_paused = true)]
async fn an_arbiter_chooses_among_all_that_came() {
    let (three, arbiter) = arbitrated("2", 100_000);
    assert_eq!(answer(&three).await.0, "two");
    let asked = String::from_utf8(arbiter.seen.lock().unwrap()[0].payload.clone().unwrap().to_vec()).unwrap();
    assert!(["one", "two", "three"].iter().all(|text| asked.contains(text)), "{asked}");
    let row = three.house.row();
    assert_eq!(row.cost, Some(MicroUsd(COST + COST + 2 * COST + 4 * COST)), "the arbiter stands there once");
    assert_eq!(three.house.metric("arbiter_invocations_total", &[]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn an_arbiter_that_is_too_dear_or_says_nothing_leaves_it_to_the_first() {
    let (three, arbiter) = arbitrated("3", 1);
    assert_eq!(answer(&three).await.0, "one");
    assert_eq!((arbiter.calls(), three.house.metric("arbiter_budget_exceeded_total", &[])), (0, 1.0));
    let (three, _) = arbitrated("none of these", 100_000);
    assert_eq!(answer(&three).await.0, "one");
}

#[tokio::test(start_paused = true)]
async fn an_arbiter_is_paid_by_the_budget_that_pays_for_the_panel() {
    let (three, arbiter) = arbitrated("2", 100_000);
    let caller = Caller { key: "web".into(), tenant: "acme".into(), ..Caller::anonymous() };
    let reply = three.house.ask(Exchange { caller: Arc::new(caller), ..chat("auto:fast") }).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "two");
    let row = three.house.row();
    let accounts = three.house.pipeline.budgets();
    let account = accounts.iter().find(|account| &*account.name == "web").unwrap();
    assert_eq!((arbiter.calls(), account.lines[0].spent.cost), (1, MicroUsd(8 * COST)));
    assert_eq!(row.cost, Some(MicroUsd(8 * COST)), "the ledger and the budget agree");
    assert_eq!(account.reserved, Amount::NONE);
}

#[tokio::test(start_paused = true)]
async fn an_arbiter_without_a_price_is_not_asked() {
    let arbiter = Scripted::new("arbiter", vec![full("3")]);
    let judge = Arc::clone(&arbiter);
    let three = Three::with([vec![full("one")], vec![full("two")], vec![full("three")]], move |snapshot| {
        snapshot.models.push(Model { price: None, ..graded("referee", 0.9, 1, &judge) });
        let mode = EnsembleMode::Arbiter { model: "referee".into(), max_cost: MicroUsd(1_000_000) };
        let ensemble = Ensemble { mode, size: 3, agree: 0.85, patience: 5 * SECOND };
        snapshot.routes[0].manner = Manner::Several(ensemble);
    });
    assert_eq!(answer(&three).await.0, "one");
    assert_eq!(arbiter.calls(), 0, "what it costs could not be held below the most that it may");
}

#[tokio::test(start_paused = true)]
async fn who_was_still_in_the_queue_has_cost_nothing() {
    let plays = [vec![full("yes")], vec![after(1, "yes")], vec![Play::Hang]];
    let three = Three::with(plays, |snapshot| {
        let best = snapshot.models.pop().unwrap();
        snapshot.models.push(with_slots(1, best));
        let ensemble = Ensemble { mode: EnsembleMode::Quorum, size: 3, agree: 0.85, patience: 5 * SECOND };
        snapshot.routes[0].manner = Manner::Several(ensemble);
    });
    let mut first = three.house.pipeline.call(chat("best"));
    still_waits(&mut first);
    assert_eq!(answer(&three).await.0, "yes");
    assert_eq!(three.calls(), [1, 1, 1], "the third is busy with another request");
    let row = three.house.row();
    assert_eq!((row.cost, row.attempts), (Some(MicroUsd(3 * COST)), 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_kept_counts_by_its_words() {
    let said = |text| vec![Play::Stream(vec![content(text), Beat::Usage(USAGE), Beat::Finish(Finish::Stop)])];
    let plays = [said("it is Rome"), said("it is Paris, France"), said("it is Paris, France")];
    let three = Three::with(plays, |snapshot| {
        let rules = CacheRules { ttl: 60 * SECOND, max_bytes: 1 << 20, max_entry: 1 << 16 };
        snapshot.models.iter_mut().for_each(|model| model.cache = Some(rules));
        let ensemble = Ensemble { mode: EnsembleMode::Quorum, size: 3, agree: 0.85, patience: 5 * SECOND };
        snapshot.routes[0].manner = Manner::Several(ensemble);
    });
    let greedy =
        |name| Exchange { fields: Fields { greedy: true, ..Fields::default() }, ..saying("where", streamed(name)) };
    // Each of two is kept as the answer of a panel of one.
    for name in ["cheap", "solid"] {
        for other in ["cheap", "solid", "best"] {
            let status = if other == name { Status::Active } else { Status::Retired };
            assert!(three.house.pipeline.pin(other, status));
        }
        let reply = three.house.ask(greedy("auto:fast")).await;
        drop(read(reply.result.unwrap().body).await.unwrap());
    }
    ["cheap", "solid", "best"].iter().for_each(|name| assert!(three.house.pipeline.pin(name, Status::Active)));
    let reply = three.house.ask(greedy("auto:fast")).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "it is Paris, France", "two that differ do not agree");
    assert_eq!(three.calls(), [1, 1, 1], "two of the panel were kept");
}
