//! The lanes and pools of one configuration, taken over from the one before where they are the same.
//!
//! A lane is known by provider and model: every route that leads there shares it, and what it has learned
//! survives a reload. Under a pattern the model is the pattern, because callers choose what it stands
//! for, and the lane is told that it has many models behind it. A pool is taken over where its name and its lanes are the same; else a new one begins, and who
//! waits in the old one gets his turns there, from the same lanes, until it is empty.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use atp_routing::ControlRules;
use atp_routing::control::Models;
use atp_routing::share::Gold;
use atp_routing::window::WindowRules;

use super::Tenants;
use super::lane::LaneCell;
use super::pool::Pool;
use crate::leave::Spawn;
use crate::snapshot::{Queue, Snapshot};

type Name = (Arc<str>, Arc<str>);

/// The lanes and pools.
pub(crate) struct Registry {
    lanes: HashMap<Name, Arc<LaneCell>>,
    /// One per model, then one per raw provider, in the snapshot's order.
    pub(crate) pools: Vec<Entry>,
}

/// One pool of a configuration.
pub(crate) struct Entry {
    pub(crate) pool: Arc<Pool>,
    pub(crate) rules: Queue,
    pub(super) of: Of,
}

/// Whose pool it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Model,
    Provider,
}

impl Registry {
    /// Makes what `snapshot` names, or takes it over from `before`.
    pub(crate) fn resolve(snapshot: &Snapshot, before: Option<&Self>, spawn: &Spawn, now: Instant) -> Self {
        let mut registry = Self { lanes: HashMap::new(), pools: Vec::new() };
        for (name, rules) in rules(snapshot) {
            let lane = match before.and_then(|before| before.lanes.get(&name)) {
                Some(lane) => {
                    lane.set_rules(rules, now);
                    Arc::clone(lane)
                }
                None => LaneCell::new(Arc::clone(&name.0), Arc::clone(&name.1), rules, now),
            };
            registry.lanes.insert(name, lane);
        }
        let known: HashMap<&str, &Arc<Pool>> = before.map_or_else(HashMap::new, |before| {
            before.pools.iter().map(|entry| (&*entry.pool.name, &entry.pool)).collect()
        });
        for Path { name, lanes: targets, rules, of } in routes(snapshot) {
            let lanes: Box<[Arc<LaneCell>]> =
                targets.iter().filter_map(|target| registry.lanes.get(target).map(Arc::clone)).collect();
            let kept = known.get(&*name).filter(|pool| same(&pool.lanes, &lanes));
            let pool = kept.map_or_else(|| Pool::new(name, lanes, Arc::clone(spawn), now), |pool| Arc::clone(pool));
            pool.set_gold(if snapshot.has_gold { Gold::Configured } else { Gold::Absent });
            registry.pools.push(Entry { pool, rules, of });
        }
        registry
    }

    /// Gives every flow its tenant's weight.
    pub(crate) fn set_weights(&self, tenants: &Tenants) {
        for Entry { pool, .. } in &self.pools {
            pool.set_weights(|tenant| tenants.weight(usize::MAX, tenant));
        }
    }

    /// Lets time do its part in lanes that nobody asks for.
    pub(crate) fn sweep(&self, now: Instant) {
        for lane in self.lanes.values() {
            lane.tick(now);
            lane.dispatch(now);
        }
    }
}

/// A route and the lanes that it leads to.
struct Path {
    name: Arc<str>,
    lanes: Vec<Name>,
    rules: Queue,
    of: Of,
}

fn routes(snapshot: &Snapshot) -> impl Iterator<Item = Path> {
    let models = snapshot.models.iter().map(|model| {
        let lanes = model.targets.iter().map(|target| (Arc::clone(target.provider.name()), Arc::clone(&target.model)));
        Path { name: Arc::clone(&model.name), lanes: lanes.collect(), rules: model.queue, of: Of::Model }
    });
    let raw = snapshot.providers.iter().map(|raw| {
        let provider = raw.provider.name();
        // The label cannot be a model's: it is the path that leads there.
        let name = format!("providers/{provider}").into();
        let lanes = vec![(Arc::clone(provider), Arc::from(""))];
        Path { name, lanes, rules: Queue::default(), of: Of::Provider }
    });
    models.chain(raw)
}

/// What is configured for each lane: where several targets name it, the narrowest bounds.
fn rules(snapshot: &Snapshot) -> HashMap<Name, ControlRules> {
    let mut rules: HashMap<Name, ControlRules> = HashMap::new();
    for target in snapshot.models.iter().flat_map(|model| &model.targets) {
        let name = (Arc::clone(target.provider.name()), Arc::clone(&target.model));
        let models = if target.model.contains('*') { Models::Many } else { Models::One };
        let of = ControlRules { window: target.window, breaker: target.breaker, models };
        rules.entry(name).and_modify(|known| known.window = narrower(known.window, of.window)).or_insert(of);
    }
    for raw in &snapshot.providers {
        let of = ControlRules { models: Models::Many, ..ControlRules::default() };
        rules.entry((Arc::clone(raw.provider.name()), Arc::from(""))).or_insert(of);
    }
    rules
}

fn narrower(one: WindowRules, other: WindowRules) -> WindowRules {
    let max = one.max.min(other.max);
    WindowRules { min: one.min.min(other.min), start: one.start.min(other.start), max }
}

fn same(before: &[Arc<LaneCell>], now: &[Arc<LaneCell>]) -> bool {
    before.len() == now.len() && before.iter().zip(now).all(|(before, now)| Arc::ptr_eq(before, now))
}
