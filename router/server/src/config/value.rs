//! The small notations of the file: durations, sizes, addresses, amounts, secrets, ordered maps.

mod amount;
mod collection;
mod secret;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

pub(super) use self::amount::{Dollars, Share};
pub(super) use self::collection::{Listed, Named, OneOrMany};
pub(super) use self::secret::SecretSource;

/// A length of time: a number and its unit, `500ms`, `30s`, `5m`, `2h`, `7d`. Several may follow each other: `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

const SPAN_ALLOWED: &str = "a number with its unit: `500ms`, `30s`, `5m`, `2h`, `7d`, or several: `1m30s`";

/// Reads a duration.
pub(super) fn parse_span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, behind) = split_number(rest)?;
        let letters = behind.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at_checked(letters)?;
        let seconds = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = next.trim_start();
    }
    Some(total)
}

/// A duration as the file writes it, in the largest units that hold it exactly.
pub(super) fn show_span(span: Duration) -> String {
    const UNITS: [(u128, &str); 6] =
        [(86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1000, "ms"), (1, "us")];
    let micros = span.as_micros();
    let unit = UNITS.iter().find(|(size, _)| micros >= *size && micros.is_multiple_of(*size));
    unit.map_or_else(|| format!("{}s", span.as_secs_f64()), |(size, name)| format!("{}{name}", micros / size))
}

/// The number at the start of a text, digits with at most one point, and what follows it.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (digits, behind) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, behind.trim_start()))
}

/// A number of bytes: `64MiB`, `64KiB`, `1GB`, or a bare number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteSize(pub(super) u64);

const SIZE_ALLOWED: &str = "a number of bytes, or a number with its unit: `64KiB`, `64MiB`, `1GiB`, `500KB`, `10MB`";

/// Reads a size.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim())?;
    let factor: u32 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "ki" | "kib" => 1 << 10,
        "m" | "mi" | "mib" => 1 << 20,
        "g" | "gi" | "gib" => 1 << 30,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    let bytes = number * f64::from(factor);
    // Above 2^53 a float no longer holds every whole number, and no limit is that large.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie within 0..2^53")]
    (0.0..9e15).contains(&bytes).then_some(bytes as u64)
}

/// A share of a whole, in percent: `5%`, `0.5%`. The unit is needed: a bare 0.05 could mean either.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Percent(pub(super) f64);

const PERCENT_ALLOWED: &str = "a number with its sign: `5%`, `0.5%`";

/// Reads a share.
fn parse_percent(text: &str) -> Option<f64> {
    let (number, "%") = split_number(text.trim())? else { return None };
    Some(number)
}

/// Where to listen: an address and a port. `localhost` is 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listen(pub(super) SocketAddr);

const LISTEN_ALLOWED: &str =
    "an IP address and a port: `127.0.0.1:7443`, `0.0.0.0:7443` for every interface, `[::1]:7443`";

/// Reads an address of an interface, without a port.
pub(super) fn parse_host(text: &str) -> Option<IpAddr> {
    match text.trim() {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.trim_start_matches('[').trim_end_matches(']').parse().ok(),
    }
}

fn parse_listen(text: &str) -> Option<SocketAddr> {
    match text.trim().strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::new(parse_host("localhost")?, port.parse().ok()?)),
        None => text.trim().parse().ok(),
    }
}

/// What stands between wrong and allowed in the text of a value's own error; see `document::shape`.
fn refuse<E: Error>(wrong: &str, allowed: &str) -> E {
    E::custom(format!("{wrong}\n{allowed}"))
}

/// Reads a notation from text, and refuses other kinds with the words of the notation.
struct Notation<T> {
    read: fn(&str) -> Option<T>,
    bare: fn(u64) -> Option<T>,
    wrong: &'static str,
    allowed: &'static str,
}

impl<'de, T> Visitor<'de> for Notation<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.allowed)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).ok_or_else(|| refuse(self.wrong, self.allowed))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        (self.bare)(number).ok_or_else(|| refuse(self.wrong, self.allowed))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Err(refuse(self.wrong, self.allowed))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Err(refuse(self.wrong, self.allowed))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let notation =
            Notation { read: parse_span, bare: |_| None, wrong: "this is not a length of time", allowed: SPAN_ALLOWED };
        deserializer.deserialize_any(notation).map(Self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let notation = Notation { read: parse_size, bare: Some, wrong: "this is not a size", allowed: SIZE_ALLOWED };
        deserializer.deserialize_any(notation).map(Self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = "this is not a share in percent";
        let notation = Notation { read: parse_percent, bare: |_| None, wrong, allowed: PERCENT_ALLOWED };
        deserializer.deserialize_any(notation).map(Self)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = "this is not an address to listen on";
        let notation = Notation { read: parse_listen, bare: |_| None, wrong, allowed: LISTEN_ALLOWED };
        deserializer.deserialize_any(notation).map(Self)
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "duration",
            "pattern": r"^\s*([0-9.]+\s*(us|ms|s|m|min|h|d)\s*)+$",
        })
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "format": "size", "minimum": 0 })
    }
}

impl JsonSchema for Percent {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "percent", "pattern": r"^\s*[0-9.]+\s*%\s*$" })
    }
}

impl JsonSchema for Listen {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "address" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_may_be_joined() {
        assert_eq!(parse_span("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_span("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_span("1.5h"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_span(" 2 s "), Some(Duration::from_secs(2)));
        for wrong in ["", "5", "s", "5 parsecs", "-3s", "1..5s", "1e9s", "99999999999999999999d", "5s!"] {
            assert_eq!(parse_span(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_shown_duration_reads_back() {
        for span in [1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000] {
            let span = Duration::from_millis(span);
            assert_eq!(parse_span(&show_span(span)), Some(span));
        }
        assert_eq!(show_span(Duration::from_secs(600)), "10m");
        assert_eq!(show_span(Duration::ZERO), "0s");
    }

    #[test]
    fn sizes_are_binary_or_decimal_by_their_unit() {
        assert_eq!(parse_size("64MiB"), Some(64 << 20));
        assert_eq!(parse_size("64 KiB"), Some(64 << 10));
        assert_eq!(parse_size("10MB"), Some(10_000_000));
        assert_eq!(parse_size("1.5k"), Some(1536));
        assert_eq!(parse_size("512"), Some(512));
        for wrong in ["", "MiB", "-1", "12 elephants", "99999999999999999999"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_share_needs_its_sign() {
        assert_eq!(parse_percent("5%"), Some(5.0));
        assert_eq!(parse_percent(" 0.5 % "), Some(0.5));
        for wrong in ["", "5", "0.05", "%", "-1%", "5%%", "five%"] {
            assert_eq!(parse_percent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_are_ip_and_port() {
        assert_eq!(parse_listen("localhost:80"), "127.0.0.1:80".parse().ok());
        assert_eq!(parse_listen("[::1]:80"), "[::1]:80".parse().ok());
        for wrong in ["", ":80", "127.0.0.1", "example.com:80", "127.0.0.1:70000"] {
            assert_eq!(parse_listen(wrong), None, "{wrong}");
        }
    }
}
