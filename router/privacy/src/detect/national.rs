//! Numbers by which states know people. Each by its public rule: form, check digits, the day of birth in it; where
//! that leaves one number in ten, by the words before it as well.

use super::Add;
use super::context::{Words, first_digit};
use super::date::{Order, is_birthday};
use super::scan::{Number, byte, goes_on, is_inside, luhn, starts, weighted};

const NHS: &[&str] = &["nhs number", "nhs no", "nhs"];
const BSN: &[&str] = &["bsn", "burgerservicenummer", "sofinummer"];
const GERMAN: &[&str] =
    &["steuer-id", "steueridentifikationsnummer", "steuerliche identifikationsnummer", "idnr", "tax id", "tin"];

pub(super) fn find(text: &str, words: &Words, add: &mut Add<'_>) {
    for start in starts(text) {
        let Some(number) = Number::read(text, start, b" -.+", 15) else { continue };
        let number = number.shorter().find(|number| !number.is_part(text) && is_of_digits(number));
        if let Some(number) = number {
            add(number.range);
        } else if let Some(end) = spanish(text, start).or_else(|| finnish(text, start)) {
            add(start..end);
        }
    }
    for start in (0..text.len()).filter(|at| byte(text, *at).is_some_and(|byte| byte.is_ascii_alphabetic())) {
        if is_inside(text, start) {
            continue;
        }
        if let Some(end) = british(text, start).or_else(|| italian(text, start)).or_else(|| spanish(text, start)) {
            add(start..end);
        }
    }
    named(text, words, NHS, 10, nhs, add);
    named(text, words, BSN, 9, bsn, add);
    named(text, words, GERMAN, 11, german, add);
}

/// Numbers of `len` digits behind `names`, that pass their check.
fn named(text: &str, words: &Words, names: &[&str], len: usize, check: fn(&[u8]) -> bool, add: &mut Add<'_>) {
    for reach in words.behind(names) {
        let number = first_digit(text, reach).and_then(|at| Number::read(text, at, b" -./", len));
        let fits = |number: &Number| number.digits.len() == len && check(&number.digits) && !number.is_part(text);
        if let Some(number) = number.filter(fits) {
            add(number.range);
        }
    }
}

/// Numbers of digits alone that prove themselves.
fn is_of_digits(number: &Number) -> bool {
    let even = number.is_even();
    match number.groups.as_slice() {
        [11] => polish(&number.digits) || belgian(&number.digits),
        [2, 2, 2, 3, 2] => belgian(&number.digits),
        [6 | 8, 4] if matches!(number.separators.first(), Some(b'-' | b'+')) => swedish(&number.digits),
        [15] | [1, 2, 2, 2, 3, 3, 2] | [13, 2] => even && french(&number.digits),
        _ => false,
    }
}

