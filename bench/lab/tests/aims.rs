//! The laboratory's claims, played briefly: a change to the decisions that costs an aim is noticed here.

use atp_lab::{Scale, Section, page, play};

/// Aims that are not reached, as the page says; they may only become fewer. Of the first two the margin is thin.
const KNOWN: &[&str] = &["429s, hosted, tokens, Retry-After", "429s, hosted, requests, bare 429"];

fn misses(chapter: &str) -> Vec<String> {
    let sections = play(Scale::Quick, Some(chapter));
    assert_eq!(sections.len(), 1, "there is no chapter {chapter}");
    let missed = sections.iter().flat_map(Section::aims).filter_map(atp_lab::Aim::miss);
    missed.filter(|miss| !KNOWN.iter().any(|known| miss.starts_with(known))).collect()
}

#[test]
fn tokens_are_shared_by_weight() {
    assert_eq!(misses("shares"), Vec::<String>::new());
}

#[test]
fn a_light_tenant_hardly_notices_a_heavy_one() {
    assert_eq!(misses("neighbours"), Vec::<String>::new());
}

#[test]
fn capacity_is_found_and_used() {
    assert_eq!(misses("windows"), Vec::<String>::new());
}

#[test]
fn unequal_lanes_are_used_as_they_are() {
    assert_eq!(misses("pools"), Vec::<String>::new());
}

#[test]
fn slow_starts_are_covered_within_the_budget() {
    assert_eq!(misses("tails"), Vec::<String>::new());
}

#[test]
fn outages_are_not_amplified_and_end_without_a_herd() {
    assert_eq!(misses("outages"), Vec::<String>::new());
}

#[test]
fn gold_comes_first_and_bronze_comes_through() {
    assert_eq!(misses("classes"), Vec::<String>::new());
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let once = || {
        let sections = play(Scale::Quick, Some("tails"));
        let drawings: Vec<String> =
            sections.iter().flat_map(Section::drawings).map(|(_, svg)| svg.to_owned()).collect();
        (page(&sections), drawings)
    };
    let (first, second) = (once(), once());
    assert_eq!(first, second);
    assert!(first.0.contains("| what | aim | measured | reached |") && !first.1.is_empty());
}
