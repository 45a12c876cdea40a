//! Numbers of medical records and of members of health plans: by the words before them; Medicare's by its form.

use std::ops::Range;

use super::Add;
use super::context::Words;
use super::scan::{byte, goes_on, is_inside};

const RECORDS: &[&str] = &[
    "mrn",
    "medical record number",
    "medical record no",
    "medical record",
    "med rec no",
    "patient id",
    "patient number",
    "patient no",
    "chart number",
    "chart no",
    "hospital number",
    "patientennummer",
    "patienten-id",
    "fallnummer",
    "num\u{e9}ro de dossier",
];

const PLANS: &[&str] = &[
    "member id",
    "member number",
    "member no",
    "health plan id",
    "health plan number",
    "policy number",
    "policy no",
    "subscriber id",
    "beneficiary id",
    "beneficiary number",
    "insurance id",
    "medicaid id",
    "medicaid number",
    "versichertennummer",
    "krankenversichertennummer",
];

/// Words that may stand between a name and its number.
const BETWEEN: &[&str] = &["is", "number", "no", "nr", "id", "was", "ist", "lautet"];

pub(super) fn records(text: &str, words: &Words, add: &mut Add<'_>) {
    named(text, words, RECORDS, add);
}

pub(super) fn plans(text: &str, words: &Words, add: &mut Add<'_>) {
    named(text, words, PLANS, add);
    for start in 0..text.len() {
        if byte(text, start).is_some_and(|byte| (b'1'..=b'9').contains(&byte))
            && !is_inside(text, start)
            && let Some(end) = medicare(text, start)
        {
            add(start..end);
        }
    }
}

fn named(text: &str, words: &Words, names: &[&str], add: &mut Add<'_>) {
    for reach in words.behind(names) {
        if let Some(range) = number_in(text, reach) {
            add(range);
        }
    }
}

/// The first word within `reach` that is none of those in between, where it is a number: four digits or more.
fn number_in(text: &str, reach: Range<usize>) -> Option<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let mut at = reach.start;
    while at < reach.end {
        if !byte(text, at)?.is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let len = text.as_bytes().get(at..)?.iter().take_while(|byte| is_part(**byte)).count();
        let word = text.get(at..at + len)?.trim_end_matches('-');
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if digits >= 4 && word.len() <= 24 && !goes_on(text, at + word.len()) {
            return Some(at..at + word.len());
        }
        if digits > 0 || !BETWEEN.iter().any(|known| word.eq_ignore_ascii_case(known)) {
            return None;
        }
        at += len;
    }
    None
}

/// A Medicare Beneficiary Identifier (CMS, "Understanding the MBI"): eleven characters, each of a kind of its own, no
/// S, L, O, I, B or Z; on cards with dashes.
fn medicare(text: &str, start: usize) -> Option<usize> {
    let letter = |byte: u8| byte.is_ascii_uppercase() && !b"SLOIBZ".contains(&byte);
    let mut at = start;
    // C 1 to 9, A a letter, N a digit, E either.
    for (place, kind) in b"CAENAENAANN".iter().enumerate() {
        if matches!(place, 4 | 7) && byte(text, at) == Some(b'-') {
            at += 1;
        }
        let next = byte(text, at)?;
        let fits = match kind {
            b'C' => (b'1'..=b'9').contains(&next),
            b'A' => letter(next),
            b'N' => next.is_ascii_digit(),
            _ => next.is_ascii_digit() || letter(next),
        };
        if !fits {
            return None;
        }
        at += 1;
    }
    (!goes_on(text, at)).then_some(at)
}
