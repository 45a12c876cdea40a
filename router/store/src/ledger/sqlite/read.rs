//! Questions to the file, each on a connection of its own that only reads.

use std::path::Path;
use std::time::Duration;

use atp_core::port::GroupBy;
use atp_core::{Error, ErrorKind, MicroUsd};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

use super::insert::first_id_at;
use crate::clock;
use crate::ledger::record::{Total, UsageRecord};
use crate::ledger::spent::{Owner, Spending};

/// How long a question may run. An open read also keeps SQLite's log from being cut back.
const LONGEST: Duration = Duration::from_secs(5);

/// How many of SQLite's steps lie between two looks at the clock: some 0.1 ms.
const STEPS: i32 = 10_000;

pub(super) fn recent(path: &Path, limit: usize) -> Result<Vec<UsageRecord>, Error> {
    let sql = "SELECT request_id, at_ms, key, tenant, operation, model, provider, target, stream, outcome, error, \
               status, finish, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_micro_usd, \
               attempts, first_byte_us, total_us, overhead_us, chosen, metered \
               FROM usage ORDER BY id DESC LIMIT ?1";
    let run = || {
        let conn = open(path)?;
        let mut statement = conn.prepare(sql)?;
        let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], record)?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    run().map_err(|error| explain(&error))
}

/// Rows are added up by their kind, which says how they ended, and the kinds by name.
///
/// `total` adds as floats and the cast saturates: one absurd number from a provider must not make the
/// whole question fail, as `sum` would on overflow. Sums are exact up to 2^53.
pub(super) fn totals(path: &Path, since_ms: u64, by: GroupBy) -> Result<Vec<Total>, Error> {
    let ended = |outcome: &str| {
        format!(
            "CAST(total(CASE WHEN outcome = (SELECT id FROM names WHERE text = '{outcome}') THEN requests END) AS INTEGER)"
        )
    };
    let sql = format!(
        "SELECT coalesce((SELECT text FROM names WHERE names.id = kinds.{column}), '') AS text,
             CAST(total(requests) AS INTEGER) AS requests, {served}, {refused}, {failed}, {cancelled},
             CAST(total(input) AS INTEGER), CAST(total(output) AS INTEGER),
             CAST(total(cached) AS INTEGER), CAST(total(reasoning) AS INTEGER), CAST(total(cost) AS INTEGER),
             CAST(total(CASE WHEN outcome = (SELECT id FROM names WHERE text = 'served') THEN costless END) AS INTEGER)
         FROM (
             SELECT kind, count(*) AS requests, total(input_tokens) AS input, total(output_tokens) AS output,
                 total(cached_tokens) AS cached, total(reasoning_tokens) AS reasoning, total(cost_micro_usd) AS cost,
                 total(cost_micro_usd IS NULL) AS costless
             FROM usage_rows WHERE id >= ?1 GROUP BY kind
         ) AS sums CROSS JOIN kinds ON kinds.id = sums.kind
         GROUP BY kinds.{column} ORDER BY requests DESC, text",
        column = by.label(),
        served = ended("served"),
        refused = ended("refused"),
        failed = ended("failed"),
        cancelled = ended("cancelled"),
    );
    let run = || {
        let conn = open(path)?;
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_map([first_id_at(since_ms).as_slice()], total)?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    run().map_err(|error| explain(&error))
}

/// What was spent, by key or tenant. A row without a provider is one that no provider was paid for: an answer
/// that was kept, or made for another.
pub(super) fn spent(path: &Path, since_ms: u64, of: Owner) -> Result<Vec<Spending>, Error> {
    let sql = format!(
        "SELECT coalesce((SELECT text FROM names WHERE names.id = kinds.{column}), '') AS text,
             CAST(total(cost) AS INTEGER) AS cost, CAST(total(tokens) AS INTEGER) AS tokens
         FROM (
             SELECT kind, total(cost_micro_usd) AS cost, total(input_tokens) + total(output_tokens) AS tokens
             FROM usage_rows WHERE id >= ?1 GROUP BY kind
         ) AS sums CROSS JOIN kinds ON kinds.id = sums.kind
         WHERE kinds.provider IS NOT (SELECT id FROM names WHERE text = '')
         GROUP BY kinds.{column} HAVING total(cost) > 0 OR total(tokens) > 0 ORDER BY text",
        column = of.column(),
    );
    let spending = |row: &Row<'_>| {
        Ok(Spending { owner: of, name: row.get(0)?, cost: MicroUsd(count(row, 1)?), tokens: count(row, 2)? })
    };
    let run = || {
        let conn = open(path)?;
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_map([first_id_at(since_ms).as_slice()], spending)?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    run().map_err(|error| explain(&error))
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_millis(250))?;
    let end = clock::now() + LONGEST;
    conn.progress_handler(STEPS, Some(move || clock::now() > end))?;
    Ok(conn)
}

fn explain(error: &rusqlite::Error) -> Error {
    let text = match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => {
            "the question to the ledger took longer than 5 s; ask for fewer rows or a later `since`"
        }
        _ => "the ledger cannot be read; see `last_error` in /admin/ledger",
    };
    Error::router(ErrorKind::Internal, text).with_cause(error)
}

fn record(row: &Row<'_>) -> rusqlite::Result<UsageRecord> {
    Ok(UsageRecord {
        id: row.get(0)?,
        at_ms: count(row, 1)?,
        key: row.get(2)?,
        tenant: row.get(3)?,
        operation: row.get(4)?,
        model: row.get(5)?,
        chosen: row.get(22)?,
        provider: row.get(6)?,
        target: row.get(7)?,
        stream: row.get(8)?,
        outcome: row.get(9)?,
        error: row.get(10)?,
        status: row.get(11)?,
        finish: row.get(12)?,
        metered: row.get(23)?,
        input_tokens: maybe(row, 13)?,
        output_tokens: maybe(row, 14)?,
        cached_tokens: maybe(row, 15)?,
        reasoning_tokens: maybe(row, 16)?,
        cost_micro_usd: maybe(row, 17)?,
        attempts: row.get(18)?,
        first_byte_us: count(row, 19)?,
        total_us: count(row, 20)?,
        overhead_us: count(row, 21)?,
    })
}

fn total(row: &Row<'_>) -> rusqlite::Result<Total> {
    Ok(Total {
        name: row.get(0)?,
        requests: count(row, 1)?,
        served: count(row, 2)?,
        refused: count(row, 3)?,
        failed: count(row, 4)?,
        cancelled: count(row, 5)?,
        input_tokens: count(row, 6)?,
        output_tokens: count(row, 7)?,
        cached_tokens: count(row, 8)?,
        reasoning_tokens: count(row, 9)?,
        cost_micro_usd: count(row, 10)?,
        unpriced: count(row, 11)?,
    })
}

/// The writer puts in no negative number; one that is there all the same counts as none.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(maybe(row, column)?.unwrap_or(0))
}

fn maybe(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|value| u64::try_from(value).unwrap_or(0)))
}
