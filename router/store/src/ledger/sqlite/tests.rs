//! What the database's troubles must not do, with real troubles: locks held by another connection,
//! deleted directories, files without permission, a disk that takes no more.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::port::{GroupBy, Ledger, UsageRow};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{LedgerConfig, LedgerWriter, SqliteLedger, migrate};
use crate::clock;
use crate::ledger::LedgerStore;
use crate::ledger::conformance::row;
use crate::ledger::record::UsageRecord;

mod limits;

const PATIENCE: Duration = Duration::from_secs(20);
const MOMENT: Duration = Duration::from_millis(30);

/// A ledger that flushes every few milliseconds, in a directory of its own.
struct Subject {
    ledger: Arc<SqliteLedger>,
    writer: Option<LedgerWriter>,
    path: PathBuf,
    directory: TempDir,
}

fn quick(path: &Path) -> LedgerConfig {
    LedgerConfig { flush_interval: Duration::from_millis(5), ..LedgerConfig::at(path) }
}

fn subject(change: impl FnOnce(&mut LedgerConfig)) -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data").join("ledger.db");
    let mut config = quick(&path);
    change(&mut config);
    let (ledger, writer) = SqliteLedger::open(config).unwrap();
    Subject { ledger, writer: Some(writer), path, directory }
}

impl Subject {
    fn record(&self, times: impl IntoIterator<Item = u64>) {
        times.into_iter().for_each(|at| self.ledger.record(row(at)));
    }

    /// The times of the rows that are kept, oldest first.
    fn kept(&self) -> Vec<u64> {
        let rows = self.ledger.recent(1_000_000).unwrap();
        rows.iter().rev().map(|row| row.at_ms - 1_700_000_000_000).collect()
    }
}

/// Waits until `done`, and fails where it never is.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end: Instant = clock::now() + PATIENCE;
    let (_never, pause) = std::sync::mpsc::channel::<()>();
    while !done() {
        assert!(clock::now() < end, "{what}");
        let _paused = pause.recv_timeout(Duration::from_millis(5));
    }
}

/// A connection that holds the lock for writing until it is dropped.
fn lock(path: &Path) -> Connection {
    let other = Connection::open(path).unwrap();
    other.busy_timeout(PATIENCE).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    other
}

#[test]
fn rows_wait_while_another_connection_holds_the_lock() {
    let subject = subject(|_| {});
    let other = lock(&subject.path);
    subject.record(0..100);
    until("the lock is noticed", || !subject.ledger.stats().up);
    assert_eq!(subject.ledger.stats().queued, 100);
    assert!(subject.ledger.stats().last_error.unwrap().contains("locked"));
    drop(other);
    assert_eq!(subject.ledger.flush(PATIENCE), 0);
    assert_eq!(subject.kept(), (0..100).collect::<Vec<u64>>());
    let stats = subject.ledger.stats();
    assert_eq!((stats.up, stats.written, stats.lost), (true, 100, 0));
}

#[test]
fn beyond_the_bound_the_oldest_waiting_rows_are_dropped_and_counted() {
    let subject = subject(|config| config.queue_rows = 100);
    let other = lock(&subject.path);
    for chunk in 0..10u64 {
        subject.record(chunk * 50..(chunk + 1) * 50);
        until("the writer takes the rows", || subject.ledger.shared.queues.each().all(|queue| queue.is_empty()));
    }
    until("the surplus is dropped", || subject.ledger.stats().queued == 100);
    assert_eq!(subject.ledger.stats().lost, 400);
    drop(other);
    assert_eq!(subject.ledger.flush(PATIENCE), 0);
    assert_eq!(subject.kept(), (400..500).collect::<Vec<u64>>());
    assert_eq!(subject.ledger.stats().lost, 400);
}

#[test]
fn a_writer_that_does_not_come_costs_rows_and_no_memory() {
    let subject = subject(|config| {
        config.queue_rows = 100;
        config.flush_interval = Duration::from_secs(3600);
    });
    let other = lock(&subject.path);
    subject.record(0..10_000);
    let stats = subject.ledger.stats();
    assert!(stats.queued <= 200, "{stats:?}");
    drop(other);
    subject.ledger.flush(PATIENCE);
    let stats = subject.ledger.stats();
    assert_eq!(stats.written + stats.lost, 10_000, "every row is written or counted");
    assert!(stats.lost >= 9_800 - 100, "{stats:?}");
}