/// PESEL: day of birth with the century in the month, weights 1 3 7 9.
fn polish(digits: &[u8]) -> bool {
    let mut day = digits.get(..6).unwrap_or_default().to_vec();
    if let Some(tens) = day.get_mut(2) {
        *tens %= 2;
    }
    is_birthday(&day, Order::YearFirst) && weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

/// Rijksregisternummer: day of birth, and 97 less the rest; a 2 stands before those born from 2000 on.
fn belgian(digits: &[u8]) -> bool {
    let Some((number, check)) = digits.split_at_checked(9) else { return false };
    let value = |digits: &[u8]| digits.iter().fold(0, |value: u64, digit| value * 10 + u64::from(*digit));
    let check = value(check);
    let fits = |number: u64| 97 - number % 97 == check;
    is_birthday(digits.get(..6).unwrap_or_default(), Order::YearFirst)
        && (fits(value(number)) || fits(2_000_000_000 + value(number)))
}

/// Personnummer: day of birth, and a Luhn digit over the last ten.
fn swedish(digits: &[u8]) -> bool {
    let Some(last) = digits.len().checked_sub(10).and_then(|skip| digits.get(skip..)) else { return false };
    let mut day = last.get(..6).unwrap_or_default().to_vec();
    // Coordination numbers have 60 added to the day.
    if let Some(tens) = day.get_mut(4).filter(|tens| **tens >= 6) {
        *tens -= 6;
    }
    is_birthday(&day, Order::YearFirst) && luhn(last)
}

/// NIR: sex, year, month, place and order, then 97 less the rest. (Corsica's letters are not read.)
fn french(digits: &[u8]) -> bool {
    let value = |digits: &[u8]| digits.iter().fold(0, |value: u64, digit| value * 10 + u64::from(*digit));
    let Some((number, key)) = digits.split_at_checked(13) else { return false };
    let month = value(number.get(3..5).unwrap_or_default());
    let born = (1..=12).contains(&month) || (20..=42).contains(&month) || month >= 50;
    matches!(number.first(), Some(1 | 2)) && born && 97 - value(number) % 97 == value(key)
}

/// DNI and NIE: eight digits, or X, Y or Z and seven, and a letter by the rest of 23.
fn spanish(text: &str, start: usize) -> Option<usize> {
    let first = byte(text, start)?;
    let (lead, skip) = match first.to_ascii_uppercase() {
        b'X' => (Some(0), 1),
        b'Y' => (Some(1), 1),
        b'Z' => (Some(2), 1),
        b'0'..=b'9' => (None, 0),
        _ => return None,
    };
    let digits_at = start + skip + usize::from(skip == 1 && byte(text, start + 1) == Some(b'-'));
    let number = Number::read(text, digits_at, b"", 8)?;
    if number.digits.len() + skip != 8 {
        return None;
    }
    let letter_at = number.range.end + usize::from(byte(text, number.range.end) == Some(b'-'));
    let value = lead.unwrap_or(0) * 10_000_000 + number.value();
    let wanted = b"TRWAGMYFPDXBNJZSQVHLCKE".get(usize::try_from(value % 23).ok()?)?;
    let fits = byte(text, letter_at)?.to_ascii_uppercase() == *wanted;
    (fits && !goes_on(text, letter_at + 1)).then_some(letter_at + 1)
}

/// Henkilotunnus: day of birth, the century's sign, three digits and a character by the rest of 31.
fn finnish(text: &str, start: usize) -> Option<usize> {
    let day = Number::read(text, start, b"", 6)?;
    let sign = byte(text, start + 6)?;
    let order: u64 = text.get(start + 7..start + 10)?.parse().ok()?;
    if day.groups != [6] || !b"+-ABCDEFYXWVU".contains(&sign) {
        return None;
    }
    let rest = usize::try_from((day.value() * 1000 + order) % 31).ok()?;
    let wanted = b"0123456789ABCDEFHJKLMNPRSTUVWXY".get(rest)?;
    let fits = byte(text, start + 10)? == *wanted && is_birthday(&day.digits, Order::DayFirst);
    (fits && !goes_on(text, start + 11)).then_some(start + 11)
}

/// National insurance number: two letters that are given out, six digits, A to D; often in pairs.
fn british(text: &str, start: usize) -> Option<usize> {
    let (one, two) = (byte(text, start)?, byte(text, start + 1)?);
    let given =
        one.is_ascii_uppercase() && two.is_ascii_uppercase() && !b"DFIQUV".contains(&one) && !b"DFIOQUV".contains(&two);
    if !given || [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"].contains(&&[one, two]) {
        return None;
    }
    let space = |at: usize| at + usize::from(byte(text, at) == Some(b' '));
    let number =
        Number::read(text, space(start + 2), b" ", 6).filter(|number| matches!(number.groups[..], [6] | [2, 2, 2]))?;
    let last = space(number.range.end);
    let fits = (b'A'..=b'D').contains(&byte(text, last)?) && !goes_on(text, last + 1);
    fits.then_some(last + 1)
}

/// Codice fiscale: sixteen characters of fixed kinds, the last one by the rest of 26.
fn italian(text: &str, start: usize) -> Option<usize> {
    /// What letters and digits count at odd places (Decreto 12 marzo 1974), from 0 and A on alike.
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let code = text.as_bytes().get(start..start + 16)?;
    let form = |(byte, kind): (&u8, &u8)| match kind {
        b'A' => byte.is_ascii_alphabetic(),
        // Where two people would have one code, letters stand for digits.
        _ => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte.to_ascii_uppercase()),
    };
    if !code.iter().zip(b"AAAAAANNANNANNNA").all(form) || goes_on(text, start + 16) {
        return None;
    }
    let place =
        |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte.to_ascii_uppercase() - b'A' });
    let (last, rest) = code.split_last()?;
    let sum: u32 = (rest.iter().enumerate())
        .map(|(at, byte)| match at % 2 {
            0 => ODD.get(place(*byte) as usize).copied().unwrap_or(0),
            _ => place(*byte),
        })
        .sum();
    (sum % 26 == place(*last)).then_some(start + 16)
}

/// NHS number: weights 10 to 2, 11 less the rest of 11.
fn nhs(digits: &[u8]) -> bool {
    let check = (11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    digits.last().is_some_and(|last| u32::from(*last) == check)
}

/// Burgerservicenummer: weights 9 to 2, and the last digit once less.
fn bsn(digits: &[u8]) -> bool {
    let Some((last, rest)) = digits.split_last() else { return false };
    let sum = weighted(rest, &[9, 8, 7, 6, 5, 4, 3, 2]);
    sum > 0 && sum % 11 == u32::from(*last)
}

/// Identifikationsnummer (section 139b AO): ISO/IEC 7064 MOD 11,10; it does not begin with 0.
fn german(digits: &[u8]) -> bool {
    let Some((last, rest)) = digits.split_last() else { return false };
    let product = rest.iter().fold(10, |product: u32, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    digits.first() != Some(&0) && (11 - product) % 10 == u32::from(*last)
}
