//! Budgets and plans: what every leg may cost is held, and what all of them have cost is spent.

use atp_core::port::Outcome;
use atp_core::{Caller, Dropped, Error, ErrorKind, Finish, MicroUsd, PlanEvent, Usage};
use atp_pipeline::KeyLimit;
use atp_pipeline::snapshot::{Budget, Budgets, Ensemble, EnsembleMode, Per};
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

/// A held stream of two pieces that breaks off, whose provider has told nothing.
fn breaks_off() -> Vec<Play> {
    let cut = Error::provider(ErrorKind::ProviderCut, "the connection broke");
    vec![Play::Stream(vec![content("data: a\n\n"), content("data: b\n\n"), Beat::Break(cut)])]
}

/// The two pieces and the prompt of ten tokens, at so many times the price.
fn broken(times: u64) -> u64 {
    (10 + 2 * 2) * times
}

fn as_panel(snapshot: &mut Snapshot) {
    let patience = Duration::from_secs(5);
    let ensemble = Ensemble { mode: EnsembleMode::Quorum, size: 3, agree: 0.85, patience };
    snapshot.routes[0].manner = Manner::Several(ensemble);
}

fn budget_of(usd: u64, snapshot: &mut Snapshot) {
    snapshot.keys = vec![KeyLimit { key: "web".into(), rate: None }];
    let budget = Budget { cost: Some(MicroUsd(usd)), tokens: None, per: Per::Day };
    snapshot.budgets = Budgets { keys: vec![vec![budget]], ..Budgets::default() };
}

fn whole_stream(text: &'static str) -> Vec<Play> {
    vec![Play::Stream(vec![content(text), Beat::Usage(USAGE), Beat::Finish(Finish::Stop)])]
}

#[tokio::test(start_paused = true)]
async fn a_members_held_stream_that_breaks_off_is_paid_for_as_far_as_it_came() {
    let three = Three::with([breaks_off(), whole_stream("yes"), whole_stream("yes")], |snapshot| {
        as_panel(snapshot);
        budget_of(1_000_000, snapshot);
    });
    let reply = three.house.ask(of_web(streamed("auto:fast"))).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "yes");
    assert_eq!(spent(&three), broken(1) + 6 * COST);
    assert_eq!(three.house.row().cost, Some(MicroUsd(spent(&three))), "the ledger and the budget agree");
    three.house.closed(1);
    // Where all break off the exchange has failed, and cost what they have.
    let three = Three::with([breaks_off(), breaks_off(), breaks_off()], |snapshot| {
        as_panel(snapshot);
        budget_of(1_000_000, snapshot);
    });
    assert!(three.house.ask(of_web(streamed("auto:fast"))).await.result.is_err());
    assert_eq!(spent(&three), broken(1) + broken(2) + broken(4));
    let row = three.house.row();
    assert_eq!((row.outcome, row.cost), (Outcome::Failed, Some(MicroUsd(spent(&three)))));
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_members_held_stream_that_is_not_needed_any_more_is_paid_for_as_far_as_it_came() {
    let slow = vec![Play::Stream(vec![content("data: a\n\n"), content("data: b\n\n"), Beat::Hang])];
    let late = |text: &'static str| {
        vec![Play::Stream(vec![Beat::Wait(Duration::from_secs(1)), content(text), Beat::Usage(USAGE)])]
    };
    let three = Three::with([late("yes"), late("yes"), slow], |snapshot| {
        as_panel(snapshot);
        budget_of(1_000_000, snapshot);
    });
    let reply = three.house.ask(of_web(streamed("auto:fast"))).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "yes");
    assert_eq!(spent(&three), 3 * COST + broken(4));
    assert_eq!(three.house.row().cost, Some(MicroUsd(spent(&three))));
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_held_stream_that_breaks_off_is_paid_for_beside_the_answer_of_the_next_model() {
    let hold = |snapshot: &mut Snapshot| {
        snapshot.routes[0].escalation = Escalation { enabled: true, hold_streams: true, ..Escalation::default() };
    };
    let plays = || [whole_stream("low"), breaks_off(), whole_stream("high")];
    let three = Three::with(plays(), |snapshot| {
        hold(snapshot);
        budget_of(1_000_000, snapshot);
    });
    let reply = three.house.ask(of_web(streamed("auto"))).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "high");
    assert_eq!(spent(&three), broken(2) + 4 * COST);
    assert_eq!(three.house.row().cost, Some(MicroUsd(spent(&three))));
    three.house.closed(1);
    // Without a budget the row tells it too.
    let three = Three::with(plays(), hold);
    let reply = three.house.ask(streamed("auto")).await;
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "high");
    assert!(three.house.row().cost.is_some_and(|cost| cost.0 > 4 * COST), "{:?}", three.house.row().cost);
}

#[tokio::test(start_paused = true)]
async fn a_model_of_several_targets_is_planned_with_the_dearer_part_of_each() {
    let dear_in = Price { input: 9_000_000, output: 1_000_000, cached_input: 9_000_000 };
    let dear_out = Price { input: 1_000_000, output: 8_000_000, cached_input: 500_000 };
    let three = Three::with([vec![full("low")], vec![full("middle")], vec![full("high")]], |snapshot| {
        let solid = &mut snapshot.models[1];
        (solid.price, solid.targets[0].price) = (None, Some(dear_in));
        let mut second = snapshot.models[2].targets[0].clone();
        second.price = Some(dear_out);
        snapshot.models[1].targets.push(second);
    });
    let plan = atp_core::port::Gateway::plan(&three.house.pipeline, &of_web(chat("auto"))).unwrap();
    let price = plan.candidates[1].price.unwrap();
    assert_eq!(price, Price { input: 9_000_000, output: 8_000_000, cached_input: 9_000_000 });
    // What the second target may cost is above what the plan of the larger sum says, and below the ceiling.
    let of_sum = dear_in.cost(&Usage { input: 10, output: plan.candidates[1].forecast.output, ..USAGE });
    assert!(plan.candidates[1].forecast.cost.unwrap() > of_sum);
    let below = plan.candidates[1].forecast.guarded.unwrap().0 - 1;
    let plan = atp_core::port::Gateway::plan(&three.house.pipeline, &of_web(for_at_most(below, chat("auto")))).unwrap();
    assert_eq!(plan.candidates[1].dropped, Some(Dropped::Cost), "one of its targets could exceed the ceiling");
}
