//! How long to wait, in the many ways providers say it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

/// No hint is believed beyond this: it keeps arithmetic on clocks safe, and a target that asks for
/// more is out of service rather than busy.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// From this on a plain number is a time (seconds since the Unix epoch; 2001) and no duration.
const EPOCH_SECONDS: f64 = 1e9;
/// From this on a time is told in milliseconds.
const EPOCH_MILLIS: f64 = 1e11;

/// The pause that the headers of a refusal ask for: `retry-after-ms`, else `retry-after`, else the
/// reset of whichever rate limit is used up, else the earliest reset.
pub(super) fn pause(headers: &HeaderMap, now_unix: Duration) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(text_of);
    let millis = text("retry-after-ms").and_then(|ms| positive(ms.parse::<f64>().ok()? / 1000.0));
    let after = || text("retry-after").and_then(|value| wait(value, now_unix));
    millis.or_else(after).or_else(|| reset(headers, now_unix)).map(|pause| pause.min(LONGEST))
}

fn text_of(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim)
}

/// Looks through the rate-limit headers, `x-ratelimit-reset-KIND` (OpenAI and most others) and
/// `anthropic-ratelimit-KIND-reset`.
fn reset(headers: &HeaderMap, now_unix: Duration) -> Option<Duration> {
    let (mut spent, mut earliest) = (None, None);
    for (name, value) in headers {
        let name = name.as_str();
        if !name.contains("ratelimit") || !name.contains("reset") {
            continue;
        }
        let Some(pause) = text_of(value).and_then(|text| wait(text, now_unix)) else { continue };
        let remaining = headers.get(name.replace("reset", "remaining")).and_then(text_of);
        if remaining == Some("0") {
            spent = spent.max(Some(pause));
        }
        earliest = Some(earliest.map_or(pause, |earliest: Duration| earliest.min(pause)));
    }
    spent.or(earliest)
}

/// A wait told as seconds, a duration as Go writes it, a time since the epoch, or a date.
fn wait(text: &str, now_unix: Duration) -> Option<Duration> {
    if let Ok(number) = text.parse::<f64>() {
        return match number {
            millis if millis >= EPOCH_MILLIS => Some(positive(millis / 1000.0)?.saturating_sub(now_unix)),
            seconds if seconds >= EPOCH_SECONDS => Some(positive(seconds)?.saturating_sub(now_unix)),
            seconds => positive(seconds),
        };
    }
    go_duration(text).or_else(|| date(text).map(|at| at.saturating_sub(now_unix)))
}

fn positive(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// `6m0s`, `1m26.4s`, `20ms`, `1h2m3s`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.find(|char: char| !(char.is_ascii_digit() || char == '.'))?;
        let (number, behind) = rest.split_at_checked(unit)?;
        let len = behind.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(len)?;
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = behind;
    }
    if text.is_empty() { None } else { positive(total) }
}

/// A date as HTTP writes it (RFC 9110, section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`) or as
/// RFC 3339 does, as the time since the Unix epoch.
fn date(text: &str) -> Option<Duration> {
    let stamp = text.parse::<jiff::Timestamp>().ok();
    let stamp = stamp.or_else(|| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok())?;
    positive(stamp.as_duration().as_secs_f64())
}
