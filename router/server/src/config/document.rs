//! The file as a tree whose every value knows its line and column.
//!
//! The YAML parser reads the text once into this tree; the typed form is read from the tree (see
//! [`shape`]), and later checks ask it for positions. So an error of any kind, found at any stage, points at the right
//! place, and one wrong value does not hide the next one.

pub(super) mod expand;
pub(super) mod node;
pub(super) mod shape;

use std::cell::OnceCell;

use self::node::{Mark, Node, Value};
use super::error::{Code, Issue};
use super::path::{FieldPath, Segment, names_a_secret};

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
    /// The first thing that is not YAML, or that exceeds the limits which protect against hostile files; the second
    /// part is where, if that is known.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, (Issue, Option<Mark>)> {
        let source = match std::str::from_utf8(bytes) {
            _ if bytes.len() > MAX_BYTES => {
                let issue = Issue::new(Code::Syntax, "the file is too large").found(&format!("{} bytes", bytes.len()));
                return Err((issue.allowed("at most 8 MiB"), None));
            }
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(wrong) => {
                let issue = Issue::new(Code::Syntax, "the file is not UTF-8 text");
                return Err((issue, Some(Mark::at_byte(bytes, wrong.valid_up_to()))));
            }
        };
        let root = node::parse(source).map_err(|(message, mark)| (Issue::new(Code::Syntax, &message), mark))?;
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

    /// Whether the file says anything at `path`.
    pub(super) fn has(&self, path: &FieldPath) -> bool {
        self.find(&path.0).is_some_and(|node| !matches!(node.value, Value::Null))
    }

    /// What stands at `path`, in words fit for an error: never a secret.
    pub(super) fn found(&self, path: &FieldPath) -> Option<String> {
        let node = self.find(&path.0)?;
        Some(if path.is_secret() { node.value.type_name().to_owned() } else { node.describe() })
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
        let masked = self.masked.get_or_init(|| mask(&self.source, &self.root));
        masked.lines().nth(number.checked_sub(1)?)
    }

    fn find(&self, path: &[Segment]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, segment| node.child(segment))
    }
}

/// Puts stars in place of every secret of a text that is not a valid document: by the look of its words alone.
pub(super) fn mask_text(source: &str) -> String {
    source.split_inclusive('\n').map(mask_line).collect()
}

/// Puts stars in place of secrets: those that the tree knows by their place, then those that look like one.
fn mask(source: &str, root: &Node) -> String {
    let mut spans = Vec::new();
    collect_secrets(root, &mut FieldPath::default(), &mut spans);
    spans.sort_unstable();
    let mut out = String::with_capacity(source.len());
    let mut done = 0;
    for (start, end) in spans {
        let (Some(before), Some(secret)) = (source.get(done..start), source.get(start..end)) else { continue };
        out.push_str(before);
        out.extend(secret.chars().map(star));
        done = end;
    }
    out.push_str(source.get(done..).unwrap_or_default());
    mask_text(&out)
}

/// One star for one character, so that columns stay what they were.
fn star(letter: char) -> char {
    if letter.is_whitespace() { letter } else { '*' }
}

fn collect_secrets(node: &Node, path: &mut FieldPath, spans: &mut Vec<(usize, usize)>) {
    match &node.value {
        Value::Map(entries) => {
            for (key, child) in entries {
                path.0.push(Segment::Key(key.text.clone()));
                collect_secrets(child, path, spans);
                path.0.pop();
            }
        }
        Value::List(items) => {
            for (index, child) in items.iter().enumerate() {
                path.0.push(Segment::Index(index));
                collect_secrets(child, path, spans);
                path.0.pop();
            }
        }
        Value::Bool(_) | Value::Number { .. } | Value::Text(_) if path.is_secret() => {
            spans.push((node.mark.start, node.mark.start + node.mark.bytes));
        }
        Value::Bool(_) | Value::Number { .. } | Value::Text(_) | Value::Null | Value::Removed => {}
    }
}

/// Stars for the value after a name that tells of a secret, and for words that look like a credential.
fn mask_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut word = String::new();
    // Set after `api_key:` until the value ends.
    let mut hiding = false;
    let mut name = String::new();
    for letter in line.chars() {
        if letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | '+' | '/' | '=' | '~' | '$') {
            word.push(letter);
            continue;
        }
        flush(&mut out, &word, hiding);
        match letter {
            ':' if !hiding => name.clone_from(&word),
            ' ' | '"' | '\'' | '\t' if !name.is_empty() && word.is_empty() => {
                hiding = hiding || names_a_secret(&name) && name != "keys";
            }
            ',' | '}' | ']' | '\n' | '{' | '[' | '#' => {
                hiding = false;
                name.clear();
            }
            _ => {}
        }
        word.clear();
        out.push(letter);
    }
    flush(&mut out, &word, hiding);
    out
}

fn flush(out: &mut String, word: &str, hiding: bool) {
    if !word.is_empty() && (hiding || looks_secret(word)) {
        out.extend(word.chars().map(|_| '*'));
    } else {
        out.push_str(word);
    }
}

/// Whether a word has the look of a credential: a known prefix, or long and mixed of letters and digits.
pub(super) fn looks_secret(word: &str) -> bool {
    const PREFIXES: [&str; 10] = ["sk-", "sk_", "gsk_", "xai-", "pplx-", "AIza", "hf_", "nvapi-", "ghp_", "fw_"];
    let known = PREFIXES.iter().any(|prefix| word.starts_with(prefix)) && word.len() >= 8;
    let letters = word.chars().filter(char::is_ascii_alphabetic).count();
    let digits = word.chars().filter(char::is_ascii_digit).count();
    known || (word.len() >= 24 && letters >= 6 && digits >= 4 && !word.contains(['/', '.']))
}

#[cfg(test)]
mod tests;
