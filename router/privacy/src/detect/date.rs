//! Days on which somebody was born: a date behind words that say so. Dates alone are dates of anything.

use std::ops::Range;

use super::Add;
use super::context::Words;
use super::scan::{Number, byte, goes_on, is_inside};

const WORDS: &[&str] = &[
    "born",
    "dob",
    "d.o.b.",
    "date of birth",
    "birth date",
    "birthdate",
    "birthday",
    "birth day",
    "geboren",
    "geb.",
    "geburtsdatum",
    "geburtstag",
    "n\u{e9} le",
    "n\u{e9}e le",
    "date de naissance",
    "naissance",
    "nacido",
    "nacida",
    "fecha de nacimiento",
    "nato il",
    "nata il",
    "data di nascita",
    "geboortedatum",
    "data de nascimento",
    "nascido em",
    "nascida em",
];

/// The months' names, small, in the languages of [`WORDS`]; short forms are beginnings of at least three letters.
const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "januar",
    "februar",
    "m\u{e4}rz",
    "mai",
    "juni",
    "juli",
    "oktober",
    "dezember",
    "janvier",
    "f\u{e9}vrier",
    "mars",
    "avril",
    "juin",
    "juillet",
    "ao\u{fb}t",
    "septembre",
    "octobre",
    "novembre",
    "d\u{e9}cembre",
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
    "gennaio",
    "febbraio",
    "aprile",
    "maggio",
    "giugno",
    "luglio",
    "settembre",
    "ottobre",
    "dicembre",
    "januari",
    "februari",
    "maart",
    "mei",
    "augustus",
    "janeiro",
    "fevereiro",
    "mar\u{e7}o",
    "maio",
    "junho",
    "julho",
    "setembro",
    "outubro",
    "novembro",
    "dezembro",
];

pub(super) fn births(text: &str, words: &Words, add: &mut Add<'_>) {
    for reach in words.behind(WORDS) {
        let first = reach.filter(|place| text.is_char_boundary(*place) && !is_inside(text, *place));
        if let Some(range) = first.filter_map(|place| at(text, place)).next() {
            add(range);
        }
    }
}

/// The date that begins at `start`.
pub(super) fn at(text: &str, start: usize) -> Option<Range<usize>> {
    let end = in_numbers(text, start).or_else(|| in_words(text, start)).or_else(|| american(text, start))?;
    Some(start..end)
}

/// `1980-05-12`, `12.5.1980`, `05/12/80`.
fn in_numbers(text: &str, start: usize) -> Option<usize> {
    let number = Number::read(text, start, b"-./", 8)?.first(3)?;
    let [one, two, three] = number.groups.as_slice() else { return None };
    let part = |from: usize, len: usize| number.digits.get(from..from + len).map(value);
    let (first, second, third) = (part(0, *one)?, part(*one, *two)?, part(one + two, *three)?);
    let fits = match (one, three) {
        (4, 1..=2) => is_year(first) && is_day(second, third),
        (1..=2, 4) => is_year(third) && (is_day(second, first) || is_day(first, second)),
        (1..=2, 2) => is_day(second, first) || is_day(first, second),
        _ => false,
    };
    (fits && *two <= 2 && number.is_even() && !goes_on(text, number.range.end)).then_some(number.range.end)
}

/// `12 May 1980`, `12th of May, 1980`, `12. Mai 1980`.
fn in_words(text: &str, start: usize) -> Option<usize> {
    let day = Number::read(text, start, b"", 2)?;
    let mut at = day.range.end;
    at += ["st", "nd", "rd", "th", "er", "\u{ba}", "."]
        .iter()
        .find(|mark| starts_with(text, at, mark))
        .map_or(0, |mark| mark.len());
    at = over_space(text, at);
    at += ["of ", "de "].iter().find(|word| starts_with(text, at, word)).map_or(0, |word| word.len());
    at = over_space(text, month(text, at)?);
    at += ["de "].iter().find(|word| starts_with(text, at, word)).map_or(0, |word| word.len());
    year(text, at).filter(|_| (1..=31).contains(&value(&day.digits)))
}

/// `May 12, 1980`.
fn american(text: &str, start: usize) -> Option<usize> {
    let at = over_space(text, month(text, start)?);
    let day = Number::read(text, at, b"", 2)?;
    let mut at = day.range.end;
    at += ["st", "nd", "rd", "th"].iter().find(|mark| starts_with(text, at, mark)).map_or(0, |mark| mark.len());
    year(text, over_space(text, at)).filter(|_| (1..=31).contains(&value(&day.digits)))
}

/// Where the month's name ends that begins at `start`, with a dot or a comma behind it.
fn month(text: &str, start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let len = rest.char_indices().find(|(_, letter)| !letter.is_alphabetic()).map_or(rest.len(), |(place, _)| place);
    let word = rest.get(..len)?.to_lowercase();
    let known = word.chars().count() >= 3 && MONTHS.iter().any(|month| month.starts_with(&word));
    let end = start + len;
    known.then(|| end + usize::from(matches!(byte(text, end), Some(b'.' | b','))))
}

fn year(text: &str, at: usize) -> Option<usize> {
    let year = Number::read(text, at, b"", 4)?;
    (year.groups == [4] && is_year(value(&year.digits)) && !goes_on(text, year.range.end)).then_some(year.range.end)
}

fn over_space(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    at + rest.iter().take(2).take_while(|byte| matches!(byte, b' ' | b',')).count()
}

fn starts_with(text: &str, at: usize, mark: &str) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with(mark))
}

/// `digits` are four at most.
fn value(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value, digit| value * 10 + u32::from(*digit))
}

const fn is_year(year: u32) -> bool {
    year >= 1880 && year <= 2100
}

const fn is_day(month: u32, day: u32) -> bool {
    month >= 1 && month <= 12 && day >= 1 && day <= 31
}

/// Whether six digits are year, month and day: the beginning of many national numbers.
pub(super) fn is_birthday(digits: &[u8], order: Order) -> bool {
    let [a, b, c, d, e, f] = digits else { return false };
    let pair = |tens: u8, ones: u8| u32::from(tens) * 10 + u32::from(ones);
    match order {
        Order::YearFirst => is_day(pair(*c, *d), pair(*e, *f)),
        Order::DayFirst => is_day(pair(*c, *d), pair(*a, *b)),
    }
}

/// In which order a number tells the day of birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Two digits of the year, the month, the day.
    YearFirst,
    /// The day, the month, two digits of the year.
    DayFirst,
}
