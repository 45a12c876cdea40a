//! The detectors: for each class, what has its form.
//!
//! Every detector is a function of the text alone. Where the public rules of a number have a check digit, it is
//! computed; where a number could be anything (a date, nine digits), the words before it decide.

mod card;
mod context;
mod date;
mod email;
mod health;
mod iban;
mod ip;
mod national;
mod phone;
mod scan;
mod ssn;

use std::ops::Range;

use crate::class::{Class, ClassSet};

use context::Words;

/// One place of personal data in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of which kind.
    pub class: Class,
    /// Where, in bytes.
    pub range: Range<usize>,
}

/// What of `classes` a text holds, in its order and without overlap. Of two that overlap, the class that proves more
/// stays ([`Class::ALL`]), and of one class the longer.
#[must_use]
pub fn find(text: &str, classes: ClassSet) -> Vec<Finding> {
    let mut found = Vec::new();
    if classes.is_empty() {
        return found;
    }
    let words = Words::of(text);
    for class in classes.each() {
        let mut add = |range: Range<usize>| found.push(Finding { class, range });
        match class {
            Class::Email => email::find(text, &mut add),
            Class::Phone => phone::find(text, &words, &mut add),
            Class::Card => card::find(text, &mut add),
            Class::Iban => iban::find(text, &mut add),
            Class::Ssn => ssn::find(text, &words, &mut add),
            Class::IpAddress => ip::find(text, &mut add),
            Class::NationalId => national::find(text, &words, &mut add),
            Class::MedicalRecord => health::records(text, &words, &mut add),
            Class::HealthPlan => health::plans(text, &words, &mut add),
            Class::BirthDate => date::births(text, &words, &mut add),
        }
    }
    without_overlap(found)
}

/// What detectors call with each place that they find.
type Add<'a> = dyn FnMut(Range<usize>) + 'a;

fn without_overlap(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by_key(|finding| (finding.class.rank(), std::cmp::Reverse(finding.range.len()), finding.range.start));
    let mut kept: std::collections::BTreeMap<usize, Finding> = std::collections::BTreeMap::new();
    for finding in found {
        let before = kept.range(..finding.range.end).next_back();
        if before.is_none_or(|(_, before)| before.range.end <= finding.range.start) {
            kept.insert(finding.range.start, finding);
        }
    }
    kept.into_values().collect()
}
