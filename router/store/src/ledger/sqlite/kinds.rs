//! The kinds of rows: everything of a row that many rows have in common, under one whole number.
//!
//! Writing a row costs by its columns, and a dozen of them hardly ever change from one row to the next:
//! who asked, what for, who answered, how it ended. Such a combination is kept once.

use std::collections::HashMap;
use std::sync::Arc;

use atp_core::port::{Outcome, UsageRow};
use atp_core::{Finish, Operation};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::names::Names;

/// How many kinds are kept in memory. Names are not a closed set (see [`Names`]), so neither are their
/// combinations; beyond this the cache starts anew.
const CACHED: usize = 4096;

/// How many kinds are known by sight: the traffic of a few models at a time.
const RECENT: usize = 8;

/// The columns of `kinds` behind its id, in order.
const COLUMNS: usize = 14;

/// A kind as it is kept. An error, a finish reason or a chosen model that there is not is 0, which no name has.
type Kind = [i64; COLUMNS];

const SELECT: &str = "SELECT id FROM kinds WHERE key = ? AND tenant = ? AND operation = ? AND model = ? AND provider = ? \
                      AND target = ? AND stream = ? AND outcome = ? AND error = ? AND status = ? AND finish = ? AND attempts = ? AND chosen = ? \
                      AND metered = ?";

const INSERT: &str = "INSERT INTO kinds (key, tenant, operation, model, provider, target, stream, outcome, error, status, \
                      finish, attempts, chosen, metered) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

/// Kinds already looked up.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    names: Names,
    known: HashMap<Kind, i64>,
    /// The last few that were asked for, newest last.
    recent: Vec<(Sight, i64)>,
}

impl Kinds {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The number of a row's kind.
    pub(super) fn of(&mut self, conn: &Connection, row: &UsageRow) -> rusqlite::Result<i64> {
        if let Some((_, id)) = self.recent.iter().rev().find(|(sight, _)| sight.is_of(row)) {
            return Ok(*id);
        }
        let kind = self.kind(conn, row)?;
        let id = match self.known.get(&kind) {
            Some(id) => *id,
            None => {
                if self.known.len() >= CACHED {
                    self.known.clear();
                }
                let id = look_up(conn, &kind)?;
                self.known.insert(kind, id);
                id
            }
        };
        if self.recent.len() >= RECENT {
            self.recent.remove(0);
        }
        self.recent.push((Sight::of(row), id));
        Ok(id)
    }

    fn kind(&mut self, conn: &Connection, row: &UsageRow) -> rusqlite::Result<Kind> {
        let names = &mut self.names;
        Ok([
            names.shared(conn, &row.key)?,
            names.shared(conn, &row.tenant)?,
            names.label(conn, row.operation.label())?,
            names.shared(conn, &row.model)?,
            names.shared(conn, &row.provider)?,
            names.shared(conn, &row.target)?,
            i64::from(row.stream),
            names.label(conn, row.outcome.label())?,
            row.error.map_or(Ok(0), |error| names.label(conn, error))?,
            i64::from(row.status),
            row.finish.map_or(Ok(0), |finish| names.label(conn, finish.label()))?,
            i64::from(row.attempts),
            row.chosen.as_ref().map_or(Ok(0), |chosen| names.shared(conn, chosen))?,
            i64::from(row.metered),
        ])
    }
}

fn look_up(conn: &Connection, kind: &Kind) -> rusqlite::Result<i64> {
    let found = conn.prepare_cached(SELECT)?.query_row(params_from_iter(kind), |row| row.get(0)).optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    conn.prepare_cached(INSERT)?.execute(params_from_iter(kind))?;
    Ok(conn.last_insert_rowid())
}

/// How a kind is known again without looking up a name. The strings of most rows are the very same
/// ones; only the model's name, which comes with each request, has to be compared.
#[derive(Debug)]
struct Sight {
    names: [Arc<str>; 5],
    operation: Operation,
    stream: bool,
    outcome: Outcome,
    error: Option<&'static str>,
    status: u16,
    finish: Option<Finish>,
    attempts: u32,
    chosen: Option<Arc<str>>,
    metered: bool,
}

impl Sight {
    fn of(row: &UsageRow) -> Self {
        Self {
            names: names_of(row).map(Arc::clone),
            operation: row.operation,
            stream: row.stream,
            outcome: row.outcome,
            error: row.error,
            status: row.status,
            finish: row.finish,
            attempts: row.attempts,
            chosen: row.chosen.clone(),
            metered: row.metered,
        }
    }

    fn is_of(&self, row: &UsageRow) -> bool {
        self.names.iter().zip(names_of(row)).all(|(mine, its)| Arc::ptr_eq(mine, its) || mine == its)
            && (self.operation, self.stream, self.outcome) == (row.operation, row.stream, row.outcome)
            && (self.error, self.status, self.finish) == (row.error, row.status, row.finish)
            && (self.attempts, self.metered) == (row.attempts, row.metered)
            && self.chosen == row.chosen
    }
}

fn names_of(row: &UsageRow) -> [&Arc<str>; 5] {
    [&row.model, &row.key, &row.tenant, &row.target, &row.provider]
}
