//! `lab`: plays every scenario, prints the aims, and writes the page and its plots.
//!
//! `lab [--quick] [--only=CHAPTER] [FOLDER]`; without a folder nothing is written.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use atp_lab::{Scale, page, summary};

fn main() -> ExitCode {
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let scale = if args.iter().any(|arg| arg == "--quick") { Scale::Quick } else { Scale::Full };
    let only = args.iter().find_map(|arg| arg.strip_prefix("--only="));
    let sections = atp_lab::play(scale, only);
    let mut out = io::stdout().lock();
    for section in &sections {
        writeln!(out, "{}", section.markdown("flow-control"))?;
    }
    writeln!(out, "{}", summary(&sections))?;
    if let Some(folder) = args.iter().find(|arg| !arg.starts_with("--")) {
        let plots = Path::new(folder).join("flow-control");
        std::fs::create_dir_all(&plots)?;
        std::fs::write(Path::new(folder).join("flow-control.md"), page(&sections))?;
        for (file, svg) in sections.iter().flat_map(atp_lab::Section::drawings) {
            std::fs::write(plots.join(file), svg)?;
        }
    }
    Ok(())
}
