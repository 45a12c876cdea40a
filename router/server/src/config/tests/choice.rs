//! Which model answers: what is known of models, routes, what a reload says of them.

use std::time::Duration;

use atp_core::{Capability, Grade, MicroUsd, Quality, Status, Weights};
use atp_routing::bandit::Strategy;

use super::*;
use crate::config::resolved::{
    Ensemble, EnsembleMode, Escalation, Experiment, Judge, Manner, ModelFacts, RouteRules, Sticky,
};

const MODELS: &str = "providers:\n  sim: { kind: simulated }\nmodels:\n  \
    a: { targets: [ { provider: sim, model: sim-fast } ], aliases: [ first ], quality: 0.8, latency_p95_ms: 900, \
    capabilities: [ tools, json ], context: 128000, safety: A, status: fallback, region: eu, data_scopes: [ public, internal ] }\n  \
    b: { targets: [ { provider: sim, model: sim-high } ] }\n  \
    \"sim/*\": { targets: [ { provider: sim } ] }\n";

fn routes(more: &str) -> Vec<RouteRules> {
    good(&format!("{MODELS}{more}")).routes
}

fn names(route: &RouteRules) -> Vec<&str> {
    route.candidates.iter().map(|name| &**name).collect()
}

#[test]
fn what_is_known_of_a_model_is_as_written() {
    let resolved = good(MODELS);
    let known = ModelFacts {
        quality: Some(0.8),
        latency_p95: Some(Duration::from_millis(900)),
        context: Some(128_000),
        capabilities: Some([Capability::Tools, Capability::Json].into_iter().collect()),
        safety: Some(Grade::A),
        status: Status::Fallback,
        region: Some("eu".into()),
        data_scopes: Some(vec!["public".into(), "internal".into()]),
    };
    assert_eq!(resolved.models[0].facts, known);
    assert_eq!(resolved.models[1].facts, ModelFacts::default());
}

#[test]
fn without_a_word_auto_chooses_among_all_models_that_are_no_patterns() {
    let routes = routes("");
    let [auto] = routes.as_slice() else { panic!("{routes:?}") };
    assert_eq!((&*auto.name, auto.listed, names(auto)), ("auto", false, vec!["a", "b"]));
    assert_eq!((auto.manner.clone(), auto.explore), (Manner::One(Strategy::Contextual), 0.05));
}

#[test]
fn what_does_not_chat_is_known_by_its_name_or_by_what_is_said_of_it() {
    let models = "providers:\n  far: { kind: openai, base_url: \"http://127.0.0.1:9/v1\" }\nmodels:\n  \
        small: { targets: [ { provider: far, model: text-embedding-3-small } ], aliases: [ vectors ] }\n  \
        both: { targets: [ { provider: far, model: bge-m3 } ], capabilities: [ chat, embeddings ] }\n  \
        large: { targets: [ { provider: far, model: gpt-4o } ] }\n";
    let resolved = good(models);
    let said = |place: usize| resolved.models[place].facts.capabilities;
    let of = |all: &[Capability]| Some(all.iter().copied().collect());
    assert_eq!(said(0), of(&[Capability::Embeddings]));
    assert_eq!(said(1), of(&[Capability::Chat, Capability::Embeddings]));
    assert_eq!(said(2), None);
}

#[test]
fn auto_is_the_one_that_is_written() {
    let routes = routes("routes: { auto: { candidates: [ b ], strategy: cheapest } }\n");
    let [auto] = routes.as_slice() else { panic!("{routes:?}") };
    assert_eq!((auto.listed, names(auto), auto.manner.clone()), (true, vec!["b"], Manner::One(Strategy::Cheapest)));
}

#[test]
fn auto_is_not_made_where_its_name_is_taken_or_nobody_could_answer() {
    let sim = "providers: { sim: { kind: simulated } }\n";
    for models in [
        "models: { auto: { targets: [ { provider: sim, model: sim-fast } ] } }\n",
        "models: { m: { targets: [ { provider: sim, model: sim-fast } ], aliases: [ auto ] } }\n",
        "models: { \"sim/*\": { targets: [ { provider: sim } ] } }\n",
        "",
    ] {
        assert_eq!(good(&format!("{sim}{models}")).routes, [], "{models}");
    }
}

