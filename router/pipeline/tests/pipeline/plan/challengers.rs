//! Challengers: they answer in the shadow, are compared, and promote and demote by evidence.

use atp_core::{Error, ErrorKind, MicroUsd, PlanEvent, Role, Status};
use atp_pipeline::snapshot::{Experiment, Judge};
use atp_routing::experiment::Standing;

use super::*;

fn experiment(challenger: Option<&str>, judge: Judge) -> Experiment {
    Experiment { challenger: challenger.map(Arc::from), share: 1.0, max_usd_per_day: MicroUsd(1_000_000), judge }
}

/// The three models, with an experiment.
fn house(plays: [Vec<Play>; 3], experiment: Experiment, change: impl Fn(&mut Snapshot)) -> Three {
    Three::with(plays, move |snapshot| {
        snapshot.routes[0].experiment = Some(experiment.clone());
        change(snapshot);
    })
}

/// Asks, reads the answer to its end, and lets the shadow do its work.
async fn ask(three: &Three) -> Vec<PlanEvent> {
    let reply = three.house.ask(chat("auto:fast")).await;
    let events = reply.notes.events.clone();
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "low");
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    events
}

fn standing(three: &Three) -> Standing {
    three.house.pipeline.experiments()[0].challengers[0].1
}

#[tokio::test(start_paused = true)]
async fn a_challenger_answers_behind_the_callers_back_and_on_the_routers_bill() {
    let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
    let three = house(plays, experiment(Some("best"), Judge::Signs), |_| {});
    let events = ask(&three).await;
    assert_eq!(events, [PlanEvent::ChallengerSelected { model: "best".into() }]);
    assert_eq!(three.calls(), [1, 0, 1]);
    let rows = three.house.rows();
    assert_eq!((&*rows[0].tenant, rows[0].cost), ("anonymous", Some(MicroUsd(COST))), "the caller pays his own");
    assert_eq!((&*rows[1].tenant, rows[1].cost), ("atp-router", Some(MicroUsd(4 * COST))));
    let standing = standing(&three);
    // Both are whole: of two equals the cheaper is better.
    assert_eq!((standing.samples, standing.losses, standing.spend), (1, 1, MicroUsd(4 * COST)));
    assert_eq!(three.house.metric("challenger_runs_total", &[]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn who_shows_a_better_answer_wins() {
    let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
    let three = house(plays, experiment(Some("solid"), Judge::Signs), |snapshot| {
        // The challenger costs as much, so that the answers decide: one is empty.
        snapshot.models[1].price = snapshot.models[0].price;
    });
    ask(&three).await;
    assert_eq!(standing(&three).ties, 1);
    assert_eq!(three.house.metric("challenger_wins_total", &[]), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_judge_sees_both_answers_and_decides() {
    for (says, wins) in [("A", None), ("TIE", Some(0)), ("who knows", Some(0))] {
        let judge = Scripted::new("judge", vec![full(says)]);
        let far = Arc::clone(&judge);
        let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
        let rules = experiment(Some("best"), Judge::Model("referee".into()));
        let three = house(plays, rules, move |snapshot| snapshot.models.push(graded("referee", 0.9, 1, &far)));
        for _ in 0..12 {
            ask(&three).await;
        }
        let shown = String::from_utf8(judge.seen.lock().unwrap()[0].payload.clone().unwrap().to_vec()).unwrap();
        assert!(shown.contains("low") && shown.contains("high"), "{shown}");
        let standing = standing(&three);
        match wins {
            Some(wins) => assert_eq!(standing.wins, wins, "{says}"),
            // Which of the two is shown first is drawn, so that a judge who prefers a place says nothing.
            None => assert!(standing.wins > 0 && standing.losses > 0, "{standing:?}"),
        }
        let judged = if says == "who knows" { 0 } else { 12 };
        assert_eq!(standing.samples, judged, "{says}");
        assert_eq!(standing.spend, MicroUsd(12 * 4 * COST + 12 * COST), "a verdict that is none costs as much: {says}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_days_money_bounds_the_experiment() {
    let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
    let rules = Experiment { max_usd_per_day: MicroUsd(1), ..experiment(Some("best"), Judge::Signs) };
    let three = house(plays, rules, |_| {});
    assert_eq!(ask(&three).await, []);
    assert_eq!(three.calls(), [1, 0, 0]);
    let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
    let rules = Experiment { share: 0.0, ..experiment(Some("best"), Judge::Signs) };
    let three = house(plays, rules, |_| {});
    assert_eq!(ask(&three).await, []);
}

#[tokio::test(start_paused = true)]
async fn the_days_money_is_held_while_a_run_is_under_way() {
    let second = Duration::from_secs(1);
    let of = |most: u64| {
        let late = Play::Full(10 * second, "high".into(), Some(USAGE));
        let plays = [vec![full("low")], vec![full("middle")], vec![late]];
        let rules =
            Experiment { max_usd_per_day: MicroUsd(most), ..experiment(Some("best"), Judge::Model("referee".into())) };
        let judge = Scripted::new("judge", vec![full("TIE")]);
        house(plays, rules, move |snapshot| snapshot.models.push(graded("referee", 0.9, 1, &judge)))
    };
    let guarded = planned(&of(1_000_000)).candidates[2].forecast.guarded.unwrap().0;
    let three = of(2 * guarded);
    let mut drawn = 0;
    for _ in 0..10 {
        drawn += ask(&three).await.len();
    }
    assert_eq!((drawn, three.far[2].calls()), (1, 1), "each of the others finds the money of the first one held");
    tokio::time::sleep(20 * second).await;
    assert_eq!(standing(&three).spend, MicroUsd(4 * COST + COST));
    assert_eq!(ask(&three).await.len(), 1, "what was held and not spent is there again");
    let three = of(guarded);
    assert_eq!(ask(&three).await, [], "its judge has to be paid too");
}

#[tokio::test(start_paused = true)]
async fn who_was_at_work_when_it_failed_is_paid_for_what_was_expected() {
    for (kind, paid) in [(ErrorKind::TimeoutFirstByte, true), (ErrorKind::ProviderUnreachable, false)] {
        let fails = fail(Error::provider(kind, "nothing"));
        let three = house(
            [vec![full("low")], vec![full("middle")], vec![fails]],
            experiment(Some("best"), Judge::Signs),
            |_| {},
        );
        let guarded = planned(&three).candidates[2].forecast.guarded.unwrap();
        ask(&three).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let standing = standing(&three);
        assert_eq!((standing.losses, standing.spend), (1, if paid { guarded } else { MicroUsd(0) }), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_price_is_no_challenger() {
    for unpriced in ["best", "referee"] {
        let judge = Scripted::new("judge", vec![full("TIE")]);
        let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
        let three = house(plays, experiment(Some("best"), Judge::Model("referee".into())), move |snapshot| {
            snapshot.models.push(graded("referee", 0.9, 1, &judge));
            snapshot.models[2].facts.status = Status::Shadow;
            let model = snapshot.models.iter_mut().find(|model| &*model.name == unpriced).unwrap();
            model.price = None;
        });
        assert_eq!(ask(&three).await, [], "{unpriced}");
        assert_eq!(three.house.metric("atp_challengers_unpriced_total", &[]), 1.0);
    }
}

#[tokio::test(start_paused = true)]
async fn comparisons_and_pins_are_something_to_keep() {
    let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
    let three = house(plays, experiment(Some("best"), Judge::Signs), |_| {});
    let known = || three.house.pipeline.knowledge().events();
    let reply = three.house.ask(chat("auto:fast")).await;
    drop(read(reply.result.unwrap().body).await.unwrap());
    let learnt = known();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(standing(&three).samples, 1);
    let compared = known();
    assert_ne!(compared, learnt, "the comparison comes behind the answer");
    assert!(three.house.pipeline.pin("solid", Status::Shadow));
    let pinned = known();
    assert_ne!(pinned, compared);
    assert!(three.house.pipeline.unpin("solid"));
    assert_ne!(known(), pinned);
    let before = known();
    three.house.pipeline.swap(&Three::snapshot(&three.far, |_| {})).unwrap();
    assert_eq!(known(), before, "a reload alone is nothing new");
}

/// The plan of a request.
fn planned(three: &Three) -> Arc<atp_core::Plan> {
    use atp_core::port::Gateway;
    three.house.pipeline.plan(&chat("auto:fast")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_challenger_that_nobody_named_is_better_and_not_much_dearer() {
    let of = |price: u64| {
        let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
        house(plays, experiment(None, Judge::Signs), move |snapshot| {
            let first = snapshot.models[0].price.unwrap();
            let output = first.output * price / 100;
            snapshot.models[1].price = Some(Price { input: first.input * price / 100, output, ..first });
        })
    };
    let plan = planned(&of(150));
    assert_eq!(plan.roles[1], (Role::Challenger, 1));
    let plan = planned(&of(151));
    assert!(plan.roles.iter().all(|(role, _)| *role != Role::Challenger), "{:?}", plan.roles);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_or_is_left_is_compared_with_nothing() {
    let cut = atp_core::Error::provider(atp_core::ErrorKind::ProviderCut, "cut");
    let plays = [vec![Play::Stream(vec![content("lo"), Beat::Break(cut)])], vec![full("x")], vec![full("high")]];
    let three = house(plays, experiment(Some("best"), Judge::Signs), |_| {});
    let reply = three.house.ask(streamed("auto:fast")).await;
    assert!(read(reply.result.unwrap().body).await.is_err());
    tokio::task::yield_now().await;
    assert_eq!(three.calls(), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_is_cheaper_and_no_worse_is_promoted_once() {
    let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
    let three = house(plays, experiment(Some("best"), Judge::Signs), |snapshot| {
        snapshot.models[2].facts.status = Status::Shadow;
        let first = snapshot.models[0].price.unwrap();
        snapshot.models[2].price = Some(Price { input: first.input / 4, output: first.output / 4, ..first });
    });
    let status = || three.house.pipeline.lifecycle().into_iter().find(|life| &*life.model == "best").unwrap().status;
    assert_eq!(status(), Status::Shadow);
    for _ in 0..200 {
        let reply = three.house.ask(chat("auto:fast")).await;
        drop(read(reply.result.unwrap().body).await);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        if status() == Status::Active {
            break;
        }
        assert_eq!(three.house.metric("atp_router_promotions_total", &[]), 0.0);
    }
    assert_eq!(status(), Status::Active);
    assert_eq!(three.house.metric("atp_router_promotions_total", &[]), 1.0);
    let lines = three.lines.of(atp_core::port::JournalFile::Lifecycle);
    assert!(lines.len() == 1 && lines[0].contains("cost_improvement"), "{lines:?}");
    // From now on it is chosen: it is the cheapest.
    let reply = three.house.ask(chat("auto:fast")).await;
    assert_eq!(reply.notes.chosen.as_deref(), Some("best"));
}

/// Asks so many times, whatever is answered.
async fn ask_on(three: &Three, times: usize) {
    for _ in 0..times {
        let reply = three.house.ask(chat("auto:fast")).await;
        drop(read(reply.result.unwrap().body).await);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

fn status(three: &Three, model: &str) -> Status {
    three.house.pipeline.lifecycle().into_iter().find(|life| &*life.model == model).unwrap().status
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_is_cheap_or_good_takes_no_champion_from_callers() {
    for (low, high, times) in [("low", "sorry", 1), ("", "high", 80)] {
        let plays = [vec![full(low)], vec![full("middle")], vec![full(high)]];
        let three = house(plays, experiment(Some("best"), Judge::Signs), |snapshot| {
            snapshot.models[2].facts.status = Status::Shadow;
            let price = Price { input: times * PRICE.input / 20, output: times * PRICE.output / 20, ..PRICE };
            snapshot.models[2].price = Some(price);
        });
        ask_on(&three, 80).await;
        assert!(standing(&three).samples >= 80, "{:?}", standing(&three));
        assert_eq!([status(&three, "cheap"), status(&three, "best")], [Status::Active, Status::Shadow], "{low:?}");
        assert_eq!(three.house.metric("atp_router_demotions_total", &[]), 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_route_sees_leaves_no_other_route_with_nobody() {
    for (other, wanted) in [(&["cheap"][..], Status::Active), (&["cheap", "best"], Status::Shadow)] {
        let plays = [vec![full("")], vec![full("middle")], vec![full("high")]];
        let three = house(plays, experiment(Some("solid"), Judge::Signs), |snapshot| {
            // Hardly dearer, and it answers.
            let price = Price { input: PRICE.input * 21 / 20, output: PRICE.output * 21 / 20, ..PRICE };
            snapshot.models[1].price = Some(price);
            snapshot.routes.push(cheapest("small", other));
        });
        ask_on(&three, 80).await;
        assert_eq!(status(&three, "cheap"), wanted, "{other:?}");
        assert!(three.house.ask(chat("small:fast")).await.result.is_ok(), "somebody is always there");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_pinned_stays_over_reloads_until_he_is_unpinned() {
    let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
    let three = house(plays, experiment(None, Judge::Signs), |_| {});
    assert!(three.house.pipeline.pin("cheap", Status::Retired) && !three.house.pipeline.pin("nobody", Status::Active));
    let chosen = || async { three.house.ask(chat("auto:fast")).await.notes.chosen };
    assert_eq!(chosen().await.as_deref(), Some("solid"));
    three.house.pipeline.swap(&Three::snapshot(&three.far, |_| {})).unwrap();
    assert_eq!(chosen().await.as_deref(), Some("solid"));
    assert!(three.house.pipeline.unpin("cheap") && !three.house.pipeline.unpin("cheap"));
    assert_eq!(chosen().await.as_deref(), Some("cheap"), "it is again what the configuration says");
    assert!(three.house.pipeline.pin("cheap", Status::Fallback));
    assert_eq!(chosen().await.as_deref(), Some("solid"));
    assert!(three.house.pipeline.pin("cheap", Status::Active));
    assert_eq!(chosen().await.as_deref(), Some("cheap"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_tells_where_its_model_stands_in_its_life() {
    let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
    let three = house(plays, experiment(None, Judge::Signs), |snapshot| {
        snapshot.models[2].facts.status = Status::Fallback;
    });
    let phase = |name: &'static str| async { three.house.ask(chat(name)).await.notes.phase };
    assert_eq!(phase("auto:fast").await, Some(Status::Active));
    // Who is asked by name answers wherever it stands.
    assert_eq!((phase("best").await, phase("solid").await), (Some(Status::Fallback), Some(Status::Active)));
    assert!(three.house.pipeline.pin("solid", Status::Shadow));
    assert_eq!(phase("solid").await, Some(Status::Shadow));
    for name in ["cheap", "solid"] {
        assert!(three.house.pipeline.pin(name, Status::Retired));
    }
    assert_eq!(phase("auto:fast").await, Some(Status::Fallback), "the last resort answers");
    assert_eq!(phase("nothing").await, None);
}

#[tokio::test(start_paused = true)]
async fn nobody_sees_in_the_shadow_what_he_may_not_see() {
    let judge = Scripted::new("judge", vec![full("A")]);
    for (challenger, referee, calls, verdicts) in
        [(None, None, 0, 0), (Some("secret"), None, 1, 0), (Some("secret"), Some("secret"), 1, 1)]
    {
        let far = Arc::clone(&judge);
        let plays = [vec![full("low")], vec![full("middle")], vec![full("high")]];
        let three = house(plays, experiment(Some("best"), Judge::Model("referee".into())), move |snapshot| {
            let labels = |label: Option<&str>| Some(label.into_iter().map(Arc::from).collect());
            snapshot.models.push(graded("referee", 0.9, 1, &far));
            snapshot.models[0].facts.data_scopes = labels(Some("secret"));
            snapshot.models[2].facts.data_scopes = labels(challenger);
            snapshot.models[3].facts.data_scopes = labels(referee);
        });
        let before = judge.calls();
        let hints = Hints { data_scope: Some("secret".into()), ..Hints::default() };
        let reply = three.house.ask(hinted(hints, chat("auto:fast"))).await;
        drop(read(reply.result.unwrap().body).await.unwrap());
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!((three.far[2].calls(), judge.calls() - before), (calls, verdicts), "{challenger:?} {referee:?}");
    }
}
