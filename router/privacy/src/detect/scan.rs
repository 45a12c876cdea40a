//! Walking over numbers: digits in groups, with one separator between two groups.

use std::ops::Range;

/// Whether a letter or a digit stands right before `at`.
pub(super) fn is_inside(text: &str, at: usize) -> bool {
    text.get(..at).and_then(|before| before.chars().next_back()).is_some_and(char::is_alphanumeric)
}

/// Whether a letter or a digit stands at `at`.
pub(super) fn goes_on(text: &str, at: usize) -> bool {
    text.get(at..).and_then(|behind| behind.chars().next()).is_some_and(char::is_alphanumeric)
}

/// The byte at `at`.
pub(super) fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

/// Whether a number with a fraction or a longer dotted or dashed one goes on behind `at`: `.5`, `-5`.
pub(super) fn is_continued(text: &str, at: usize) -> bool {
    let separator = byte(text, at).is_some_and(|byte| matches!(byte, b'.' | b'-'));
    separator && byte(text, at + 1).is_some_and(|byte| byte.is_ascii_digit())
}

/// Whether a longer dotted or dashed number begins before `at`: `5.`, `5-`.
pub(super) fn is_continuation(text: &str, at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| byte(text, at));
    before(1).is_some_and(|byte| matches!(byte, b'.' | b'-')) && before(2).is_some_and(|byte| byte.is_ascii_digit())
}

/// Every place where a run of digits begins, with neither letter nor digit before it.
pub(super) fn starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    (0..bytes.len())
        .filter(move |at| digit(*at) && !at.checked_sub(1).is_some_and(digit))
        .filter(move |at| !is_inside(text, *at))
}

/// Digits in groups.
#[derive(Debug, Clone, Default)]
pub(super) struct Number {
    /// The digits' values.
    pub(super) digits: Vec<u8>,
    /// How many digits each group has.
    pub(super) groups: Vec<usize>,
    /// What stands between the groups.
    pub(super) separators: Vec<u8>,
    /// Where it stands, without what is around it.
    pub(super) range: Range<usize>,
}

impl Number {
    /// The number that begins at `at`: as many digits as `most` at most, between whose groups one of `separators`
    /// stands. It ends with a digit; `None` where it would end in the middle of a run of digits.
    pub(super) fn read(text: &str, at: usize, separators: &[u8], most: usize) -> Option<Self> {
        let mut number = Self { range: at..at, ..Self::default() };
        let mut place = at;
        loop {
            let run = text.as_bytes().get(place..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if run == 0 || number.digits.len() + run > most {
                break;
            }
            let digits = text.as_bytes().get(place..place + run)?;
            number.digits.extend(digits.iter().map(|digit| digit - b'0'));
            number.groups.push(run);
            number.range.end = place + run;
            place += run + 1;
            match byte(text, place - 1).filter(|separator| separators.contains(separator)) {
                Some(separator) => number.separators.push(separator),
                None => break,
            }
        }
        // The last separator has nothing behind it.
        number.separators.truncate(number.groups.len().saturating_sub(1));
        (!number.digits.is_empty()).then_some(number)
    }

    /// The same without the groups behind the first `count`.
    pub(super) fn first(&self, count: usize) -> Option<Self> {
        let digits = self.groups.get(..count)?.iter().sum();
        let len = digits + count.checked_sub(1)?;
        Some(Self {
            digits: self.digits.get(..digits)?.to_vec(),
            groups: self.groups.get(..count)?.to_vec(),
            separators: self.separators.get(..count - 1)?.to_vec(),
            range: self.range.start..self.range.start + len,
        })
    }

    /// This number, and all that its first groups make, the longest first.
    pub(super) fn shorter(&self) -> impl Iterator<Item = Self> + '_ {
        (1..=self.groups.len()).rev().filter_map(|count| self.first(count))
    }

    /// Whether all separators are the same.
    pub(super) fn is_even(&self) -> bool {
        self.separators.windows(2).all(|pair| pair.first() == pair.last())
    }

    /// The number of all digits. Meant for at most 18 of them; more wrap around.
    pub(super) fn value(&self) -> u64 {
        self.digits.iter().fold(0, |value: u64, digit| value.wrapping_mul(10).wrapping_add(u64::from(*digit)))
    }

    /// Whether a letter, a digit or a longer number stands at either side.
    pub(super) fn is_part(&self, text: &str) -> bool {
        is_inside(text, self.range.start)
            || goes_on(text, self.range.end)
            || is_continued(text, self.range.end)
            || is_continuation(text, self.range.start)
    }
}

/// The check of ISO/IEC 7812-1, annex B (Luhn): payment cards and personal numbers.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = (digits.iter().rev().enumerate())
        .map(|(place, digit)| u32::from(if place % 2 == 1 { doubled(*digit) } else { *digit }))
        .sum();
    sum.is_multiple_of(10)
}

/// The sum of digits times weights, as far as both go.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}
