//! `atp schema`: the JSON schema of the configuration file, for editors.

use crate::failure::Failure;
use crate::term::Terminal;

/// Prints it.
pub(crate) fn run(term: &Terminal) -> Result<(), Failure> {
    let schema = atp_server::config::schema_json();
    term.write(&format!("{}\n", schema.trim_end()))
}
