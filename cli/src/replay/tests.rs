//! Journals on disk.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::term::{Brush, Colours};

/// A journal of one route with so many choices, as the router writes it.
fn journal(choices: u64) -> String {
    let (request, now) = (
        sample(),
        r#"{"status":"active","forecast":{"input":9,"output":9,"output_guarded":9,"cost":5,"guarded":9},"healthy":true,"room":true,"affordable":true}"#,
    );
    let request: atp_routing::decide::Request = serde_json::from_str(&request).unwrap();
    let now: atp_routing::candidate::CandidateNow = serde_json::from_str(now).unwrap();
    let facts = ["good", "cheap"].map(atp_routing::candidate::CandidateFacts::named);
    let rules = atp_routing::decide::MindRules {
        route: Arc::from("auto"),
        candidates: facts.to_vec(),
        strategy: atp_routing::bandit::Strategy::Contextual,
        explore: 0.2,
        prior_weight: 10.0,
        half_life_ms: 0,
        sticky: atp_routing::sticky::StickyRules::default(),
    };
    let mut mind = atp_routing::decide::Mind::new(rules);
    let mut text = atp_routing::journal::begin(atp_routing::journal::Why::Start, &mind) + "\n";
    for seed in 0..choices {
        let request =
            atp_routing::decide::Request { seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), ..request.clone() };
        let n = mind.events();
        let plan = mind.decide(&request, &[now, now]);
        text += &(atp_routing::journal::decide("auto", n, &request, &[now, now], &plan) + "\n");
        let lesson = atp_routing::bandit::Lesson {
            arm: plan.order[0],
            context: request.context,
            weights: request.needs.weights,
            served: Some(true),
            quality: Some((if plan.order[0] == 0 { 0.9 } else { 0.8 }, 1.0)),
            quiet: false,
            cost: Some(0.5),
            latency: Some(0.5),
            now_ms: request.now_ms,
        };
        let n = mind.events();
        let reward = mind.learn(&lesson);
        text += &(atp_routing::journal::learn("auto", n, request.id, &lesson, reward) + "\n");
    }
    text
}

fn sample() -> String {
    let features = r#"{"kind":"chat","language":"english","chars":4,"tokens":9,"messages":1,"images":0,"tools":0,"code":false,"needs":0,"prompt_hash":1,"prefix":0}"#;
    format!(
        r#"{{"id":"req_0123456789ab7fffbfffffffffffffff","tenant":"t","asked":"auto","features":{features},"context":{{"cluster":0,"x":[1,0,0,0,0,0,0,0]}},"cluster":"chat","needs":{{"capabilities":0,"quality":"fast","weights":{{"quality":0.6,"cost":0.2,"latency":0.2}}}},"keys":{{}},"now_ms":1700000000000,"seed":1}}"#
    )
}

fn remade(files: &[PathBuf]) -> (Report, String) {
    let (report, ()) = replay(files, (), &Terminal::new(Colours::Never)).unwrap();
    let text = table::of(files, &report, &[], Brush::Plain);
    (report, text)
}

fn packed(path: &Path, text: &str) {
    let mut to = flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    to.write_all(text.as_bytes()).unwrap();
    to.finish().unwrap();
}

#[test]
fn a_journal_in_many_files_some_of_them_packed_is_one_journal() {
    let directory = tempfile::tempdir().unwrap();
    let text = journal(300);
    let lines: Vec<String> = text.lines().map(|line| line.to_owned() + "\n").collect();
    let at = |name: &str| directory.path().join(name);
    packed(&at("decisions-2026-01-09.0.jsonl.gz"), &lines[..200].concat());
    packed(&at("decisions-2026-01-09.2.jsonl.gz"), &lines[200..300].concat());
    std::fs::write(at("decisions-2026-01-09.10.jsonl"), lines[300..].concat()).unwrap();
    std::fs::write(at("slm_observations-2026-01-09.jsonl"), "{}\n").unwrap();
    let files = lines::files(&[directory.path().to_owned()]).unwrap();
    assert_eq!(files.len(), 3);
    let (report, text) = remade(&files);
    assert!(report.is_identical(), "{text}");
    assert!(text.starts_with("300 of 300 decisions re-made identically, 300 lessons learnt again\n"), "{text}");
    assert!(text.contains("\nauto\n  good   "), "{text}");
}

#[test]
fn the_first_line_that_differs_is_named_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let whole = journal(50);
    let line = 1 + whole.lines().position(|line| line.contains("\"chosen\":0")).unwrap();
    std::fs::write(&path, whole.replacen("\"chosen\":0", "\"chosen\":1", 1)).unwrap();
    let (report, text) = remade(std::slice::from_ref(&path));
    assert!(!report.is_identical());
    assert!(
        text.contains(&format!("first of 1 differences: {}:{line} (route auto): request req_", path.display())),
        "{text}"
    );
}

#[test]
fn a_line_that_was_cut_off_at_the_end_is_no_difference() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let text = journal(5);
    std::fs::write(&path, &text[..text.len() - 20]).unwrap();
    assert!(remade(&[path]).0.is_identical());
}

#[test]
fn a_directory_without_decisions_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = lines::files(&[directory.path().to_owned()]).unwrap_err();
    assert!(refused.message.starts_with("no decision log in "), "{}", refused.message);
    let refused = replay(&[directory.path().join("gone")], (), &Terminal::new(Colours::Never)).unwrap_err();
    assert!(refused.message.contains("cannot be read"), "{}", refused.message);
}

#[test]
fn another_configuration_is_weighed_against_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let (log, config) = (directory.path().join("log.jsonl"), directory.path().join("other.yaml"));
    std::fs::write(&log, journal(300)).unwrap();
    std::fs::write(
        &config,
        "providers: { s: { kind: simulated } }\n\
         models:\n  good: { targets: [ { provider: s, model: sim-high } ] }\n  cheap: { targets: [ { provider: s, model: sim-fast } ] }\n\
         routes: { auto: { candidates: [ good, cheap ], strategy: cheapest } }\n",
    )
    .unwrap();
    let term = Terminal::new(Colours::Never);
    let others = others(&config, &term).unwrap();
    let (report, evaluator) = replay(std::slice::from_ref(&log), Evaluator::new(others), &term).unwrap();
    let evaluations = evaluator.end();
    assert_eq!(evaluations.len(), 1);
    let text = table::of(&[log], &report, &evaluations, Brush::Plain);
    for expected in ["auto with the other configuration", "300 of 300 decisions count", "doubly robust", "good "] {
        assert!(text.contains(expected), "{text}");
    }
    let json = as_json(&[], &report, &evaluations);
    assert_eq!((json["identical"].as_bool(), json["evaluations"][0]["used"].as_u64()), (Some(true), Some(300)));
}
