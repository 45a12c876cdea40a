//! The text of `.env.example`.

use std::fmt::Write as _;

use super::super::resolved::VendorRow;
use super::variables;

const HEAD: &str = "\
# Every environment variable that the router reads, each with its default.
# A variable that is set wins over its field of the configuration file; one that is set to nothing counts as not set.
# Secrets of a file can name any other variable: `api_key: { env: NAME }` or `${NAME}` inside a text.
";

/// The text of `.env.example`: every variable, commented out.
#[must_use]
pub fn env_example(vendors: &[VendorRow]) -> String {
    let mut out = HEAD.to_owned();
    for variable in variables(vendors) {
        let field = if variable.field.is_empty() { String::new() } else { format!(" Field: {}.", variable.field) };
        let default =
            if variable.default.is_empty() { String::new() } else { format!(" Default: {}.", variable.default) };
        let value = if variable.default.contains(' ') { "" } else { &variable.default };
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "\n# {}{field}{default}\n#{}={value}", variable.meaning, variable.name);
    }
    out
}
