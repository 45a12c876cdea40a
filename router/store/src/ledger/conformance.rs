//! What every ledger must do, run on every backend.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use atp_core::port::{GroupBy, Outcome, UsageRow};
use atp_core::{Finish, MicroUsd, Operation, RequestId, Usage};

use super::LedgerStore;
use super::memory::MemoryLedger;
use super::record::UsageRecord;
use super::spent::{Owner, Spending, spent};
use super::sqlite::{LedgerConfig, LedgerWriter, SqliteLedger};

const PATIENCE: Duration = Duration::from_secs(20);

/// A row that began `at` milliseconds after an arbitrary day.
pub(super) fn row(at: u64) -> UsageRow {
    UsageRow {
        id: RequestId::from_parts(1_700_000_000_000 + at, u128::from(at)),
        key: Arc::from("web-app"),
        tenant: Arc::from("acme"),
        operation: Operation::Chat,
        model: Arc::from("m"),
        chosen: None,
        provider: Arc::from("up"),
        target: Arc::from("m-2024"),
        stream: true,
        outcome: Outcome::Served,
        error: None,
        status: 200,
        finish: Some(Finish::ToolCalls),
        usage: Some(Usage { input: 100, output: 20, cached_input: 30, reasoning: 5 }),
        metered: false,
        cost: Some(MicroUsd(7)),
        attempts: 2,
        first_byte_us: 1000,
        total_us: 2000,
        overhead_us: 17,
    }
}

/// A ledger under test and what must live as long as it.
struct Subject {
    store: Arc<dyn LedgerStore>,
    _writer: Option<LedgerWriter>,
    _directory: Option<tempfile::TempDir>,
}

/// Every backend, each with room for at least `room` rows.
fn subjects(room: usize) -> Vec<Subject> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let config = LedgerConfig { queue_rows: room, workers: 4, ..LedgerConfig::at(path) };
    let (sqlite, writer) = SqliteLedger::open(config).unwrap();
    vec![
        Subject { store: Arc::new(MemoryLedger::new(4, room)), _writer: None, _directory: None },
        Subject { store: sqlite, _writer: Some(writer), _directory: Some(directory) },
    ]
}

fn flushed(store: &dyn LedgerStore) {
    assert_eq!(store.flush(PATIENCE), 0, "everything is written: {:?}", store.stats());
}

#[test]
fn a_row_comes_back_as_it_was_recorded() {
    for subject in subjects(16) {
        let full = row(1);
        let mut bare = row(2);
        bare.outcome = Outcome::Refused;
        bare.error = Some("rate_limited");
        bare.status = 429;
        bare.provider = Arc::from("");
        bare.target = Arc::from("");
        (bare.finish, bare.usage, bare.cost) = (None, None, None);
        (bare.stream, bare.attempts) = (false, 0);
        let mut chosen = row(3);
        (chosen.chosen, chosen.metered) = (Some(Arc::from("m-large")), true);
        subject.store.record(full.clone());
        subject.store.record(bare.clone());
        subject.store.record(chosen.clone());
        flushed(&*subject.store);
        let expected = vec![UsageRecord::from(&chosen), UsageRecord::from(&bare), UsageRecord::from(&full)];
        assert_eq!(subject.store.recent(10).unwrap(), expected);
    }
}

#[test]
fn the_largest_numbers_are_kept_as_the_largest_that_fit() {
    for subject in subjects(16) {
        let mut row = row(1);
        row.usage = Some(Usage { input: u64::MAX, output: u64::MAX, cached_input: u64::MAX, reasoning: u64::MAX });
        row.cost = Some(MicroUsd(u64::MAX));
        row.total_us = u64::MAX;
        subject.store.record(row.clone());
        row.id = RequestId::from_parts(1, 1);
        subject.store.record(row);
        flushed(&*subject.store);
        let newest = subject.store.recent(1).unwrap().remove(0);
        assert!(newest.input_tokens.unwrap() >= i64::MAX as u64);
        assert!(newest.total_us >= i64::MAX as u64);
        let total = subject.store.totals(0, GroupBy::Model).unwrap().remove(0);
        assert!(total.cost_micro_usd >= i64::MAX as u64, "a sum saturates instead of failing");
    }
}

#[test]
fn writing_a_row_twice_changes_nothing() {
    for subject in subjects(64) {
        for _ in 0..3 {
            subject.store.record(row(1));
            flushed(&*subject.store);
        }
        let mut other = row(1);
        other.cost = Some(MicroUsd(1_000_000));
        subject.store.record(other);
        subject.store.record(row(2));
        subject.store.record(row(2));
        flushed(&*subject.store);
        assert_eq!(subject.store.recent(10).unwrap().len(), 2);
        assert_eq!(subject.store.totals(0, GroupBy::Key).unwrap()[0].cost_micro_usd, 14);
    }
}

