//! The dictionary: text to the whole number that stands for it in the rows.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

/// How many names are kept in memory. Callers may ask for models that do not exist, so the names are
/// not a closed set; beyond this the cache starts anew.
const CACHED: usize = 4096;

/// How many bytes of a name are kept.
const LONGEST: usize = 256;

/// Names already looked up.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<Arc<str>, i64>,
    labels: Vec<(&'static str, i64)>,
}

impl Names {
    /// The number of a shared name.
    pub(super) fn shared(&mut self, conn: &Connection, name: &Arc<str>) -> rusqlite::Result<i64> {
        if let Some(id) = self.known.get(name) {
            return Ok(*id);
        }
        if self.known.len() >= CACHED {
            self.known.clear();
        }
        let id = look_up(conn, cut(name))?;
        self.known.insert(Arc::clone(name), id);
        Ok(id)
    }

    /// The number of a label: one of a closed set of texts in the program. They are so few that a
    /// walk over them is quicker than a hash.
    pub(super) fn label(&mut self, conn: &Connection, label: &'static str) -> rusqlite::Result<i64> {
        if let Some((_, id)) = self.labels.iter().find(|(held, _)| std::ptr::eq(*held, label)) {
            return Ok(*id);
        }
        let id = look_up(conn, label)?;
        self.labels.push((label, id));
        Ok(id)
    }
}

/// The name up to [`LONGEST`] bytes, cut between two characters.
fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(LONGEST)).unwrap_or(name)
}

fn look_up(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    let mut select = conn.prepare_cached("SELECT id FROM names WHERE text = ?1")?;
    if let Some(id) = select.query_row([name], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    conn.prepare_cached("INSERT INTO names (text) VALUES (?1)")?.execute([name])?;
    Ok(conn.last_insert_rowid())
}
