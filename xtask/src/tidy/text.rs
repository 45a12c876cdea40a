//! Every text file: stray white space, open work without an owner, paths and hosts of somebody's machine.

use super::Findings;
use super::tree::{File, Tree};
use super::words::ownerless;

/// Code whose comments begin with `#` or `//`; Rust is checked by its own lexer.
const CODE: [&str; 9] = ["toml", "yaml", "yml", "py", "sh", "js", "mjs", "ts", "sql"];
/// What must hold no tab at all.
const NO_TABS: [&str; 9] = ["rs", "toml", "yaml", "yml", "py", "js", "mjs", "ts", "md"];

/// Places outside the repository, each in two halves so that this file does not name them.
const OUTSIDE: [(&str, &str); 11] = [
    ("/wo", "rk/"),
    ("/fa", "rm/"),
    ("/ho", "me/"),
    ("/ro", "ot/"),
    (".libr", "ary"),
    ("registry.npm", "js"),
    ("crates", ".io"),
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("proxy.go", "lang"),
    ("deb.deb", "ian"),
];

/// Checks every file that people write by hand.
pub(crate) fn check(tree: &Tree, findings: &mut Findings) {
    for file in tree.files().iter().filter(|file| !is_generated(file)) {
        check_outside(file, findings);
        if !is_data(file) {
            check_space(file, findings);
        }
        if CODE.contains(&file.extension()) || file.name() == "Makefile" {
            check_marks(file, findings);
        }
    }
}

/// Lock files hold the addresses of what they lock.
fn is_generated(file: &File) -> bool {
    file.extension() == "lock" || file.name() == "package-lock.json"
}

/// Recorded bytes whose white space matters.
fn is_data(file: &File) -> bool {
    ["golden", "corpus", "fixtures", "snapshots"].iter().any(|folder| file.is_below(folder)) || file.name() == "LICENSE"
}

fn check_outside(file: &File, findings: &mut Findings) {
    for (number, line) in file.text.lines().enumerate() {
        for (left, right) in OUTSIDE {
            let pattern = format!("{left}{right}");
            let stands_alone = |(at, _): (usize, &str)| {
                !pattern.starts_with('/')
                    || !line.get(..at).unwrap_or_default().ends_with(|c: char| c.is_alphanumeric() || c == '.')
            };
            if line.match_indices(&pattern).any(stands_alone) {
                findings.fail(
                    format!("{}:{}", file.path, number + 1),
                    format!("names `{pattern}`, a place outside the repository"),
                );
            }
        }
    }
}

fn check_space(file: &File, findings: &mut Findings) {
    let no_tabs = NO_TABS.contains(&file.extension());
    for (number, line) in file.text.lines().enumerate() {
        let at = format!("{}:{}", file.path, number + 1);
        if line.ends_with([' ', '\t', '\r']) {
            findings.fail(&at, "ends in white space");
        }
        if no_tabs && line.contains('\t') {
            findings.fail(&at, "holds a tab; indent with spaces");
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.fail(&file.path, "does not end with a newline");
    }
}

fn check_marks(file: &File, findings: &mut Findings) {
    for (number, line) in file.text.lines().enumerate() {
        let comment = ["#", "//", "--"].iter().filter_map(|mark| line.find(mark)).min();
        if let Some(problem) = comment.and_then(|at| line.get(at..)).and_then(ownerless) {
            findings.fail(format!("{}:{}", file.path, number + 1), problem);
        }
    }
}
