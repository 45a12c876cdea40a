//! The tree's values, their positions, and the one place that knows the YAML parser.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error as YamlError, Location, MessageFormatter, Spanned};

use super::super::error::{Code, Issue};
use super::super::path::{FieldPath, Segment};
use super::mask;

/// The place of a value in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// Counted from 1; 0 where there is no text.
    pub(crate) line: usize,
    /// Counted from 1, in characters.
    pub(crate) column: usize,
    /// The first byte.
    pub(crate) start: usize,
    /// How many bytes the value's text has; for maps and lists, of their opening mark.
    pub(crate) bytes: usize,
    /// How many characters that is.
    pub(crate) chars: usize,
}

impl Mark {
    /// The place of a byte in a text that may not be UTF-8.
    pub(crate) fn at_byte(text: &[u8], at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default()).chars().count() + 1;
        Self { line, column, start: at, bytes: 1, chars: 1 }
    }
}

impl From<Location> for Mark {
    fn from(location: Location) -> Self {
        let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let span = location.span();
        Self {
            line: small(location.line()),
            column: small(location.column()),
            start: span.byte_offset().map_or(0, small),
            bytes: span.byte_len().map_or(0, small),
            chars: small(span.len()),
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Value,
    /// Where it stands.
    pub(crate) mark: Mark,
    /// The text before `${NAME}` was replaced; only this is ever shown.
    pub(crate) raw: Option<String>,
}

/// A map's key and its place.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// Its text.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) mark: Mark,
}

/// What a value is, by the core schema of YAML 1.2.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing after the colon, `null` or `~`.
    Null,
    /// `true` or `false`; `yes`, `on` and the like are text.
    Bool(bool),
    /// A number and how it was written, for fields that want text.
    Number {
        /// Its value.
        number: Number,
        /// Its text.
        text: String,
    },
    /// Any other scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the file's order.
    Map(Vec<(Key, Node)>),
    /// A list's item that was wrong and has been reported, so that the places of the others stay what they are.
    Removed,
}

/// A number as the parser understood it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    /// Whole and not negative.
    Unsigned(u64),
    /// Whole and negative.
    Signed(i64),
    /// Anything else.
    Float(f64),
}

impl Value {
    /// What to call it in an error.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null | Self::Removed => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number { .. } => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Node {
    /// The entry or item one step down.
    pub(crate) fn child(&self, segment: &Segment) -> Option<&Self> {
        match (&self.value, segment) {
            (Value::Map(entries), Segment::Key(name)) => {
                entries.iter().find(|(key, _)| key.text == *name).map(|(_, child)| child)
            }
            (Value::List(items), Segment::Index(index)) => items.get(*index),
            _ => None,
        }
    }

    /// Takes the entry or item at `path` out of the tree; `false` where there is none or the path is the root's.
    pub(crate) fn remove(&mut self, path: &[Segment]) -> bool {
        match (path, &mut self.value) {
            ([Segment::Key(name)], Value::Map(entries)) => {
                let before = entries.len();
                entries.retain(|(key, _)| key.text != *name);
                entries.len() < before
            }
            ([Segment::Index(index)], Value::List(items)) => match items.get_mut(*index) {
                Some(item) if !matches!(item.value, Value::Removed) => {
                    item.value = Value::Removed;
                    true
                }
                _ => false,
            },
            ([Segment::Key(name), rest @ ..], Value::Map(entries)) => {
                entries.iter_mut().find(|(key, _)| key.text == *name).is_some_and(|(_, child)| child.remove(rest))
            }
            ([Segment::Index(index), rest @ ..], Value::List(items)) => {
                items.get_mut(*index).is_some_and(|child| child.remove(rest))
            }
            _ => false,
        }
    }

    /// The value as an error shows it: the start of its own text, or only what it is where it may be a secret.
    pub(crate) fn describe(&self, path: &FieldPath) -> String {
        let text = match (&self.raw, &self.value) {
            (Some(raw), _) => raw,
            (None, Value::Text(text) | Value::Number { text, .. }) => text,
            (None, Value::Bool(flag)) if mask::is_shown(path) => return flag.to_string(),
            (None, other) => return other.type_name().to_owned(),
        };
        if text.is_empty() {
            return "empty text".to_owned();
        }
        if !mask::is_shown_value(path, text) {
            return self.value.type_name().to_owned();
        }
        quoted(&mask::mask_words(text))
    }
}

/// A text as an error shows it: its start, in one line.
pub(crate) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(60).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let dots = if text.chars().count() > 60 { "..." } else { "" };
    format!("`{shown}{dots}`")
}

/// Why a text is no document, and where, if that is known.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) issue: Issue,
    pub(crate) mark: Option<Mark>,
}

/// Reads one document. Limits are far above any honest file and far below what would hurt: deep nesting, alias bombs
/// and endless streams are refused by the parser itself.
pub(super) fn parse(source: &str) -> Result<Node, Box<Unreadable>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: 200_000,
            max_events: 500_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        strict_booleans: true,
        with_snippet: false,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
    };
    let mut root: Node = serde_saphyr::from_str_with_options(source, options).map_err(|error| explain(&error))?;
    root.take_texts(source);
    if matches!(root.value, Value::Null) {
        root.value = Value::Map(Vec::new());
    }
    Ok(root)
}

/// The parser's message in the house's words, without its position, which is kept apart.
fn explain(error: &YamlError) -> Box<Unreadable> {
    let mark = error.location().filter(|location| *location != Location::UNKNOWN).map(Mark::from);
    let mut inner = error;
    while let YamlError::AliasError { error, .. } | YamlError::WithSnippet { error, .. } = inner {
        inner = error;
    }
    let syntax = |message: &str| Issue::new(Code::Syntax, message);
    let issue = match inner {
        YamlError::DuplicateMappingKey { key: Some(key), .. } => {
            Issue::new(Code::Duplicate, "this name is given twice in one map")
                .found(&quoted(key))
                .allowed("each name once")
        }
        YamlError::UnknownAnchor { .. } => syntax("this alias refers to no anchor before it"),
        YamlError::MultipleDocuments { .. } => syntax("the file holds more than one document"),
        YamlError::Budget { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => {
            syntax("the file nests too deeply, is too long, or repeats its anchors too often")
        }
        other => {
            let message = serde_saphyr::UserMessageFormatter.format_message(other);
            let line = message.lines().next().unwrap_or_default().trim_end_matches(['.', ':', ' ']);
            syntax(&format!("not valid YAML: {line}"))
        }
    };
    Box::new(Unreadable { issue, mark })
}

impl Node {
    /// Gives numbers the text that they were written with.
    fn take_texts(&mut self, source: &str) {
        match &mut self.value {
            Value::Number { text, .. } => {
                let end = self.mark.start.saturating_add(self.mark.bytes);
                let written = source.get(self.mark.start..end).map(str::trim).filter(|written| !written.is_empty());
                if let Some(written) = written {
                    *text = written.to_owned();
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| item.take_texts(source)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, child)| child.take_texts(source)),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::Removed => {}
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, mark: spanned.defined.into(), raw: None })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number { number: Number::Unsigned(number), text: number.to_string() })
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number { number: Number::Signed(number), text: number.to_string() })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number { number: Number::Float(number), text: number.to_string() })
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key { text: key.value, mark: key.defined.into() };
            entries.push((key, map.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}
