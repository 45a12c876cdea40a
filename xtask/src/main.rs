//! The house's own checks: what a compiler and clippy cannot see.
//!
//! `cargo xtask tidy` reads every file that git knows or would add, and fails on the first look at a
//! rule that a reviewer would otherwise have to repeat. The rules and their reasons are in STYLE.md.

mod tidy;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
the checks of this repository

usage: cargo xtask COMMAND

commands:
  tidy   crate edges, sizes, module docs, names, licences, stray text; exit code 1 when a rule is broken
  help   this text
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let mut out = std::io::stdout().lock();
    let result = match command.as_deref() {
        Some("tidy") => tidy::run(root(), &mut out),
        None | Some("help" | "-h" | "--help") => out.write_all(HELP.as_bytes()).map(|()| true).map_err(Into::into),
        Some(other) => Err(anyhow::anyhow!("no command is named `{other}`; `cargo xtask help` lists them")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing can be done about a terminal that is gone.
            let _ = writeln!(std::io::stderr(), "xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The repository: this package's manifest lies one folder below it.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