#[test]
fn rows_come_newest_first_whatever_the_order_of_recording() {
    for subject in subjects(512) {
        for at in (0..100).rev().step_by(2).chain((0..100).step_by(2)) {
            subject.store.record(row(at));
        }
        flushed(&*subject.store);
        let rows = subject.store.recent(1000).unwrap();
        let times: Vec<u64> = rows.iter().map(|row| row.at_ms - 1_700_000_000_000).collect();
        assert_eq!(times, (0..100).rev().collect::<Vec<u64>>());
        assert_eq!(subject.store.recent(3).unwrap(), rows[..3]);
        assert!(subject.store.recent(0).unwrap().is_empty());
    }
}

#[test]
fn concurrent_recorders_lose_nothing_below_the_bound() {
    const EACH: u64 = 2_000;
    for subject in subjects(8_192) {
        std::thread::scope(|scope| {
            for worker in 0..4u64 {
                let store = &subject.store;
                scope.spawn(move || {
                    atp_core::percore::set_worker(worker as usize);
                    for n in 0..EACH {
                        store.record(row(worker * EACH + n));
                    }
                });
            }
        });
        flushed(&*subject.store);
        let ids: BTreeSet<String> = subject.store.recent(100_000).unwrap().into_iter().map(|row| row.id).collect();
        assert_eq!(ids.len() as u64, EACH * 4);
        let stats = subject.store.stats();
        assert_eq!((stats.written, stats.lost, stats.queued), (EACH * 4, 0, 0));
    }
}

#[test]
fn totals_group_and_begin_where_they_are_asked_to() {
    for subject in subjects(512) {
        for at in 0..10 {
            let mut row = row(at);
            row.model = Arc::from(if at < 7 { "large" } else { "small" });
            row.outcome = [Outcome::Served, Outcome::Failed, Outcome::Cancelled, Outcome::Refused][at as usize % 4];
            if at == 8 {
                row.cost = None;
            }
            subject.store.record(row);
        }
        flushed(&*subject.store);
        let totals = subject.store.totals(0, GroupBy::Model).unwrap();
        let names: Vec<&str> = totals.iter().map(|total| total.name.as_str()).collect();
        assert_eq!(names, ["large", "small"]);
        let (large, small) = (&totals[0], &totals[1]);
        assert_eq!((large.requests, large.served, large.failed, large.cancelled, large.refused), (7, 2, 2, 2, 1));
        assert_eq!((large.input_tokens, large.output_tokens, large.cached_tokens), (700, 140, 210));
        assert_eq!((large.reasoning_tokens, large.cost_micro_usd, large.unpriced), (35, 49, 0));
        assert_eq!((small.requests, small.cost_micro_usd, small.unpriced), (3, 14, 1));
        let later = subject.store.totals(1_700_000_000_008, GroupBy::Provider).unwrap();
        assert_eq!((later.len(), later[0].name.as_str(), later[0].requests), (1, "up", 2));
        assert!(subject.store.totals(u64::MAX, GroupBy::Key).unwrap().is_empty());
    }
}

#[test]
fn what_was_spent_is_told_by_key_and_by_tenant_since_a_time() {
    for subject in subjects(512) {
        for at in 0..10 {
            let mut row = row(at);
            row.key = Arc::from(if at % 2 == 0 { "even" } else { "odd" });
            row.tenant = Arc::from(if at < 8 { "acme" } else { "other" });
            if at == 9 {
                // Nothing is known of it, so it adds nothing.
                (row.usage, row.cost) = (None, None);
            }
            subject.store.record(row);
        }
        // An answer that was kept has tokens and costs nothing.
        let mut kept = row(10);
        (kept.provider, kept.cost) = (Arc::from(""), Some(MicroUsd(0)));
        subject.store.record(kept);
        flushed(&*subject.store);
        let told = |since| {
            let spent = spent(&*subject.store, since).unwrap();
            let told = |each: Spending| (each.owner, each.name, each.cost.0, each.tokens);
            spent.into_iter().map(told).collect::<BTreeSet<_>>()
        };
        let all = [
            (Owner::Key, "even".into(), 35, 600),
            (Owner::Key, "odd".into(), 28, 480),
            (Owner::Tenant, "acme".into(), 56, 960),
            (Owner::Tenant, "other".into(), 7, 120),
        ];
        assert_eq!(told(0), BTreeSet::from(all));
        let late = [(Owner::Key, "even".into(), 7, 120), (Owner::Tenant, "other".into(), 7, 120)];
        assert_eq!(told(1_700_000_000_008), BTreeSet::from(late));
        assert!(told(u64::MAX).is_empty());
    }
}
