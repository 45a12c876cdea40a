//! How much is found, and how much that is nothing, measured on a corpus.
//!
//! `corpus.txt` was made once by Faker (a generator that knows nothing of these detectors) from a fixed seed: each
//! value of a class is marked `\u{27e6}class|value\u{27e7}`, in lines with and without words that tell what it is; 320 lines hold
//! nothing personal but much that has digits. The figures are what this test measures and what the page tells; where
//! a detector changes them, both change.

use std::fmt::Write;

use crate::{Class, ClassSet, detect};

const CORPUS: &str = include_str!("corpus.txt");
const PAGE: &str = include_str!("../../../../docs/personas.md");

/// A line without marks, and where the values stand in it.
fn unmarked(line: &str) -> (String, Vec<(Class, std::ops::Range<usize>)>) {
    let (mut text, mut values, mut rest) = (String::new(), Vec::new(), line);
    while let Some((before, marked)) = rest.split_once('\u{27e6}') {
        let (mark, behind) = marked.split_once('\u{27e7}').unwrap();
        let (class, value) = mark.split_once('|').unwrap();
        text += before;
        values.push((Class::parse(class).unwrap(), text.len()..text.len() + value.len()));
        text += value;
        rest = behind;
    }
    (text + rest, values)
}

#[derive(Default, Clone, Copy)]
struct Score {
    marked: usize,
    found: usize,
    alarms: usize,
}

/// What all detectors together make of the corpus, by class; a value counts as found where its class is found and
/// nothing of it is left.
fn measured() -> Vec<(Class, Score)> {
    let mut scores: Vec<(Class, Score)> = Class::ALL.into_iter().map(|class| (class, Score::default())).collect();
    for line in CORPUS.lines() {
        let (text, values) = unmarked(line);
        let findings = detect::find(&text, ClassSet::of(&Class::ALL));
        for (class, score) in &mut scores {
            let marked = values.iter().filter(|(marked, _)| marked == class);
            for (_, range) in marked.clone() {
                let covers = |at: usize| findings.iter().any(|f| f.class == *class && f.range.contains(&at));
                let whole = range.clone().all(|at| covers(at) || !text.as_bytes()[at].is_ascii_alphanumeric());
                score.marked += 1;
                score.found += usize::from(whole);
                if !whole && std::env::args().any(|arg| arg == "--nocapture") {
                    println!("missed {class:?}: {text}");
                }
            }
            let meant = |finding: &&detect::Finding| {
                marked.clone().any(|(_, range)| range.start < finding.range.end && finding.range.start < range.end)
            };
            for finding in findings.iter().filter(|finding| finding.class == *class).filter(|finding| !meant(finding)) {
                score.alarms += 1;
                if std::env::args().any(|arg| arg == "--nocapture") {
                    println!("alarm {class:?} {:?}: {text}", &text[finding.range.clone()]);
                }
            }
        }
    }
    scores
}

fn table() -> String {
    let mut out = String::from("| class | in the corpus | found | missed | false alarms |\n|---|---|---|---|---|\n");
    for (class, Score { marked, found, alarms }) in measured() {
        writeln!(out, "| `{}` | {marked} | {found} | {} | {alarms} |", class.label(), marked - found).unwrap();
    }
    out
}

#[test]
fn the_page_tells_what_the_corpus_measures() {
    let table = table();
    assert!(PAGE.contains(&table), "docs/personas.md should hold:\n{table}");
}
