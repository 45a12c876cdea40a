//! The fuzz corpus as a plain test: what a fuzzer once found stays found.

use std::fs;
use std::path::Path;

use super::bodies;

fn run(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() >= 10, "the corpus in {} is gone", folder.display());
    for input in inputs {
        body(&fs::read(&input).unwrap());
    }
}

#[test]
fn the_scan_corpus_holds() {
    run("scan", bodies::scan_body);
}

#[test]
fn the_splice_corpus_holds() {
    run("splice", bodies::splice_body);
}

#[test]
fn the_sse_corpus_holds() {
    run("sse", bodies::sse_body);
}

#[test]
fn the_features_corpus_holds() {
    run("features", bodies::features_body);
}

#[test]
fn the_signs_corpus_holds() {
    run("signs", bodies::signs_body);
}
