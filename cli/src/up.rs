//! `atp up`: starts the router and says how to reach it. The answer to "does it run, and where" goes to
//! standard output; logs go to standard error.

mod banner;

use atp_server::{Start, StartError, Started};

use crate::args::UpArgs;
use crate::check::colour;
use crate::failure::Failure;
use crate::term::Terminal;
use crate::version::COMMIT;

/// Runs until a signal ends it.
pub(crate) fn run(args: &UpArgs, term: &Terminal) -> Result<(), Failure> {
    let mut started = |started: &Started| {
        // A router whose starter does not listen serves all the same.
        let _ = term.write(&banner::text(started, term.out));
    };
    atp_server::run(Start { config: args.config(), commit: COMMIT }, &mut started)
        .map_err(|error| not_started(&error, term))
}

/// Why it did not start, as the terminal shows it.
pub(crate) fn not_started(error: &StartError, term: &Terminal) -> Failure {
    if let StartError::Config(_) = error {
        term.note(error.render(colour(term.err)).trim_end());
        return Failure::silent(error.exit_code());
    }
    Failure { exit: error.exit_code(), ..Failure::new(error.to_string()) }
}
