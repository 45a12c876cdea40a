//! Telephone numbers: international ones (E.164) by their plus, those of the North American plan by their form, all
//! others by the words before them.

use std::ops::Range;

use memchr::memchr_iter;

use super::Add;
use super::context::{Words, first_digit};
use super::date;
use super::scan::{Number, byte, goes_on, is_continuation, is_continued, is_inside, starts};

/// Words behind which a number is a telephone's, in the languages that the rules for dates know too.
const WORDS: &[&str] = &[
    "phone",
    "phone number",
    "telephone",
    "tel",
    "call",
    "mobile",
    "cell",
    "cellphone",
    "fax",
    "sms",
    "whatsapp",
    "text me at",
    "reach me at",
    "reached at",
    "hotline",
    "telefon",
    "telefonnummer",
    "handy",
    "handynummer",
    "mobil",
    "rufnummer",
    "t\u{e9}l\u{e9}phone",
    "t\u{e9}l",
    "portable",
    "tel\u{e9}fono",
    "m\u{f3}vil",
    "telefono",
    "cellulare",
    "telefoon",
    "mobiel",
    "telefone",
    "celular",
];

/// Digits of a number with its country (E.164 allows 15; fewer than 8 is no subscriber's).
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 8..=15;
/// Digits of a number that words speak of.
const SPOKEN: std::ops::RangeInclusive<usize> = 7..=15;

pub(super) fn find(text: &str, words: &Words, add: &mut Add<'_>) {
    for plus in memchr_iter(b'+', text.as_bytes()) {
        let country = byte(text, plus + 1).is_some_and(|byte| (b'1'..=b'9').contains(&byte));
        if !country || is_inside(text, plus) {
            continue;
        }
        if let Some(range) = dialled(text, plus + 1).filter(|range| INTERNATIONAL.contains(&digits(text, range))) {
            add(plus..extended(text, range.end));
        }
    }
    for start in starts(text) {
        if let Some(range) = north_american(text, start).or_else(|| with_zero(text, start)) {
            add(range.start..extended(text, range.end));
        }
    }
    for reach in words.behind(WORDS) {
        let Some(start) = first_digit(text, reach) else { continue };
        let Some(range) = dialled(text, start) else { continue };
        if SPOKEN.contains(&digits(text, &range)) && date::at(text, start).is_none() && !is_continuation(text, start) {
            let opened = start.checked_sub(1).filter(|before| byte(text, *before) == Some(b'('));
            add(opened.unwrap_or(start)..extended(text, range.end));
        }
    }
}

fn digits(text: &str, range: &Range<usize>) -> usize {
    text.get(range.clone()).unwrap_or_default().bytes().filter(u8::is_ascii_digit).count()
}

/// What can be dialled from `start` on: digits, between which at most two marks stand. It ends with a digit.
fn dialled(text: &str, start: usize) -> Option<Range<usize>> {
    let (mut end, mut at, mut marks, mut count) = (start, start, 0, 0);
    while let Some(next) = byte(text, at) {
        at += 1;
        match next {
            b'0'..=b'9' => {
                (end, marks, count) = (at, 0, count + 1);
            }
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' if marks < 2 => marks += 1,
            _ => break,
        }
    }
    let whole = !goes_on(text, end) || extended(text, end) > end;
    (end > start && count <= *SPOKEN.end() && whole).then_some(start..end)
}

/// The end of a number that ends at `end`, with its extension: `x200`, ` ext. 12`.
fn extended(text: &str, end: usize) -> usize {
    let rest = text.get(end..).unwrap_or_default();
    let mark = ["x", " x", " ext. ", " ext "].iter().find(|mark| rest.starts_with(**mark)).map_or(0, |mark| mark.len());
    let digits = rest.bytes().skip(mark).take_while(u8::is_ascii_digit).count();
    let behind = end + mark + digits;
    if mark > 0 && (1..=6).contains(&digits) && !goes_on(text, behind) { behind } else { end }
}

/// `05 87 07 71 22`, and `(04483) 58219`: a zero leads out of the place in most of Europe.
fn with_zero(text: &str, start: usize) -> Option<Range<usize>> {
    if byte(text, start) != Some(b'0') {
        return None;
    }
    let opened = start.checked_sub(1).filter(|open| byte(text, *open) == Some(b'(') && !is_inside(text, *open));
    if let Some(open) = opened {
        let area = Number::read(text, start, b"", 6)?;
        let closed = byte(text, area.range.end) == Some(b')') && area.digits.len() >= 3;
        let at = area.range.end + 1 + usize::from(byte(text, area.range.end + 1) == Some(b' '));
        let number = Number::read(text, at, b" -", 9)?;
        let whole = closed && number.digits.len() >= 5 && !goes_on(text, number.range.end);
        return whole.then_some(open..number.range.end);
    }
    let number = Number::read(text, start, b" .", 10)?;
    (number.groups == [2; 5] && number.is_even() && !number.is_part(text)).then_some(number.range)
}

/// `(212) 555-0100`, `212-555-0100`, `1.212.555.0100`: area and exchange begin with 2 to 9 and do not end in 11.
fn north_american(text: &str, start: usize) -> Option<Range<usize>> {
    let number = Number::read(text, start, b" -.", 11)?;
    let (number, country) = match number.groups.as_slice() {
        [1, 3, 3, 4] if number.digits.first() == Some(&1) => (number, 1),
        [3, 3, 4, ..] => (number.first(3)?, 0),
        [3, ..] => return in_brackets(text, start),
        _ => return None,
    };
    let end = number.range.end;
    let free = !number.is_part(text) || !is_inside(text, start) && extended(text, end) > end;
    let plain = number.is_even() && free && is_subscriber(number.digits.get(country..)?);
    plain.then_some(number.range)
}

fn in_brackets(text: &str, start: usize) -> Option<Range<usize>> {
    let open = start.checked_sub(1).filter(|open| byte(text, *open) == Some(b'('))?;
    if byte(text, start + 3) != Some(b')') || is_inside(text, open) {
        return None;
    }
    let rest = start + 4 + usize::from(byte(text, start + 4) == Some(b' '));
    let area = Number::read(text, start, b"", 3)?;
    let number = Number::read(text, rest, b" -.", 7)?;
    let digits = [area.digits, number.digits].concat();
    let end = number.range.end;
    let free = !goes_on(text, end) || extended(text, end) > end;
    let whole = number.groups == [3, 4] && free && !is_continued(text, end);
    (whole && is_subscriber(&digits)).then_some(open..number.range.end)
}

fn is_subscriber(digits: &[u8]) -> bool {
    let [a, b, c, d, e, f, rest @ ..] = digits else { return false };
    let code = |first: u8, second: u8, third: u8| first >= 2 && (second, third) != (1, 1);
    rest.len() == 4 && code(*a, *b, *c) && code(*d, *e, *f)
}
