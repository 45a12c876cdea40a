//! Requests as callers write them, good and bad.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::native::errors;

fn ask(body: &Value) -> Result<Ask, Error> {
    Ask::read(body.to_string().as_bytes())
}

const ID: &str = "req_0123456789ab7fffbfffffffffffffff";

#[test]
fn a_bare_prompt_is_enough_and_has_the_usual_bounds() {
    let read = ask(&json!({ "prompt": "Explain machine learning" })).unwrap();
    assert_eq!((read.prompt.as_str(), read.stream, read.notes.len()), ("Explain machine learning", None, 0));
    let hints = read.hints(&Hints::default());
    let usual = Hints {
        quality: Some(Quality::Balanced),
        usual_cost: Some(USUAL_COST),
        latency_slo: Some(USUAL_LATENCY),
        ..Hints::default()
    };
    assert_eq!(hints, usual);
}

#[test]
fn every_field_is_read() {
    let read = ask(&json!({
        "prompt": "p", "system": "s", "model": "auto:high", "max_tokens": 7, "stream": false, "quality": "low",
        "max_cost_usd": 0.0015, "latency_slo_ms": 150, "task_type": "code", "session_id": "s-1", "conversation_id": "c",
        "turn_id": "t", "tenant": "acme", "consistency_level": "RYW", "context_refs": ["a"], "tempratur": 1, "n": null,
    }));
    let read = read.unwrap();
    let (quality, cost) = (Some(Quality::Fast), Some(MicroUsd(1_500)));
    assert_eq!((read.quality, read.max_cost, read.max_tokens, read.stream), (quality, cost, Some(7), Some(false)));
    assert_eq!((read.session.as_deref(), read.tenant.as_deref()), (Some("s-1"), Some("acme")));
    assert_eq!((read.latency_slo, read.consistency), (Some(Duration::from_millis(150)), Consistency::ReadYourWrites));
    assert_eq!(
        (read.system.as_deref(), read.model.as_deref(), read.task.as_deref()),
        (Some("s"), Some("auto:high"), Some("code"))
    );
    // What has no effect is told, each of it.
    assert_eq!(read.notes.len(), 3, "{:?}", read.notes);
    assert!(read.notes[0].contains("context_refs") && read.notes[2].contains("tempratur"));
    let conversation = ask(&json!({ "prompt": "p", "conversation_id": "c" })).unwrap();
    assert_eq!(conversation.session.as_deref(), Some("c"));
}

#[test]
fn the_request_goes_before_its_headers_and_those_before_the_usual() {
    let headers = Hints { quality: Some(Quality::High), max_cost: Some(MicroUsd(9)), ..Hints::default() };
    let hints = ask(&json!({ "prompt": "p", "quality": "fast" })).unwrap().hints(&headers);
    assert_eq!((hints.quality, hints.max_cost), (Some(Quality::Fast), Some(MicroUsd(9))));
    assert_eq!(hints.latency_slo, Some(USUAL_LATENCY));
}

#[test]
fn bounds_are_inclusive() {
    for good in [
        json!({ "max_cost_usd": 0.001 }),
        json!({ "max_cost_usd": 10 }),
        json!({ "latency_slo_ms": 100 }),
        json!({ "latency_slo_ms": 30_000 }),
        json!({ "tenant": "t".repeat(50) }),
        json!({ "session_id": "ß".repeat(100) }),
        json!({ "context_refs": vec!["r".repeat(200); 50] }),
        json!({ "consistency_level": "STRONG" }),
        json!({ "prompt": "x".repeat(PROMPT_LONGEST) }),
    ] {
        let mut body = json!({ "prompt": "p" });
        body.as_object_mut().unwrap().extend(good.as_object().unwrap().clone());
        assert!(ask(&body).is_ok(), "{good}");
    }
}

