//! Shares, queues, windows and breakers: what is given, what is inherited, what a reload says of them.

use std::time::Duration;

use atp_core::{Qos, Weight};

use super::*;
use crate::config::resolved::{Breaker, Cache, Hedge, OnCut, Queue, Window};

const UP: &str = "providers:\n  up: { kind: openai, base_url: \"http://127.0.0.1:9100/v1\" }\n";

fn window(min: u32, start: u32, max: u32) -> Window {
    Window { min, start, max }
}

/// The window of one target, by what `flow` and the target say.
fn windowed(flow: &str, target: &str) -> Window {
    let resolved = good(&format!(
        "{UP}flow: {{ window: {{ {flow} }} }}\nmodels: {{ m: {{ targets: [ {{ provider: up, window: {{ {target} }} }} ] }} }}\n"
    ));
    resolved.models[0].targets[0].window
}

#[test]
fn without_a_word_everything_has_a_sane_bound() {
    let resolved = good(MINIMAL);
    let model = &resolved.models[0];
    assert_eq!(model.targets[0].window, window(1, 64, 10_000));
    let second = Duration::from_secs(1);
    assert_eq!(model.targets[0].breaker, Breaker { failures: 5, rest: second, max_rest: 30 * second });
    assert_eq!(model.queue, Queue { max_waiting: 10_000, max_wait: 30 * second });
    assert_eq!((model.hedge, model.coalesce, model.cache, model.on_cut), (None, false, None, OnCut::Fail));
    assert!(!model.targets[0].prefill);
    assert_eq!((resolved.flow.qos, resolved.tenants.len()), (Qos::Silver, 0));
}

#[test]
fn a_bound_that_is_given_moves_those_that_are_not() {
    for (flow, target, expected) in [
        ("", "max: 8", window(1, 8, 8)),
        ("", "min: 100", window(100, 100, 10_000)),
        ("", "start: 4", window(1, 4, 10_000)),
        ("", "min: 1, start: 4, max: 64", window(1, 4, 64)),
        ("min: 10, start: 20, max: 30", "", window(10, 20, 30)),
        ("min: 10, start: 20, max: 30", "max: 5", window(5, 5, 5)),
        ("min: 10, start: 20, max: 30", "start: 2", window(2, 2, 30)),
        ("min: 10, start: 20, max: 30", "min: 25", window(25, 25, 30)),
        ("max: 1000000", "start: 1000000", window(1, 1_000_000, 1_000_000)),
    ] {
        assert_eq!(windowed(flow, target), expected, "flow {{ {flow} }}, target {{ {target} }}");
    }
}

#[test]
fn targets_of_one_lane_share_what_one_of_them_says() {
    let text = format!(
        "{UP}models:\n  first: {{ targets: [ {{ provider: up, model: a }}, {{ provider: up, model: b }} ] }}\n  \
         second: {{ targets: [ {{ provider: up, model: a, window: {{ max: 7 }}, breaker: {{ failures: 0 }} }} ] }}\n  \
         third: {{ targets: [ {{ provider: up, model: a, window: {{ start: 7, max: 7 }} }} ] }}\n"
    );
    let resolved = good(&text);
    let target = |model: usize, target: usize| &resolved.models[model].targets[target];
    for shared in [target(0, 0), target(1, 0), target(2, 0)] {
        assert_eq!((shared.window, shared.breaker.failures), (window(1, 7, 7), 0));
    }
    assert_eq!((target(0, 1).window, target(0, 1).breaker.failures), (window(1, 64, 10_000), 5));
}

#[test]
fn a_rest_that_is_given_moves_the_one_that_is_not() {
    let breaker = |text: &str| {
        let text = format!("{UP}flow: {{ breaker: {{ {text} }} }}\n");
        let breaker = good(&text).flow.breaker;
        (breaker.rest.as_millis(), breaker.max_rest.as_millis())
    };
    assert_eq!(breaker("rest: 1m"), (60_000, 60_000));
    assert_eq!(breaker("max_rest: 200ms"), (200, 200));
    assert_eq!(breaker("rest: 100ms, max_rest: 2s"), (100, 2_000));
}