#[test]
fn a_route_says_how_it_chooses() {
    let routes = routes(
        "routes:\n  mine: { candidates: [ first, b ], strategy: thompson, explore: 0.1, half_life: 2h, prior_weight: 3, \
         weights: { quality: 2, latency: 1 }, safety: B, escalation: { enabled: false, min_confidence: 0.5, \
         hold_streams: true }, sticky: { session: false, prefix: false, ttl: 1m }, experiment: { challenger: b, \
         share: 10%, max_usd_per_day: 0.25, judge: { model: a } } }\n",
    );
    let expected = RouteRules {
        name: "mine".into(),
        listed: true,
        candidates: vec!["a".into(), "b".into()],
        manner: Manner::One(Strategy::Thompson),
        weights: Some(Weights { quality: 2.0, cost: 0.0, latency: 1.0 }),
        explore: 0.1,
        prior_weight: 3.0,
        half_life: Duration::from_secs(7200),
        safety: Some(Grade::B),
        escalation: Escalation { enabled: false, min_confidence: 0.5, hold_streams: true },
        sticky: Sticky { session: false, prefix: false, ttl: Duration::from_secs(60) },
        experiment: Some(Experiment {
            challenger: Some("b".into()),
            share: 0.1,
            max_usd_per_day: MicroUsd(250_000),
            judge: Judge::Model("a".into()),
        }),
    };
    assert_eq!(routes[0], expected);
    assert_eq!(
        routes.iter().map(|route| (&*route.name, route.listed)).collect::<Vec<_>>(),
        [("mine", true), ("auto", false)]
    );
}

#[test]
fn an_experiment_without_a_word_is_small_and_judged_by_signs() {
    let routes = routes("routes: { r: { candidates: [ a, b ], experiment: {} } }\n");
    let usual = Experiment { challenger: None, share: 0.05, max_usd_per_day: MicroUsd(1_000_000), judge: Judge::Signs };
    assert_eq!(routes[0].experiment, Some(usual));
}

#[test]
fn an_ensemble_says_what_decides() {
    let manner = |text: &str| {
        let text = format!("routes: {{ r: {{ candidates: [ a, b ], strategy: ensemble{text} }} }}\n");
        routes(&text)[0].manner.clone()
    };
    let two = Duration::from_secs(2);
    let of = |mode: EnsembleMode| Manner::Several(Ensemble { mode, size: 2, agree: 0.85, patience: two });
    assert_eq!(manner(""), of(EnsembleMode::Quorum));
    assert_eq!(manner(", ensemble: { mode: first_win }"), of(EnsembleMode::FirstWin));
    assert_eq!(manner(", ensemble: { mode: weighted }"), of(EnsembleMode::Weighted));
    let arbiter = |micros| EnsembleMode::Arbiter { model: "b".into(), max_cost: MicroUsd(micros) };
    assert_eq!(manner(", ensemble: { mode: { arbiter: { model: b } } }"), of(arbiter(100_000)));
    let all = ", ensemble: { mode: { arbiter: { model: b, max_usd: 0.5 } }, size: 2, agree: 0.9, patience: 0s }";
    let expected = Ensemble { mode: arbiter(500_000), size: 2, agree: 0.9, patience: Duration::ZERO };
    assert_eq!(manner(all), Manner::Several(expected));
}

#[test]
fn the_reference_page_shows_the_defaults_of_a_route() {
    let told =
        good(&format!("{MODELS}routes: {{ r: {{ candidates: [ a, b ], experiment: {{}} }} }}\n")).redacted_json();
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    let default = |section: &str, field: &str| schema["$defs"][section]["properties"][field]["default"].clone();
    let route = &told["routes"][0];
    for field in ["strategy", "explore", "half_life", "prior_weight"] {
        assert_eq!(route[field], default("route", field), "{field}");
    }
    for (section, fields) in [
        ("escalation", &["enabled", "min_confidence", "hold_streams"][..]),
        ("sticky", &["session", "prefix", "ttl"]),
        ("experiment", &["share", "max_usd_per_day", "judge"]),
    ] {
        for field in fields {
            assert_eq!(route[section][field], default(section, field), "{section}.{field}");
        }
    }
    let ensemble = "routes: { r: { candidates: [ a, b, c ], strategy: ensemble } }\n";
    let three = MODELS.replace("models:\n", "models:\n  c: { targets: [ { provider: sim, model: sim-fast } ] }\n");
    let told = good(&format!("{three}{ensemble}")).redacted_json();
    for field in ["mode", "size", "agree", "patience"] {
        assert_eq!(told["routes"][0]["ensemble"][field], default("ensemble", field), "{field}");
    }
}