#[test]
fn half_a_queue_wakes_the_writer_before_its_time() {
    let subject = subject(|config| {
        config.queue_rows = 1000;
        config.flush_interval = Duration::from_secs(3600);
    });
    // The writer may not have come to its pause yet; then the wake-up is lost, as it may be.
    until("the writer comes", || {
        let next = subject.ledger.stats().written + subject.ledger.stats().queued as u64;
        subject.record(next..next + 501);
        let (_never, pause) = std::sync::mpsc::channel::<()>();
        let _paused = pause.recv_timeout(MOMENT);
        subject.ledger.stats().written > 0
    });
}

#[test]
fn a_flush_ends_with_its_patience() {
    let subject = subject(|_| {});
    let other = lock(&subject.path);
    subject.record(0..3);
    assert_eq!(subject.ledger.flush(MOMENT), 3);
    drop(other);
    assert_eq!(subject.ledger.flush(PATIENCE), 0);
}

#[test]
fn a_deleted_directory_is_made_anew_and_no_row_of_later_is_lost() {
    let subject = subject(|_| {});
    subject.record(0..10);
    assert_eq!(subject.ledger.flush(PATIENCE), 0);
    fs::remove_dir_all(subject.path.parent().unwrap()).unwrap();
    subject.record(10..20);
    assert_eq!(subject.ledger.flush(PATIENCE), 0);
    assert_eq!(subject.kept(), (10..20).collect::<Vec<u64>>());
    assert_eq!(subject.ledger.stats().lost, 0);
    assert!(subject.ledger.stats().last_error.unwrap().contains("removed or replaced"));
}

#[test]
fn a_file_put_in_the_place_of_the_database_is_used_from_then_on() {
    let subject = subject(|_| {});
    subject.record(0..10);
    subject.ledger.flush(PATIENCE);
    let aside = subject.path.with_file_name("old.db");
    fs::rename(&subject.path, &aside).unwrap();
    fs::rename(subject.path.with_file_name("ledger.db-wal"), subject.path.with_file_name("old.db-wal")).unwrap();
    fs::remove_file(subject.path.with_file_name("ledger.db-shm")).unwrap();
    subject.record(10..20);
    assert_eq!(subject.ledger.flush(PATIENCE), 0);
    assert_eq!(subject.kept(), (10..20).collect::<Vec<u64>>());
}

