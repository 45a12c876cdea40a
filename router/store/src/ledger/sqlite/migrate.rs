//! The schema, as a list of steps that only ever grows.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::database::Fault;
use crate::ledger::clock;

/// One step for each version, in order. A step that has been released is never changed.
const STEPS: [&str; 1] = [V1];

/// Text lives once in `names`; a row holds whole numbers only, so that it is small and cheap to write.
/// The key is the request id: big-endian bytes that begin with the time, so rows append at the end of
/// the one B-tree that holds them, a range of ids is a range of time, and writing a row twice changes
/// nothing. `usage` is the same table for people.
const V1: &str = "
CREATE TABLE names (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE usage_rows (
    id               BLOB    NOT NULL PRIMARY KEY,
    at_ms            INTEGER NOT NULL,
    key              INTEGER NOT NULL,
    tenant           INTEGER NOT NULL,
    operation        INTEGER NOT NULL,
    model            INTEGER NOT NULL,
    provider         INTEGER NOT NULL,
    target           INTEGER NOT NULL,
    stream           INTEGER NOT NULL,
    outcome          INTEGER NOT NULL,
    error            INTEGER,
    status           INTEGER NOT NULL,
    finish           INTEGER,
    input_tokens     INTEGER,
    output_tokens    INTEGER,
    cached_tokens    INTEGER,
    reasoning_tokens INTEGER,
    cost_micro_usd   INTEGER,
    attempts         INTEGER NOT NULL,
    first_byte_us    INTEGER NOT NULL,
    total_us         INTEGER NOT NULL,
    overhead_us      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW usage AS SELECT
    'req_' || lower(hex(id)) AS request_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at,
    at_ms,
    (SELECT text FROM names WHERE names.id = usage_rows.key) AS key,
    (SELECT text FROM names WHERE names.id = tenant) AS tenant,
    (SELECT text FROM names WHERE names.id = operation) AS operation,
    (SELECT text FROM names WHERE names.id = model) AS model,
    (SELECT text FROM names WHERE names.id = provider) AS provider,
    (SELECT text FROM names WHERE names.id = target) AS target,
    stream,
    (SELECT text FROM names WHERE names.id = outcome) AS outcome,
    (SELECT text FROM names WHERE names.id = error) AS error,
    status,
    (SELECT text FROM names WHERE names.id = finish) AS finish,
    input_tokens, output_tokens, cached_tokens, reasoning_tokens,
    cost_micro_usd, cost_micro_usd / 1e6 AS cost_usd,
    attempts, first_byte_us, total_us, overhead_us,
    id
FROM usage_rows;
";

/// Brings the database to the newest version.
///
/// The version is read again inside each step's transaction, so that two routers that open one new
/// file at once do not both make it.
pub(super) fn run(conn: &mut Connection) -> Result<(), Fault> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied_ms INTEGER NOT NULL) STRICT",
    )?;
    for (version, step) in (1i64..).zip(STEPS) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if current(&transaction)? < version {
            transaction.execute_batch(step)?;
            let now = i64::try_from(clock::unix_millis()).unwrap_or(i64::MAX);
            transaction.execute("INSERT INTO migrations (version, applied_ms) VALUES (?1, ?2)", (version, now))?;
        }
        transaction.commit()?;
    }
    let (found, known) = (current(conn)?, i64::try_from(STEPS.len()).unwrap_or(i64::MAX));
    if found > known {
        return Err(Fault::broken(format!(
            "the file has schema version {found} and this router knows versions up to {known}; \
             upgrade the router or name another file"
        )));
    }
    Ok(())
}

fn current(conn: &Connection) -> Result<i64, rusqlite::Error> {
    let newest = conn.query_row("SELECT max(version) FROM migrations", (), |row| row.get::<_, Option<i64>>(0));
    Ok(newest.optional()?.flatten().unwrap_or(0))
}
