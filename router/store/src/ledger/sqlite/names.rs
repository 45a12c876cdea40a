//! The dictionary: text to the whole number that stands for it in the rows.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

/// How many names are kept in memory. Callers may ask for models that do not exist, so the names are
/// not a closed set; beyond this the cache starts anew.
const CACHED: usize = 4096;

/// How many bytes of a name are kept.
const LONGEST: usize = 256;

/// Names already looked up. One rests on its pointer: the names of most rows are the same few shared
/// strings, one after the other.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<Arc<str>, i64>,
    labels: Vec<(&'static str, i64)>,
}

/// The last name seen in one column.
#[derive(Debug, Default)]
pub(super) struct Last(Option<(Arc<str>, i64)>);

impl Names {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.labels.clear();
    }

    /// The number of a shared name; `last` is the column's previous one.
    pub(super) fn shared(&mut self, conn: &Connection, name: &Arc<str>, last: &mut Last) -> rusqlite::Result<i64> {
        if let Some((held, id)) = &last.0
            && Arc::ptr_eq(held, name)
        {
            return Ok(*id);
        }
        let id = match self.known.get(name) {
            Some(id) => *id,
            None => {
                if self.known.len() >= CACHED {
                    self.known.clear();
                }
                let id = look_up(conn, cut(name))?;
                self.known.insert(Arc::clone(name), id);
                id
            }
        };
        last.0 = Some((Arc::clone(name), id));
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
