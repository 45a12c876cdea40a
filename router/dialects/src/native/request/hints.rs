//! What a caller says by headers about which model is to answer, on every endpoint that asks one.

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Error, ErrorKind, Hints, Quality};

use crate::native::value::decimal_dollars;

/// The longest word for a kind of work or for a label of data, in bytes.
const LONGEST: usize = 64;
/// The longest latency that can be asked for: a day.
const LATENCY_MOST: u64 = 86_400_000;

/// A header that is a hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// `x-atp-quality`.
    Quality,
    /// `x-atp-max-cost-usd`.
    MaxCost,
    /// `x-atp-latency-slo-ms`.
    LatencySlo,
    /// `x-atp-task`.
    Task,
    /// `x-atp-data-scope`, and `x-data-scope` of older clients.
    DataScope,
}

/// The hint of a header's name, which is in lower case.
#[must_use]
pub fn is_hint(header: &str) -> Option<Hint> {
    Some(match header {
        "x-atp-quality" => Hint::Quality,
        "x-atp-max-cost-usd" => Hint::MaxCost,
        "x-atp-latency-slo-ms" => Hint::LatencySlo,
        "x-atp-task" => Hint::Task,
        "x-atp-data-scope" | "x-data-scope" => Hint::DataScope,
        _ => return None,
    })
}

impl Hint {
    /// The header's name.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Quality => "x-atp-quality",
            Self::MaxCost => "x-atp-max-cost-usd",
            Self::LatencySlo => "x-atp-latency-slo-ms",
            Self::Task => "x-atp-task",
            Self::DataScope => "x-atp-data-scope",
        }
    }

    /// Sets the hint to the header's value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Validation`] for a value that is not allowed; it names the header.
    pub fn put(self, value: &[u8], hints: &mut Hints) -> Result<(), Error> {
        self.put_as(self.header(), value, hints)
    }

    /// Sets the hint where another field than its header tells it; `field` is that field's name.
    ///
    /// # Errors
    ///
    /// As [`Hint::put`]; it names the field.
    pub fn put_as(self, field: &'static str, value: &[u8], hints: &mut Hints) -> Result<(), Error> {
        let text = std::str::from_utf8(value).unwrap_or_default().trim();
        let wrong = |takes: &str| {
            let text = format!("{field} is {:?}; it takes {takes}", String::from_utf8_lossy(value));
            Error::caller(ErrorKind::Validation, text).with_param(field)
        };
        match self {
            Self::Quality => {
                hints.quality = Some(Quality::parse(text).ok_or_else(|| wrong("fast, balanced or high"))?);
            }
            Self::MaxCost => {
                let cost = decimal_dollars(text);
                hints.max_cost = Some(cost.ok_or_else(|| wrong("dollars above zero in decimal notation, as in 0.05"))?);
            }
            Self::LatencySlo => {
                let millis = text.parse().ok().filter(|millis| (1..=LATENCY_MOST).contains(millis));
                let millis = millis.ok_or_else(|| wrong(&format!("whole milliseconds from 1 to {LATENCY_MOST}")))?;
                hints.latency_slo = Some(Duration::from_millis(millis));
            }
            Self::Task => hints.task = Some(word(text).ok_or_else(|| wrong(&words()))?),
            Self::DataScope => hints.data_scope = Some(word(text).ok_or_else(|| wrong(&words()))?),
        }
        Ok(())
    }
}

fn word(text: &str) -> Option<Arc<str>> {
    let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    fits.then(|| Arc::from(text))
}

fn words() -> String {
    format!("1 to {LONGEST} visible ASCII characters")
}
