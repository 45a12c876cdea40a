//! The schema, as a list of steps that only ever grows.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::database::Fault;
use crate::clock;

/// One step for each version, in order. A step that has been released is never changed.
const STEPS: [&str; 3] = [V1, V2, V3];

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

/// What many rows have in common lives once in `kinds`: a row is half as many columns, and writing it
/// costs little more than half. In `kinds` a 0 stands for an error or a finish reason that there is
/// not, because two NULLs would not be the same in its index.
const V2: &str = "
DROP VIEW usage;
ALTER TABLE usage_rows RENAME TO old_rows;
CREATE TABLE kinds (
    id        INTEGER PRIMARY KEY,
    key       INTEGER NOT NULL,
    tenant    INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    model     INTEGER NOT NULL,
    provider  INTEGER NOT NULL,
    target    INTEGER NOT NULL,
    stream    INTEGER NOT NULL,
    outcome   INTEGER NOT NULL,
    error     INTEGER NOT NULL,
    status    INTEGER NOT NULL,
    finish    INTEGER NOT NULL,
    attempts  INTEGER NOT NULL,
    UNIQUE (model, key, target, provider, tenant, operation, stream, outcome, error, status, finish, attempts)
) STRICT;
CREATE TABLE usage_rows (
    id               BLOB    NOT NULL PRIMARY KEY,
    at_ms            INTEGER NOT NULL,
    kind             INTEGER NOT NULL,
    input_tokens     INTEGER,
    output_tokens    INTEGER,
    cached_tokens    INTEGER,
    reasoning_tokens INTEGER,
    cost_micro_usd   INTEGER,
    first_byte_us    INTEGER NOT NULL,
    total_us         INTEGER NOT NULL,
    overhead_us      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO kinds (key, tenant, operation, model, provider, target, stream, outcome, error, status, finish, attempts)
    SELECT DISTINCT key, tenant, operation, model, provider, target, stream, outcome, ifnull(error, 0), status,
        ifnull(finish, 0), attempts
    FROM old_rows;
INSERT INTO usage_rows
    SELECT old.id, at_ms, kinds.id, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_micro_usd,
        first_byte_us, total_us, overhead_us
    FROM old_rows AS old JOIN kinds USING (key, tenant, operation, model, provider, target, stream, outcome, status, attempts)
    WHERE kinds.error = ifnull(old.error, 0) AND kinds.finish = ifnull(old.finish, 0)
    ORDER BY old.id;
DROP TABLE old_rows;
CREATE VIEW usage AS SELECT
    'req_' || lower(hex(usage_rows.id)) AS request_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at,
    at_ms,
    (SELECT text FROM names WHERE names.id = kinds.key) AS key,
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
    usage_rows.id AS id
FROM usage_rows CROSS JOIN kinds ON kinds.id = usage_rows.kind;
";

/// The model that the router chose, and whether the tokens are its own estimate. Both belong to the kind of a
/// row. A 0 stands for a model that was not chosen, as for an error.
const V3: &str = "
DROP VIEW usage;
ALTER TABLE kinds RENAME TO old_kinds;
CREATE TABLE kinds (
    id        INTEGER PRIMARY KEY,
    key       INTEGER NOT NULL,
    tenant    INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    model     INTEGER NOT NULL,
    provider  INTEGER NOT NULL,
    target    INTEGER NOT NULL,
    stream    INTEGER NOT NULL,
    outcome   INTEGER NOT NULL,
    error     INTEGER NOT NULL,
    status    INTEGER NOT NULL,
    finish    INTEGER NOT NULL,
    attempts  INTEGER NOT NULL,
    chosen    INTEGER NOT NULL,
    metered   INTEGER NOT NULL,
    UNIQUE (model, key, target, provider, tenant, operation, stream, outcome, error, status, finish, attempts, chosen,
        metered)
) STRICT;
INSERT INTO kinds
    SELECT id, key, tenant, operation, model, provider, target, stream, outcome, error, status, finish, attempts, 0, 0
    FROM old_kinds;
DROP TABLE old_kinds;
CREATE VIEW usage AS SELECT
    'req_' || lower(hex(usage_rows.id)) AS request_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at,
    at_ms,
    (SELECT text FROM names WHERE names.id = kinds.key) AS key,
    (SELECT text FROM names WHERE names.id = tenant) AS tenant,
    (SELECT text FROM names WHERE names.id = operation) AS operation,
    (SELECT text FROM names WHERE names.id = model) AS model,
    (SELECT text FROM names WHERE names.id = chosen) AS chosen,
    (SELECT text FROM names WHERE names.id = provider) AS provider,
    (SELECT text FROM names WHERE names.id = target) AS target,
    stream,
    (SELECT text FROM names WHERE names.id = outcome) AS outcome,
    (SELECT text FROM names WHERE names.id = error) AS error,
    status,
    (SELECT text FROM names WHERE names.id = finish) AS finish,
    metered, input_tokens, output_tokens, cached_tokens, reasoning_tokens,
    cost_micro_usd, cost_micro_usd / 1e6 AS cost_usd,
    attempts, first_byte_us, total_us, overhead_us,
    usage_rows.id AS id
FROM usage_rows CROSS JOIN kinds ON kinds.id = usage_rows.kind;
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

/// A file as the router of that version left it.
#[cfg(test)]
pub(super) fn run_to(conn: &Connection, version: usize) {
    conn.execute_batch("CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied_ms INTEGER NOT NULL) STRICT")
        .unwrap();
    for (number, step) in (1i64..).zip(STEPS).take(version) {
        conn.execute_batch(step).unwrap();
        conn.execute("INSERT INTO migrations VALUES (?1, 0)", [number]).unwrap();
    }
}

fn current(conn: &Connection) -> Result<i64, rusqlite::Error> {
    let newest = conn.query_row("SELECT max(version) FROM migrations", (), |row| row.get::<_, Option<i64>>(0));
    Ok(newest.optional()?.flatten().unwrap_or(0))
}
