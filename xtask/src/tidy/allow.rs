//! Files and functions that are longer than the limits, each with its length and a reason.
//!
//! The list only shrinks: an entry that is longer than its file is broken, an entry whose file got
//! shorter must be lowered to it, and an entry that is no longer needed must go.

use anyhow::{Context, Result};
use toml::Table;

/// Where the list lies.
pub(crate) const PATH: &str = "xtask/allow.toml";

/// One exception.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The file.
    pub(crate) path: String,
    /// The function in it; `None` for the file as a whole.
    pub(crate) function: Option<String>,
    /// Its length in lines.
    pub(crate) lines: usize,
}

/// All exceptions.
#[derive(Debug, Default)]
pub(crate) struct AllowList {
    entries: Vec<Entry>,
}

impl AllowList {
    /// Reads the list; an empty text is an empty list.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let table: Table = text.parse()?;
        let mut entries = Vec::new();
        for value in table.get("long").and_then(toml::Value::as_array).into_iter().flatten() {
            let word = |key: &str| value.get(key).and_then(toml::Value::as_str).map(str::to_owned);
            let path = word("path").context("an entry has no `path`")?;
            word("reason").with_context(|| format!("the entry of {path} has no `reason`"))?;
            let lines =
                value.get("lines").and_then(toml::Value::as_integer).and_then(|lines| usize::try_from(lines).ok());
            let lines = lines.with_context(|| format!("the entry of {path} has no `lines`"))?;
            entries.push(Entry { path, function: word("function"), lines });
        }
        Ok(Self { entries })
    }

    /// All entries.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a file, or of a function in it.
    pub(crate) fn find(&self, path: &str, function: Option<&str>) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path && entry.function.as_deref() == function)
    }
}
