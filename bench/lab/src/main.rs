//! `lab`: plays every scenario, prints the aims, and writes the pages and their plots.
//!
//! `lab [--quick] [--page=NAME] [--only=CHAPTER] [FOLDER]`; without a folder nothing is written.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use atp_lab::{Scale, Section, arms, summary};

fn main() -> ExitCode {
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "lab: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A page of the documentation: its name, and what plays and writes it.
struct Page {
    name: &'static str,
    play: fn(Scale, Option<&str>) -> Vec<Section>,
    write: fn(&[Section]) -> String,
}

const PAGES: [Page; 2] = [
    Page { name: "flow-control", play: atp_lab::play, write: atp_lab::page },
    Page { name: arms::PAGE, play: arms::play, write: arms::page },
];

fn play() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let scale = if args.iter().any(|arg| arg == "--quick") { Scale::Quick } else { Scale::Full };
    let value = |name: &str| args.iter().find_map(|arg| arg.strip_prefix(name));
    let (chapter, wanted) = (value("--only="), value("--page="));
    let folder = args.iter().find(|arg| !arg.starts_with("--"));
    for page in PAGES.iter().filter(|page| wanted.is_none_or(|wanted| wanted == page.name)) {
        let sections = (page.play)(scale, chapter);
        tell(page, &sections)?;
        if let Some(folder) = folder {
            write(page, &sections, Path::new(folder))?;
        }
    }
    Ok(())
}

fn tell(page: &Page, sections: &[Section]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for section in sections {
        writeln!(out, "{}", section.markdown(page.name))?;
    }
    writeln!(out, "{}", summary(sections))
}

fn write(page: &Page, sections: &[Section], folder: &Path) -> io::Result<()> {
    let plots = folder.join(page.name);
    std::fs::create_dir_all(&plots)?;
    std::fs::write(folder.join(format!("{}.md", page.name)), (page.write)(sections))?;
    for (file, svg) in sections.iter().flat_map(Section::drawings) {
        std::fs::write(plots.join(file), svg)?;
    }
    Ok(())
}
