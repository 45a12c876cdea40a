//! The lanes and pools of one configuration, taken over from the one before where they are the same.
//!
//! A lane is known by provider and model: every route that leads there shares it, and what it has learned
//! survives a reload. A pool is taken over where its name and its lanes are the same; else a new one begins, and
//! who waits in the old one gets his turns there, from the same lanes, until it is empty.
//!
//! Behind a pattern each name that callers ask for gets a lane and a pool of its own (`live/names`). What stands
//! here for the pattern itself is what names share that got none, because there were too many: one lane, which
//! is told that it has many models behind it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use atp_routing::ControlRules;
use atp_routing::control::Models;
use atp_routing::share::Gold;
use atp_routing::window::WindowRules;

use super::Tenants;
use super::directory::{Directory, LaneName};
use super::lane::LaneCell;
use super::pool::Pool;
use crate::leave::Spawn;
use crate::snapshot::{Model, Queue, Snapshot, Target};

/// The lanes and pools.
pub(crate) struct Registry {
    /// Those that the configuration names.
    lanes: HashMap<LaneName, Arc<LaneCell>>,
    /// All, over reloads too.
    pub(crate) directory: Arc<Directory>,
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
    /// Makes what `snapshot` names, or takes it over from `before`. `asked` is what has been asked for behind
    /// each of its models, where they are patterns: those lanes go by the new rules too.
    pub(crate) fn resolve(
        snapshot: &Snapshot,
        asked: &[Vec<Arc<str>>],
        before: Option<&Self>,
        spawn: &Spawn,
        now: Instant,
    ) -> Self {
        let directory = before.map_or_else(Arc::default, |before| Arc::clone(&before.directory));
        let mut registry = Self { lanes: HashMap::new(), pools: Vec::new(), directory };
        let mut rules = rules(snapshot);
        let named: HashSet<LaneName> = rules.keys().cloned().collect();
        behind_patterns(snapshot, asked, &mut rules);
        for (name, rules) in rules {
            let lane = if named.contains(&name) {
                Some(registry.directory.lane(&name, rules, None, now).0)
            } else {
                registry.directory.find(&name)
            };
            let Some(lane) = lane else { continue };
            lane.set_rules(rules, now);
            if named.contains(&name) {
                registry.lanes.insert(name, lane);
            }
        }
        let known: HashMap<&str, &Arc<Pool>> = before.map_or_else(HashMap::new, |before| {
            before.pools.iter().map(|entry| (&*entry.pool.name, &entry.pool)).collect()
        });
        for Path { name, lanes: targets, rules, of } in routes(snapshot) {
            let lanes: Box<[Arc<LaneCell>]> =
                targets.iter().filter_map(|target| registry.lanes.get(target).map(Arc::clone)).collect();
            let kept = known.get(&*name).filter(|pool| pool.has_lanes(&lanes));
            let pool = kept.map_or_else(|| Pool::new(name, lanes, Arc::clone(spawn), now), |pool| Arc::clone(pool));
            pool.set_gold(if snapshot.has_gold { Gold::Configured } else { Gold::Absent });
            registry.pools.push(Entry { pool, rules, of });
        }
        registry
    }

    /// Gives every flow its tenant's weight.
    pub(crate) fn set_weights(&self, tenants: &Tenants) {
        for Entry { pool, .. } in &self.pools {
            pool.set_weights(tenants);
        }
    }

    /// Lets time do its part in lanes that nobody asks for.
    pub(crate) fn sweep(&self, now: Instant) {
        for lane in self.directory.all() {
            lane.tick(now);
            lane.dispatch(now);
        }
    }
}

/// A route and the lanes that it leads to.
struct Path {
    name: Arc<str>,
    lanes: Vec<LaneName>,
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
fn rules(snapshot: &Snapshot) -> HashMap<LaneName, ControlRules> {
    let mut rules: HashMap<LaneName, ControlRules> = HashMap::new();
    for target in snapshot.models.iter().flat_map(|model| &model.targets) {
        let models = if target.is_open() { Models::Many } else { Models::One };
        add(&mut rules, target, &target.model, models);
    }
    for raw in &snapshot.providers {
        let of = ControlRules { models: Models::Many, ..ControlRules::default() };
        rules.entry((Arc::clone(raw.provider.name()), Arc::from(""))).or_insert(of);
    }
    rules
}

/// The same for what was asked for behind patterns.
fn behind_patterns(snapshot: &Snapshot, asked: &[Vec<Arc<str>>], rules: &mut HashMap<LaneName, ControlRules>) {
    for (Model { targets, .. }, names) in snapshot.models.iter().zip(asked) {
        for target in targets.iter().filter(|target| target.is_open()) {
            for star in names {
                add(rules, target, &target.model_of(star), Models::One);
            }
        }
    }
}

fn add(rules: &mut HashMap<LaneName, ControlRules>, target: &Target, model: &Arc<str>, models: Models) {
    let name = (Arc::clone(target.provider.name()), Arc::clone(model));
    let of = ControlRules { window: target.window, breaker: target.breaker, models };
    rules.entry(name).and_modify(|known| known.window = narrower(known.window, of.window)).or_insert(of);
}

/// Of two windows for one lane the narrowest bounds hold.
pub(super) fn narrower(one: WindowRules, other: WindowRules) -> WindowRules {
    let max = one.max.min(other.max);
    WindowRules { min: one.min.min(other.min), start: one.start.min(other.start), max }
}