#[test]
fn what_is_not_allowed_is_refused_by_name() {
    for bad in [
        json!({ "prompt": "" }),
        json!({ "prompt": 7 }),
        json!({ "prompt": null }),
        json!({ "quality": "best" }),
        json!({ "quality": "Fast" }),
        json!({ "max_cost_usd": 0.0009 }),
        json!({ "max_cost_usd": 10.1 }),
        json!({ "max_cost_usd": "0.05" }),
        json!({ "latency_slo_ms": 99 }),
        json!({ "latency_slo_ms": 30_001 }),
        json!({ "latency_slo_ms": 2000.5 }),
        json!({ "tenant": "t".repeat(51) }),
        json!({ "session_id": "" }),
        json!({ "turn_id": "t".repeat(101) }),
        json!({ "task_type": 1 }),
        json!({ "context_refs": "a" }),
        json!({ "context_refs": [1] }),
        json!({ "context_refs": vec!["r"; 51] }),
        json!({ "consistency_level": "eventual" }),
        json!({ "stream": "yes" }),
        json!({ "max_tokens": 0 }),
    ] {
        let mut body = json!({ "prompt": "p" });
        let name = bad.as_object().unwrap().keys().next().unwrap().clone();
        body.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        let error = ask(&body).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::Validation, Some(&*name)), "{bad}");
        let text = error.public();
        let told = text.starts_with(&format!("`{name}` is ")) && text.contains("it takes");
        assert!(told, "{text}");
    }
    assert_eq!(ask(&json!({})).unwrap_err().kind(), ErrorKind::Validation);
    assert_eq!(Ask::read(b"{").unwrap_err().kind(), ErrorKind::InvalidRequest);
}

#[test]
fn a_prompt_that_is_too_long_is_its_own_error() {
    let error = ask(&json!({ "prompt": "ä".repeat(PROMPT_LONGEST + 1) })).unwrap_err();
    assert_eq!(errors::status(&error).as_u16(), 413);
    assert!(errors::detail(&error).starts_with("prompt_too_large: the prompt has 100001 characters"), "{error}");
}

