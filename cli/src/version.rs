//! `atp version`.

use serde_json::json;

use crate::args::VersionArgs;
use crate::failure::Failure;
use crate::term::Terminal;

/// The version of this binary.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from, where the build knew it; see `build.rs`.
pub(crate) const COMMIT: Option<&str> = option_env!("ATP_COMMIT");

/// Prints it.
pub(crate) fn run(args: &VersionArgs, term: &Terminal) -> Result<(), Failure> {
    if !args.json {
        return term.write(&format!("atp {VERSION} ({})\n", COMMIT.unwrap_or("unknown commit")));
    }
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    term.write_json(&json!({
        "name": "atp",
        "version": VERSION,
        "commit": COMMIT,
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "profile": profile,
    }))
}
