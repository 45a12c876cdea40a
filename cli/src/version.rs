//! `atp version`.

use serde_json::json;

use crate::args::VersionArgs;
use crate::failure::Failure;
use crate::term::Terminal;

/// The version of this binary.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints it.
pub(crate) fn run(args: &VersionArgs, term: &Terminal) -> Result<(), Failure> {
    if !args.json {
        return term.write(&format!("atp {VERSION}\n"));
    }
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    term.write_json(&json!({
        "name": "atp",
        "version": VERSION,
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "profile": profile,
    }))
}
