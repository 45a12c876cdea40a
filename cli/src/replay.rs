//! `atp replay`: is every decision of a journal made again as it was made, and what would another configuration have
//! been worth?

use std::path::PathBuf;

use atp_routing::journal::{At, Replay, Report, Witness};
use atp_routing::offpolicy::{Evaluation, Evaluator, Other};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::term::{Style, Terminal};

mod lines;
mod table;

/// What the command ends with where something differs.
const EXIT_DIFFERS: u8 = 1;

#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// Files of a decision log, or directories of such files; packed ones (.gz) are read as they are.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Another configuration file: what would its routes have been worth?
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads, compares, prints.
pub(crate) fn run(args: &ReplayArgs, term: &Terminal) -> Result<(), Failure> {
    let others = args.config.as_ref().map(|config| others(config, term)).transpose()?;
    let files = lines::files(&args.files)?;
    let (report, evaluations) = match others {
        None => (replay(&files, (), term)?.0, Vec::new()),
        Some(others) => {
            let (report, evaluator) = replay(&files, Evaluator::new(others), term)?;
            (report, evaluator.end())
        }
    };
    if args.json {
        term.write_json(&as_json(&files, &report, &evaluations))?;
    } else {
        term.write(&table::of(&files, &report, &evaluations, term.out))?;
    }
    if report.is_identical() && report.decisions > 0 {
        return Ok(());
    }
    if report.decisions == 0 && report.differences == 0 {
        let hint = "a journal can be read from a line `begin` on; name the files in which the routes began as well";
        return Err(Failure::new("there are no decisions in these files").hint(hint));
    }
    Err(Failure::silent(EXIT_DIFFERS))
}

/// The routes of another configuration.
fn others(config: &std::path::Path, term: &Terminal) -> Result<Vec<Other>, Failure> {
    let routes = atp_server::load_routes(Some(config)).map_err(|error| {
        term.note(error.render(crate::check::colour(term.err)).trim_end());
        Failure::silent(crate::failure::EXIT_USAGE)
    })?;
    Ok(routes.into_iter().map(|route| Other { rules: route.rules, weights: route.weights }).collect())
}

/// Makes the decisions of these files again, in the order in which the files were begun.
fn replay<W: Witness>(files: &[PathBuf], witness: W, term: &Terminal) -> Result<(Report, W), Failure> {
    let mut replay = Replay::new(witness);
    for (file, path) in files.iter().enumerate() {
        let mut lines = lines::Lines::open(path)?;
        while let Some((line, text)) = lines.next()? {
            replay.line(At { file, line }, text);
        }
        if lines.was_cut() {
            // A process that was killed, or is at work: that line never was whole.
            term.note(&format!(
                "{} {}: the last line is not whole and was left out",
                term.err.paint(Style::Yellow, "note:"),
                path.display()
            ));
        }
    }
    Ok(replay.end())
}

fn as_json(files: &[PathBuf], report: &Report, evaluations: &[Evaluation]) -> Value {
    let first = report.first.as_ref().map(|first| {
        json!({
            "file": files.get(first.at.file).map(|path| path.display().to_string()),
            "line": first.at.line,
            "route": first.route,
            "what": first.what,
        })
    });
    json!({
        "identical": report.is_identical(),
        "decisions": report.decisions,
        "remade": report.identical,
        "lessons": report.lessons,
        "skipped": report.skipped,
        "missing": report.missing,
        "differences": report.differences,
        "first_difference": first,
        "routes": report.routes,
        "evaluations": evaluations,
    })
}

#[cfg(test)]
mod tests;
