//! Windows of time: where one begins and when the next one does, in UTC.
//!
//! Times are milliseconds since the Unix epoch, which counts no leap seconds, so that minutes, hours and
//! days are plain division. Months are not: civil dates from days by H. Hinnant, "chrono-Compatible
//! Low-Level Date Algorithms" (2013).

use serde::{Deserialize, Serialize};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// From 0000-03-01, where Hinnant's years begin, to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;

/// Over which time a budget holds. The days and months are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// From the full minute.
    Minute,
    /// From the full hour.
    Hour,
    /// From midnight.
    Day,
    /// From the first of the month.
    Month,
    /// For ever.
    Total,
}

impl Per {
    /// Every window, shortest first.
    pub const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::Day, Self::Month, Self::Total];

    /// The name in the configuration, and the metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The window of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|per| per.label() == name)
    }

    /// When the window began that `now_ms` lies in.
    #[must_use]
    pub const fn began(self, now_ms: u64) -> u64 {
        match self {
            Self::Minute => now_ms - now_ms % MINUTE,
            Self::Hour => now_ms - now_ms % HOUR,
            Self::Day => now_ms - now_ms % DAY,
            Self::Month => (now_ms / DAY + 1 - day_of_month(now_ms / DAY)) * DAY,
            Self::Total => 0,
        }
    }

    /// When the next window begins; `None` for the one that never ends.
    #[must_use]
    pub const fn turns(self, now_ms: u64) -> Option<u64> {
        let began = self.began(now_ms);
        match self {
            Self::Minute => Some(began.saturating_add(MINUTE)),
            Self::Hour => Some(began.saturating_add(HOUR)),
            Self::Day => Some(began.saturating_add(DAY)),
            // No month is longer than 31 days, and none is so short that this would skip one.
            Self::Month => Some(Self::Month.began(began.saturating_add(31 * DAY))),
            Self::Total => None,
        }
    }
}

/// Which day of its month a day is, counted from 1; `days` since 1970-01-01.
const fn day_of_month(days: u64) -> u64 {
    let of_era = (days + EPOCH_DAYS) % ERA_DAYS;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    of_year - (153 * month + 2) / 5 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        assert!(Per::ALL.into_iter().all(|per| Per::parse(per.label()) == Some(per)));
        assert_eq!(Per::parse("week"), None);
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        // 1970 to 2399: every day is told its month's first by counting, leap years and all.
        let leap = |year: u64| year.is_multiple_of(if year.is_multiple_of(100) { 400 } else { 4 });
        let mut first = 0;
        for year in 1970..2400 {
            let february = if leap(year) { 29 } else { 28 };
            for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                let next = first + days * DAY;
                for now in [first, first + 1, first + DAY, next - DAY, next - 1] {
                    assert_eq!((Per::Month.began(now), Per::Month.turns(now)), (first, Some(next)), "{year} {now}");
                }
                first = next;
            }
        }
    }

    #[test]
    fn a_window_holds_every_moment_until_it_turns() {
        for per in Per::ALL {
            for now in [0, 1, 59_999, 60_000, 1_763_664_495_123, 4_000_000_000_000] {
                let (began, turns) = (per.began(now), per.turns(now));
                assert!(began <= now && turns.is_none_or(|turns| now < turns), "{per:?} {now}");
                assert_eq!(turns.map(|turns| per.began(turns)), turns, "a turn is a beginning");
                assert_eq!(turns.map(|turns| per.began(turns - 1)), turns.map(|_| began));
            }
        }
    }

    #[test]
    fn the_last_moment_that_can_be_said_does_not_overflow() {
        for per in Per::ALL {
            assert!(per.began(u64::MAX) < u64::MAX && per.turns(u64::MAX).is_none_or(|turns| turns > 0));
        }
    }
}
