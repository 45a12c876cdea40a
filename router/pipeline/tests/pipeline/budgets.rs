//! Budgets: held before a provider is asked, metered while a stream runs, settled once, kept over reloads.

use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{Gateway, Outcome};
use atp_core::{Caller, Error, ErrorKind, Exchange, Fields, Finish, Hints, MicroUsd, Side, Usage};
use atp_pipeline::snapshot::{Budget, Budgets, Per, Spent, Whose};
use atp_pipeline::{BudgetView, KeyLimit, Snapshot};
use atp_routing::budget::Amount;
use proptest::prelude::*;
use tokio::time::{advance, timeout};

use crate::kit::*;

fn usd(cost: u64, per: Per) -> Budget {
    Budget { cost: Some(MicroUsd(cost)), tokens: None, per }
}

fn tokens(tokens: u64, per: Per) -> Budget {
    Budget { cost: None, tokens: Some(tokens), per }
}

/// A request of the key `web` of the tenant `acme`, for at most `most` tokens.
fn of_web(most: Option<u64>, exchange: Exchange) -> Exchange {
    let caller = Caller { key: "web".into(), tenant: "acme".into(), ..Caller::anonymous() };
    Exchange { caller: Arc::new(caller), fields: Fields { max_tokens: most, ..Fields::default() }, ..exchange }
}

fn web() -> Vec<KeyLimit> {
    vec![KeyLimit { key: "web".into(), rate: None }]
}

/// A house whose key `web` has these budgets.
fn house(play: Play, budgets: Vec<Budget>) -> (House, Arc<Scripted>, Snapshot) {
    with(play, Budgets { keys: vec![budgets], ..Budgets::default() })
}

fn with(play: Play, budgets: Budgets) -> (House, Arc<Scripted>, Snapshot) {
    let far = Scripted::new("far", vec![play]);
    let snapshot = Snapshot { keys: web(), budgets, ..snapshot(vec![with_slots(64, model("m", &[&far]))]) };
    (House::new(&[&far], &snapshot), far, snapshot)
}

async fn ask(house: &House, exchange: Exchange) -> Result<String, Error> {
    match house.ask(exchange).await.result {
        Ok(answer) => read(answer.body).await.map_err(|(_, error)| error),
        Err(error) => Err(error),
    }
}

/// The account of a name.
fn account(house: &House, name: &str) -> BudgetView {
    let named = house.pipeline.budgets().into_iter().find(|view| &*view.name == name);
    named.unwrap_or_else(|| panic!("no account of {name}"))
}

fn spent(house: &House, name: &str) -> Amount {
    account(house, name).lines[0].spent
}

/// Fails where anything is still held.
fn closed(house: &House, exchanges: usize) {
    house.closed(exchanges);
    for account in house.pipeline.budgets() {
        assert_eq!(account.reserved, Amount::NONE, "{} still holds something", account.name);
    }
}

/// A stream of so many pieces of one token, whose provider tells at its end what it counts.
fn long(pieces: u64) -> Play {
    let mut beats = vec![quiet("data: role\n\n")];
    beats.extend((0..pieces).map(|_| content("data: x\n\n")));
    beats.push(Beat::Finish(Finish::Stop));
    beats.push(Beat::Usage(Usage { input: 1, output: pieces, ..Usage::default() }));
    Play::Stream(beats)
}

