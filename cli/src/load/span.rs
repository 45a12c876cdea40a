//! Spans of time as they are written on a command line.

use std::time::Duration;

/// The longest span, in seconds: a day.
const MOST: f64 = 86_400.0;

/// Reads `500ms`, `10s`, `2m`, `1h`, or a number of seconds.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim() {
        "ms" => Some(1e-3),
        "" | "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let seconds = number.parse::<f64>().ok().zip(scale).map(|(number, scale)| number * scale);
    match seconds.filter(|seconds| *seconds <= MOST).map(Duration::try_from_secs_f64) {
        Some(Ok(span)) => Ok(span),
        _ => Err("a span is a number with ms, s, m or h, at most a day: `10s`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        let cases = [("500ms", 500), ("10s", 10_000), ("1.5", 1500), ("2m", 120_000), ("1h", 3_600_000), ("0", 0)];
        for (text, millis) in cases {
            assert_eq!(span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "s", "10x", "-1s", "1e9s", "25h", "1.2.3s", "inf"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
