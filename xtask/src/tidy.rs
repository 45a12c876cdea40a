//! `cargo xtask tidy`: one pass over the tree, every finding at once.

mod allow;
mod edges;
mod items;
mod lexer;
mod rooms;
mod sizes;
mod text;
mod tree;
mod words;

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// What was found. A failure breaks the build; a warning says that a limit is near.
#[derive(Debug, Default)]
struct Findings {
    failures: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn fail(&mut self, at: impl Display, text: impl Display) {
        self.failures.push(format!("{at}: {text}"));
    }

    fn warn(&mut self, at: impl Display, text: impl Display) {
        self.warnings.push(format!("{at}: {text}"));
    }
}

/// Runs every check on the tree at `root` and prints what was found.
///
/// Returns whether no rule is broken.
///
/// # Errors
/// The tree cannot be listed or read, or the allow-list cannot be parsed.
pub(crate) fn run(root: &Path, out: &mut dyn Write) -> Result<bool> {
    let tree = tree::Tree::read(root).context("cannot read the tree")?;
    let findings = check(&tree)?;
    for warning in &findings.warnings {
        writeln!(out, "near a limit: {warning}")?;
    }
    for failure in &findings.failures {
        writeln!(out, "broken rule: {failure}")?;
    }
    writeln!(
        out,
        "tidy: {} files, {} warnings, {} broken rules",
        tree.files().len(),
        findings.warnings.len(),
        findings.failures.len()
    )?;
    Ok(findings.failures.is_empty())
}

fn check(tree: &tree::Tree) -> Result<Findings> {
    let mut findings = Findings::default();
    edges::check(tree, &mut findings);
    text::check(tree, &mut findings);
    let sources = items::Sources::parse(tree);
    words::check(&sources, &mut findings);
    let allow = allow::AllowList::parse(tree.text(allow::PATH).unwrap_or_default())
        .with_context(|| format!("cannot read {}", allow::PATH))?;
    sizes::check(&sources, &allow, &mut findings);
    Ok(findings)
}
