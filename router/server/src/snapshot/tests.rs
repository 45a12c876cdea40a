//! What the configuration says is what pipeline and entrance are told.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::*;
use crate::providers::{With, wire};

fn wired(config: &Resolved) -> Vec<Wired> {
    let with = With { workers: 1, fleet: &crate::fleet::Fleet::offline(config).unwrap() };
    wire(&config.providers, &[], &with).unwrap()
}

/// A configuration of a simulated model and what else the text says.
fn resolved(more: &str) -> Resolved {
    let model = "m: { targets: [ { provider: s, model: sim-fast } ] }";
    let text = format!("providers: {{ s: {{ kind: simulated }} }}\nmodels:\n  {model}\n{more}");
    crate::config::load_str(&text, "t.yaml".as_ref(), &BTreeMap::new(), &[]).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn callers_without_a_key_have_the_class_that_is_configured() {
    for (more, qos) in
        [("", Qos::Silver), ("flow: { qos: gold }\n", Qos::Gold), ("flow: { qos: bronze }\n", Qos::Bronze)]
    {
        let config = resolved(more);
        let caller = entrance(&config).keys.admit(&http::HeaderMap::new()).unwrap();
        assert_eq!((caller.qos, has_gold(&config)), (qos, qos == Qos::Gold), "{more}");
    }
}

#[test]
fn a_reserve_is_kept_only_where_a_key_is_gold() {
    let keys = |qos: &str| resolved(&format!("keys: [ {{ name: a, key: aaaaaaaaaaaaaaaaaaaa, qos: {qos} }} ]\n"));
    assert!(has_gold(&keys("gold")) && !has_gold(&keys("silver")));
    // With keys, nobody is anonymous.
    let gold_for_nobody = "flow: { qos: gold }\nkeys: [ { name: a, key: aaaaaaaaaaaaaaaaaaaa, qos: silver } ]\n";
    assert!(!has_gold(&resolved(gold_for_nobody)));
}

#[test]
fn what_is_configured_of_sharing_reaches_the_pipeline() {
    let config = resolved(
        "  n:\n    targets: [ { provider: s, model: sim-fast, window: { min: 2, start: 3, max: 4 }, prefill: true, \
         breaker: { failures: 7, rest: 2s, max_rest: 9s } } ]\n    queue: { max_waiting: 5, max_wait: 6s }\n    \
         hedge: { extra: 8% }\n    coalesce: true\n    on_cut: restart\n    cache: { ttl: 1m, max_bytes: 1MiB }\n\
         keys: [ { name: a, key: aaaaaaaaaaaaaaaaaaaa, tenant: t, weight: 2.5 } ]\n",
    );
    let wired = wired(&config);
    let told = pipeline(&config, &wired, Moment { version: 1, created: 0, spent: Vec::new() });
    let model = &told.models[1];
    let second = Duration::from_secs(1);
    assert_eq!((model.queue.max_waiting, model.queue.max_wait), (5, 6 * second));
    assert_eq!(model.hedge.map(|hedge| (hedge.extra_per_mille, hedge.after)), Some((80, None)));
    assert_eq!(
        model.cache.map(|cache| (cache.ttl, cache.max_bytes, cache.max_entry)),
        Some((60 * second, 1 << 20, 1 << 20))
    );
    assert!(model.coalesce && model.failover == atp_pipeline::snapshot::MidStream::Restart);
    let target = &model.targets[0];
    assert_eq!((target.window.min, target.window.start, target.window.max), (2, 3, 4));
    assert_eq!(
        (target.breaker.failures, target.breaker.rest, target.breaker.longest_rest),
        (7, 2 * second, 9 * second)
    );
    assert!(target.prefill && !told.models[0].targets[0].prefill);
    assert_eq!(told.tenants.iter().map(|t| (&*t.name, t.weight.as_f64())).collect::<Vec<_>>(), [("t", 2.5)]);
}

#[test]
fn the_tier_of_a_persona_is_the_highest_class_of_its_models() {
    let folder = tempfile::tempdir().unwrap();
    for (name, more) in [("low", "qos_tier: bronze"), ("mid", "qos_tier: silver"), ("free", "")] {
        let home = folder.path().join("p").join(name);
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("system_prompt.txt"), "You are.").unwrap();
        std::fs::write(home.join("config.yaml"), format!("role: x\n{more}\n")).unwrap();
    }
    let file = folder.path().join("atp.yaml");
    let text = "providers:\n  s: { kind: simulated }\n  p: { kind: persona, dir: p, upstream: s, model: sim-fast }\n\
                models:\n  one: { targets: [ { provider: p, model: mid } ] }\n  both: { targets: [ { provider: p, model: mid }, \
                { provider: p, model: low } ] }\n  plain: { targets: [ { provider: s, model: sim-fast } ] }\n  \
                p/*: { targets: [ { provider: p } ] }\n";
    std::fs::write(&file, text).unwrap();
    let env = std::collections::BTreeMap::new();
    let config = crate::config::load_file(&file, &env, &[], &[]).unwrap_or_else(|e| panic!("{e}"));
    let told = pipeline(&config, &wired(&config), Moment { version: 1, created: 0, spent: Vec::new() });
    let most = |place: usize, star: &str| told.models[place].qos.as_ref().and_then(|most| most(star));
    assert_eq!((most(0, ""), most(1, ""), most(2, "")), (Some(Qos::Silver), Some(Qos::Bronze), None));
    assert_eq!((most(3, "low"), most(3, "free"), most(3, "none")), (Some(Qos::Bronze), None, None));
}

