//! What is learnt, and what is remembered.

use atp_core::port::{Gateway, Journal, JournalFile, Kept, Outcome};
use atp_core::{Caller, ErrorKind, Observation, Qos, RequestId};
use atp_routing::journal;

use super::*;

fn ok() -> [Vec<Play>; 3] {
    [vec![full("low")], vec![full("middle")], vec![full("high")]]
}

/// Asks, reads, and tells who answered, under which id.
async fn answered(three: &Three, name: &str) -> (RequestId, Arc<str>) {
    let exchange = chat(name);
    let id = exchange.id;
    let reply = three.house.ask(exchange).await;
    let chosen = reply.notes.chosen.clone().unwrap();
    drop(read(reply.result.unwrap().body).await.unwrap());
    (id, chosen)
}

#[tokio::test(start_paused = true)]
async fn what_is_told_later_changes_the_choice() {
    let three = Three::new(ok());
    let caller = Caller::anonymous();
    let mut scored = 0;
    // Hours later each.
    while &*answered(&three, "auto").await.1 == "solid" {
        let (id, _) = answered(&three, "auto").await;
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        three.house.pipeline.observe(&caller, &Observation::scored(id, 0.5)).unwrap();
        scored += 1;
        assert!(scored < 50, "nothing is learnt");
    }
    assert!(scored > 1, "one score does not outweigh what is configured");
    assert_eq!(&*answered(&three, "auto").await.1, "best", "it fell below the floor");
}

#[tokio::test(start_paused = true)]
async fn a_score_told_again_takes_the_place_of_the_first() {
    let three = Three::new(ok());
    let caller = Caller::anonymous();
    let (id, _) = answered(&three, "auto").await;
    let scores = || {
        let arms = three.house.pipeline.arms();
        arms.iter().filter(|arm| &*arm.model == "solid").map(|arm| arm.scores).fold(0.0, f64::max)
    };
    for score in [0.0, 0.0, 1.0, 0.4, 1.0] {
        three.house.pipeline.observe(&caller, &Observation::scored(id, score)).unwrap();
        assert!((scores() - 1.0).abs() < 1e-6, "{}", scores());
    }
    let solid =
        |arms: Vec<atp_pipeline::ArmStatus>| arms.into_iter().find(|arm| &*arm.model == "solid" && arm.scores > 0.0);
    let quality = solid(three.house.pipeline.arms()).unwrap().quality;
    let once = Three::new(ok());
    let (id, _) = answered(&once, "auto").await;
    once.house.pipeline.observe(&caller, &Observation::scored(id, 1.0)).unwrap();
    let told_once = solid(once.house.pipeline.arms()).unwrap().quality;
    assert!((quality - told_once).abs() < 1e-3, "{quality} {told_once}");
    let decision = three.house.pipeline.decision(&caller, three_id(&three)).unwrap();
    assert_eq!(decision.score, Some(1.0));
}

fn three_id(three: &Three) -> RequestId {
    three.house.rows().first().unwrap().id
}

