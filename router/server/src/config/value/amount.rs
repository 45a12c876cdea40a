//! Amounts: shares of a whole, and dollars.

use std::borrow::Cow;
use std::fmt;

use atp_core::MicroUsd;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::{parse_percent, refuse};

/// A share of a whole, as a number from 0 to 1 or in percent: `0.05`, `5%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share(pub(crate) f64);

const SHARE_ALLOWED: &str = "a number from 0 to 1, or a number with its sign: `0.05`, `5%`";

/// Reads a share in percent; a bare number stands for itself.
fn parse_share(text: &str) -> Option<f64> {
    parse_percent(text).map(|percent| percent / 100.0).or_else(|| text.trim().parse().ok())
}

/// Dollars, to the millionth: `5`, `0.25`, `0.000001`. Read from the digits as they are written, so that nothing is
/// rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dollars(pub(crate) MicroUsd);

const DOLLARS_ALLOWED: &str = "dollars as a decimal number with at most six digits behind the point: `5`, `0.25`";

/// Reads dollars.
fn parse_dollars(text: &str) -> Option<MicroUsd> {
    let text = text.trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || (part.is_empty() && text.contains('.')) {
        return None;
    }
    // Zeros at the end say nothing.
    let part = part.trim_end_matches('0');
    if part.len() > 6 {
        return None;
    }
    let micros: u64 = format!("{part:0<6}").parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(micros).map(MicroUsd)
}

/// Reads an amount from the text of a scalar, whatever kind YAML takes it for.
struct Amount<T> {
    read: fn(&str) -> Option<T>,
    wrong: &'static str,
    allowed: &'static str,
}

impl<T> Visitor<'_> for Amount<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.allowed)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).ok_or_else(|| refuse(self.wrong, self.allowed))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = Amount { read: parse_share, wrong: "this is not a share", allowed: SHARE_ALLOWED };
        deserializer.deserialize_str(amount).map(Self)
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = "this is not an amount of dollars";
        let amount = Amount { read: parse_dollars, wrong, allowed: DOLLARS_ALLOWED };
        deserializer.deserialize_str(amount).map(Self)
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "format": "share",
            "minimum": 0,
            "maximum": 1,
            "pattern": r"^\s*[0-9.]+\s*%?\s*$",
        })
    }
}

impl JsonSchema for Dollars {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "dollars".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "format": "dollars",
            "minimum": 0,
            "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_or_in_percent() {
        assert_eq!([parse_share("5%"), parse_share("0.05"), parse_share(" 1 ")], [Some(0.05), Some(0.05), Some(1.0)]);
        for wrong in ["", "%", "five", "5%%", "0.1.2"] {
            assert_eq!(parse_share(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dollars_are_exact_to_the_millionth() {
        for (text, micros) in [
            ("5", 5_000_000),
            ("5.0", 5_000_000),
            ("0.1", 100_000),
            ("0.000001", 1),
            ("1.1000000000", 1_100_000),
            ("18446744073709.551615", u64::MAX),
        ] {
            assert_eq!(parse_dollars(text), Some(MicroUsd(micros)), "{text}");
        }
        for wrong in ["", ".", "5.", ".5", "-1", "1e3", "0.0000001", "5 USD", "$5", "18446744073710", "1_000"] {
            assert_eq!(parse_dollars(wrong), None, "{wrong}");
        }
    }
}
