//! From the resolved configuration to what the pipeline and the entrance are told.

mod flow;
pub(crate) mod money;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use atp_core::Qos;
use atp_ingress::{KeyRing, Limits, Settings};
use atp_pipeline::Snapshot;
use atp_pipeline::snapshot::{KeyLimit, Model, OnDisconnect, RateLimit, RawProvider, Retries, Spent, Target};
use atp_routing::{Backoff, RetryBudget, Rules};

use crate::config::resolved::{self, ModelName, Resolved, TargetModel, TargetPrice};
use crate::providers::Wired;

/// The window over which the pipeline counts requests and retries, in seconds: the floor of the
/// retry budget is configured per second.
const BUDGET_WINDOW: f64 = atp_routing::retry_budget::SLOTS as f64;

/// When a snapshot is made, and what lies before it.
pub(crate) struct Moment {
    /// Counts the configurations that this process has had.
    pub(crate) version: u64,
    /// Seconds since the Unix epoch.
    pub(crate) created: u64,
    /// What was spent before.
    pub(crate) spent: Vec<Spent>,
}

/// What the pipeline is told.
pub(crate) fn pipeline(config: &Resolved, wired: &[Wired], moment: Moment) -> Snapshot {
    Snapshot {
        version: moment.version,
        created: moment.created,
        models: config.models.iter().filter_map(|each| model(each, wired)).collect(),
        routes: config.routes.clone(),
        budgets: money::budgets(config, moment.spent),
        providers: wired.iter().map(raw).collect(),
        keys: keys(config),
        max_concurrent: NonZeroUsize::new(config.limits.max_concurrent),
        retries: retries(&config.retry),
        tenants: flow::tenants(config),
        has_gold: has_gold(config),
    }
}

/// What the entrance is told.
pub(crate) fn entrance(config: &Resolved) -> Settings {
    let keys = if config.keys.is_empty() {
        KeyRing::open_as(config.flow.qos)
    } else {
        KeyRing::new(config.keys.iter().map(|key| (key.digest, Arc::clone(&key.caller))))
    };
    Settings {
        keys,
        limits: Limits {
            max_body: config.limits.max_body,
            max_prompt_chars: config.limits.max_prompt_chars.map(|chars| chars as u64),
            body_timeout: config.limits.body_timeout,
        },
    }
}

fn model(config: &resolved::Model, wired: &[Wired]) -> Option<Model> {
    let targets: Vec<Target> = config.targets.iter().filter_map(|each| target(each, config, wired)).collect();
    (!targets.is_empty()).then(|| Model {
        aliases: config.aliases.clone(),
        on_disconnect: match config.on_disconnect {
            resolved::OnDisconnect::Cancel => OnDisconnect::Cancel,
            resolved::OnDisconnect::Drain(tokens) => OnDisconnect::Drain(tokens),
            resolved::OnDisconnect::Complete => OnDisconnect::Complete,
        },
        queue: flow::queue(&config.queue),
        hedge: config.hedge.as_ref().map(flow::hedge),
        coalesce: config.coalesce,
        cache: config.cache.as_ref().map(flow::cache),
        failover: flow::on_cut(config.on_cut),
        facts: config.facts.clone(),
        ..Model::new(&*config.name.as_text(), targets)
    })
}

fn target(config: &resolved::Target, model: &resolved::Model, wired: &[Wired]) -> Option<Target> {
    let provider = Arc::clone(&wired.get(config.provider_index)?.provider);
    let model_name: Arc<str> = match &config.model {
        TargetModel::Fixed(name) => Arc::clone(name),
        pattern @ TargetModel::Matched { .. } => Arc::from(&*pattern.as_text()),
    };
    Some(Target {
        weight: model.weighted.then(|| f64::from(config.weight)),
        timeouts: config.timeouts,
        price: match config.price {
            TargetPrice::Known(price) => Some(price),
            TargetPrice::Unknown | TargetPrice::ByName(_) => None,
        },
        price_by_name: match &config.price {
            TargetPrice::ByName(_) => {
                let price = config.price.clone();
                Some(Arc::new(move |name: &str| price.of(name)))
            }
            TargetPrice::Known(_) | TargetPrice::Unknown => None,
        },
        window: flow::window(&config.window),
        breaker: flow::breaker(&config.breaker),
        prefill: config.prefill,
        ..Target::new(provider, model_name)
    })
}

fn raw(wired: &Wired) -> RawProvider {
    let timeouts = wired.config.kind.timeouts();
    RawProvider { provider: Arc::clone(&wired.provider), timeouts }
}

/// One limit per key; without keys, one for the anonymous caller, whose index is 0.
fn keys(config: &Resolved) -> Vec<KeyLimit> {
    if config.keys.is_empty() {
        return vec![KeyLimit { key: Arc::from("anonymous"), rate: config.limits.rps.map(rate) }];
    }
    config.keys.iter().map(|key| KeyLimit { key: Arc::clone(&key.caller.key), rate: key.rps.map(rate) }).collect()
}

fn rate(config: resolved::RateLimit) -> RateLimit {
    RateLimit { period: config.period(), burst: config.burst }
}

fn retries(config: &resolved::RetryPolicy) -> Retries {
    let per_mille = (config.budget_ratio * 1000.0).round().clamp(0.0, 1000.0) as u32;
    let floor = (config.budget_floor * BUDGET_WINDOW).round().clamp(0.0, 1e6) as u32;
    Retries {
        budget: RetryBudget { per_mille, floor },
        rules: Rules {
            max_attempts: config.max_attempts,
            backoff: Backoff { base: config.backoff_base, cap: config.backoff_cap },
            longest_wait: config.max_wait,
        },
    }
}

/// Models by name with their targets, for the banner and the admin port.
pub(crate) fn described(config: &Resolved) -> Vec<(String, Vec<String>)> {
    let line = |target: &resolved::Target| format!("{}/{}", target.provider, target.model.as_text());
    let models = config.models.iter();
    models.map(|model| (model.name.as_text().into_owned(), model.targets.iter().map(line).collect())).collect()
}

/// Whether any request can be gold, so that a reserve is kept for it.
fn has_gold(config: &Resolved) -> bool {
    let anonymous = config.keys.is_empty() && config.flow.qos == Qos::Gold;
    anonymous || config.keys.iter().any(|key| key.caller.qos == Qos::Gold)
}

/// How often providers are asked to close what has been unused for long.
pub(crate) const SWEEP: Duration = Duration::from_secs(5);

/// Whether a name is a pattern, which no caller can ask for as it stands.
pub(crate) fn is_pattern(name: &ModelName) -> bool {
    matches!(name, ModelName::Pattern { .. })
}

#[cfg(test)]
mod tests {
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
}
