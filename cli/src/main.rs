//! `atp`: the one binary of ATP Router.

mod adapter;
mod args;
mod ask;
mod check;
mod completions;
mod failure;
mod load;
mod models;
mod plan;
mod replay;
mod router;
mod schema;
mod term;
mod top;
mod up;
mod version;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::term::{Colours, Terminal};

/// An answer under way lives in a few objects of one to eight kilobytes. The system's allocator has
/// no fast path for those, and gives little back to the system after a burst; this one does both. Its
/// settings are made at build time, in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let term = Terminal::new(if cli.no_color { Colours::Never } else { Colours::Auto });
    match run(&cli.command, &term) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A program that asked for JSON reads standard output, so the failure stands there too.
            if cli.command.wants_json() && !failure.message.is_empty() {
                let _ = term.write_json(&failure.json());
            }
            term.fail(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

fn run(command: &Command, term: &Terminal) -> Result<(), Failure> {
    match command {
        Command::Up(args) => up::run(args, term),
        Command::Adapter(args) => adapter::run(args, term),
        Command::Check(args) => check::run(args, term),
        Command::Schema => schema::run(term),
        Command::Models(args) => models::run(args, term),
        Command::Ask(args) => ask::run(args, term),
        Command::Plan(args) => plan::run(args, term),
        Command::Load(args) => load::run(args, term),
        Command::Top(args) => top::run(args, term),
        Command::Replay(args) => replay::run(args, term),
        Command::Version(args) => version::run(args, term),
        Command::Completions(args) => completions::run(args, term),
    }
}