#[test]
fn a_plan_takes_a_chat_as_well() {
    assert!(matches!(Asked::read(br#"{"messages":[],"model":"auto"}"#), Ok(Asked::Chat)));
    assert!(matches!(Asked::read(br#"{"prompt":"p"}"#), Ok(Asked::Ask(_))));
    assert!(Asked::read(b"{}").is_err());
}

#[test]
fn a_class_is_what_the_quality_is_worth_below_the_keys() {
    assert_eq!(qos(Quality::High, Qos::Gold), Qos::Gold);
    assert_eq!(qos(Quality::High, Qos::Silver), Qos::Silver);
    assert_eq!(qos(Quality::Balanced, Qos::Gold), Qos::Silver);
    assert_eq!(qos(Quality::Fast, Qos::Gold), Qos::Bronze);
    assert_eq!(qos(Quality::Balanced, Qos::Bronze), Qos::Bronze);
}

#[test]
fn a_routes_name_may_end_in_a_quality() {
    assert_eq!(named_quality("auto:high"), Some(Quality::High));
    assert!(["auto", "llama3:latest", "high", "auto:low"].iter().all(|name| named_quality(name).is_none()));
}

#[test]
fn feedback_is_a_score_a_thumb_or_a_comparison() {
    let id = atp_core::RequestId::parse(ID);
    let other = "req_0123456789ab7fffbffffffffffffff0";
    let told = |body: Value| feedback(body.to_string().as_bytes());
    let scored = told(json!({ "request_id": ID, "score": 0.25 })).unwrap().observation;
    assert_eq!((Some(scored.id), scored.score), (id, Some(0.25)));
    assert_eq!(told(json!({ "request_id": ID, "thumbs": "up" })).unwrap().observation.score, Some(1.0));
    assert_eq!(told(json!({ "request_id": ID, "thumbs": "down" })).unwrap().observation.score, Some(0.0));
    let compared = told(json!({ "request_id": ID, "better_than": other })).unwrap().observation;
    assert_eq!((compared.score, compared.better_than), (None, atp_core::RequestId::parse(other)));
    for bad in [
        json!({ "request_id": ID }),
        json!({ "score": 1 }),
        json!({ "request_id": "x", "score": 1 }),
        json!({ "request_id": ID, "score": 1.01 }),
        json!({ "request_id": ID, "score": -0.1 }),
        json!({ "request_id": ID, "score": "1" }),
        json!({ "request_id": ID, "thumbs": "sideways" }),
        json!({ "request_id": ID, "thumbs": "up", "score": 1 }),
        json!({ "request_id": ID, "better_than": ID }),
    ] {
        assert_eq!(told(bad.clone()).unwrap_err().kind(), ErrorKind::Validation, "{bad}");
    }
}

#[test]
fn an_observation_names_its_model_and_its_latency() {
    let told = |body: Value| observation(body.to_string().as_bytes());
    let full = told(json!({
        "request_id": ID, "model": "m", "latency_ms": 12.5, "cost_usd": 0.25, "quality_score": 1, "tokens": 3,
        "metadata": { "a": 1 },
    }));
    let full = full.unwrap();
    assert_eq!((full.model.as_deref(), full.notes.len()), (Some("m"), 2));
    assert_eq!(full.observation.latency, Some(Duration::from_micros(12_500)));
    assert_eq!((full.observation.cost, full.observation.score), (Some(MicroUsd(250_000)), Some(1.0)));
    for bad in [
        json!({ "request_id": ID, "model": "m" }),
        json!({ "request_id": ID, "latency_ms": 1 }),
        json!({ "request_id": ID, "model": "m", "latency_ms": -1 }),
        json!({ "request_id": ID, "model": "m", "latency_ms": 1, "tokens": -1 }),
        json!({ "request_id": ID, "model": "m", "latency_ms": 1, "metadata": [] }),
        json!({ "request_id": ID, "model": "m", "latency_ms": 1, "quality_score": 2 }),
        json!({ "request_id": ID, "model": "m", "latency_ms": 1, "cost_usd": -0.1 }),
    ] {
        assert_eq!(told(bad.clone()).unwrap_err().kind(), ErrorKind::Validation, "{bad}");
    }
}

#[test]
fn headers_are_hints_or_errors_that_name_them() {
    let read = |header: &'static str, value: &str| {
        let mut hints = Hints::default();
        is_hint(header).unwrap().put(value.as_bytes(), &mut hints).map(|()| hints)
    };
    assert_eq!(read("x-atp-quality", " high ").unwrap().quality, Some(Quality::High));
    assert_eq!(read("x-atp-max-cost-usd", "0.02").unwrap().max_cost, Some(MicroUsd(20_000)));
    assert_eq!(read("x-atp-latency-slo-ms", "1500").unwrap().latency_slo, Some(Duration::from_millis(1_500)));
    assert_eq!(read("x-atp-task", "code").unwrap().task.as_deref(), Some("code"));
    assert_eq!(read("x-data-scope", "internal").unwrap().data_scope.as_deref(), Some("internal"));
    let long = "x".repeat(65);
    for (header, value) in [
        ("x-atp-quality", "best"),
        ("x-atp-max-cost-usd", "free"),
        ("x-atp-max-cost-usd", "0"),
        ("x-atp-latency-slo-ms", "0"),
        ("x-atp-latency-slo-ms", "1.5"),
        ("x-atp-task", ""),
        ("x-atp-data-scope", long.as_str()),
    ] {
        let error = read(header, value).unwrap_err();
        assert_eq!((error.kind(), error.param()), (ErrorKind::Validation, Some(header)));
        assert!(error.public().starts_with(&format!("{header} is ")), "{error}");
    }
    assert_eq!(is_hint("x-atp-qos"), None);
}

proptest! {
    #[test]
    fn no_body_panics_and_no_prompt_stands_in_an_error(body in "\\PC{0,80}", prompt in "[a-z]{61,90}") {
        let _ = (Ask::read(body.as_bytes()), Asked::read(body.as_bytes()));
        let _ = (feedback(body.as_bytes()), observation(body.as_bytes()));
        let told = ask(&json!({ "prompt": [prompt.clone()], "quality": prompt.clone() })).unwrap_err();
        prop_assert!(!told.public().contains(&prompt));
    }
}