#[test]
fn each_model_has_its_queue_and_its_ways() {
    let text = format!(
        "{UP}flow: {{ queue: {{ max_wait: 5s }} }}\nmodels:\n  \
         a: {{ targets: [ {{ provider: up }}, {{ provider: up, model: b, prefill: true }} ], queue: {{ max_waiting: 0 }}, \
         hedge: {{ extra: 2.5%, after: 300ms }}, coalesce: true, on_cut: continue, cache: {{ ttl: 1m, max_bytes: 512KiB }} }}\n  \
         b: {{ targets: [ {{ provider: up }}, {{ provider: up, model: a }} ], hedge: {{}}, cache: {{}}, on_cut: restart }}\n"
    );
    let resolved = good(&text);
    let [a, b] = resolved.models.as_slice() else { panic!("{:?}", resolved.models) };
    let five = Duration::from_secs(5);
    assert_eq!(a.queue, Queue { max_waiting: 0, max_wait: five });
    assert_eq!(b.queue, Queue { max_waiting: 10_000, max_wait: five });
    assert_eq!(a.hedge, Some(Hedge { extra_per_mille: 25, after: Some(Duration::from_millis(300)) }));
    assert_eq!(b.hedge, Some(Hedge { extra_per_mille: 50, after: None }));
    let cache = |seconds: u64, max_bytes: usize, max_entry: usize| {
        Some(Cache { ttl: Duration::from_secs(seconds), max_bytes, max_entry })
    };
    assert_eq!((a.cache, b.cache), (cache(60, 512 << 10, 512 << 10), cache(600, 64 << 20, 1 << 20)));
    assert_eq!((a.coalesce, a.on_cut, b.coalesce, b.on_cut), (true, OnCut::Continue, false, OnCut::Restart));
    assert_eq!((a.targets[0].prefill, a.targets[1].prefill), (false, true));
}

#[test]
fn what_cannot_take_effect_is_said() {
    let text = format!("{UP}models: {{ m: {{ targets: [ {{ provider: up }} ], hedge: {{}}, on_cut: continue }} }}\n");
    let warnings = good(&text).warnings;
    for field in ["`models.m.hedge`", "`models.m.on_cut`"] {
        assert!(warnings.iter().any(|line| line.starts_with(field)), "{field}: {warnings:?}");
    }
}

const KEYS: &str = "keys:\n  - { name: a, key: aaaaaaaaaaaaaaaaaaaa, tenant: t, qos: gold }\n  \
                    - { name: b, key: bbbbbbbbbbbbbbbbbbbb, tenant: t, weight: 2.5, qos: bronze }\n  \
                    - { name: c, key: cccccccccccccccccccc }\n  \
                    - { name: d, key: dddddddddddddddddddd, tenant: t, weight: 2.5 }\n";

#[test]
fn tenants_are_told_by_their_keys() {
    let resolved = good(&format!("{UP}flow: {{ qos: bronze }}\n{KEYS}"));
    let tenants: Vec<(&str, f64)> =
        resolved.tenants.iter().map(|tenant| (&*tenant.name, tenant.weight.as_f64())).collect();
    assert_eq!(tenants, [("t", 2.5), ("c", Weight::ONE.as_f64())]);
    let callers: Vec<(usize, Qos)> =
        resolved.keys.iter().map(|key| (key.caller.tenant_index, key.caller.qos)).collect();
    assert_eq!(callers, [(0, Qos::Gold), (0, Qos::Bronze), (1, Qos::Bronze), (0, Qos::Bronze)]);
}

#[test]
fn keys_of_one_tenant_that_disagree_are_both_named() {
    let errors = bad(&format!("{UP}{KEYS}  - {{ name: e, key: eeeeeeeeeeeeeeeeeeee, tenant: t, weight: 3 }}\n"));
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    assert_eq!((error.code, error.field.as_str()), (Code::Conflict, "keys[4].weight"));
    assert_eq!(error.message, "the keys `b` (keys[1]) and `e` (keys[4]) give their tenant different weights");
    assert_eq!((error.found.as_deref(), error.line), (Some("`3`"), Some(8)));
}

#[test]
fn a_changed_bound_is_one_line_of_a_reload() {
    let text = format!("{UP}models: {{ m: {{ targets: [ {{ provider: up, window: {{ max: 8 }} }} ] }} }}\n{KEYS}");
    let changed = text.replace("max: 8", "max: 8, min: 2").replace("qos: bronze }", "qos: silver }");
    assert_eq!(
        Resolved::describe_changes(&good(&text), &good(&changed)),
        ["keys.b.qos: \"bronze\" -> \"silver\"", "models.m.targets[0].window.min: 1 -> 2"]
    );
    let heavier = text.replace("weight: 2.5", "weight: 5");
    assert_eq!(
        Resolved::describe_changes(&good(&text), &good(&heavier)),
        ["keys.a.weight: 2.5 -> 5.0", "keys.b.weight: 2.5 -> 5.0", "keys.d.weight: 2.5 -> 5.0"]
    );
    assert_eq!(Resolved::needs_restart(&good(&text), &good(&heavier)), Vec::<&str>::new());
}