#[test]
fn what_is_configured_of_choosing_and_money_reaches_the_pipeline() {
    let config = resolved(
        "  n: { targets: [ { provider: s, model: sim-high } ], quality: 0.9 }\nroutes: { r: { candidates: [ n ] } }\n\
         keys:\n  - { name: a, key: aaaaaaaaaaaaaaaaaaaa, budget: { usd: 1 }, max_cost_usd: 0.5, quality: high }\n  \
         - { name: b, key: bbbbbbbbbbbbbbbbbbbb }\ntenants: { b: { budget: { tokens: 5, per: hour } } }\n\
         limits: { session_budget: { tokens: 9 } }\n",
    );
    let wired = wired(&config);
    let told = pipeline(&config, &wired, Moment { version: 1, created: 0, spent: Vec::new() });
    assert_eq!(told.models[1].facts.quality, Some(0.9));
    let routes: Vec<_> = told.routes.iter().map(|route| (&*route.name, route.listed)).collect();
    assert_eq!(routes, [("r", true), ("auto", false)]);
    let money = &told.budgets;
    assert_eq!((money.keys[0].len(), money.keys[1].len(), money.session.len()), (1, 0, 1));
    assert_eq!(money.request, [Some(atp_core::MicroUsd(500_000)), None]);
    assert_eq!((&*money.tenants[0].0, money.tenants[0].1[0].tokens), ("b", Some(5)));
    let mut asked = http::HeaderMap::new();
    asked.insert("authorization", http::HeaderValue::from_static("Bearer aaaaaaaaaaaaaaaaaaaa"));
    let caller = entrance(&config).keys.admit(&asked).unwrap();
    assert_eq!(caller.hints.as_ref().and_then(|hints| hints.quality), Some(atp_core::Quality::High));
}

#[test]
fn rates_below_one_a_second_and_between_whole_numbers_stay_what_they_are() {
    let burst = NonZeroU32::new(7).unwrap();
    for (per_second, millis) in [(0.001, 1_000_000), (0.5, 2_000), (1.0, 1_000), (2.5, 400), (1000.0, 1)] {
        let told = rate(resolved::RateLimit { per_second, burst });
        assert_eq!(told, RateLimit { period: Duration::from_millis(millis), burst }, "{per_second}");
    }
}
