//! What Rust files must say, and what they must not.

use super::Findings;
use super::items::{Source, Sources, line_of};
use super::lexer::is_word;

/// Macros that mark unfinished work, in tests too.
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];
/// Names that say nothing about the problem.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "misc", "manager", "stuff"];

/// Checks every source file.
pub(crate) fn check(sources: &Sources<'_>, findings: &mut Findings) {
    for source in &sources.0 {
        check_header(source, findings);
        check_name(source, findings);
        check_unfinished(source, findings);
        check_owners(source, findings);
        check_test_names(source, findings);
    }
}

/// The first line that is not an inner attribute must begin the module's documentation.
fn check_header(source: &Source<'_>, findings: &mut Findings) {
    let mut lines = source.file.text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.find(|line| !line.starts_with("#!["));
    let text = first.and_then(|line| line.strip_prefix("//!")).unwrap_or_default().trim();
    if text.is_empty() {
        findings.fail(&source.file.path, "begins without `//!` docs: say what the module is for");
    }
}

fn check_name(source: &Source<'_>, findings: &mut Findings) {
    let name = source.file.name();
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    if stem == "mod" {
        findings.fail(&source.file.path, "modules are `foo.rs` beside `foo/`, not `foo/mod.rs`");
    }
    if EMPTY_NAMES.contains(&stem) {
        findings.fail(&source.file.path, "name a module after its subject, not after being one");
    }
    if !stem.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')) {
        findings.fail(&source.file.path, "file names are lower-case");
    }
}

fn check_unfinished(source: &Source<'_>, findings: &mut Findings) {
    let code = source.masked.code.as_str();
    for word in UNFINISHED {
        for (at, _) in code.match_indices(&format!("{word}!")) {
            if !code.get(..at).unwrap_or_default().ends_with(is_word) {
                findings.fail(
                    format!("{}:{}", source.file.path, line_of(code, at)),
                    format!("`{word}!` is unfinished work"),
                );
            }
        }
    }
}

fn check_owners(source: &Source<'_>, findings: &mut Findings) {
    for (line, comment) in &source.masked.comments {
        if let Some(problem) = ownerless(comment) {
            findings.fail(format!("{}:{line}", source.file.path), problem);
        }
    }
}

/// What is wrong with the marks of open work in a comment.
pub(crate) fn ownerless(comment: &str) -> Option<&'static str> {
    let mut words = comment.split_inclusive(|c: char| !is_word(c));
    words.find_map(|word| match word.trim_end_matches(|c| !is_word(c)) {
        "TODO" if !word.ends_with('(') => Some("a TODO names its owner: `TODO(name): what and why`"),
        "FIXME" | "XXX" => Some("write `TODO(name): what and why` instead"),
        _ => None,
    })
}

/// Tests state a claim; that they are tests is seen from their attribute.
fn check_test_names(source: &Source<'_>, findings: &mut Findings) {
    for function in source.functions.iter().filter(|function| function.test && function.name.starts_with("test_")) {
        let at = format!("{}:{}", source.file.path, function.line);
        findings.fail(at, format!("`{}`: a test's name is the claim that it proves, without `test_`", function.name));
    }
}
