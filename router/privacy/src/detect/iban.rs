//! International bank account numbers: the country's length, and the check digits (ISO 13616, ISO/IEC 7064 MOD 97-10).

use super::Add;
use super::scan::{byte, goes_on, is_inside};

/// How many characters a number has in each country that is in the registry.
const LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

pub(super) fn find(text: &str, add: &mut Add<'_>) {
    let bytes = text.as_bytes();
    let mut free = 0;
    for start in 0..bytes.len() {
        let Some([first, second, third, fourth]) = bytes.get(start..start + 4) else { break };
        let opens = first.is_ascii_alphabetic() && second.is_ascii_alphabetic();
        if start < free || !opens || !third.is_ascii_digit() || !fourth.is_ascii_digit() || is_inside(text, start) {
            continue;
        }
        let country = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
        let Some((_, length)) = LENGTHS.iter().find(|(name, _)| name.as_bytes() == country) else { continue };
        if let Some(end) = account(text, start, *length) {
            add(start..end);
            free = end;
        }
    }
}

/// The end of the number of `length` characters at `start`, which may have a space or a dash between two of them.
fn account(text: &str, start: usize, length: usize) -> Option<usize> {
    let (mut at, mut account) = (start, Vec::with_capacity(length));
    while account.len() < length {
        let next = byte(text, at)?;
        if next.is_ascii_alphanumeric() {
            account.push(next);
        } else if !matches!(next, b' ' | b'-') || !byte(text, at + 1)?.is_ascii_alphanumeric() {
            return None;
        }
        at += 1;
    }
    (!goes_on(text, at) && remainder(&account) == 1).then_some(at)
}

/// The number with its first four characters at its end and its letters as two digits, modulo 97.
fn remainder(account: &[u8]) -> u32 {
    let (head, rest) = account.split_at(4.min(account.len()));
    rest.iter().chain(head).fold(0, |remainder, letter| match char::from(*letter).to_digit(36) {
        Some(value) if value < 10 => (remainder * 10 + value) % 97,
        Some(value) => (remainder * 100 + value) % 97,
        None => remainder,
    })
}
