//! Shares, queues, windows and breakers, as the pipeline is told them.

use std::sync::Arc;

use atp_pipeline::snapshot::{CacheRules, Hedge, MidStream, Queue, Tenant};
use atp_routing::breaker::BreakerRules;
use atp_routing::window::WindowRules;

use crate::config::resolved::{self, Resolved};

/// The tenants, each at the place that its callers name.
pub(super) fn tenants(config: &Resolved) -> Vec<Tenant> {
    let tenant = |each: &resolved::Tenant| Tenant { name: Arc::clone(&each.name), weight: each.weight };
    config.tenants.iter().map(tenant).collect()
}

pub(super) fn queue(config: &resolved::Queue) -> Queue {
    Queue { max_waiting: config.max_waiting, max_wait: config.max_wait }
}

pub(super) fn hedge(config: &resolved::Hedge) -> Hedge {
    Hedge { extra_per_mille: config.extra_per_mille, after: config.after }
}

pub(super) fn cache(config: &resolved::Cache) -> CacheRules {
    CacheRules { ttl: config.ttl, max_bytes: config.max_bytes, max_entry: config.max_entry }
}

pub(super) fn on_cut(config: resolved::OnCut) -> MidStream {
    match config {
        resolved::OnCut::Fail => MidStream::Off,
        resolved::OnCut::Restart => MidStream::Restart,
        resolved::OnCut::Continue => MidStream::Continue,
    }
}

pub(super) fn window(config: &resolved::Window) -> WindowRules {
    WindowRules { min: config.min, start: config.start, max: config.max }
}

pub(super) fn breaker(config: &resolved::Breaker) -> BreakerRules {
    BreakerRules {
        failures: config.failures,
        rest: config.rest,
        longest_rest: config.max_rest,
        ..BreakerRules::default()
    }
}
