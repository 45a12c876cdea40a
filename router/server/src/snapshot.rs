//! From the resolved configuration to what the pipeline and the entrance are told.

mod flow;
pub(crate) mod money;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use atp_adapters::persona::Persona;
use atp_core::Qos;
use atp_ingress::{KeyRing, Limits, Settings};
use atp_pipeline::Snapshot;
use atp_pipeline::snapshot::{
    KeyLimit, Model, OnDisconnect, QosByName, RateLimit, RawProvider, Retries, Spent, Target,
};
use atp_routing::{Backoff, RetryBudget, Rules};

use crate::config::resolved::{self, ModelName, ProviderKind, Resolved, TargetModel, TargetPrice};
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
        qos: most(config, wired),
        facts: config.facts.clone(),
        ..Model::new(&*config.name.as_text(), targets)
    })
}

/// The highest class that a model is served with: the lowest among those of the personas that answer for it. Which
/// persona that is, a pattern tells by the name asked for.
fn most(config: &resolved::Model, wired: &[Wired]) -> Option<QosByName> {
    let personas: Vec<_> = (config.targets.iter())
        .filter_map(|target| match &wired.get(target.provider_index)?.config.kind {
            ProviderKind::Persona(personas) => Some((target.model.clone(), personas.personas.clone())),
            _ => None,
        })
        .collect();
    if personas.iter().flat_map(|(_, personas)| personas).all(|persona| persona.qos.is_none()) {
        return None;
    }
    Some(Arc::new(move |star| {
        let tier = |(model, personas): &(TargetModel, Vec<Arc<Persona>>)| {
            let name = model.name(star);
            personas.iter().find(|persona| *persona.name == *name).and_then(|persona| persona.qos)
        };
        personas.iter().filter_map(tier).min()
    }))
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
