//! `atp completions`: a script for the shell.

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;
use crate::term::Terminal;

/// Prints it.
pub(crate) fn run(args: &CompletionsArgs, term: &Terminal) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "atp", &mut script);
    term.write(&String::from_utf8_lossy(&script))
}