#[tokio::test(start_paused = true)]
async fn another_tenants_answers_are_unknown() {
    let three = Three::new(ok());
    let exchange = from("acme", Qos::default(), chat("auto"));
    let (id, acme) = (exchange.id, Arc::clone(&exchange.caller));
    drop(three.house.ask(exchange).await);
    let other = Caller::anonymous();
    assert!(three.house.pipeline.decision(&other, id).is_none());
    let error = three.house.pipeline.observe(&other, &Observation::scored(id, 1.0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let mine = from("acme", Qos::default(), chat("auto"));
    let mine_id = mine.id;
    drop(three.house.ask(mine).await);
    let other_id = chat("auto").id;
    let compared = Observation { better_than: Some(other_id), ..Observation::scored(mine_id, 1.0) };
    assert_eq!(three.house.pipeline.observe(&acme, &compared).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(three.house.pipeline.decision(&acme, id).is_some());
    three.house.pipeline.observe(&acme, &Observation::scored(id, 1.0)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_score_is_a_number_from_zero_to_one() {
    let three = Three::new(ok());
    let (id, _) = answered(&three, "auto").await;
    for score in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = three.house.pipeline.observe(&Caller::anonymous(), &Observation::scored(id, score)).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::Validation, Some("score")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_comparison_teaches_both() {
    let three = Three::new(ok());
    let caller = Caller::anonymous();
    let (worse, better) = (answered(&three, "auto").await.0, answered(&three, "auto:high").await.0);
    let quality = |model: &str| {
        let plan = three.house.pipeline.plan(&chat("auto")).unwrap();
        plan.candidates.iter().find(|each| &*each.model == model).unwrap().quality
    };
    let before = (quality("solid"), quality("best"));
    let observation = Observation { id: better, score: None, better_than: Some(worse), latency: None, cost: None };
    three.house.pipeline.observe(&caller, &observation).unwrap();
    assert!(quality("solid") < before.0 && quality("best") > before.1);
}

#[tokio::test(start_paused = true)]
async fn a_decision_tells_how_it_went() {
    let three = Three::new([vec![full("low")], vec![full("sorry")], vec![full("high")]]);
    let caller = Caller::anonymous();
    let exchange = chat("auto");
    let id = exchange.id;
    let reply = three.house.ask(exchange).await;
    assert_eq!(three.house.pipeline.decision(&caller, id).unwrap().result, None, "it is under way");
    drop(read(reply.result.unwrap().body).await.unwrap());
    let result = three.house.pipeline.decision(&caller, id).unwrap().result.clone().unwrap();
    assert_eq!((result.model.as_deref(), result.outcome), (Some("best"), Outcome::Served.label()));
    assert_eq!((result.cost.unwrap().0, result.tokens, result.escalations), (6 * COST, Some((20, 10)), 1));
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_was_learnt() {
    let three = Three::new(ok());
    let caller = Caller::anonymous();
    for _ in 0..40 {
        let (id, _) = answered(&three, "auto").await;
        three.house.pipeline.observe(&caller, &Observation::scored(id, 0.0)).unwrap();
    }
    let (old, _) = answered(&three, "auto").await;
    let chosen = answered(&three, "auto").await.1;
    assert_eq!(&*chosen, "best");
    // The same routes; then others, in which the model stands in another place.
    three.house.pipeline.swap(&Three::snapshot(&three.far, |_| {})).unwrap();
    assert_eq!(answered(&three, "auto").await.1, chosen);
    three
        .house
        .pipeline
        .swap(&Three::snapshot(&three.far, |all| all.routes = vec![cheapest("auto", &["best", "solid"])]))
        .unwrap();
    assert_eq!(answered(&three, "auto").await.1, chosen);
    three.house.pipeline.observe(&caller, &Observation::scored(old, 1.0)).expect("choices are remembered too");
}

#[tokio::test(start_paused = true)]
async fn the_journal_makes_every_choice_again() {
    let three = Three::with([vec![full("low"), full("sorry")], vec![full("middle")], vec![full("high")]], |all| {
        all.routes[0] = RouteRules {
            manner: Manner::One(Strategy::Contextual),
            explore: 0.3,
            ..cheapest("auto", &["cheap", "solid", "best"])
        };
    });
    let caller = Caller::anonymous();
    for number in 0..300u32 {
        let (id, _) = answered(&three, ["auto", "auto:fast", "auto:high"][number as usize % 3]).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let score = f64::from(number % 7) / 6.0;
        three.house.pipeline.observe(&caller, &Observation::scored(id, score)).unwrap();
        if number == 150 {
            three.house.pipeline.swap(&Three::snapshot(&three.far, |_| {})).unwrap();
        }
    }
    let lines = three.lines.of(JournalFile::Decisions);
    let report = journal::replay(lines.iter().map(String::as_str));
    assert!(report.is_identical(), "{:?}", report.first);
    assert_eq!((report.decisions, report.skipped, report.missing), (300, 0, 0));
    assert!(report.lessons >= 600, "{}", report.lessons);
}

#[tokio::test(start_paused = true)]
async fn an_observation_is_written_for_every_answer_without_its_text() {
    let three = Three::new([vec![full("low")], vec![full("sorry secret")], vec![full("high secret")]]);
    let reply = three.house.ask(saying("my secret", chat("auto"))).await;
    drop(read(reply.result.unwrap().body).await.unwrap());
    let lines = three.lines.of(JournalFile::Observations);
    assert_eq!(lines.len(), 1);
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    for (field, value) in [
        ("schema_version", "2"),
        ("model_plan", "[\"solid\",\"best\"]"),
        ("primary_model", "\"best\""),
        ("bandit_primary", "\"solid\""),
        ("bandit_strategy", "\"cheapest\""),
        ("tokens_in", "20"),
        ("tokens_out", "10"),
        ("cost_usd", "0.00012"),
        ("escalated", "true"),
        ("outcome", "\"served\""),
        ("phase", "\"active\""),
    ] {
        assert_eq!(line[field].to_string(), value, "{field}");
    }
    assert!(line["prompt_hash"].as_str().unwrap().len() == 16 && line["ts"].as_f64().unwrap() > 1e9);
    let all: String =
        [JournalFile::Observations, JournalFile::Decisions].map(|file| three.lines.of(file).concat()).concat();
    assert!(!all.contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn reliability_is_learnt_from_providers_and_not_from_callers() {
    let broken = atp_core::Error::provider(ErrorKind::TimeoutFirstByte, "silent");
    let three = Three::new([vec![full("low")], vec![fail(broken)], vec![full("high")]]);
    for _ in 0..10 {
        answered(&three, "auto").await;
    }
    let reliability = |model: &str| {
        let arms = three.house.pipeline.arms();
        arms.into_iter().filter(|arm| &*arm.model == model && arm.pulls > 0.0).map(|arm| arm.reliability).next()
    };
    let (solid, best) = (reliability("solid").unwrap(), reliability("best").unwrap());
    assert!(solid < 0.6 && best > 0.9, "{solid} {best}");
    let left = Three::new([vec![full("low")], vec![Play::Hang], vec![full("high")]]);
    for _ in 0..10 {
        drop(tokio::time::timeout(Duration::from_secs(1), left.house.ask(chat("auto"))).await);
    }
    let arms = left.house.pipeline.arms();
    assert!(arms.iter().all(|arm| arm.pulls == 0.0), "who leaves tells nothing");
    left.house.closed(10);
}

#[tokio::test(start_paused = true)]
async fn the_estimators_learn_what_answers_take() {
    let three = Three::new(ok());
    let before = three.house.pipeline.plan(&chat("auto")).unwrap().candidates[1].forecast;
    for _ in 0..60 {
        answered(&three, "auto").await;
    }
    let after = three.house.pipeline.plan(&chat("auto")).unwrap().candidates[1].forecast;
    let off = |forecast: atp_core::Forecast| forecast.output.abs_diff(USAGE.output);
    assert!(off(after) < off(before) && off(after) <= 2, "{before:?} {after:?}");
    let status = three.house.pipeline.model_status();
    let solid = status.iter().find(|model| &*model.model == "solid").unwrap();
    assert!(solid.accuracy.samples > 50.0 && solid.latency_p95.is_some());
    assert!(three.house.metric("adapter_estimate_mape_tokens", &[("model", "solid")]) > 0.0);
    assert_eq!(three.house.metric("model_registry_size", &[]), 3.0);
    assert!(three.house.metric("atp_router_ucb_exploit", &[("model", "solid")]) > 0.0);
    let clusters = three.house.pipeline.cluster_stats();
    assert!(clusters.iter().any(|cluster| cluster.cluster == "chat" && &*cluster.most == "solid"));
}

#[tokio::test(start_paused = true)]
async fn a_status_can_be_overruled_and_stays_over_reloads() {
    let three = Three::new(ok());
    assert!(three.house.pipeline.pin("solid", atp_core::Status::Shadow));
    assert!(!three.house.pipeline.pin("nobody", atp_core::Status::Shadow));
    assert_eq!(&*answered(&three, "auto").await.1, "best");
    three.house.pipeline.swap(&Three::snapshot(&three.far, |_| {})).unwrap();
    assert_eq!(&*answered(&three, "auto").await.1, "best");
    assert!(three.house.pipeline.pin("solid", atp_core::Status::Active));
    assert_eq!(&*answered(&three, "auto").await.1, "solid");
}

#[tokio::test(start_paused = true)]
async fn the_form_of_a_stream_is_learnt_at_its_end() {
    for (text, well) in [("{}", true), ("no json", false)] {
        let told = Play::Stream(vec![content(text), Beat::Usage(USAGE)]);
        let three = Three::new([vec![full("low")], vec![told], vec![full("high")]]);
        let quality = || {
            let plan = three.house.pipeline.plan(&saying("json", chat("auto"))).unwrap();
            plan.candidates[1].quality
        };
        let before = quality();
        let reply = three.house.ask(saying("json", streamed("auto"))).await;
        assert_eq!(read(reply.result.unwrap().body).await.unwrap(), text);
        assert_eq!(quality() > before, well, "{text}");
        let line: serde_json::Value = serde_json::from_str(&three.lines.of(JournalFile::Observations)[0]).unwrap();
        assert_eq!(line["format_ok"], well);
        three.house.closed(1);
    }
}

/// A journal whose files hold 150 lines each, and that now and then loses one.
struct Rotating {
    files: std::sync::Mutex<Vec<Vec<String>>>,
    lines: std::sync::atomic::AtomicUsize,
    loses: bool,
}

impl Journal for Rotating {
    fn write(&self, file: JournalFile, line: String) -> Kept {
        if file != JournalFile::Decisions {
            return Kept::Queued;
        }
        let number = self.lines.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if self.loses && number % 37 == 36 {
            return Kept::Lost;
        }
        let mut files = self.files.lock().unwrap();
        if files.last().is_none_or(|file| file.len() >= 150) {
            files.push(vec![line]);
            return Kept::First;
        }
        files.last_mut().unwrap().push(line);
        Kept::Queued
    }
}

#[tokio::test(start_paused = true)]
async fn every_file_of_the_journal_can_be_read_by_itself_and_what_was_lost_is_declared() {
    for loses in [false, true] {
        let diary = Arc::new(Rotating { files: std::sync::Mutex::default(), lines: 0.into(), loses });
        let far = [
            Scripted::new("low", vec![full("x")]),
            Scripted::new("middle", vec![full("x")]),
            Scripted::new("high", vec![full("x")]),
        ];
        let rules = |name: &str| RouteRules {
            manner: Manner::One(Strategy::Contextual),
            explore: 0.3,
            ..cheapest(name, &["cheap", "solid", "best"])
        };
        let snapshot = Three::snapshot(&far, |all| all.routes = vec![rules("auto"), rules("other")]);
        let house = House::seeing([&far[0], &far[1], &far[2]], &snapshot, SEEING, Some(Arc::clone(&diary) as _));
        for number in 0..400 {
            drop(
                house
                    .ask(chat(["auto", "other"][number % 2]))
                    .await
                    .result
                    .map(|mut answer| answer.body.as_mut().take_full()),
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let files = diary.files.lock().unwrap().clone();
        assert!(files.len() > 4, "{}", files.len());
        for file in &files {
            let report = journal::replay(file.iter().map(String::as_str));
            assert!(report.is_identical(), "{:?}", report.first);
            assert!(report.skipped <= 8 || loses, "{report:?}");
            assert_eq!(report.routes.len(), 2, "both routes can be read from each file");
        }
        let all = journal::replay(files.iter().flatten().map(String::as_str));
        assert!(all.is_identical(), "{:?}", all.first);
        assert_eq!((all.missing > 0, all.decisions < 400), (loses, loses));
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_patience_makes_no_model_unreliable() {
    let second = Duration::from_secs(1);
    let silent = atp_core::Error::provider(ErrorKind::TimeoutFirstByte, "silent");
    for (patience, unreliable) in [(Some(second), false), (None, true)] {
        let plays = || vec![Play::Fail(second, silent.clone())];
        let three = Three::new([plays(), plays(), plays()]);
        for _ in 0..10 {
            let reply = three.house.ask(Exchange { patience, ..chat("auto:fast") }).await;
            reply.result.unwrap_err();
        }
        let arms = three.house.pipeline.arms();
        let all: f64 = arms.iter().map(|arm| arm.pulls).sum();
        assert_eq!(all > 0.0, unreliable, "{patience:?}");
        let least = arms.iter().map(|arm| arm.reliability).fold(1.0, f64::min);
        assert_eq!(least < 0.6, unreliable, "{patience:?}: {least}");
        three.house.closed(10);
    }
}

/// The weight of what is known of a model, and what it is held to be.
fn known(three: &Three, model: &str) -> (f64, f64) {
    let arms = three.house.pipeline.arms();
    arms.iter().filter(|arm| &*arm.model == model).map(|arm| (arm.scores, arm.quality)).fold(
        (0.0, 0.0),
        |most, each| {
            if each.0 > most.0 { each } else { most }
        },
    )
}

#[tokio::test(start_paused = true)]
async fn one_answer_cannot_make_a_route_forget() {
    let three = Three::new(ok());
    let caller = Caller::anonymous();
    let observe = |observation| three.house.pipeline.observe(&caller, &observation);
    let mut last = None;
    for name in ["auto", "auto:high"].repeat(30) {
        let (id, model) = answered(&three, name).await;
        observe(Observation::scored(id, if &*model == "best" { 0.95 } else { 0.8 })).unwrap();
        last = Some(id);
    }
    let before = known(&three, "best");
    let (low, model) = answered(&three, "auto").await;
    assert_eq!(&*model, "solid");
    let refused = (0..40).filter(|_| observe(Observation::scored(low, 0.0)).is_err()).count();
    assert_eq!(refused, 40 - 9, "the first, and eight that take its place");
    assert_eq!(known(&three, "best"), before, "nothing is taken from others");
    let solid = known(&three, "solid");
    assert!(solid.0 > 25.0 && solid.1 > 0.7, "{solid:?}");
    // A comparison of the same two counts once, whichever way it is told.
    let better = |id, other| Observation { id, score: None, better_than: Some(other), latency: None, cost: None };
    let last = last.unwrap();
    observe(better(last, low)).unwrap();
    let once = [known(&three, "solid"), known(&three, "best")];
    assert!(once[0].0 > solid.0, "it counts: {solid:?} {before:?} {once:?}");
    for _ in 0..20 {
        observe(better(last, low)).unwrap();
        observe(better(low, last)).unwrap();
    }
    assert_eq!([known(&three, "solid"), known(&three, "best")], once);
    // And one answer is compared with few.
    let mut refused = 0;
    for _ in 0..12 {
        let (other, _) = answered(&three, "auto").await;
        refused += u32::from(observe(better(last, other)).is_err());
    }
    assert_eq!(refused, 12 - 7);
}

#[tokio::test(start_paused = true)]
async fn a_score_told_while_the_answer_is_under_way_is_of_the_model_that_answers() {
    let broken = atp_core::Error::provider(ErrorKind::ProviderUnreachable, "nobody is there");
    let three = Three::new([vec![full("low")], vec![fail(broken)], vec![stream()]]);
    let exchange = streamed("auto");
    let id = exchange.id;
    let reply = three.house.ask(exchange).await;
    assert_eq!(reply.notes.chosen.as_deref(), Some("best"));
    let caller = Caller::anonymous();
    three.house.pipeline.observe(&caller, &Observation::scored(id, 0.1)).unwrap();
    assert_eq!((known(&three, "solid").0, known(&three, "best").0), (0.0, 1.0));
    drop(read(reply.result.unwrap().body).await.unwrap());
    three.house.pipeline.observe(&caller, &Observation::scored(id, 0.9)).unwrap();
    assert_eq!(known(&three, "solid").0, 0.0);
    assert!((known(&three, "best").0 - 1.0).abs() < 1e-6, "{:?}", known(&three, "best"));
}

#[tokio::test(start_paused = true)]
async fn bad_requests_tell_nothing_of_how_soon_a_model_answers() {
    let bad = atp_core::Error::caller(ErrorKind::ProviderRejected, "no such parameter");
    let three = Three::new([vec![full("low")], vec![fail(bad)], vec![full("high")]]);
    for _ in 0..5 {
        assert!(three.house.ask(chat("auto")).await.result.is_err());
    }
    let lines = three.lines.of(JournalFile::Decisions);
    assert!(lines.iter().all(|line| !line.contains("\"event\":\"learn\"")), "it was refused at once: {lines:?}");
}
