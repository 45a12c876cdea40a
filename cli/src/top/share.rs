//! Who gets how much of a model, beside what would be fair.

use super::sample::{Flow, Tenant};

/// One tenant's class at one model, between two samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Share {
    pub(super) tenant: String,
    pub(super) qos: String,
    pub(super) model: String,
    pub(super) weight: f64,
    /// Tokens a second; unknown without a sample before.
    pub(super) rate: Option<f64>,
    /// Its part of the model's tokens, 0 to 1.
    pub(super) now: Option<f64>,
    /// Its part by weight among those who use the model now, 0 to 1.
    pub(super) fair: f64,
    pub(super) in_flight: u64,
    pub(super) waiting: u64,
}

/// Those who use a model, each model in the order of the router, the largest share first. `seconds` have passed since
/// `before`.
pub(super) fn shares(now: &Flow, before: Option<(&Flow, f64)>) -> Vec<Share> {
    let served = |tenant: &Tenant| {
        let (before, _) = before?;
        let known = before.tenants.iter().find(|each| each.is(tenant));
        Some(tenant.served_tokens.saturating_sub(known.map_or(0, |known| known.served_tokens)))
    };
    let active: Vec<(&Tenant, Option<u64>)> = now
        .tenants
        .iter()
        .map(|tenant| (tenant, served(tenant)))
        .filter(|(tenant, tokens)| tenant.in_flight + tenant.waiting + tokens.unwrap_or(0) > 0)
        .collect();
    let mut shares = Vec::new();
    let mut models: Vec<&str> = Vec::new();
    for (tenant, _) in &active {
        if !models.contains(&tenant.model.as_str()) {
            models.push(&tenant.model);
        }
    }
    for model in models {
        let mine = || active.iter().filter(|(tenant, _)| tenant.model == model);
        let tokens: u64 = mine().filter_map(|(_, tokens)| *tokens).sum();
        let weight: f64 = mine().map(|(tenant, _)| tenant.effective_weight).sum();
        let first = shares.len();
        shares.extend(mine().map(|(tenant, served)| Share {
            tenant: tenant.tenant.clone(),
            qos: tenant.qos.clone(),
            model: model.to_owned(),
            weight: tenant.weight,
            rate: served.zip(before).map(|(served, (_, seconds))| served as f64 / seconds),
            now: served.filter(|_| tokens > 0).map(|served| served as f64 / tokens as f64),
            fair: if weight > 0.0 { tenant.effective_weight / weight } else { 0.0 },
            in_flight: tenant.in_flight,
            waiting: tenant.waiting,
        }));
        if let Some(own) = shares.get_mut(first..) {
            own.sort_by(|a: &Share, b| b.now.unwrap_or(b.fair).total_cmp(&a.now.unwrap_or(a.fair)));
        }
    }
    shares
}
