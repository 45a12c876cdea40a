//! Messages as callers read them.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{
    Candidate, Capability, Dropped, Error, ErrorKind, Finish, Forecast, MicroUsd, Price, Quality, RequestId, Role,
    Status, Terms, Upshot, Usage, Weights,
};
use serde_json::{Value, json};

use super::*;

fn value(message: &impl Serialize) -> Value {
    serde_json::to_value(message).unwrap()
}

fn candidate(model: &str, price: Option<u64>, dropped: Option<Dropped>) -> Candidate {
    Candidate {
        model: Arc::from(model),
        price: price.map(|input| Price { input, output: 4 * input, cached_input: input }),
        quality: 0.8,
        latency_p95: price.map(|_| Duration::from_millis(900)),
        forecast: Forecast { input: 300, output: 100, output_guarded: 200, cost: None, guarded: Some(MicroUsd(70)) },
        dropped,
        terms: Terms { score: 0.5, probability: 1.0, ..Terms::default() },
    }
}

fn plan() -> Plan {
    Plan {
        id: RequestId::from_parts(1, 2),
        tenant: Arc::from("acme"),
        route: Arc::from("auto"),
        cluster: Arc::from("code"),
        prompt_hash: 0xabc,
        quality: Quality::Balanced,
        weights: Weights::of(Quality::Balanced),
        max_cost: Some(MicroUsd(50_000)),
        latency_slo: None,
        strategy: Arc::from("contextual"),
        reason: Arc::from("because"),
        candidates: vec![
            candidate("shadow", Some(1_000_000), Some(Dropped::Status)),
            candidate("cheap", Some(1_000_000), None),
            candidate("dear", Some(4_000_000), None),
            candidate("blind", None, Some(Dropped::Lacks(Capability::Images))),
        ],
        order: vec![1, 2],
        roles: vec![(Role::Primary, 1), (Role::Challenger, 0), (Role::Fallback, 2)],
        explored: false,
    }
}

