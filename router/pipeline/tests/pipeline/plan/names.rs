//! Which names lead where, and what is asked of whom.

use atp_core::port::{Gateway, Outcome};
use atp_core::{Dropped, ErrorKind, Hints, Operation, Quality};
use atp_pipeline::snapshot::ModelFacts;
use atp_pipeline::{Model, Snapshot};

use super::*;

fn ok() -> [Vec<Play>; 3] {
    [vec![full("low")], vec![full("middle")], vec![full("high")]]
}

#[tokio::test(start_paused = true)]
async fn the_cheapest_that_is_good_enough_answers_and_the_row_names_it() {
    for (name, model, place) in [
        ("auto:fast", "cheap", 0),
        ("auto:low", "cheap", 0),
        ("auto", "solid", 1),
        ("auto:balanced", "solid", 1),
        ("auto:high", "best", 2),
    ] {
        let three = Three::new(ok());
        let reply = three.house.ask(chat(name)).await;
        assert_eq!(reply.notes.chosen.as_deref(), Some(model), "{name}");
        let plan = reply.notes.plan.clone().unwrap();
        assert_eq!((&*plan.route, plan.primary().map(|each| &*each.model)), (name, Some(model)));
        assert_eq!(read(reply.result.unwrap().body).await.unwrap(), ["low", "middle", "high"][place]);
        let row = three.house.row();
        assert_eq!((&*row.model, row.chosen.as_deref(), row.outcome), (name, Some(model), Outcome::Served));
        assert_eq!(row.cost.unwrap().0, COST << place);
        three.house.closed(1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_a_floor_and_the_name_goes_before_it() {
    let three = Three::new(ok());
    let high = || Hints { quality: Some(Quality::High), ..Hints::default() };
    let told = three.house.ask(hinted(high(), chat("auto"))).await.notes.chosen;
    assert_eq!(told.as_deref(), Some("best"));
    let told = three.house.ask(hinted(high(), chat("auto:fast"))).await.notes.chosen;
    assert_eq!(told.as_deref(), Some("cheap"));
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_excludes_what_may_cost_more_and_refuses_where_all_may() {
    let three = Three::new(ok());
    let plan = |most| three.house.pipeline.plan(&for_at_most(most, chat("auto:high")));
    let free = plan(u64::MAX).unwrap();
    let dear = free.candidates[2].forecast.guarded.unwrap().0;
    assert_eq!(plan(dear).unwrap().primary().unwrap().model, "best".into());
    let poorer = plan(dear - 1).unwrap();
    assert_eq!(poorer.candidates[2].dropped, Some(Dropped::Cost));
    assert_eq!(poorer.primary().unwrap().model, "solid".into(), "the best of those that are left");
    let error = plan(1).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::BudgetDenied, Some("max_cost_usd")));
    assert!(three.house.rows().is_empty(), "a plan is no exchange");
    let reply = three.house.ask(for_at_most(1, chat("auto"))).await;
    assert_eq!(reply.result.unwrap_err().kind(), ErrorKind::BudgetDenied);
    let row = three.house.row();
    assert_eq!((row.outcome, row.chosen, row.attempts), (Outcome::Refused, None, 0));
    assert_eq!(three.calls(), [0; 3]);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn nobody_left_is_told_with_the_reason_of_each() {
    let three = Three::with(ok(), |snapshot| {
        for model in &mut snapshot.models {
            model.facts.capabilities = Some(atp_core::Capabilities::default());
        }
    });
    let error = three.house.ask(saying("json", chat("auto"))).await.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoModelsAvailable);
    assert!(error.public().contains("cheap: lacks json, solid: lacks json, best: lacks json"), "{error}");
    assert_eq!(three.house.row().outcome, Outcome::Refused);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn models_go_before_routes_and_routes_before_patterns() {
    let far = Scripted::new("far", vec![full("far")]);
    let other = Scripted::new("other", vec![full("other")]);
    let mut all = snapshot(vec![model("m", &[&far]), model("auto:high", &[&other]), model("*", &[&other])]);
    all.routes = vec![cheapest("auto", &["m"])];
    let house = House::seeing([&far, &other], &all, SEEING, None);
    for (name, answer) in [("auto", "far"), ("auto:fast", "far"), ("auto:high", "other"), ("any", "other")] {
        let reply = house.ask(chat(name)).await;
        assert_eq!(read(reply.result.unwrap().body).await.unwrap(), answer, "{name}");
        assert_eq!(reply.notes.plan.is_some(), answer == "far", "{name}");
    }
    let listed: Vec<_> = house.pipeline.models().into_iter().map(|card| (card.id, card.owner)).collect();
    assert_eq!(listed.last().unwrap(), &("auto".into(), "atp".into()));
    assert_eq!(house.pipeline.model("auto:fast").unwrap().owner, "atp".into());
    let hidden = Snapshot { routes: vec![RouteRules { listed: false, ..cheapest("auto", &["m"]) }], ..all };
    house.pipeline.swap(&hidden).unwrap();
    assert!(house.pipeline.models().iter().all(|card| &*card.id != "auto"));
    house.closed(4);
}

#[tokio::test(start_paused = true)]
async fn what_a_route_cannot_choose_is_refused_at_the_start() {
    let far = Scripted::new("far", vec![full("far")]);
    let wrong = |routes: Vec<RouteRules>| {
        let models = vec![
            Model { aliases: vec!["a".into()], ..model("m", &[&far]) },
            Model { facts: ModelFacts::default(), ..model("p*", &[&far]) },
        ];
        let house = House::seeing([&far], &snapshot(models.clone()), SEEING, None);
        let error = house.pipeline.swap(&Snapshot { routes, ..snapshot(models) }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        error.public().to_owned()
    };
    assert!(wrong(vec![cheapest("auto", &["x"])]).contains("routes.auto.candidates[0]: no model is called `x`"));
    assert!(wrong(vec![cheapest("auto", &["m", "p*"])]).contains("routes.auto.candidates[1]: `p*` is a pattern"));
    assert!(wrong(vec![cheapest("auto", &["m", "m"])]).contains("name each model once"));
    assert!(wrong(vec![cheapest("auto", &[])]).contains("the list is empty"));
    assert!(wrong(vec![cheapest("m", &["m"])]).contains("routes.m: the name stands twice"));
    assert!(wrong(vec![cheapest("a", &["m"])]).contains("routes.a: the name stands twice"));
    assert!(wrong(vec![cheapest("auto", &["m"]), cheapest("auto", &["m"])]).contains("stands twice"));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_ejected_is_left_for_the_next_one_without_being_asked() {
    let gone = atp_core::Error::provider(ErrorKind::ProviderUnreachable, "gone");
    let three = Three::with([vec![full("low")], vec![fail(gone)], vec![full("high")]], |snapshot| {
        for target in &mut snapshot.models[1].targets {
            target.breaker = atp_routing::breaker::BreakerRules::default();
        }
    });
    let mut last = 0;
    for _ in 0..20 {
        three.house.ask(chat("auto")).await.result.unwrap();
        last = three.calls()[1];
    }
    let plan = three.house.pipeline.plan(&chat("auto")).unwrap();
    assert_eq!(plan.candidates[1].dropped, Some(Dropped::Health));
    three.house.ask(chat("auto")).await.result.unwrap();
    assert_eq!(three.calls()[1], last);
    three.house.closed(21);
}

#[tokio::test(start_paused = true)]
async fn the_plan_of_a_model_is_that_model_and_of_nothing_an_error() {
    let three = Three::new(ok());
    let plan = three.house.pipeline.plan(&chat("solid")).unwrap();
    assert_eq!((&*plan.strategy, &*plan.primary().unwrap().model), ("only", "solid"));
    let error = three.house.pipeline.plan(&chat("autp")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelNotFound);
    assert!(error.public().contains("did you mean `auto`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_latency_that_is_asked_of_a_model_ends_its_exchange_at_four_times_that() {
    let far = Scripted::new("far", vec![Play::Hang, full("far")]);
    let house = House::serving(&[&far]);
    let asked = tokio::time::timeout(Duration::from_secs(60), house.ask(within(Duration::from_secs(1), chat("m"))));
    assert!(asked.await.is_err(), "the hand-played provider does not look at its timers");
    assert_eq!(far.seen.lock().unwrap()[0].timeouts.total, Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_with_its_model() {
    let three = Three::new(ok());
    let of = |name: &str, session: Option<&str>| Exchange { session: session.map(Into::into), ..chat(name) };
    let first = three.house.ask(of("auto:high", Some("s"))).await.notes.chosen;
    assert_eq!(first.as_deref(), Some("best"));
    let same = three.house.ask(of("auto", Some("s"))).await.notes;
    assert_eq!(same.chosen.as_deref(), Some("best"), "its prompt cache is warm");
    assert_eq!(&*same.plan.unwrap().strategy, "sticky");
    assert_eq!(three.house.ask(of("auto", Some("other"))).await.notes.chosen.as_deref(), Some("solid"));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_asked_of_models_that_serve_it() {
    let said = |all: &[Capability]| Some(all.iter().copied().collect());
    let three = Three::with([vec![full("vectors")], vec![full("middle")], vec![full("high")]], |all| {
        all.models[0].facts.capabilities = said(&[Capability::Embeddings]);
        all.models[2].facts.capabilities = said(&[Capability::Embeddings, Capability::Chat]);
    });
    let to = |operation, name| Exchange { operation, ..chat(name) };
    // The cheapest one passes `fast`, and does not chat.
    drop(three.house.ask(chat("auto:fast")).await);
    assert_eq!(three.calls(), [0, 1, 0]);
    let plan = three.house.pipeline.plan(&to(Operation::Embeddings, "auto:fast")).unwrap();
    assert_eq!(plan.order, [0, 2], "who says nothing chats");
    assert_eq!(plan.candidates[1].dropped, Some(Dropped::Lacks(Capability::Embeddings)));
    for operation in [Operation::Images, Operation::Audio, Operation::Moderations] {
        let error = three.house.pipeline.plan(&to(operation, "auto")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoModelsAvailable, "{operation:?}");
        assert!(error.public().contains("solid: lacks "), "{}", error.public());
    }
}
