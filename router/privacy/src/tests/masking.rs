//! Placeholders out and values back.

use std::sync::Arc;

use crate::{Action, Class, Filter, Guard, Restorer, Vault};

fn masked(vault: &mut Vault, guard: Guard, text: &str) -> String {
    vault.mask(text, &guard.find(text))
}

fn everything() -> Guard {
    Filter::ALL.into_iter().fold(Guard::default(), |guard, filter| guard.filtering(filter, Action::Mask))
}

const TEXT: &str = "Mail jane@example.com or joe@example.org, then jane@example.com; card 4111 1111 1111 1111.";

#[test]
fn the_same_value_has_the_same_placeholder_and_comes_back() {
    let mut vault = Vault::default();
    let out = masked(&mut vault, everything(), TEXT);
    assert_eq!(out, "Mail [EMAIL_1] or [EMAIL_2], then [EMAIL_1]; card [CARD_1].");
    assert_eq!(vault.restore(&out).unwrap(), TEXT);
    assert_eq!((vault.count(Class::Email), vault.count(Class::Card)), (2, 1));
    assert_eq!(vault.restore("nothing of it: [EMAIL_3] [NAME_1] [EMAIL_1"), None);
    assert!(!format!("{vault:?}").contains("jane"));
}

#[test]
fn a_callers_own_placeholder_means_nothing_but_itself() {
    let mut vault = Vault::default();
    vault.reserve("I read [EMAIL_1] somewhere, and [[EMAIL_3]]");
    let texts = ["a@example.com", "b@example.com", "c@example.com"];
    let out: Vec<String> = texts.iter().map(|text| masked(&mut vault, everything(), text)).collect();
    assert_eq!(out, ["[EMAIL_2]", "[EMAIL_4]", "[EMAIL_5]"]);
    assert_eq!(vault.restore("[EMAIL_1] [EMAIL_2]").unwrap(), "[EMAIL_1] a@example.com");
}

#[test]
fn the_stricter_action_stays_and_names_its_class() {
    let guard = Guard::default().filtering(Filter::Hipaa, Action::Block).filtering(Filter::Pii, Action::Mask);
    assert_eq!((guard.action(Class::Email), guard.action(Class::NationalId)), (Some(Action::Block), None));
    let guard = Guard::default().filtering(Filter::Pii, Action::Mask).minding(Class::Card, Action::Block);
    assert_eq!(guard.blocks(&guard.find("jane@example.com")), None);
    assert_eq!(guard.blocks(&guard.find(TEXT)), Some(Class::Card));
    assert!(Guard::default().is_idle() && Guard::default().find(TEXT).is_empty());
}

#[test]
fn a_placeholder_cut_anywhere_comes_back_whole() {
    let mut vault = Vault::default();
    let out = masked(&mut vault, everything(), TEXT) + " [EMAIL_x] [[EMAIL_1]] [";
    let wanted = vault.restore(&out).unwrap();
    let vault = Arc::new(vault);
    let cuts: Vec<usize> = (0..=out.len()).collect();
    for first in &cuts {
        for second in cuts.iter().filter(|second| *second >= first) {
            let mut restorer = Restorer::new(Arc::clone(&vault));
            let pieces = [&out[..*first], &out[*first..*second], &out[*second..]];
            let mut read: String = pieces.iter().map(|piece| restorer.push(piece)).collect();
            assert!(restorer.holds());
            read += &restorer.finish();
            assert_eq!(read, wanted, "cut at {first} and {second}");
        }
    }
    let mut restorer = Restorer::new(vault);
    let letters: String = out.chars().map(|letter| restorer.push(&letter.to_string())).collect();
    assert_eq!(letters + &restorer.finish(), wanted);
}

#[test]
fn what_is_no_beginning_of_a_placeholder_does_not_wait() {
    let mut vault = Vault::default();
    let _ = masked(&mut vault, everything(), TEXT);
    let mut restorer = Restorer::new(Arc::new(vault));
    for (piece, out) in
        [("see [1]", "see [1]"), (" [EM", " "), ("PTY]", "[EMPTY]"), ("[CARD_1", ""), ("]", "4111 1111 1111 1111")]
    {
        assert_eq!(restorer.push(piece), out);
    }
}

#[test]
fn names_read_back() {
    for class in Class::ALL {
        assert_eq!(Class::parse(class.label()), Some(class));
        assert!(Filter::ALL.iter().any(|filter| filter.classes().holds(class)), "{class:?} is minded by a filter");
    }
    for filter in Filter::ALL {
        assert_eq!(Filter::parse(filter.label()), Some(filter));
    }
}