#[test]
fn a_plan_line_has_the_protocols_shape() {
    let plan = plan();
    let line = value(&plan_line(Some(&plan), "auto", &[]));
    let brief = |model: &str, cost: f64| json!({"model": model, "cost_per_1k": cost, "quality_pred": 0.8, "latency_p95": 900.0});
    let wanted = json!({
        "type": "plan",
        "candidates": [brief("cheap", 0.00175), brief("dear", 0.007), brief("shadow", 0.00175)],
        "cluster_hint": "code",
        "prompt_hash": "0000000000000abc",
        "reason": "because",
        "roles": [
            {"role": "primary", "model": "cheap"}, {"role": "challenger", "model": "shadow"}, {"role": "fallback", "model": "dear"},
        ],
        "plan_id": plan.id.to_string(),
    });
    assert_eq!(line, wanted);
    let text = serde_json::to_string(&plan_line(Some(&plan), "auto", &[])).unwrap();
    assert!(text.starts_with(r#"{"type":"plan","candidates":["#), "{text}");
}

#[test]
fn a_model_that_was_named_has_no_plan_and_no_numbers() {
    let line = value(&plan_line(None, "m", &["n".to_owned()]));
    assert_eq!(
        line["candidates"],
        json!([{"model": "m", "cost_per_1k": null, "quality_pred": null, "latency_p95": null}])
    );
    assert_eq!((&line["plan_id"], &line["notes"]), (&Value::Null, &json!(["n"])));
    assert_eq!(line["roles"], json!([{"role": "primary", "model": "m"}]));
}

#[test]
fn a_whole_plan_tells_why_a_candidate_was_dropped_and_how_the_others_scored() {
    let plan = plan();
    let told = value(&planned(&plan, &[]));
    assert_eq!(told["selected_model"], "cheap");
    let [shadow, cheap, _, blind] = told["candidates"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!((&shadow["dropped"], &shadow["terms"]), (&json!("status"), &Value::Null));
    assert_eq!((&cheap["dropped"], &cheap["terms"]["score"]), (&Value::Null, &json!(0.5)));
    assert_eq!((&blind["dropped"], &blind["lacks"]), (&json!("capability"), &json!("images")));
    assert_eq!(blind["stats"]["cost_per_1k"], Value::Null);
    assert_eq!(cheap["stats"]["forecast"]["cost_usd_guarded"], 0.00007);
    assert_eq!(told["metadata"]["order"], json!(["cheap", "dear"]));
    assert_eq!(told["metadata"]["max_cost_usd"], 0.05);
    assert_eq!(told["metadata"]["strategy"], "contextual");
}

#[test]
fn a_decision_has_no_result_while_its_answer_is_under_way() {
    let plan = Arc::new(plan());
    let open = Decision { plan: Arc::clone(&plan), result: None, score: None };
    assert_eq!((&value(&decision(&open))["result"], &value(&decision(&open))["score"]), (&Value::Null, &Value::Null));
    let result = Upshot {
        model: Some(Arc::from("cheap")),
        outcome: "served",
        cost: Some(MicroUsd(12)),
        tokens: Some((3, 4)),
        latency: Duration::from_micros(1_500),
        reward: Some(0.9),
        escalations: 1,
    };
    let told = value(&decision(&Decision { plan, result: Some(result), score: Some(0.25) }));
    let wanted = json!({
        "model_used": "cheap", "outcome": "served", "cost_usd": 0.000012, "tokens_in": 3, "tokens_out": 4,
        "latency_ms": 1.5, "reward": 0.9, "escalation_count": 1,
    });
    assert_eq!((&told["result"], &told["score"], &told["tenant"]), (&wanted, &json!(0.25), &json!("acme")));
}

fn answered<'a>(text: &'a str, plan: Option<&'a Plan>, events: &'a [PlanEvent]) -> Answered<'a> {
    Answered {
        text,
        model: "cheap",
        usage: Some(Usage { input: 300, output: 100, ..Usage::default() }),
        finish: Some(Finish::Stop),
        cost: Some(MicroUsd(700)),
        latency: Duration::from_millis(12),
        phase: Some(Status::Active),
        plan,
        events,
    }
}

#[test]
fn the_final_message_has_the_protocols_members_and_invents_none_of_their_values() {
    let plan = plan();
    let events = [PlanEvent::Escalate { model: Arc::from("dear"), reason: "failure" }];
    let last = value(&final_message(&answered("hi", Some(&plan), &events)));
    let wanted = json!({
        "type": "final", "text": "hi", "model_used": "cheap", "tokens_in": 300, "tokens_out": 100, "cost_usd": 0.0007,
        "savings_pct": 75.0, "escalation_count": 1, "quality_score": null, "cluster_hint": "code", "energy_kwh": null,
        "co2e_grams": null, "tool_success": null, "format_ok": true, "safety_ok": null, "phase": "active",
        "latency_ms": 12.0, "finish_reason": "stop",
    });
    assert_eq!(last, wanted);
    let unknown = Answered { usage: None, cost: None, finish: None, ..answered("", None, &[]) };
    let last = value(&final_message(&unknown));
    let resort = Answered { phase: Some(Status::Fallback), ..answered("hi", None, &[]) };
    assert_eq!(value(&final_message(&resort))["phase"], "fallback");
    assert_eq!(value(&final_message(&Answered { phase: None, ..resort }))["phase"], Value::Null);
    for name in ["tokens_in", "cost_usd", "savings_pct", "cluster_hint", "format_ok", "finish_reason"] {
        assert_eq!(last[name], Value::Null, "{name}");
    }
}

#[test]
fn savings_are_below_zero_where_an_escalation_made_it_dearer() {
    let plan = plan();
    let dear = Answered { cost: Some(MicroUsd(5_600)), ..answered("x", Some(&plan), &[]) };
    assert_eq!(value(&final_message(&dear))["savings_pct"], -100.0);
}

#[test]
fn an_answer_that_is_cut_or_leaves_a_fence_open_is_not_whole() {
    for (text, finish, wanted) in [
        ("```\na\n```", Some(Finish::Stop), true),
        ("```rust\na", Some(Finish::Stop), false),
        ("a", Some(Finish::Length), false),
        ("a", None, true),
    ] {
        let last = value(&final_message(&Answered { finish, ..answered(text, None, &[]) }));
        assert_eq!(last["format_ok"], wanted, "{text}");
    }
    let filtered = value(&final_message(&Answered { finish: Some(Finish::ContentFilter), ..answered("a", None, &[]) }));
    assert_eq!(filtered["safety_ok"], false);
}

#[test]
fn an_answer_that_broke_off_says_so() {
    let error = Error::router(ErrorKind::Cancelled, "the router is ending");
    let last = value(&aborted(&answered("half", None, &[]), &error));
    assert_eq!((&last["type"], &last["aborted"]), (&json!("final"), &json!(true)));
    assert_eq!((&last["error"], &last["model_used"]), (&json!("request_cancelled"), &json!("cheap")));
}

#[test]
fn one_piece_holds_the_final_message_and_the_plan() {
    let plan = plan();
    let events = [PlanEvent::ChallengerSelected { model: Arc::from("shadow") }];
    let whole = value(&whole_answer(&answered("hi", Some(&plan), &events), "req_1", &[]));
    assert_eq!((&whole["type"], &whole["response"], &whole["text"]), (&json!("final"), &json!("hi"), &json!("hi")));
    assert_eq!(whole["events"], json!([{"type": "event", "event": "challenger_selected", "model": "shadow"}]));
    assert_eq!(
        (&whole["metadata"]["request_id"], &whole["metadata"]["plan"]["type"]),
        (&json!("req_1"), &json!("plan"))
    );
    let chunk = value(&chunk(1, "h", "cheap"));
    assert_eq!(chunk, json!({"type": "chunk", "seq": 1, "text": "h", "model": "cheap"}));
}
