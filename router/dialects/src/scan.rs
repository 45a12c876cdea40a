//! The one scan over a request body: finds the top-level fields that policy reads or changes.
//!
//! The body may arrive in pieces, cut anywhere; what does not concern the known fields is skipped
//! and never copied. Every legal JSON object is read right: escaped keys, duplicate keys (the last
//! one counts), nested keys of the same name, any order, any white space. What is not an object, is
//! cut off, or has something behind its end is refused, as is a known field of the wrong type where
//! the router itself depends on it. Inside nested values only strings and brackets are minded: the
//! provider is the one who parses them.

use std::fmt;
use std::ops::Range;

use atp_core::{Error, ErrorKind, Field, FieldSpan, Fields, Rope};

use crate::json::machine::{Machine, Sink};
use crate::json::text::{self, BadText, Number};
use crate::json::view::members;

#[cfg(test)]
mod tests;

/// Scans a body that is in memory.
///
/// # Errors
///
/// Where the body is not a JSON object that the router can work with; see [`ScanErrorKind`].
pub fn scan(rope: &Rope) -> Result<Fields, ScanError> {
    let mut scanner = Scanner::new();
    for part in rope.parts() {
        scanner.push(part);
    }
    scanner.finish()
}

/// Scans a body while it arrives.
pub struct Scanner(Machine<Found>);

impl Scanner {
    /// In front of the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self(Machine::new(Found::default()))
    }

    /// Reads the next piece, cut anywhere. After an error the rest is not looked at.
    pub fn push(&mut self, piece: &[u8]) {
        self.0.push(piece);
    }

    /// The body has ended: what was found.
    ///
    /// # Errors
    ///
    /// As [`scan`].
    pub fn finish(self) -> Result<Fields, ScanError> {
        let mut found = self.0.finish()?;
        found.fields.max_tokens = found.max_completion_tokens.or(found.max_tokens);
        Ok(found.fields)
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scanner {
    /// Nothing of the body: it may hold what no log may hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanner").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Found {
    fields: Fields,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
}

/// The field of a key that is given with its quotes.
fn field(key: &[u8]) -> Option<Field> {
    Some(match key {
        b"\"model\"" => Field::Model,
        b"\"stream\"" => Field::Stream,
        b"\"stream_options\"" => Field::StreamOptions,
        b"\"max_tokens\"" => Field::MaxTokens,
        b"\"max_completion_tokens\"" => Field::MaxCompletionTokens,
        b"\"user\"" => Field::User,
        b"\"n\"" => Field::N,
        b"\"temperature\"" => Field::Temperature,
        b"\"seed\"" => Field::Seed,
        _ => return None,
    })
}

impl Sink for Found {
    type Name = Field;

    fn wants(&self, key: &[u8]) -> Option<Field> {
        if !key.contains(&b'\\') {
            return field(key);
        }
        let plain = text::unquote(key).ok()?;
        field(format!("\"{plain}\"").as_bytes())
    }

    fn member(&mut self, field: Field, value: Range<usize>, raw: &[u8]) -> Result<(), ScanError> {
        let at = value.start;
        self.fields.spans.push(FieldSpan { field, value });
        let wrong = |kind| ScanError { kind, at };
        match field {
            Field::Model => self.fields.model = Some(string(field, raw).map_err(wrong)?),
            Field::Stream => self.fields.stream = boolean(field, raw).map_err(wrong)?,
            Field::StreamOptions => self.fields.include_usage = include_usage(raw),
            Field::MaxTokens => self.max_tokens = whole(field, raw).map_err(wrong)?,
            Field::MaxCompletionTokens => self.max_completion_tokens = whole(field, raw).map_err(wrong)?,
            Field::N => self.fields.n = whole(field, raw).map_err(wrong)?,
            Field::Temperature => self.fields.greedy = is_zero(raw),
            // Where it stands is all that is asked.
            Field::Seed => {}
            Field::User => self.fields.user = raw.starts_with(b"\"").then(|| string(field, raw).ok()).flatten(),
        }
        Ok(())
    }

    fn open(&mut self, at: usize) {
        self.fields.open = at;
    }

    fn empty(&mut self) {
        self.fields.empty = true;
    }
}

fn string(field: Field, raw: &[u8]) -> Result<String, ScanErrorKind> {
    if !raw.starts_with(b"\"") {
        return Err(ScanErrorKind::WrongType { field, found: type_of(raw), expected: "a string" });
    }
    text::unquote(raw).map(std::borrow::Cow::into_owned).map_err(|bad| {
        let reason = match bad {
            BadText::Escape => "a character or escape that JSON does not allow",
            BadText::Surrogate => "half of a surrogate pair",
            BadText::Utf8 => "bytes that are not UTF-8",
        };
        ScanErrorKind::BadText { field, reason }
    })
}

/// `null` counts as absent: OpenAI's own description of the field allows it.
fn boolean(field: Field, raw: &[u8]) -> Result<Option<bool>, ScanErrorKind> {
    match raw {
        b"true" => Ok(Some(true)),
        b"false" => Ok(Some(false)),
        b"null" => Ok(None),
        _ => Err(ScanErrorKind::WrongType { field, found: type_of(raw), expected: "true or false" }),
    }
}

/// A whole number, or `None` for what only the provider can judge: other types, fractions, and
/// negative numbers (some servers take -1 as "no limit").
fn whole(field: Field, raw: &[u8]) -> Result<Option<u64>, ScanErrorKind> {
    if !raw.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-') {
        return Ok(None);
    }
    match text::number(raw) {
        Number::Whole(value) => Ok(Some(value)),
        Number::Other => Ok(None),
        Number::OutOfRange => Err(ScanErrorKind::OutOfRange { field }),
    }
}

