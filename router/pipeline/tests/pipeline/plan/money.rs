//! Budgets and plans: what every leg may cost is held, and what all of them have cost is spent.

use atp_core::port::Outcome;
use atp_core::{Caller, Dropped, Error, ErrorKind, MicroUsd, PlanEvent};
use atp_pipeline::KeyLimit;
use atp_pipeline::snapshot::{Budget, Budgets, Per};
use atp_routing::budget::Amount;
use tokio::time::timeout;

use super::*;

fn of_web(exchange: Exchange) -> Exchange {
    let caller = Caller { key: "web".into(), tenant: "acme".into(), ..Caller::anonymous() };
    Exchange { caller: Arc::new(caller), ..exchange }
}

fn with_budget(plays: [Vec<Play>; 3], usd: u64) -> Three {
    Three::with(plays, |snapshot| {
        snapshot.keys = vec![KeyLimit { key: "web".into(), rate: None }];
        let budget = Budget { cost: Some(MicroUsd(usd)), tokens: None, per: Per::Day };
        snapshot.budgets = Budgets { keys: vec![vec![budget]], ..Budgets::default() };
    })
}

/// What the key has spent; fails where anything is still held.
fn spent(three: &Three) -> u64 {
    let accounts = three.house.pipeline.budgets();
    let account = accounts.iter().find(|account| &*account.name == "web").unwrap();
    assert_eq!(account.reserved, Amount::NONE, "something is still held");
    account.lines[0].spent.cost.0
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_given_up_is_paid_for_like_the_one_that_went_out() {
    let three = with_budget([vec![full("low")], vec![full("sorry")], vec![full("high")]], 1_000_000);
    let reply = three.house.ask(of_web(chat("auto"))).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "high");
    assert_eq!(three.house.row().cost, Some(MicroUsd(6 * COST)));
    assert_eq!(spent(&three), 6 * COST);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_leg_that_was_slower_is_paid_for_as_it_was_metered() {
    let second = Duration::from_secs(1);
    let three = with_budget(
        [vec![full("low")], vec![Play::Hang], vec![Play::Full(second, "high".into(), Some(USAGE))]],
        1_000_000,
    );
    let reply = three.house.ask(of_web(within(10 * second, chat("auto")))).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "high");
    let row = three.house.row().cost.unwrap().0;
    assert!(row > 4 * COST, "{row}");
    assert_eq!(spent(&three), row, "the ledger and the budget agree");
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_in_a_race_holds_nothing() {
    let three = with_budget([vec![full("low")], vec![Play::Hang], vec![Play::Hang]], 1_000_000);
    let second = Duration::from_secs(1);
    drop(timeout(8 * second, three.house.ask(of_web(within(10 * second, chat("auto"))))).await);
    assert!(spent(&three) > 0, "two providers have got the prompt");
    assert_eq!(three.house.row().outcome, Outcome::Cancelled);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_the_budget_does_not_cover_is_left_for_a_cheaper_one() {
    let free = Three::new([vec![full("low")], vec![full("middle")], vec![full("high")]]);
    let plan = atp_core::port::Gateway::plan(&free.house.pipeline, &of_web(chat("auto:high"))).unwrap();
    let dear = plan.candidates[2].forecast.guarded.unwrap().0;
    let three = with_budget([vec![full("low")], vec![full("middle")], vec![full("high")]], dear - 1);
    let reply = three.house.ask(of_web(chat("auto:high"))).await;
    assert_eq!(reply.notes.chosen.as_deref(), Some("solid"));
    assert_eq!(reply.notes.plan.unwrap().candidates[2].dropped, Some(Dropped::Budget));
    drop(reply.result);
    let three = with_budget([vec![full("low")], vec![full("middle")], vec![full("high")]], 1);
    let error = three.house.ask(of_web(chat("auto"))).await.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetDenied);
    assert_eq!((three.calls(), three.house.row().outcome), ([0; 3], Outcome::Refused));
}

#[tokio::test(start_paused = true)]
async fn what_a_first_leg_holds_may_leave_nothing_for_a_second_one() {
    let free = Three::new([vec![full("low")], vec![full("middle")], vec![full("high")]]);
    let plan = atp_core::port::Gateway::plan(&free.house.pipeline, &of_web(chat("auto"))).unwrap();
    let guarded = |place: usize| plan.candidates[place].forecast.guarded.unwrap().0;
    let three = with_budget(
        [vec![full("low")], vec![full("sorry")], vec![full("high")]],
        guarded(2) + COST, // The second answer cannot be paid for once the first has cost twice that.
    );
    let reply = three.house.ask(of_web(chat("auto"))).await;
    let asked = reply.notes.events.iter().any(|event| matches!(event, PlanEvent::Escalate { reason: "refusal", .. }));
    assert!(asked);
    assert_eq!(reply.notes.chosen.as_deref(), Some("solid"), "the first answer goes out after all");
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "sorry");
    assert_eq!(spent(&three), 2 * COST);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_leg_costs_nothing() {
    let silent = Error::provider(ErrorKind::TimeoutFirstByte, "silent");
    let three = with_budget([vec![full("low")], vec![fail(silent)], vec![full("high")]], 1_000_000);
    drop(read(three.house.ask(of_web(chat("auto"))).await.result.unwrap().body).await.unwrap());
    assert_eq!(spent(&three), 4 * COST);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_said_is_told_where_another_one_cannot_be_paid_for() {
    let silent = Error::provider(ErrorKind::TimeoutFirstByte, "silent");
    let free = Three::new([vec![full("low")], vec![full("middle")], vec![full("high")]]);
    // What bounds an answer bounds what is held for it.
    let short = |name: &str| {
        let mut exchange = of_web(chat(name));
        exchange.fields.max_tokens = Some(50);
        exchange
    };
    let plan = atp_core::port::Gateway::plan(&free.house.pipeline, &short("auto")).unwrap();
    let dear = plan.candidates[2].forecast.guarded.unwrap().0;
    // Another request holds so much, from when on the first is under way, that the dear one is not covered.
    let second = Duration::from_secs(1);
    let plays = [vec![Play::Hang], vec![Play::Fail(second, silent)], vec![full("high")]];
    let three = with_budget(plays, dear + 1);
    let mut asked = Box::pin(three.house.ask(short("auto")));
    still_waits(&mut asked);
    let mut holds = Box::pin(three.house.ask(short("auto:fast")));
    still_waits(&mut holds);
    let reply = asked.await;
    let escalated = reply.notes.events.len();
    assert_eq!((reply.result.unwrap_err().kind(), escalated), (ErrorKind::TimeoutFirstByte, 1));
    drop(holds);
    three.house.closed(2);
}
