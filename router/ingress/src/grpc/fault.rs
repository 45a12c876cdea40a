//! What is wrong with a request's message: which field, which value, and the way out.

use std::fmt::Display;

use atp_core::{Error, ErrorKind};

/// The most characters of a value that an error shows: a long text may be somebody's prompt.
const SHOWN: usize = 60;

/// A field that cannot be taken. Its name grows on the way out, so that nobody who reads a message has to know where it
/// stands.
#[derive(Debug)]
pub(super) struct Fault {
    field: String,
    text: String,
}

impl Fault {
    /// `text` goes on where the field's name ends: `is 7; it takes ...`.
    pub(super) fn new(field: &str, text: impl Into<String>) -> Self {
        Self { field: field.to_owned(), text: text.into() }
    }

    /// A field that has to be set.
    pub(super) fn missing(field: &str, takes: &str) -> Self {
        Self::new(field, format!("is missing; it takes {takes}"))
    }

    /// A value that is not allowed.
    pub(super) fn wrong(field: &str, value: impl Display, takes: &str) -> Self {
        Self::new(field, format!("is {value}; it takes {takes}"))
    }

    /// An enum's value that this router does not know.
    pub(super) fn unknown(field: &str, value: i32, takes: &str) -> Self {
        Self::new(field, format!("is {value}, which this router does not know; it takes {takes}"))
    }

    /// The same, one level further out.
    pub(super) fn within(self, parent: &str) -> Self {
        Self { field: format!("{parent}.{}", self.field), text: self.text }
    }

    /// The same, in one of a list.
    pub(super) fn at(self, list: &str, place: usize) -> Self {
        Self { field: format!("{list}[{place}].{}", self.field), text: self.text }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let text = format!("`{}` {}", fault.field, fault.text);
        Self::caller(ErrorKind::Validation, text).with_param(fault.field)
    }
}

/// A text as an error shows it.
pub(super) fn shown(text: &str) -> String {
    match text.chars().count() {
        count if count > SHOWN => format!("a text of {count} characters"),
        _ => format!("{text:?}"),
    }
}
