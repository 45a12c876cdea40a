//! The lines of a journal's files, packed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::failure::Failure;

/// How much is read at once.
const BUFFER: usize = 256 << 10;

/// The files that were named, and those of decisions in the directories that were named: sorted as they were begun.
pub(super) fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        for entry in std::fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
            let path = entry.map_err(|error| unreadable(path, &error))?.path();
            if age(&path).is_some() {
                files.push(path);
            }
        }
        if files.len() == before {
            let hint = "decision logs are called decisions-YYYY-MM-DD.N.jsonl";
            return Err(Failure::usage(format!("no decision log in {}", path.display())).hint(hint));
        }
    }
    // Files of other names stay where they were put: a sort does not move what compares equal.
    files.sort_by_cached_key(|path| age(path));
    files.dedup();
    Ok(files)
}

/// The day and number in the name of a decision log.
fn age(path: &Path) -> Option<(String, u32)> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".jsonl")?;
    let (day, number) = name.strip_prefix("decisions-")?.split_once('.')?;
    Some((day.to_owned(), number.parse().ok()?))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{} cannot be read: {error}", path.display()))
}

/// One file, line by line.
pub(super) struct Lines {
    path: PathBuf,
    from: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
    was_cut: bool,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let packed = path.extension().is_some_and(|extension| extension == "gz");
        let from: Box<dyn BufRead> = if packed {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
        } else {
            Box::new(BufReader::with_capacity(BUFFER, file))
        };
        Ok(Self { path: path.to_owned(), from, line: Vec::new(), number: 0, was_cut: false })
    }

    /// The next whole line, without its end, and its number, counted from 1.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &str)>, Failure> {
        self.line.clear();
        self.from.read_until(b'\n', &mut self.line).map_err(|error| unreadable(&self.path, &error))?;
        if self.line.pop() != Some(b'\n') {
            self.was_cut = !self.line.is_empty();
            return Ok(None);
        }
        self.number += 1;
        // What is no text is no JSON either; the replay names the line.
        Ok(Some((self.number, std::str::from_utf8(&self.line).unwrap_or_default())))
    }

    /// Whether the file ended within a line.
    pub(super) fn was_cut(&self) -> bool {
        self.was_cut
    }
}
