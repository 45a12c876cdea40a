//! What operators are shown of the sharing of models.

use std::sync::Arc;

use super::*;

fn tenant_of(name: &str, qos: Qos, model: &str, served: u64) -> TenantView {
    TenantView {
        tenant: Arc::from(name),
        qos,
        model: Arc::from(model),
        weight: Weight::ONE,
        served_tokens: served,
        charged_tokens: served / 2,
        in_flight: 1,
        waiting: 2,
    }
}

fn weight_of(name: &str, weight: f64) -> WeightView {
    let weight = Weight::new(weight).unwrap();
    WeightView { tenant: Arc::from(name), configured: Weight::ONE, weight }
}

fn lane_of(provider: &str, model: &str, state: &'static str) -> LaneView {
    LaneView {
        provider: Arc::from(provider),
        model: Arc::from(model),
        counts_as: Arc::from(model),
        state,
        in_flight: 3,
        limit: 8,
        min: 1,
        max: 64,
        grown: 5,
        cuts: 2,
        adjusted: 9,
        rest: (state == "ejected").then(|| Duration::from_millis(1_500)),
        first_token_p50: Some(Duration::from_micros(120_400)),
        first_token_p95: None,
        tokens_per_minute: Some(90_000),
        requests_per_minute: None,
        failures: 4,
    }
}

#[test]
fn served_is_summed_by_tenant_and_the_most_comes_first() {
    let view = FlowView {
        tenants: vec![
            tenant_of("shop", Qos::Gold, "a", 100),
            tenant_of("shop", Qos::Bronze, "b", 50),
            tenant_of("office", Qos::Silver, "a", 400),
        ],
        jain: 0.75,
        ..FlowView::default()
    };
    let weights = [weight_of("shop", 3.0), weight_of("office", 1.0), weight_of("quiet", 0.5)];
    let shown = served(&view, &weights);
    assert_eq!(
        shown,
        json!({
            "served": [
                { "tenant": "office", "session": "office", "served": 400, "charged": 200, "weight": 1.0, "served_per_weight": 400.0 },
                { "tenant": "shop", "session": "shop", "served": 150, "charged": 75, "weight": 3.0, "served_per_weight": 50.0 },
                { "tenant": "quiet", "session": "quiet", "served": 0, "charged": 0, "weight": 0.5, "served_per_weight": 0.0 },
            ],
            "jain": 0.75,
        })
    );
}

#[test]
fn weights_tell_what_is_configured_and_what_holds() {
    let shown = weights(&[weight_of("shop", 3.0)]);
    assert_eq!(
        shown,
        json!({
            "weights": [{ "tenant": "shop", "session": "shop", "weight": 3.0, "configured": 1.0 }],
            "class_factors": { "bronze": 1, "gold": 5, "silver": 3 },
        })
    );
}

#[test]
fn a_lane_has_one_name_everywhere() {
    let view =
        FlowView { lanes: vec![lane_of("up", "m", "serving"), lane_of("raw", "", "ejected")], ..FlowView::default() };
    let pool = PoolView {
        model: Arc::from("m"),
        counts_as: Arc::from("m"),
        waiting: [3, 2, 1],
        max_waiting: 10,
        max_wait: Duration::from_secs(30),
        granted: 9,
        enqueued: 8,
        dequeued: 5,
        dropped: 7,
        preempted: 6,
        sessions: 4,
        wait_p50: Duration::from_millis(1),
        wait_p95: Duration::from_millis(2),
        wait_p99: Duration::from_millis(3),
        longest_wait: Duration::from_millis(4),
        drain_tokens_per_second: None,
        lanes: vec![1, 0, 7],
    };
    let shown = super::pool(&pool, &view.lanes);
    assert_eq!(shown["lanes"], json!(["raw", "up/m"]));
    assert_eq!(shown["waiting"], json!({ "gold": 1, "silver": 2, "bronze": 3 }));
    assert_eq!((&shown["wait_ms"]["p95"], &shown["max_wait_ms"]), (&json!(2.0), &json!(30_000.0)));
    assert_eq!((&shown["wait_ms"]["max"], &shown["sessions"]), (&json!(4.0), &json!(4)));
    let shown = lane(&view.lanes[0]);
    assert_eq!((&shown["lane"], &shown["rest_ms"]), (&json!("up/m"), &Value::Null));
    assert_eq!(shown["first_token_ms"], json!({ "p50": 120.4, "p95": null }));
    assert_eq!(window(&view.lanes[0])["utilization_pct"], 37.5);
    assert_eq!(
        breakers(&view),
        json!({
            "breakers": [
                { "lane": "up/m", "state": "serving", "failures": 4, "rest_ms": null },
                { "lane": "raw", "state": "ejected", "failures": 4, "rest_ms": 1500.0 },
            ],
            "open": 1,
        })
    );
}

#[test]
fn an_unknown_tenant_is_told_the_known_ones() {
    let error = unknown("shpo", &[weight_of("shop", 1.0), weight_of("office", 1.0)]);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.public(), "no key belongs to a tenant `shpo`; there are `shop`, `office`; did you mean `shop`?");
    let many: Vec<WeightView> = (0..30).map(|number| weight_of(&format!("t{number}"), 1.0)).collect();
    assert!(unknown("nobody-at-all", &many).public().ends_with("`t19`, ..."));
}