/// Whether a value is the number zero, however it is written: `0`, `0.0`, `-0e5`. No digit before the
/// exponent is other than zero.
fn is_zero(raw: &[u8]) -> bool {
    let digits = raw.strip_prefix(b"-").unwrap_or(raw);
    digits.first() == Some(&b'0')
        && digits.iter().take_while(|byte| !matches!(byte, b'e' | b'E')).all(|byte| matches!(byte, b'0' | b'.'))
}

fn include_usage(options: &[u8]) -> Option<bool> {
    let mut found = None;
    for member in members(options) {
        let member = member.ok()?;
        if member.is("include_usage") {
            found = match member.raw {
                b"true" => Some(true),
                b"false" => Some(false),
                _ => None,
            };
        }
    }
    found
}

fn type_of(raw: &[u8]) -> &'static str {
    match raw.first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Why a body was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanError {
    /// What is wrong.
    pub kind: ScanErrorKind,
    /// Where, in bytes from the start of the body.
    pub at: usize,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanErrorKind {
    /// Something else stands where the JSON grammar wants something.
    Unexpected {
        /// The byte that stands there; `None` where the body ends.
        found: Option<u8>,
        /// What may stand there.
        expected: &'static str,
    },
    /// A field has a type that the router cannot work with.
    WrongType {
        /// Which field.
        field: Field,
        /// The type it has.
        found: &'static str,
        /// The type it must have.
        expected: &'static str,
    },
    /// A field's string cannot be decoded.
    BadText {
        /// Which field.
        field: Field,
        /// What the string holds.
        reason: &'static str,
    },
    /// A field's number is larger than any limit can be.
    OutOfRange {
        /// Which field.
        field: Field,
    },
}

impl ScanErrorKind {
    /// The field at fault, where it is one field.
    #[must_use]
    pub const fn field(&self) -> Option<Field> {
        match self {
            Self::Unexpected { .. } => None,
            Self::WrongType { field, .. } | Self::BadText { field, .. } | Self::OutOfRange { field } => Some(*field),
        }
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.kind {
            ScanErrorKind::Unexpected { found: None, expected } => {
                write!(f, "the request body is not valid JSON: it ends at byte {at}, expected {expected}")
            }
            ScanErrorKind::Unexpected { found: Some(byte), expected } => {
                let found = byte.escape_ascii();
                write!(f, "the request body is not valid JSON: found `{found}` at byte {at}, expected {expected}")
            }
            ScanErrorKind::WrongType { field, found, expected } => {
                write!(f, "`{}` at byte {at} is {found}, expected {expected}", field.name())
            }
            ScanErrorKind::BadText { field, reason } => {
                write!(f, "`{}` at byte {at} holds {reason}, expected plain text", field.name())
            }
            ScanErrorKind::OutOfRange { field } => {
                write!(f, "`{}` at byte {at} is out of range, expected a whole number below 2^53", field.name())
            }
        }
    }
}

impl std::error::Error for ScanError {}

impl From<ScanError> for Error {
    fn from(error: ScanError) -> Self {
        let public = Self::caller(ErrorKind::InvalidRequest, error.to_string());
        match error.kind.field() {
            Some(field) => public.with_param(field.name()),
            None => public,
        }
    }
}
