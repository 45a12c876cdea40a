//! The laboratory's claims about choosing, played briefly.

use atp_lab::{Scale, Section, arms};

/// Aims that are not reached, as the page says; they may only become fewer.
const KNOWN: &[&str] = &["requests until noticed, the worst one rises above the best, 60 % scored: "];

fn misses(chapter: &str) -> Vec<String> {
    let sections = arms::play(Scale::Quick, Some(chapter));
    assert_eq!(sections.len(), 1, "there is no chapter {chapter}");
    assert!(sections.iter().all(|section| !section.aims().is_empty()), "{chapter} has no aim");
    let missed = sections.iter().flat_map(Section::aims).filter_map(atp_lab::Aim::miss);
    missed.filter(|miss| !KNOWN.iter().any(|known| miss.starts_with(known))).collect()
}

#[test]
fn nine_tenths_of_what_could_be_had_are_had_within_the_share_for_exploration() {
    assert_eq!(misses("steady"), Vec::<String>::new());
}

#[test]
fn under_drift_every_baseline_is_beaten() {
    assert_eq!(misses("drift"), Vec::<String>::new());
}

#[test]
fn a_model_that_is_not_what_it_was_is_noticed() {
    assert_eq!(misses("change"), Vec::<String>::new());
}

#[test]
fn a_new_model_is_tried_at_a_bounded_cost() {
    assert_eq!(misses("cold"), Vec::<String>::new());
}

#[test]
fn what_another_way_would_have_been_worth_lies_within_its_bounds() {
    assert_eq!(misses("other"), Vec::<String>::new());
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let once = || {
        let sections = arms::play(Scale::Quick, Some("change"));
        let drawings: Vec<String> =
            sections.iter().flat_map(Section::drawings).map(|(_, svg)| svg.to_owned()).collect();
        (arms::page(&sections), drawings)
    };
    let (first, second) = (once(), once());
    assert_eq!(first, second);
    assert!(first.0.contains("| what | aim | measured | reached |") && !first.1.is_empty());
}
