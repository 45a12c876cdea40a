//! Rows to SQL: many rows to a statement, whole numbers to a row.

use std::sync::LazyLock;

use atp_core::RequestId;
use atp_core::port::UsageRow;
use rusqlite::types::Null;
use rusqlite::{Connection, Statement, ToSql};

use super::kinds::Kinds;

/// Rows of one statement: enough that its own cost is small against theirs.
const BATCH: usize = 32;

/// Columns of `usage_rows`.
const COLUMNS: usize = 11;

static ONE: LazyLock<String> = LazyLock::new(|| statement(1));
static MANY: LazyLock<String> = LazyLock::new(|| statement(BATCH));

/// `INSERT OR IGNORE` makes a row that is already there change nothing.
fn statement(rows: usize) -> String {
    let mut sql = String::from("INSERT OR IGNORE INTO usage_rows VALUES ");
    for row in 0..rows {
        sql.push_str(if row == 0 { "(?" } else { ",(?" });
        sql.push_str(&",?".repeat(COLUMNS - 1));
        sql.push(')');
    }
    sql
}

/// The smallest id of a millisecond: ids at or after it began then or later.
pub(super) fn first_id_at(unix_millis: u64) -> [u8; 16] {
    let mut id = [0; 16];
    // The time is the first 48 bits; a later time than they hold is the last one they hold.
    let millis = unix_millis.min(0xffff_ffff_ffff) << 16;
    for (slot, byte) in id.iter_mut().zip(millis.to_be_bytes()) {
        *slot = byte;
    }
    id
}

/// Writes the rows; call it within a transaction.
pub(super) fn rows(conn: &Connection, kinds: &mut Kinds, rows: &[UsageRow]) -> rusqlite::Result<()> {
    let mut batches = rows.chunks_exact(BATCH);
    if rows.len() >= BATCH {
        let mut many = conn.prepare_cached(&MANY)?;
        for batch in batches.by_ref() {
            let mut at = Binder { statement: &mut many, column: 0 };
            for row in batch {
                bind(kinds.of(conn, row)?, row, &mut at)?;
            }
            many.raw_execute()?;
        }
    }
    let mut one = conn.prepare_cached(&ONE)?;
    for row in batches.remainder() {
        bind(kinds.of(conn, row)?, row, &mut Binder { statement: &mut one, column: 0 })?;
        one.raw_execute()?;
    }
    Ok(())
}

/// Binds values one after the other.
struct Binder<'a, 'conn> {
    statement: &'a mut Statement<'conn>,
    column: usize,
}

impl Binder<'_, '_> {
    fn put(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.column += 1;
        self.statement.raw_bind_parameter(self.column, value)
    }

    /// SQLite's integers are signed; what does not fit is the largest that does.
    fn count(&mut self, value: u64) -> rusqlite::Result<()> {
        self.put(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn maybe(&mut self, value: Option<u64>) -> rusqlite::Result<()> {
        match value {
            Some(value) => self.count(value),
            None => self.put(Null),
        }
    }
}

/// Binds one row, in the order of the table's columns.
fn bind(kind: i64, row: &UsageRow, at: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
    at.put(RequestId::to_bytes(row.id).as_slice())?;
    at.count(row.id.unix_millis())?;
    at.put(kind)?;
    at.maybe(row.usage.map(|usage| usage.input))?;
    at.maybe(row.usage.map(|usage| usage.output))?;
    at.maybe(row.usage.map(|usage| usage.cached_input))?;
    at.maybe(row.usage.map(|usage| usage.reasoning))?;
    at.maybe(row.cost.map(|cost| cost.0))?;
    at.count(row.first_byte_us)?;
    at.count(row.total_us)?;
    at.count(row.overhead_us)
}
