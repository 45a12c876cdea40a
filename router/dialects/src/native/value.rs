//! The members of a request's object, each checked as it is taken. An error names the field, the value and the way out.

use std::ops::RangeInclusive;

use atp_core::{Error, ErrorKind, MicroUsd};
use serde_json::{Map, Value};

/// The most characters of a value that an error shows.
const SHOWN: usize = 60;

/// A request's object. What is taken is gone, so that what is left was not known.
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] where it is no JSON object.
    pub(super) fn read(body: &[u8]) -> Result<Self, Error> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(other) => {
                let text = format!("the body is {}; it takes a JSON object", shown(&other));
                Err(Error::caller(ErrorKind::InvalidRequest, text))
            }
            Err(error) => {
                let text = format!("the body is not valid JSON: {error}; send a JSON object");
                Err(Error::caller(ErrorKind::InvalidRequest, text))
            }
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A member; null counts as none.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// A text of so many characters.
    pub(super) fn text(&mut self, name: &'static str, length: RangeInclusive<usize>) -> Result<Option<String>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value {
            Value::String(text) if length.contains(&text.chars().count()) => Ok(Some(text)),
            other => Err(wrong(name, &other, &format!("a text of {} to {} characters", length.start(), length.end()))),
        }
    }

    /// A whole number.
    pub(super) fn whole(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong(name, &value, &format!("a whole number from {} to {}", range.start(), range.end()))),
        }
    }

    /// A number.
    pub(super) fn number(&mut self, name: &'static str, range: RangeInclusive<f64>) -> Result<Option<f64>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None if *range.end() == f64::MAX => {
                Err(wrong(name, &value, &format!("a number of {} or more", range.start())))
            }
            None => Err(wrong(name, &value, &format!("a number from {} to {}", range.start(), range.end()))),
        }
    }

    /// Dollars, to the micro-dollar.
    pub(super) fn dollars(
        &mut self,
        name: &'static str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<MicroUsd>, Error> {
        // Within the ranges in use a millionfold fits, and is not negative; more saturates.
        Ok(self.number(name, range)?.map(|dollars| MicroUsd((dollars * 1e6).round() as u64)))
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_bool() {
            Some(flag) => Ok(Some(flag)),
            None => Err(wrong(name, &value, "true or false")),
        }
    }

    /// One of some names.
    pub(super) fn named<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        takes: &str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_str().and_then(parse) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(wrong(name, &value, takes)),
        }
    }

    /// What was not taken, told as a note: it was not read, and who misspelt a field shall hear of it.
    pub(super) fn unread(&self, endpoint: &str) -> Option<String> {
        let names: Vec<&str> = self.0.keys().map(String::as_str).take(10).collect();
        (!names.is_empty()).then(|| format!("not read, because {endpoint} has no such field: {}", names.join(", ")))
    }
}

/// A value that is not allowed.
pub(super) fn wrong(name: &'static str, value: &Value, takes: &str) -> Error {
    let text = format!("`{name}` is {}; it takes {takes}", shown(value));
    Error::caller(ErrorKind::Validation, text).with_param(name)
}

/// A member that is missing.
pub(super) fn missing(name: &'static str, what: &str) -> Error {
    let text = format!("`{name}` is missing; it takes {what}");
    Error::caller(ErrorKind::Validation, text).with_param(name)
}

/// A value as an error shows it: a long text may be somebody's prompt, and is told by its length.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > SHOWN => format!("a text of {} characters", text.chars().count()),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".to_owned(),
        plain => plain.to_string(),
    }
}

/// Dollars in decimal notation, to the micro-dollar; `None` for any other text, and for what is below one.
#[must_use]
pub(super) fn decimal_dollars(text: &str) -> Option<MicroUsd> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // What is finer than a micro-dollar is left off: a ceiling is never raised.
    let micros: String = part.chars().chain("000000".chars()).take(6).collect();
    let total = whole.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)?;
    Some(MicroUsd(total)).filter(|cost| cost.0 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_to_the_micro_dollar_and_never_raised() {
        let cases = [("0.05", 50_000), ("2", 2_000_000), (".5", 500_000), ("1.", 1_000_000), ("0.0000019", 1)];
        for (text, micros) in cases {
            assert_eq!(decimal_dollars(text), Some(MicroUsd(micros)), "{text}");
        }
        for bad in ["", ".", "0", "0.0000001", "-1", "1e3", "1,5", "$1", "99999999999999999999", "1.5 "] {
            assert_eq!(decimal_dollars(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_error_names_field_value_and_way_out_and_quotes_no_prompt() {
        let mut object = Object::read(br#"{"n":7,"t":"x","b":1,"long":null}"#).unwrap();
        assert_eq!(object.whole("n", 1..=5).unwrap_err().public(), "`n` is 7; it takes a whole number from 1 to 5");
        assert_eq!(object.flag("b").unwrap_err().public(), "`b` is 1; it takes true or false");
        assert!(object.text("long", 1..=2).unwrap().is_none());
        let secret = Value::String("s".repeat(99));
        assert_eq!(wrong("t", &secret, "less").public(), "`t` is a text of 99 characters; it takes less");
        assert_eq!(Object::read(b"[1]").err().unwrap().kind(), ErrorKind::InvalidRequest);
        assert_eq!(object.unread("x").unwrap(), "not read, because x has no such field: t");
    }
}