#[tokio::test(start_paused = true)]
async fn what_is_spent_is_refused_with_whose_it_is_and_when_it_turns() {
    let (house, far, _) = house(full("hello"), vec![usd(2 * COST, Per::Day)]);
    for _ in 0..2 {
        ask(&house, of_web(Some(5), chat("m"))).await.unwrap();
    }
    let error = ask(&house, of_web(Some(5), chat("m"))).await.unwrap_err();
    assert_eq!((error.kind(), error.side()), (ErrorKind::BudgetDenied, Side::Caller));
    for part in ["the key `web`", "0.000040 USD per day", "0.000040 USD are spent", "it turns in"] {
        assert!(error.public().contains(part), "{error}");
    }
    let pause = error.retry_after().expect("a day turns");
    assert!(pause > Duration::ZERO && pause <= Duration::from_secs(86_400));
    assert_eq!((far.calls(), spent(&house, "web")), (2, Amount { cost: MicroUsd(2 * COST), tokens: 30 }));
    let row = &house.rows()[2];
    assert_eq!((row.outcome, row.error), (Outcome::Refused, Some("budget_denied")));
    assert_eq!(house.metric("window_denied_usd_total", &[]), 1.0);
    assert_eq!(house.metric("atp_budget_denied_total", &[("whose", "key"), ("name", "web")]), 1.0);
    assert_eq!(house.metric("budget_remaining_usd_micros", &[("name", "web")]), 0.0);
    assert_eq!(house.metric("atp_budget_spent_microusd", &[("name", "web"), ("per", "day")]), 40.0);
    assert!(house.metric("budget_burn_rate_usd_per_min", &[("name", "web")]) > 0.0);
    closed(&house, 3);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_turns_has_room_again_and_a_total_never_has() {
    let (minute, _, _) = house(full("hello"), vec![tokens(20, Per::Minute)]);
    ask(&minute, of_web(Some(5), chat("m"))).await.unwrap();
    let pause = ask(&minute, of_web(Some(15), chat("m"))).await.unwrap_err().retry_after().unwrap();
    assert!(pause <= Duration::from_secs(60));
    advance(pause).await;
    ask(&minute, of_web(Some(15), chat("m"))).await.unwrap();
    assert_eq!(minute.metric("window_denied_tokens_total", &[]), 1.0);
    closed(&minute, 3);

    let (total, _, _) = house(full("hello"), vec![tokens(15, Per::Total)]);
    ask(&total, of_web(Some(5), chat("m"))).await.unwrap();
    let error = ask(&total, of_web(Some(5), chat("m"))).await.unwrap_err();
    assert!(error.retry_after().is_none() && error.public().contains("does not turn"), "{error}");
    closed(&total, 2);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_budget_holds_nothing() {
    let (house, far, _) = with(full("hello"), Budgets::default());
    ask(&house, of_web(None, chat("m"))).await.unwrap();
    assert!(house.pipeline.budgets().is_empty());
    assert_eq!(far.seen.lock().unwrap()[0].ceiling, None);
    assert!(!house.row().metered);
    closed(&house, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_cleanly_where_nothing_more_is_paid_for() {
    // Room for the input and nine tokens; the stream would have a hundred.
    let (house, far, _) = house(long(100), vec![tokens(10, Per::Total)]);
    let reply = house.ask(of_web(Some(5), streamed("m"))).await;
    let mut body = reply.result.unwrap().body;
    let mut text = String::new();
    while let Some(chunk) = next(&mut body).await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    assert_eq!(text, format!("data: role\n\n{}length;", "data: x\n\n".repeat(8)));
    assert_eq!((body.report().finish, body.report().complete), (Some(Finish::Length), true));
    assert_eq!(far.working(), 0, "its provider is let go while the body is still there");
    drop(body);
    let row = house.row();
    assert_eq!((row.outcome, row.finish, row.error), (Outcome::Served, Some(Finish::Length), None));
    let usage = Usage { input: 1, output: 9, ..Usage::default() };
    assert_eq!((row.metered, row.usage, row.cost), (true, Some(usage), Some(MicroUsd(19))));
    assert_eq!(spent(&house, "web"), Amount { cost: MicroUsd(19), tokens: 10 });
    assert_eq!(house.metric("atp_budget_streams_cut_total", &[]), 1.0);
    closed(&house, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_within_its_budget_is_extended_and_settled_to_what_the_provider_told() {
    let (house, far, _) = house(long(1_000), vec![usd(2_100, Per::Total)]);
    let text = ask(&house, of_web(None, streamed("m"))).await.unwrap();
    assert!(text.ends_with("data: x\n\n"), "it ended by itself");
    assert_eq!(spent(&house, "web"), Amount { cost: MicroUsd(2_001), tokens: 1_001 });
    assert!(!house.row().metered);
    // What could be paid for is more than is held, and is what the provider is told.
    assert_eq!(far.seen.lock().unwrap()[0].ceiling, Some(1_049));
    closed(&house, 1);
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_asked_for_what_can_be_paid_for() {
    let cases = [
        // (budget in tokens, asked for, what the provider is told)
        (1_000_000, Some(500), None),
        (1_000_000, None, None),
        (101, Some(500), Some(100)),
        (1_001, None, Some(1_000)),
        (101, Some(50), None),
    ];
    for (budget, asked, told) in cases {
        let (house, far, _) = house(full("hello"), vec![tokens(budget, Per::Total)]);
        // So much as it is expected to have has to fit; what it may have is for the ceiling.
        let answer = ask(&house, of_web(asked, chat("m"))).await;
        if let Err(error) = &answer {
            // A first answer of no known length is expected to be longer than a hundred tokens.
            assert_eq!((error.kind(), budget), (ErrorKind::BudgetDenied, 101), "{error}");
            continue;
        }
        assert_eq!(far.seen.lock().unwrap()[0].ceiling, told, "{budget} {asked:?}");
        closed(&house, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_one_piece_is_bounded_by_what_is_held_for_it_alone() {
    let (house, far, _) =
        house(Play::Full(Duration::from_secs(1), "x".into(), Some(USAGE)), vec![tokens(60, Per::Total)]);
    let calls = (0..2).map(|_| house.pipeline.call(of_web(Some(40), chat("m")))).collect();
    let answers = all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "the second is not covered: {answers:?}");
    assert_eq!(far.seen.lock().unwrap()[0].ceiling, None);
    assert_eq!(spent(&house, "web").tokens, USAGE.total());
    closed(&house, 2);
}

#[tokio::test(start_paused = true)]
async fn key_tenant_and_session_are_drawn_on_together_or_not_at_all() {
    let budgets = Budgets {
        keys: vec![vec![tokens(1_000, Per::Total)]],
        tenants: vec![("acme".into(), vec![tokens(500, Per::Total)])],
        session: vec![tokens(20, Per::Total)],
        ..Budgets::default()
    };
    let (house, _, _) = with(full("hello"), budgets);
    let in_session = |name: &str| Exchange { session: Some(name.into()), ..of_web(Some(5), chat("m")) };
    ask(&house, in_session("a")).await.unwrap();
    let error = ask(&house, in_session("a")).await.unwrap_err();
    assert!(error.public().contains("the session `web/a`"), "{error}");
    for name in ["web", "acme", "web/a"] {
        assert_eq!(spent(&house, name).tokens, 15, "{name}");
    }
    ask(&house, in_session("b")).await.unwrap();
    ask(&house, of_web(Some(5), chat("m"))).await.unwrap();
    assert_eq!((spent(&house, "web").tokens, spent(&house, "web/b").tokens), (45, 15));
    assert_eq!(account(&house, "web/b").whose, Whose::Session);
    closed(&house, 4);
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_of_its_own_refuses_before_and_binds_during() {
    let (house, far, _) = with(long(100), Budgets::default());
    let capped = |cap, exchange| {
        let hints = Hints { max_cost: Some(MicroUsd(cap)), ..Hints::default() };
        Exchange { hints: Some(Box::new(hints)), ..of_web(Some(50), exchange) }
    };
    let error = ask(&house, capped(2, streamed("m"))).await.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::BudgetDenied, Some("max_cost_usd")));
    assert!(error.public().contains("0.000002 USD at most") && error.retry_after().is_none(), "{error}");
    assert_eq!(far.calls(), 0, "nobody was asked");
    assert_eq!(house.metric("atp_budget_over_ceiling_total", &[]), 1.0);
    // 101 pay for the input and 50 tokens, though the provider goes on to a hundred.
    let text = ask(&house, capped(101, streamed("m"))).await.unwrap();
    assert!(text.ends_with("length;") && text.matches('x').count() == 49, "{text}");
    assert_eq!(house.rows()[1].cost, Some(MicroUsd(101)));
    closed(&house, 2);
}

#[tokio::test(start_paused = true)]
async fn of_a_requests_ceiling_and_its_keys_the_lower_one_holds() {
    let budgets = Budgets { request: vec![Some(MicroUsd(50))], ..Budgets::default() };
    let (house, _, _) = with(full("hello"), budgets);
    let capped = |cap| {
        let hints = Hints { max_cost: Some(MicroUsd(cap)), ..Hints::default() };
        Exchange { hints: Some(Box::new(hints)), ..of_web(Some(20), chat("m")) }
    };
    ask(&house, capped(1_000)).await.unwrap();
    let error = ask(&house, capped(5)).await.unwrap_err();
    assert!(error.public().contains("0.000005 USD"), "{error}");
    let error = ask(&house, of_web(Some(100_000), streamed("m"))).await.unwrap_err();
    assert!(error.public().contains("0.000050 USD"), "{error}");
    closed(&house, 3);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_pays_for_what_was_used_and_no_more() {
    let (house, _, _) = house(long(100), vec![tokens(500, Per::Total)]);
    let mut body = house.ask(of_web(Some(200), streamed("m"))).await.result.unwrap().body;
    for _ in 0..11 {
        next(&mut body).await.unwrap().unwrap();
    }
    assert!(account(&house, "web").reserved.tokens > 12);
    drop(body);
    assert_eq!(spent(&house, "web"), Amount { cost: MicroUsd(1 + 22), tokens: 12 });
    assert_eq!(house.row().outcome, Outcome::Cancelled);
    closed(&house, 1);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_a_whole_answer_pays_for_the_part_that_was_made() {
    // Of the first answer to this kind of work 74 tokens are the lower bound: a median of 200, a deviation of one.
    for (seconds, most, made) in [(1, None, 10), (60, None, 73), (60, Some(20), 20)] {
        let (house, far, _) = house(Play::Hang, vec![tokens(50_000, Per::Total)]);
        let wait = Duration::from_secs(seconds);
        assert!(timeout(wait, house.ask(of_web(most, chat("m")))).await.is_err());
        assert_eq!((far.calls(), far.working()), (1, 0), "its provider is let go");
        assert_eq!(
            spent(&house, "web"),
            Amount { cost: MicroUsd(1 + 2 * made), tokens: 1 + made },
            "{seconds} {most:?}"
        );
        let row = house.row();
        let usage = Usage { input: 1, output: made, ..Usage::default() };
        assert_eq!((row.outcome, row.metered, row.usage), (Outcome::Cancelled, true, Some(usage)));
        assert_eq!(row.cost, Some(MicroUsd(1 + 2 * made)), "the books and the accounts agree");
        closed(&house, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_a_provider_whose_answers_were_timed_pays_by_their_time() {
    let second = Duration::from_secs(1);
    let slow = Play::Full(2 * second, "x".into(), Some(Usage { input: 1, output: 200, ..Usage::default() }));
    let plays = (0..60).map(|_| slow.clone()).chain([Play::Hang]).collect();
    let far = Scripted::new("far", plays);
    let budgets = Budgets { keys: vec![vec![tokens(1_000_000, Per::Total)]], ..Budgets::default() };
    let house =
        House::new(&[&far], &Snapshot { keys: web(), budgets, ..snapshot(vec![with_slots(64, model("m", &[&far]))]) });
    for _ in 0..60 {
        ask(&house, of_web(None, chat("m"))).await.unwrap();
    }
    let before = spent(&house, "web").tokens;
    assert!(timeout(second, house.ask(of_web(None, chat("m")))).await.is_err());
    let made = spent(&house, "web").tokens - before - 1;
    // Half of the time was half of the 73 tokens; at ten tokens a second it were ten of them.
    assert!((30..=40).contains(&made), "{made}");
    closed(&house, 61);
}

#[tokio::test(start_paused = true)]
async fn what_fails_or_is_dropped_before_an_answer_costs_nothing() {
    let failed = Error::provider(ErrorKind::ProviderFailed, "no");
    let (failing, _, _) = house(fail(failed), vec![tokens(500, Per::Total)]);
    ask(&failing, of_web(Some(5), chat("m"))).await.unwrap_err();
    assert_eq!(spent(&failing, "web"), Amount::NONE);
    closed(&failing, 1);

    // A queue that is left before a turn came.
    let (busy, far, _) = house(Play::Hang, vec![tokens(5_000, Per::Total)]);
    let mut calls: Vec<_> = (0..80).map(|_| busy.pipeline.call(of_web(Some(5), chat("m")))).collect();
    calls.iter_mut().for_each(still_waits);
    assert!(account(&busy, "web").reserved.tokens >= 80 * 6);
    drop(calls);
    assert_eq!(account(&busy, "web").reserved, Amount::NONE);
    // Of those who were with a provider the prompt counts: it was sent.
    assert!((1..80).contains(&far.calls()));
    assert_eq!(spent(&busy, "web").tokens, far.calls() as u64);
    closed(&busy, 80);
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_limits_and_keeps_what_is_spent() {
    let (house, _, snapshot) = house(full("hello"), vec![usd(10 * COST, Per::Day)]);
    ask(&house, of_web(Some(5), chat("m"))).await.unwrap();
    let lower = Budgets {
        keys: vec![vec![usd(COST, Per::Day), usd(50 * COST, Per::Month)]],
        spent: vec![
            Spent { name: "web".into(), whose: Whose::Key, per: Per::Month, cost: MicroUsd(50 * COST), tokens: 0 },
            Spent { name: "web".into(), whose: Whose::Key, per: Per::Day, cost: MicroUsd(7), tokens: 0 },
        ],
        ..Budgets::default()
    };
    house.pipeline.swap(&Snapshot { version: 2, budgets: lower, ..snapshot.clone() }).unwrap();
    let lines = account(&house, "web").lines;
    assert_eq!(lines[0].spent.cost, MicroUsd(COST), "what it knows itself is not counted again");
    assert_eq!(lines[1].spent.cost, MicroUsd(50 * COST), "what the ledger knows of the month, today included");
    ask(&house, of_web(Some(5), chat("m"))).await.unwrap_err();
    house.pipeline.swap(&Snapshot { version: 3, budgets: Budgets::default(), ..snapshot }).unwrap();
    ask(&house, of_web(Some(5), chat("m"))).await.unwrap();
    closed(&house, 3);
}

#[tokio::test(start_paused = true)]
async fn a_start_begins_with_what_was_spent_before() {
    let budgets = Budgets {
        keys: vec![vec![usd(100, Per::Day)]],
        spent: vec![Spent { name: "web".into(), whose: Whose::Key, per: Per::Day, cost: MicroUsd(95), tokens: 9 }],
        ..Budgets::default()
    };
    let (house, far, _) = with(full("hello"), budgets);
    let error = ask(&house, of_web(Some(5), chat("m"))).await.unwrap_err();
    assert!(error.public().contains("0.000095 USD are spent"), "{error}");
    assert_eq!(far.calls(), 0);
    closed(&house, 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_price_money_is_counted_as_none_and_tokens_hold() {
    let far = Scripted::new("far", vec![full("hello")]);
    let mut unpriced = model("m", &[&far]);
    unpriced.price = None;
    let budgets = Budgets { keys: vec![vec![usd(1, Per::Day), tokens(40, Per::Day)]], ..Budgets::default() };
    let house = House::new(&[&far], &Snapshot { keys: web(), budgets, ..snapshot(vec![unpriced]) });
    ask(&house, of_web(Some(5), chat("m"))).await.unwrap();
    ask(&house, of_web(Some(5), chat("m"))).await.unwrap();
    let error = ask(&house, of_web(Some(10), chat("m"))).await.unwrap_err();
    assert!(error.public().contains("40 tokens per day"), "{error}");
    assert_eq!(spent(&house, "web"), Amount { cost: MicroUsd(0), tokens: 30 });
    assert_eq!(house.metric("atp_unknown_price_total", &[]), 2.0);
    // A ceiling that somebody asked for cannot be kept; one that is only usual lets it pass.
    let hinted = |hints| Exchange { hints: Some(Box::new(hints)), ..of_web(Some(5), chat("m")) };
    let cap = Some(MicroUsd(100));
    let error = ask(&house, hinted(Hints { max_cost: cap, ..Hints::default() })).await.unwrap_err();
    assert!(error.public().contains("has no price") && error.param() == Some("max_cost_usd"), "{error}");
    ask(&house, hinted(Hints { usual_cost: cap, ..Hints::default() })).await.unwrap();
    closed(&house, 5);
}

#[tokio::test(start_paused = true)]
async fn a_cost_far_out_of_the_ordinary_is_told() {
    let far = Scripted::new("far", (0..12).map(|_| full("x")).chain([long(5_000)]).collect());
    let budgets = Budgets { keys: vec![vec![usd(1_000_000, Per::Day)]], ..Budgets::default() };
    let house = House::new(&[&far], &Snapshot { keys: web(), budgets, ..snapshot(vec![model("m", &[&far])]) });
    for _ in 0..12 {
        ask(&house, of_web(Some(5), chat("m"))).await.unwrap();
    }
    assert_eq!(house.metric("atp_budget_spikes_total", &[]), 0.0);
    ask(&house, of_web(None, streamed("m"))).await.unwrap();
    assert_eq!(house.metric("atp_budget_spikes_total", &[("name", "web")]), 1.0);
    closed(&house, 13);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_gone_on_with_elsewhere_draws_on_the_same_reservation() {
    let cut = Error::provider(ErrorKind::ProviderCut, "the connection broke");
    let half = vec![quiet("data: role\n\n"), content("data: a\n\n"), Beat::Break(cut)];
    let far = Scripted::new("far", vec![Play::Stream(half)]);
    let near = Scripted::new("near", vec![long(50)]);
    let mut model = model("m", &[&far, &near]);
    model.failover = atp_pipeline::MidStream::Continue;
    model.targets.iter_mut().for_each(|target| target.prefill = true);
    let budgets = Budgets { keys: vec![vec![tokens(30, Per::Total)]], ..Budgets::default() };
    let house = House::new(&[&far, &near], &Snapshot { keys: web(), budgets, ..snapshot(vec![model]) });
    let text = ask(&house, of_web(Some(20), streamed("m"))).await.unwrap();
    assert!(text.ends_with("length;"), "{text}");
    assert_eq!(spent(&house, "web").tokens, 30);
    assert_eq!(near.seen.lock().unwrap()[0].begun.as_deref(), Some("data: a\n\n"));
    closed(&house, 1);
}

/// One stream of many that run at the same time.
#[derive(Debug, Clone)]
struct Stream {
    pieces: Vec<u64>,
    asked: Option<u64>,
    wait_ms: u64,
    breaks: bool,
    session: Option<u8>,
}

fn streams() -> impl Strategy<Value = Vec<Stream>> {
    let pieces = prop::collection::vec(prop_oneof![8 => Just(1u64), 1 => 2u64..6], 1..60);
    let one = (pieces, prop::option::of(1u64..60), 0u64..200, any::<bool>(), prop::option::of(0u8..3));
    let one =
        one.prop_map(|(pieces, asked, wait_ms, breaks, session)| Stream { pieces, asked, wait_ms, breaks, session });
    prop::collection::vec(one, 2..50)
}

/// What its provider does: pieces of so many events, some time between them, and an end or a break.
fn play(stream: &Stream) -> Play {
    let mut beats = vec![];
    for (at, piece) in stream.pieces.iter().enumerate() {
        if at % 7 == 3 {
            beats.push(Beat::Wait(Duration::from_millis(stream.wait_ms)));
        }
        beats.push(Beat::Content("data: x\n\n".repeat(usize::try_from(*piece).unwrap()).into()));
    }
    let output = stream.pieces.iter().sum();
    if stream.breaks {
        beats.push(Beat::Break(Error::provider(ErrorKind::ProviderCut, "broke")));
    } else {
        beats.push(Beat::Finish(Finish::Stop));
        beats.push(Beat::Usage(Usage { input: 1, output, ..Usage::default() }));
    }
    Play::Stream(beats)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn streams_beside_each_other_spend_no_more_than_the_budget_and_their_last_pieces(
        streams in streams(), key in 20u64..2_000, tenant in 20u64..2_000, minute in 20u64..500,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let far = Scripted::new("far", streams.iter().map(play).collect());
            let budgets = Budgets {
                keys: vec![vec![usd(key, Per::Total)]],
                tenants: vec![("acme".into(), vec![usd(tenant, Per::Total), tokens(minute, Per::Minute)])],
                session: vec![tokens(300, Per::Total)],
                ..Budgets::default()
            };
            let model = without_breakers(with_slots(64, model("m", &[&far])));
            let snapshot = Snapshot { keys: web(), budgets, ..snapshot(vec![model]) };
            let house = House::new(&[&far], &snapshot);
            let exchange = |stream: &Stream| Exchange {
                session: stream.session.map(|name| name.to_string().into()),
                ..of_web(stream.asked, streamed("m"))
            };
            let calls = streams.iter().map(|stream| house.pipeline.call(exchange(stream))).collect();
            all(calls).await;
            // Each stream that was cut may have drawn its last piece beyond what it held: five tokens, at two.
            let cut = house.rows().iter().filter(|row| row.metered).count() as u64;
            let most = |budget: u64| budget + cut * 5 * 2;
            for (name, budget) in [("web", key), ("acme", tenant)] {
                let spent = spent(&house, name).cost.0;
                assert!(spent <= most(budget), "{name} spent {spent} of {budget}, {cut} were cut");
            }
            let counted: u64 = house.rows().iter().filter_map(|row| row.cost).map(|cost| cost.0).sum();
            assert_eq!(counted, spent(&house, "web").cost.0, "the books and the accounts agree");
            closed(&house, streams.len());
        });
    }
}
