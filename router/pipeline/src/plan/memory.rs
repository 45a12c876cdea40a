//! The choices that are remembered: for who asks why, and for who tells later how good an answer was.
//!
//! Bounded: of the last [`ENTRIES`] choices, and of no choice older than [`AGE_MS`]; the plans themselves, the
//! largest part, of the last [`PLANS`]. Cut into shards by id, so that two exchanges seldom meet.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use atp_core::{Decision, Plan, RequestId, Upshot, Weights};
use atp_routing::bandit::Context;
use atp_routing::decide::Scale;

use super::chosen::Basis;
use crate::sync::{Mutex, MutexGuard, lock};

/// How many choices can be told about.
const ENTRIES: usize = 50_000;
/// How many plans are kept.
const PLANS: usize = 10_000;
/// For how long: a day, in milliseconds.
const AGE_MS: u64 = 86_400_000;
const SHARDS: usize = 16;

/// The choices that are remembered.
pub(crate) struct Memory {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    entries: HashMap<RequestId, Entry>,
    /// In the order in which they were made.
    ids: VecDeque<RequestId>,
    /// Of those whose plan is kept.
    plans: VecDeque<RequestId>,
}

/// What is remembered of a choice.
pub(crate) struct Entry {
    pub(crate) tenant: Arc<str>,
    pub(crate) route: Arc<str>,
    pub(crate) context: Context,
    pub(crate) weights: Weights,
    pub(crate) scale: Scale,
    /// The model that answers: the plan's first, until it is known better.
    pub(crate) model: Arc<str>,
    pub(crate) plan: Option<Arc<Plan>>,
    pub(crate) result: Option<Upshot>,
    /// The last score that was told.
    pub(super) score: Option<Told>,
    /// How often a score was told again.
    pub(super) corrections: u8,
    /// The answers that it was compared with.
    pub(super) compared: Vec<RequestId>,
    /// Whether its caller has told a latency or a cost of its own.
    pub(crate) told: bool,
    made_ms: u64,
}

/// A score that was told.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) score: f64,
    pub(super) at_ms: u64,
    /// The model that it was learnt of.
    pub(super) model: Arc<str>,
}

impl Memory {
    /// Nothing is remembered.
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Remembers a choice that is about to be carried out.
    pub(super) fn keep(&self, basis: &Basis, made_ms: u64) {
        let plan = &basis.plan;
        let Some(primary) = plan.primary() else { return };
        let entry = Entry {
            tenant: Arc::clone(&plan.tenant),
            route: Arc::clone(&basis.route),
            context: basis.context,
            weights: plan.weights,
            scale: basis.scale,
            model: Arc::clone(&primary.model),
            plan: Some(Arc::clone(plan)),
            result: None,
            score: None,
            corrections: 0,
            compared: Vec::new(),
            told: false,
            made_ms,
        };
        self.shard(plan.id).keep(plan.id, entry);
    }

    /// Changes what is remembered of a choice, or looks at it; `None` where nothing is.
    pub(super) fn with<T>(&self, id: RequestId, look: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.shard(id).entries.get_mut(&id).map(look)
    }

    /// This model answers.
    pub(super) fn answers(&self, id: RequestId, model: &Arc<str>) {
        self.with(id, |entry| {
            if entry.model != *model {
                entry.model = Arc::clone(model);
            }
        });
    }

    /// A choice of this tenant, as far as it is still known.
    pub(crate) fn decision(&self, tenant: &str, id: RequestId) -> Option<Arc<Decision>> {
        let shard = self.shard(id);
        let entry = shard.entries.get(&id).filter(|entry| *entry.tenant == *tenant)?;
        let plan = Arc::clone(entry.plan.as_ref()?);
        Some(Arc::new(Decision {
            plan,
            result: entry.result.clone(),
            score: entry.score.as_ref().map(|told| told.score),
        }))
    }

    /// How many choices are remembered.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    fn shard(&self, id: RequestId) -> MutexGuard<'_, Shard> {
        // The last bits of an id are random.
        let place = usize::from(id.to_bytes()[15]) % SHARDS;
        #[expect(clippy::indexing_slicing, reason = "the place is a remainder of the number of shards")]
        lock(&self.shards[place])
    }
}

impl Shard {
    fn keep(&mut self, id: RequestId, entry: Entry) {
        let now = entry.made_ms;
        self.entries.insert(id, entry);
        self.ids.push_back(id);
        self.plans.push_back(id);
        while self.plans.len() > PLANS / SHARDS {
            let old = self.plans.pop_front().and_then(|old| self.entries.get_mut(&old));
            if let Some(old) = old {
                old.plan = None;
            }
        }
        // Two at a time, so that a shard that was full of old ones empties without ever being swept.
        for _ in 0..2 {
            let oldest = self.ids.front().and_then(|id| Some((*id, self.entries.get(id)?.made_ms)));
            let aged = oldest.is_some_and(|(_, made)| now.saturating_sub(made) > AGE_MS);
            if !aged && self.ids.len() <= ENTRIES / SHARDS {
                break;
            }
            self.ids.pop_front();
            if let Some((id, _)) = oldest {
                self.entries.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(made_ms: u64) -> Entry {
        Entry {
            tenant: "t".into(),
            route: "auto".into(),
            context: Context::default(),
            weights: Weights { quality: 1.0, cost: 0.0, latency: 0.0 },
            scale: Scale::default(),
            model: "m".into(),
            plan: None,
            result: None,
            score: None,
            corrections: 0,
            compared: Vec::new(),
            told: false,
            made_ms,
        }
    }

    #[test]
    fn the_oldest_go_first_and_none_is_older_than_a_day() {
        let mut shard = Shard::default();
        let id = |n: usize| RequestId::from_parts(0, n as u128);
        for n in 0..2 * ENTRIES / SHARDS {
            shard.keep(id(n), entry(0));
        }
        assert_eq!(shard.entries.len(), ENTRIES / SHARDS);
        assert!(!shard.entries.contains_key(&id(0)) && shard.entries.contains_key(&id(2 * ENTRIES / SHARDS - 1)));
        assert_eq!(shard.plans.len(), PLANS / SHARDS);
        for n in 0..ENTRIES / SHARDS {
            shard.keep(id(1_000_000 + n), entry(AGE_MS + 1));
        }
        assert!(shard.entries.values().all(|entry| entry.made_ms > 0), "yesterday is forgotten");
        assert_eq!((shard.entries.len(), shard.ids.len()), (ENTRIES / SHARDS, ENTRIES / SHARDS));
    }
}
