//! What serde says is wrong, in the house's words.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::super::super::error::{Code, Issue};
use super::super::super::path::{FieldPath, Segment};
use super::nearest;

/// One thing that does not fit. Boxed inside: it travels in `Result`s of every level.
#[derive(Debug)]
pub(crate) struct Problem {
    issue: Box<Issue>,
    /// The steps from the value outwards, as they are met on the way up.
    steps: Vec<Segment>,
    /// The field that is not there; `steps` then lead to the map that lacks it.
    missing: Option<&'static str>,
    /// Whether the name is wrong instead of the value.
    pub(super) on_key: bool,
}

impl Problem {
    fn of(issue: Issue) -> Self {
        Self { issue: Box::new(issue), steps: Vec::new(), missing: None, on_key: false }
    }

    /// The same problem, seen from one level further out.
    pub(super) fn within(mut self, segment: Segment) -> Self {
        self.steps.push(segment);
        self
    }

    /// The same problem, of the name and not of the value.
    pub(super) fn at_key(mut self, name: &str) -> Self {
        self.on_key = true;
        self.within(Segment::Key(name.to_owned()))
    }

    /// The field at fault, also where it is not there.
    pub(super) fn path(&self) -> FieldPath {
        let path = self.container();
        self.missing.map_or_else(|| path.clone(), |field| path.key(field))
    }

    /// The innermost part of the file that is wrong.
    pub(super) fn container(&self) -> FieldPath {
        FieldPath(self.steps.iter().rev().cloned().collect())
    }

    /// The field that is missing in the innermost part.
    pub(super) fn missing(&self) -> Option<&'static str> {
        self.missing
    }

    /// The text.
    pub(super) fn issue(self) -> Issue {
        *self.issue
    }
}

/// What a field's type is called. Serde's words name Rust types; a reader of the file knows none.
fn expected(wanted: &dyn Expected) -> String {
    let text = wanted.to_string();
    match text.as_str() {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" => "a whole number from 0 to 4294967295".into(),
        "u64" | "usize" => "a whole number, zero or more".into(),
        "f64" => "a number".into(),
        "a boolean" => "`true` or `false`".into(),
        "a string" => "text".into(),
        "a sequence" => "a list".into(),
        other if other.starts_with("struct ") || other == "a map" => "a map of fields".into(),
        "newtype variant" => "a map of this word and its value".into(),
        _ => text,
    }
}

fn words(list: &[&str]) -> String {
    list.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl serde::de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        // A value's own check says what is wrong and what is allowed in one text, parted by a line end.
        let text = message.to_string();
        match text.split_once('\n') {
            Some((wrong, allowed)) => Self::of(Issue::new(Code::BadValue, wrong).allowed(allowed)),
            None => Self::of(Issue::new(Code::BadValue, &text)),
        }
    }

    fn invalid_type(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::of(
            Issue::new(Code::WrongType, "this is not the kind of value that belongs here").allowed(&expected(wanted)),
        )
    }

    fn invalid_value(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::of(Issue::new(Code::OutOfRange, "this value is not allowed").allowed(&expected(wanted)))
    }

    fn invalid_length(length: usize, wanted: &dyn Expected) -> Self {
        let message = format!("{length} entries do not belong here");
        Self::of(Issue::new(Code::WrongType, &message).allowed(&expected(wanted)))
    }

    fn unknown_variant(variant: &str, allowed: &'static [&'static str]) -> Self {
        let issue = Issue::new(Code::BadValue, "this is not one of the words allowed here").allowed(&words(allowed));
        Self::of(issue.near(nearest(variant, allowed.iter().copied())))
    }

    fn unknown_field(field: &str, allowed: &'static [&'static str]) -> Self {
        let shown: String = field.chars().take(60).flat_map(char::escape_debug).collect();
        let issue =
            Issue::new(Code::UnknownField, "unknown field").found(&format!("`{shown}`")).allowed(&words(allowed));
        Self::of(issue.near(nearest(field, allowed.iter().copied())))
    }

    fn missing_field(field: &'static str) -> Self {
        let issue = Issue::new(Code::MissingField, &format!("the field `{field}` is missing"));
        Self { missing: Some(field), ..Self::of(issue) }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::of(Issue::new(Code::Duplicate, &format!("the field `{field}` is given twice")))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.issue.message)
    }
}

impl std::error::Error for Problem {}