#[test]
fn a_route_that_can_choose_nobody_is_said() {
    let warned = |more: &str, why: &str| {
        let warnings = good(&format!("{MODELS}{more}")).warnings;
        assert!(warnings.iter().any(|line| line.contains("`routes.r`") && line.contains(why)), "{warnings:?}");
    };
    warned("routes: { r: { candidates: [ b ], safety: C } }\n", "`safety`");
    let retired = MODELS.replace("sim-high } ] }", "sim-high } ], status: retired }");
    let warnings = good(&format!("{retired}routes: {{ r: {{ candidates: [ b ] }} }}\n")).warnings;
    assert!(warnings.iter().any(|line| line.contains("`active` or `fallback`")), "{warnings:?}");
}

#[test]
fn what_a_key_asks_for_by_default_goes_with_its_caller() {
    let text = format!(
        "{MODELS}keys:\n  - {{ name: k, key: kkkkkkkkkkkkkkkkkkkk, quality: high, data_scope: internal, \
         latency_slo_ms: 1500, max_cost_usd: 0.25 }}\n  - {{ name: l, key: llllllllllllllllllll }}\n"
    );
    let resolved = good(&text);
    let hints = resolved.keys[0].caller.hints.clone().unwrap();
    assert_eq!((hints.quality, hints.max_cost), (Some(Quality::High), Some(MicroUsd(250_000))));
    assert_eq!((hints.data_scope.as_deref(), hints.latency_slo), (Some("internal"), Some(Duration::from_millis(1500))));
    assert_eq!(resolved.keys[1].caller.hints, None);
    assert!(!resolved.warnings.iter().any(|line| line.contains("data_scope")), "{:?}", resolved.warnings);
    let alone = good(&text.replace("data_scope: internal", "data_scope: secret")).warnings;
    assert!(alone.iter().any(|line| line.contains("`keys[0].data_scope`")), "{alone:?}");
}

#[test]
fn each_change_of_a_route_is_one_line_of_a_reload() {
    let text = format!("{MODELS}routes: {{ auto: {{ candidates: [ a, b ] }} }}\n");
    let changed = text.replace("[ a, b ]", "[ b ], strategy: ucb").replace("quality: 0.8", "quality: 0.9");
    let lines = Resolved::describe_changes(&good(&text), &good(&changed));
    assert_eq!(
        lines,
        [
            "models.a.quality: 0.8 -> 0.9",
            "routes.auto.candidates: [\"a\",\"b\"] -> [\"b\"]",
            "routes.auto.strategy: \"contextual\" -> \"ucb\"",
        ]
    );
    let lines = Resolved::describe_changes(&good(MODELS), &good(&text));
    assert_eq!(lines, ["routes.auto.candidates: \"every model\" -> [\"a\",\"b\"]"]);
}

#[test]
fn a_check_says_who_is_good_enough_for_what() {
    let text = format!("{MODELS}routes: {{ r: {{ candidates: [ a, b ], strategy: cheapest }} }}\n");
    let active = text.replace(", status: fallback", "");
    let lines = good(&active).explain_routes();
    let expected = [
        "r: cheapest",
        "  a  quality 0.80, p95 900 ms, $0.10 in, $0.40 out per million tokens, context 128000, safety A",
        "  b  quality unknown, $5.00 in, $20.00 out per million tokens",
        "  r:fast (from 0.60): a, b",
        "  r:balanced (from 0.75): a, b",
        "  r:high (from 0.85): nobody is known to be good enough; the best is asked",
        "auto: contextual, explores 5% at most, made because no route has this name",
    ];
    assert_eq!(lines[..7], expected);
    // Who is only asked where nobody else is left is good enough for nothing.
    assert_eq!(good(&text).explain_routes()[4], "  r:balanced (from 0.75): b");
}