#[test]
fn a_path_that_cannot_be_made_is_tried_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let blocker = directory.path().join("data");
    fs::write(&blocker, "a file where a directory should be").unwrap();
    let (ledger, _writer) = SqliteLedger::open(quick(&blocker.join("ledger.db"))).unwrap();
    let stats = ledger.stats();
    assert!(!stats.up && stats.last_error.is_some(), "known before the first request: {stats:?}");
    (0..10).for_each(|at| ledger.record(row(at)));
    assert_eq!(ledger.flush(MOMENT), 10);
    assert!(ledger.recent(1).is_err(), "there is nothing to read, and that is said");
    fs::remove_file(&blocker).unwrap();
    assert_eq!(ledger.flush(PATIENCE), 0);
    assert_eq!((ledger.stats().up, ledger.recent(100).unwrap().len()), (true, 10));
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let text = "this is somebody's letter, ".repeat(100);
    fs::write(&path, &text).unwrap();
    let (ledger, writer) = SqliteLedger::open(quick(&path)).unwrap();
    ledger.record(row(1));
    assert_eq!(ledger.flush(MOMENT), 1);
    assert!(ledger.stats().last_error.unwrap().contains("not a database"));
    assert_eq!(writer.close(MOMENT), 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_newer_schema_is_refused_and_says_what_to_do() {
    let first = subject(|_| {});
    first.ledger.record(row(1));
    first.ledger.flush(PATIENCE);
    let Subject { writer, path, directory: _directory, .. } = first;
    assert_eq!(writer.unwrap().close(PATIENCE), 0);
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("INSERT INTO migrations VALUES (999, 0)").unwrap();
    drop(conn);
    let (ledger, _writer) = SqliteLedger::open(quick(&path)).unwrap();
    let reason = ledger.stats().last_error.unwrap();
    assert!(reason.contains("999") && reason.contains("upgrade the router"), "{reason}");
    assert!(!ledger.stats().up);
}

#[test]
fn closing_writes_what_waits_and_opening_again_keeps_it() {
    let mut first = subject(|config| config.flush_interval = Duration::from_secs(3600));
    first.record(0..100);
    assert_eq!(first.writer.take().unwrap().close(PATIENCE), 0);
    assert!(!first.path.with_file_name("ledger.db-wal").exists(), "the log is folded into the file");
    assert_eq!(fs::metadata(&first.path).unwrap().permissions().mode() & 0o777, 0o600);
    let (second, _writer) = SqliteLedger::open(quick(&first.path)).unwrap();
    second.record(row(100));
    second.record(row(50));
    assert_eq!(second.flush(PATIENCE), 0);
    assert_eq!(second.recent(1000).unwrap().len(), 101);
    let conn = Connection::open(&first.path).unwrap();
    let versions: i64 = conn.query_row("SELECT count(*) FROM migrations", (), |row| row.get(0)).unwrap();
    assert_eq!(versions, 3, "each step is made once");
}

#[test]
fn two_routers_share_one_file() {
    let first = subject(|_| {});
    let (second, _writer) = SqliteLedger::open(quick(&first.path)).unwrap();
    for at in 0..200 {
        let ledger: &SqliteLedger = if at % 2 == 0 { &first.ledger } else { &second };
        let mut row = row(at);
        row.model = Arc::from(format!("model-{at}"));
        ledger.record(row);
    }
    assert_eq!((first.ledger.flush(PATIENCE), second.flush(PATIENCE)), (0, 0));
    assert_eq!(first.kept(), (0..200).collect::<Vec<u64>>());
    assert_eq!(first.ledger.totals(0, GroupBy::Model).unwrap().len(), 200);
}

#[test]
fn rows_beyond_their_retention_are_deleted() {
    let subject = subject(|config| config.retention = Some(Duration::from_secs(86_400)));
    let now = clock::unix_millis();
    let at = |millis: u64| UsageRow { id: atp_core::RequestId::from_parts(millis, u128::from(millis)), ..row(0) };
    let day = 86_400_000;
    (0..2_500).for_each(|n| subject.ledger.record(at(now - 2 * day + n)));
    (0..10).for_each(|n| subject.ledger.record(at(now - n)));
    assert_eq!(subject.ledger.flush(PATIENCE), 0);
    // The first sweep may have come before the rows; sweeping again at once is the test's own wish.
    drop(subject.writer);
    let (again, _writer) =
        SqliteLedger::open(LedgerConfig { retention: Some(Duration::from_millis(day)), ..quick(&subject.path) })
            .unwrap();
    until("the old rows are gone", || again.recent(10_000).unwrap().len() == 10);
    drop(subject.directory);
}

#[test]
fn any_number_of_names_of_any_length_is_kept() {
    let subject = subject(|_| {});
    for at in 0..5_000 {
        let mut row = row(at);
        row.model = Arc::from(format!("model-{}", at % 4_500));
        subject.ledger.record(row);
    }
    let mut long = row(5_000);
    long.model = Arc::from("ä".repeat(1000));
    subject.ledger.record(long);
    assert_eq!(subject.ledger.flush(PATIENCE), 0);
    assert_eq!(subject.ledger.totals(0, GroupBy::Model).unwrap().len(), 4_501);
    assert_eq!(subject.ledger.recent(1).unwrap()[0].model, "ä".repeat(128));
}

#[test]
fn rows_of_the_first_schema_are_carried_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let old = Connection::open(&path).unwrap();
    migrate::run_to(&old, 1);
    let mut expected = vec![];
    old.execute("INSERT INTO names VALUES (1, 'web-app'), (2, 'acme'), (3, 'chat'), (4, 'm'), (5, 'up'), (6, 'm-2024'), (7, 'served'), (8, 'tool_calls'), (9, 'provider_cut')", ()).unwrap();
    for at in 0..100u64 {
        let mut row = row(at);
        row.attempts = 1 + u32::try_from(at % 3).unwrap();
        row.error = (at % 2 == 0).then_some("provider_cut");
        row.finish = row.finish.filter(|_| at % 5 > 0);
        row.cost = row.cost.filter(|_| at % 7 > 0);
        let sql = "INSERT INTO usage_rows VALUES (?1, ?2, 1, 2, 3, 4, 5, 6, 1, 7, ?3, 200, ?4, 100, 20, 30, 5, ?5, ?6, 1000, 2000, 17)";
        let values = (
            row.id.to_bytes(),
            row.id.unix_millis().cast_signed(),
            row.error.map(|_| 9),
            row.finish.map(|_| 8),
            row.cost.map(|cost| cost.0.cast_signed()),
            row.attempts,
        );
        old.execute(sql, values).unwrap();
        expected.push(UsageRecord::from(&row));
    }
    drop(old);
    expected.reverse();
    let (ledger, _writer) = SqliteLedger::open(quick(&path)).unwrap();
    assert_eq!(ledger.recent(1_000).unwrap(), expected);
    // What comes later joins the kinds that were found.
    let newer = UsageRow { finish: None, ..row(100) };
    ledger.record(newer);
    assert_eq!(ledger.flush(PATIENCE), 0);
    let conn = Connection::open(&path).unwrap();
    let kinds = conn.query_row("SELECT count(*) FROM kinds", (), |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(kinds, 3 * 2 * 2, "attempts, error or not, finish reason or not");
    assert_eq!(ledger.totals(0, GroupBy::Model).unwrap()[0].requests, 101);
}

#[test]
fn kinds_of_the_second_schema_keep_their_rows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let old = Connection::open(&path).unwrap();
    migrate::run_to(&old, 2);
    old.execute("INSERT INTO names VALUES (1, 'web-app'), (2, 'acme'), (3, 'chat'), (4, 'm'), (5, 'up'), (6, 'm-2024'), (7, 'served'), (8, 'tool_calls')", ()).unwrap();
    old.execute(
        "INSERT INTO kinds VALUES (5, 1, 2, 3, 4, 5, 6, 1, 7, 0, 200, 8, 2), (9, 1, 2, 3, 4, 5, 6, 1, 7, 0, 200, 0, 2)",
        (),
    )
    .unwrap();
    let sql = "INSERT INTO usage_rows VALUES (?1, ?2, ?3, 100, 20, 30, 5, 7, 1000, 2000, 17)";
    let mut expected = vec![];
    for at in 0..10u64 {
        let mut row = row(at);
        row.finish = row.finish.filter(|_| at % 2 == 0);
        let kind = if row.finish.is_some() { 5 } else { 9 };
        old.execute(sql, (row.id.to_bytes(), row.id.unix_millis().cast_signed(), kind)).unwrap();
        expected.push(UsageRecord::from(&row));
    }
    drop(old);
    let (ledger, _writer) = SqliteLedger::open(quick(&path)).unwrap();
    // A row like the old ones joins their kind; one whose model was chosen has a new one.
    let mut chosen = row(11);
    chosen.chosen = Some(Arc::from("m-large"));
    for more in [row(10), chosen] {
        ledger.record(more.clone());
        expected.push(UsageRecord::from(&more));
    }
    assert_eq!(ledger.flush(PATIENCE), 0);
    expected.reverse();
    assert_eq!(ledger.recent(1_000).unwrap(), expected);
    let conn = Connection::open(&path).unwrap();
    let kinds = conn.query_row("SELECT count(*) FROM kinds", (), |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(kinds, 3);
}

#[test]
fn people_read_the_view() {
    let subject = subject(|_| {});
    subject.ledger.record(row(0));
    subject.ledger.flush(PATIENCE);
    let conn = Connection::open(&subject.path).unwrap();
    let sql = "SELECT request_id, at, model, outcome, finish, cost_usd FROM usage WHERE tenant = 'acme'";
    let found: (String, String, String, String, String, f64) = conn
        .query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
        .unwrap();
    let expected = ("m".into(), "served".into(), "tool_calls".into(), 7e-6);
    assert_eq!((found.2, found.3, found.4, found.5), expected);
    assert_eq!((found.0, found.1.as_str()), (row(0).id.to_string(), "2023-11-14T22:13:20.000Z"));
}

#[test]
fn the_memory_of_a_burst_goes_back() {
    let subject = subject(|_| {});
    subject.record(0..10_000);
    assert_eq!(subject.ledger.flush(PATIENCE), 0);
    until("the vectors shrink", || {
        subject.record([20_000]);
        subject.ledger.flush(PATIENCE);
        subject.ledger.shared.queues.each().all(|queue| queue.capacity() < 1000)
    });
}

#[test]
fn the_newest_rows_are_found_without_reading_all() {
    let subject = subject(|_| {});
    subject.record(0..10);
    subject.ledger.flush(PATIENCE);
    let conn = Connection::open(&subject.path).unwrap();
    let plan = |sql: &str| {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = statement.query_map((), |row| row.get::<_, String>(3)).unwrap();
        lines.collect::<Result<Vec<_>, _>>().unwrap().join("\n")
    };
    let recent = plan("SELECT request_id, model FROM usage ORDER BY id DESC LIMIT 5");
    assert!(!recent.contains("TEMP B-TREE"), "{recent}");
    let since = plan("SELECT count(*) FROM usage_rows WHERE id >= x'01'");
    assert!(since.contains("SEARCH usage_rows USING PRIMARY KEY"), "{since}");
}
