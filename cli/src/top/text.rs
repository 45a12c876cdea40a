//! Numbers as people read them at a glance.

/// What is not known.
pub(super) const NONE: &str = "-";

/// `7`, `1.2k`, `90k`, `3.4M`.
pub(super) fn count(count: u64) -> String {
    let scaled = |unit: f64, name: &str| {
        let value = count as f64 / unit;
        // Three digits say enough, and a whole number no more than it is.
        let text = if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
        format!("{}{name}", text.strip_suffix(".0").unwrap_or(&text))
    };
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => scaled(1e3, "k"),
        1_000_000..1_000_000_000 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

/// A rate, with a digit behind the point where that matters.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => NONE.to_owned(),
        Some(rate) if rate < 99.95 => format!("{rate:.1}"),
        Some(rate) => count(rate.round() as u64),
    }
}

/// Milliseconds: `0.4 ms`, `120 ms`, `1.2 s`, `3 m`.
pub(super) fn time(ms: Option<f64>) -> String {
    match ms {
        None => NONE.to_owned(),
        Some(ms) if ms < 9.95 => format!("{ms:.1} ms"),
        Some(ms) if ms < 999.5 => format!("{ms:.0} ms"),
        Some(ms) if ms < 99_950.0 => format!("{:.1} s", ms / 1e3),
        Some(ms) => format!("{:.0} m", ms / 6e4),
    }
}

/// Two of them.
pub(super) fn times(first: Option<f64>, second: Option<f64>) -> String {
    if first.is_none() && second.is_none() {
        return NONE.to_owned();
    }
    format!("{} / {}", time(first), time(second))
}

/// `74 %`.
pub(super) fn percent(part: Option<f64>) -> String {
    part.map_or_else(|| NONE.to_owned(), |part| format!("{:.0} %", part * 100.0))
}

/// `$1.25`; of less than a cent, two digits that count: `$0.0042`.
pub(super) fn dollars(usd: f64) -> String {
    if usd == 0.0 || usd.abs() >= 0.995e-2 {
        return format!("${usd:.2}");
    }
    // A millionth is the smallest amount that is kept.
    let digits = (-usd.abs().log10().floor() as usize + 1).clamp(2, 6);
    format!("${usd:.digits$}")
}

/// So many cells of a bar are full, for a part from 0 to 1: a little is never nothing.
pub(super) fn filled(part: f64, cells: usize) -> usize {
    if part <= 0.0 {
        return 0;
    }
    ((part.min(1.0) * cells as f64).round() as usize).clamp(1, cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let counts = [0, 999, 1_000, 1_250, 12_500, 90_000, 999_999, 1_000_000, 3_400_000, 2_000_000_000].map(count);
        assert_eq!(counts, ["0", "999", "1k", "1.2k", "12k", "90k", "1000k", "1M", "3.4M", "2G"]);
        let rates = [None, Some(0.04), Some(42.0), Some(99.96), Some(1_204.4)].map(rate);
        assert_eq!(rates, ["-", "0.0", "42.0", "100", "1.2k"]);
        let times = [None, Some(0.41), Some(9.96), Some(120.4), Some(1_249.0), Some(99_960.0)].map(time);
        assert_eq!(times, ["-", "0.4 ms", "10 ms", "120 ms", "1.2 s", "2 m"]);
    }

    #[test]
    fn small_amounts_keep_two_digits() {
        let shown = [0.0, 1.25, 0.01, 0.0042, 0.000_123_4, 0.000_000_4, 1234.5].map(dollars);
        assert_eq!(shown, ["$0.00", "$1.25", "$0.01", "$0.0042", "$0.00012", "$0.000000", "$1234.50"]);
    }

    #[test]
    fn a_little_is_seen_and_too_much_fits() {
        assert_eq!([0.0, 0.001, 0.5, 1.0, 7.0].map(|part| filled(part, 10)), [0, 1, 5, 10, 10]);
    }
}
