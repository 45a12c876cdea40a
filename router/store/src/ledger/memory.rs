//! A ledger in memory: the last rows of each core, for tests and for a router that keeps no file.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use atp_core::percore::PerCore;
use atp_core::port::{GroupBy, Ledger, UsageRow};
use atp_core::{Error, MicroUsd};

use super::record::{Total, UsageRecord};
use super::spent::{Owner, Spending};
use super::{LedgerStats, LedgerStore};

/// Keeps the last rows of each core and forgets older ones, which is its purpose and not a loss.
#[derive(Debug)]
pub struct MemoryLedger {
    rings: PerCore<Ring>,
    keep: usize,
}

/// The last rows of one core, and how many it has ever taken.
#[derive(Debug, Default)]
struct Ring {
    rows: VecDeque<UsageRow>,
    taken: u64,
}

impl MemoryLedger {
    /// A ledger that keeps the last `keep` rows (at least one) of each of `workers` cores.
    #[must_use]
    pub fn new(workers: usize, keep: usize) -> Self {
        Self { rings: PerCore::new(workers, Ring::default), keep: keep.max(1) }
    }

    /// Every row that is kept, newest first, each id once.
    ///
    /// A row written twice is found here and not when it is recorded, so that recording hashes and
    /// searches nothing.
    fn sorted(&self) -> Vec<UsageRow> {
        let mut rows: Vec<UsageRow> = Vec::new();
        for ring in self.rings.each() {
            rows.extend(ring.rows.iter().cloned());
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.id));
        rows.dedup_by_key(|row| row.id);
        rows
    }
}

impl Ledger for MemoryLedger {
    fn record(&self, row: UsageRow) {
        let mut ring = self.rings.mine();
        if ring.rows.len() >= self.keep {
            ring.rows.pop_front();
        }
        ring.rows.push_back(row);
        ring.taken += 1;
    }
}

impl LedgerStore for MemoryLedger {
    fn recent(&self, limit: usize) -> Result<Vec<UsageRecord>, Error> {
        Ok(self.sorted().iter().take(limit).map(UsageRecord::from).collect())
    }

    fn totals(&self, since_ms: u64, by: GroupBy) -> Result<Vec<Total>, Error> {
        let mut groups: HashMap<String, Total> = HashMap::new();
        for row in self.sorted().iter().filter(|row| row.id.unix_millis() >= since_ms) {
            let name = match by {
                GroupBy::Key => &row.key,
                GroupBy::Model => &row.model,
                GroupBy::Provider => &row.provider,
                GroupBy::Tenant => &row.tenant,
            };
            let name = String::from(&**name);
            groups.entry(name.clone()).or_insert_with(|| Total { name, ..Total::default() }).add(row);
        }
        let mut totals: Vec<Total> = groups.into_values().collect();
        totals.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.name.cmp(&b.name)));
        Ok(totals)
    }

    fn spent(&self, since_ms: u64, of: Owner) -> Result<Vec<Spending>, Error> {
        let mut spent: BTreeMap<String, Spending> = BTreeMap::new();
        let rows = self.sorted();
        let paid = rows.iter().filter(|row| row.id.unix_millis() >= since_ms && !row.provider.is_empty());
        for row in paid {
            let name = String::from(match of {
                Owner::Key => &*row.key,
                Owner::Tenant => &*row.tenant,
            });
            let fresh = || Spending { owner: of, name: name.clone(), cost: MicroUsd(0), tokens: 0 };
            let sum = spent.entry(name.clone()).or_insert_with(fresh);
            sum.cost.0 = sum.cost.0.saturating_add(row.cost.map_or(0, |cost| cost.0));
            sum.tokens = sum.tokens.saturating_add(row.usage.map_or(0, |usage| usage.total()));
        }
        Ok(spent.into_values().filter(|sum| sum.cost.0 > 0 || sum.tokens > 0).collect())
    }

    fn stats(&self) -> LedgerStats {
        LedgerStats {
            backend: "memory",
            path: None,
            up: true,
            written: self.rings.each().map(|ring| ring.taken).sum(),
            lost: 0,
            queued: 0,
            last_error: None,
        }
    }

    fn flush(&self, _patience: Duration) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::conformance::row;

    #[test]
    fn only_the_newest_rows_stay() {
        let ledger = MemoryLedger::new(1, 3);
        (0..10).for_each(|at| ledger.record(row(at)));
        let ids: Vec<String> = ledger.recent(100).unwrap().into_iter().map(|row| row.id).collect();
        assert_eq!(ids, [9, 8, 7].map(|at| row(at).id.to_string()));
        assert_eq!((ledger.stats().written, ledger.stats().lost), (10, 0));
    }
}
