//! The file as a tree whose every value knows its line and column.
//!
//! The YAML parser reads the text once into this tree; the typed form is read from the tree (see
//! [`shape`]), and later checks ask it for positions. So an error of any kind, found at any stage, points at the right
//! place, and one wrong value does not hide the next one.

pub(super) mod expand;
pub(super) mod mask;
pub(super) mod node;
pub(super) mod shape;

use std::cell::OnceCell;

use self::node::{Mark, Node, Unreadable, Value};
use super::error::{Code, Issue};
use super::path::{FieldPath, Segment};

/// Larger files are refused before they are parsed: a configuration of a thousand models has some 300 KiB.
const MAX_BYTES: usize = 8 << 20;

/// A parsed file.
pub(super) struct Document {
    /// The text, for the line that an error shows.
    source: String,
    /// What it says.
    pub(super) root: Node,
    masked: OnceCell<String>,
}

impl Document {
    /// Parses a file's bytes.
    ///
    /// # Errors
    /// The first thing that is not YAML, or that exceeds the limits which protect against hostile files.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Box<Unreadable>> {
        let source = match std::str::from_utf8(bytes) {
            _ if bytes.len() > MAX_BYTES => {
                let issue = Issue::new(Code::Syntax, "the file is too large").found(&format!("{} bytes", bytes.len()));
                return Err(Box::new(Unreadable { issue: issue.allowed("at most 8 MiB"), mark: None }));
            }
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(wrong) => {
                let issue = Issue::new(Code::Syntax, "the file is not UTF-8 text");
                let mark = Some(Mark::at_byte(bytes, wrong.valid_up_to()));
                return Err(Box::new(Unreadable { issue, mark }));
            }
        };
        let root = node::parse(source)?;
        Ok(Self { source: source.to_owned(), root, masked: OnceCell::new() })
    }

    /// A document without text: what the embedded configuration stands on.
    pub(super) fn empty() -> Self {
        let root = Node { value: Value::Map(Vec::new()), mark: Mark::default(), raw: None };
        Self { source: String::new(), root, masked: OnceCell::new() }
    }

    /// Where the value of `path` stands; of its nearest ancestor, where the value is not in the file.
    pub(super) fn mark(&self, path: &FieldPath) -> Mark {
        let mut mark = self.root.mark;
        let mut node = &self.root;
        for segment in &path.0 {
            let Some(child) = node.child(segment) else { break };
            mark = child.mark;
            node = child;
        }
        mark
    }

    /// Where the name of `path` stands (the key of a map's entry), or else its value.
    pub(super) fn key_mark(&self, path: &FieldPath) -> Mark {
        let named = path.0.split_last().and_then(|(last, above)| {
            let Segment::Key(wanted) = last else { return None };
            let Value::Map(entries) = &self.find(above)?.value else { return None };
            entries.iter().find(|(key, _)| key.text == *wanted).map(|(key, _)| key.mark)
        });
        named.unwrap_or_else(|| self.mark(path))
    }

    /// What stands at `path`, in words fit for an error: never a secret.
    pub(super) fn found(&self, path: &FieldPath) -> Option<String> {
        let node = self.find(&path.0)?;
        Some(node.describe(path))
    }

    /// The names of a map's entries, in their order.
    pub(super) fn names(&self, path: &FieldPath) -> Vec<&str> {
        match self.find(&path.0).map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.iter().map(|(key, _)| key.text.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// One line of the file, counted from 1, with stars in place of secrets.
    pub(super) fn line(&self, number: usize) -> Option<&str> {
        let masked = self.masked.get_or_init(|| mask::mask(&self.source, &self.root));
        masked.lines().nth(number.checked_sub(1)?)
    }

    fn find(&self, path: &[Segment]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, segment| node.child(segment))
    }
}

#[cfg(test)]
mod tests;
