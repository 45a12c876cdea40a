//! Step 3: an answer that was made before, or is being made for an identical request.
//!
//! Where a request can only have one answer, a second one need not be paid for. Such are chat and
//! completions that ask for one choice at a temperature of exactly 0, and embeddings and moderations
//! always; the request's bytes, its tenant and everything else that a provider is told must be the same
//! ([`key`]). A model has to be configured for it, because a provider promises no such thing: batching
//! and changing back ends make even greedy answers differ now and then.
//!
//! - `coalesce`: who asks while an identical request is under way shares its call ([`flight`]). They must
//!   be of one class and have one patience, so that nobody waits in a worse place than his own.
//! - `cache`: an answer that came to its end is given again until it is too old ([`kept`], [`store`]).
//!
//! Both stand behind the limits, so that nobody escapes his rate by asking the same, and before
//! everything that costs anything. Errors are never kept.
//!
//! # State
//!
//! A model's cell is shared by all cores and cut into shards by the name of the request. A shard's lock
//! is held for a look into two tables, never across an await; a flight's own lock is taken inside it
//! when somebody sits down, and never the other way round.

mod flight;
mod kept;
mod key;
mod metrics;
mod pump;
mod record;
pub(crate) mod step;
mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::port::Provider;
use atp_core::{Exchange, Operation, Payload, Qos, Reuse, Rope};

use self::flight::Flight;
use self::kept::Kept;
use self::key::{Key, Namer};
pub(crate) use self::metrics::{CacheFamilies, CacheMetrics};
use self::pump::{Lead, Seat};
pub(crate) use self::record::Recorder;
use self::store::Store;
use crate::clock;
use crate::snapshot::{CacheRules, Model};
use crate::sync::{Mutex, lock};

/// The most shards of a cell.
const SHARDS: usize = 16;

/// What answers are held whole for newcomers where nothing is kept, in bytes.
const UNKEPT_BOUND: usize = 1 << 20;

/// The reusable answers of one model.
pub(crate) struct Cell {
    coalesce: bool,
    rules: Option<CacheRules>,
    targets: Vec<(Arc<dyn Provider>, Arc<str>)>,
    namer: Namer,
    shards: Box<[Mutex<Shard>]>,
    metrics: CacheMetrics,
}

struct Shard {
    store: Store,
    flights: HashMap<Shared, Arc<Flight>>,
}

/// What requests must have in common to share a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shared {
    key: Key,
    operation: Operation,
    qos: Qos,
    patience: Option<Duration>,
}

/// What there is for a request.
pub(crate) enum Found {
    /// An answer that was kept.
    Hit(Arc<Kept>),
    /// A seat in a call that is under way.
    Join(Seat),
    /// Nothing, and others may join: the call is to be made by [`Lead::fly`], and read from the seat.
    Lead(Lead, Seat),
    /// Nothing: the request goes its way alone, and its answer is kept.
    Record(Recorder),
    /// Nothing, and its answer is nobody else's.
    Nothing,
}

impl Cell {
    /// The cell of a model, where it is configured to have one. It is taken over from `before` where
    /// neither its rules nor those who answer have changed: an answer of other targets is another answer.
    pub(crate) fn of(
        model: &Model,
        metrics: impl FnOnce() -> CacheMetrics,
        before: Option<&Arc<Self>>,
    ) -> Option<Arc<Self>> {
        if !model.coalesce && model.cache.is_none() {
            return None;
        }
        let targets: Vec<_> =
            model.targets.iter().map(|target| (Arc::clone(&target.provider), Arc::clone(&target.model))).collect();
        if let Some(before) = before.filter(|before| before.fits(model, &targets)) {
            return Some(Arc::clone(before));
        }
        let room = model.cache.map_or(0, |rules| rules.max_bytes);
        let count = model.cache.map_or(SHARDS, |rules| shards(&rules));
        let shard = || Mutex::new(Shard { store: Store::new(room / count), flights: HashMap::new() });
        Some(Arc::new(Self {
            coalesce: model.coalesce,
            rules: model.cache,
            targets,
            namer: Namer::new(),
            shards: std::iter::repeat_with(shard).take(count).collect(),
            metrics: metrics(),
        }))
    }

    fn fits(&self, model: &Model, targets: &[(Arc<dyn Provider>, Arc<str>)]) -> bool {
        self.coalesce == model.coalesce
            && self.rules == model.cache
            && self.targets.len() == targets.len()
            && self.targets.iter().zip(targets).all(|(own, new)| Arc::ptr_eq(&own.0, &new.0) && own.1 == new.1)
    }

