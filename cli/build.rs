//! Tells the program which commit it is built from: `ATP_COMMIT`, which a build without a repository may set itself.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "cargo::rerun-if-changed=build.rs")?;
    if option_env!("ATP_COMMIT").is_some() {
        // Who packs the sources without their history knows better; the compiler reads the variable itself.
        return Ok(());
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return Ok(()) };
    writeln!(out, "cargo::rustc-env=ATP_COMMIT={commit}")?;
    // Whatever moves when another commit is checked out or made; a name that is not there would mean to run each time.
    let branch = git(&["symbolic-ref", "HEAD"]).unwrap_or_default();
    for name in ["HEAD", "logs/HEAD", "packed-refs", &branch] {
        let path = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).is_file());
        if let Some(path) = path {
            writeln!(out, "cargo::rerun-if-changed={path}")?;
        }
    }
    Ok(())
}

/// What git says, in one line; nothing outside a repository or where there is no git.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
