//! The names of the files, and the days in them.

use std::fmt;

use atp_core::port::JournalFile;

/// Milliseconds of a day.
pub(super) const DAY_MS: u64 = 86_400_000;

/// A day of UTC, counted from the first of January 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) u64);

impl Day {
    /// The day of a moment.
    pub(super) const fn of(unix_ms: u64) -> Self {
        Self(unix_ms / DAY_MS)
    }

    /// The year, month and day of a count of days: "civil_from_days" of H. Hinnant, "chrono-compatible low-level
    /// date algorithms", 2013, for days from 1970 on.
    const fn civil(self) -> (u64, u64, u64) {
        let days = self.0 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        (year, month, day)
    }

    /// The day of a date: "days_from_civil" of the same source.
    const fn from_civil(year: u64, month: u64, day: u64) -> Option<Self> {
        if year < 1970 || year > 9999 || month == 0 || month > 12 || day == 0 || day > 31 {
            return None;
        }
        let year = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (year / 400, year % 400);
        let shifted = if month > 2 { month - 3 } else { month + 9 };
        let of_year = (153 * shifted + 2) / 5 + day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        Some(Self(era * 146_097 + of_era - 719_468))
    }

    /// The day of a text `YYYY-MM-DD`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut next = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
        };
        Self::from_civil(next(4)?, next(2)?, next(2)?)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// What a file's name begins with.
pub(super) const fn stem(file: JournalFile) -> &'static str {
    match file {
        JournalFile::Decisions => "decisions",
        JournalFile::Observations => "slm_observations",
        JournalFile::Lifecycle => "lifecycle",
    }
}

/// The name of a day's file of that number. The first one of observations bears none: that is the name which
/// others look for.
pub(super) fn dated(file: JournalFile, day: Day, number: u32) -> String {
    let stem = stem(file);
    if file == JournalFile::Observations && number == 0 {
        format!("{stem}-{day}.jsonl")
    } else {
        format!("{stem}-{day}.{number}.jsonl")
    }
}

/// The day in a name that [`dated`] made, packed or not; `None` for any other.
pub(super) fn day_of(file: JournalFile, name: &str) -> Option<Day> {
    let name = name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".jsonl")?;
    let rest = name.strip_prefix(stem(file))?.strip_prefix('-')?;
    let (date, number) = rest.split_once('.').map_or((rest, None), |(date, number)| (date, Some(number)));
    let plain = number.is_none_or(|number| number.parse::<u32>().is_ok());
    Day::parse(date).filter(|_| plain)
}

/// The number in a name that [`dated`] made, packed or not; 0 where it bears none.
pub(super) fn number_of(name: &str) -> u32 {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let numbered = name.strip_suffix(".jsonl").and_then(|name| name.rsplit_once('.'));
    numbered.and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_as_calendars_do() {
        let cases = [
            (0, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (1_709_164_800_000, "2024-02-29"),
            (1_767_225_599_999, "2025-12-31"),
            (1_767_225_600_000, "2026-01-01"),
            (4_107_542_400_000, "2100-03-01"),
        ];
        for (at, name) in cases {
            assert_eq!(Day::of(at).to_string(), name);
            assert_eq!(Day::parse(name), Some(Day::of(at)));
        }
        for day in (0..60_000).step_by(7).map(Day) {
            assert_eq!(Day::parse(&day.to_string()), Some(day));
        }
    }

    #[test]
    fn only_names_of_the_same_kind_have_a_day() {
        let day = Day::of(1_767_225_600_000);
        for file in [JournalFile::Decisions, JournalFile::Observations, JournalFile::Lifecycle] {
            for number in [0, 1, 12] {
                let name = dated(file, day, number);
                assert_eq!(day_of(file, &name), Some(day), "{name}");
                assert_eq!((number_of(&name), number_of(&format!("{name}.gz"))), (number, number), "{name}");
                assert_eq!(day_of(file, &format!("{name}.gz")), Some(day));
            }
        }
        let others =
            ["lifecycle.jsonl", "decisions-2026-13-01.0.jsonl", "decisions-2026-01-01.x.jsonl", "notes.txt", ""];
        for other in others {
            assert_eq!(day_of(JournalFile::Decisions, other), None, "{other}");
        }
        assert_eq!(dated(JournalFile::Observations, day, 0), "slm_observations-2026-01-01.jsonl");
        assert_eq!(dated(JournalFile::Observations, day, 2), "slm_observations-2026-01-01.2.jsonl");
        assert_eq!(dated(JournalFile::Decisions, day, 0), "decisions-2026-01-01.0.jsonl");
    }
}