    /// The body of a request that can have but one answer and whose caller does not object.
    pub(crate) fn concerns(exchange: &Exchange) -> Option<&Rope> {
        let one = match exchange.operation {
            Operation::Chat | Operation::Completions => {
                exchange.fields.greedy && exchange.fields.n.is_none_or(|choices| choices == 1)
            }
            Operation::Embeddings | Operation::Moderations => true,
            Operation::Images | Operation::Audio | Operation::Raw => false,
        };
        match &exchange.payload {
            Payload::Rope(body) if one && exchange.reuse != Reuse::Forbidden => Some(body),
            Payload::Rope(_) | Payload::Once { .. } => None,
        }
    }

    /// What there is for a request that this concerns.
    pub(crate) fn find(self: &Arc<Self>, exchange: &Exchange, body: &Rope) -> Found {
        let key = self.namer.name(exchange, body);
        let operation = exchange.operation;
        if exchange.reuse == Reuse::Renew {
            return self.record(key, operation);
        }
        let mut shard = lock(self.shard(&key));
        if self.rules.is_some()
            && let Some(kept) = shard.store.get(&key, clock::now())
        {
            self.metrics.hits.inc();
            return Found::Hit(kept);
        }
        if !self.coalesce {
            drop(shard);
            return self.record(key, operation);
        }
        let shared = Shared { key, operation, qos: exchange.qos, patience: exchange.patience };
        if let Some(listener) = shard.flights.get(&shared).and_then(Flight::join) {
            self.metrics.coalesced.inc();
            return Found::Join(Seat(listener));
        }
        let (flight, listener) = Flight::new(self.bound());
        shard.flights.insert(shared.clone(), Arc::clone(&flight));
        drop(shard);
        self.missed();
        Found::Lead(Lead { cell: Arc::clone(self), shared, flight }, Seat(listener))
    }

    /// The same for a request that shares no call with others.
    pub(crate) fn find_alone(self: &Arc<Self>, exchange: &Exchange, body: &Rope) -> Found {
        let key = self.namer.name(exchange, body);
        if exchange.reuse != Reuse::Renew
            && self.rules.is_some()
            && let Some(kept) = lock(self.shard(&key)).store.get(&key, clock::now())
        {
            self.metrics.hits.inc();
            return Found::Hit(kept);
        }
        self.record(key, exchange.operation)
    }

    fn record(self: &Arc<Self>, key: Key, operation: Operation) -> Found {
        if self.rules.is_none() {
            return Found::Nothing;
        }
        self.missed();
        Found::Record(Recorder { cell: Arc::clone(self), key, operation, bound: self.bound() })
    }

    /// Keeps an answer.
    fn keep(&self, key: Key, kept: Kept) {
        if let Some(rules) = self.rules {
            let expires = clock::now() + rules.ttl;
            let mut shard = lock(self.shard(&key));
            self.metrics.changed(shard.store.put(key, Arc::new(kept), expires));
        }
    }

    /// Ends a flight for newcomers. What was kept of it is there at the same moment, so that nobody
    /// finds neither.
    fn land(&self, shared: &Shared, flight: &Arc<Flight>, kept: Option<Kept>) {
        let kept = kept.zip(self.rules).map(|(kept, rules)| (Arc::new(kept), clock::now() + rules.ttl));
        let mut shard = lock(self.shard(&shared.key));
        if let Some((kept, expires)) = kept {
            self.metrics.changed(shard.store.put(shared.key.clone(), kept, expires));
        }
        // Another flight may have taken the place of one that nobody could join any more.
        if shard.flights.get(shared).is_some_and(|under_way| Arc::ptr_eq(under_way, flight)) {
            shard.flights.remove(shared);
        }
    }

    /// Lets go what is too old. Called every few seconds, so that nothing stays for long beyond its time
    /// because nobody asks.
    pub(crate) fn sweep(&self, now: Instant) {
        if self.rules.is_some() {
            for shard in &self.shards {
                self.metrics.changed(lock(shard).store.sweep(now));
            }
        }
    }

    fn keeps(&self) -> bool {
        self.rules.is_some()
    }

    fn bound(&self) -> usize {
        self.rules.map_or(UNKEPT_BOUND, |rules| rules.max_entry)
    }

    fn missed(&self) {
        if self.rules.is_some() {
            self.metrics.misses.inc();
        }
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        #[expect(clippy::indexing_slicing, reason = "a key's shard is below the number it is told")]
        &self.shards[key.shard(self.shards.len())]
    }
}

impl Drop for Cell {
    /// What a gauge says about kept answers goes with them.
    fn drop(&mut self) {
        for shard in &self.shards {
            self.metrics.changed(lock(shard).store.clear());
        }
    }
}

/// So many that a shard has room for some entries of the largest size.
fn shards(rules: &CacheRules) -> usize {
    (rules.max_bytes / rules.max_entry.max(1) / 4).clamp(1, SHARDS)
}
