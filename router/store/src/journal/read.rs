//! Reading what was kept: the newest lines first.
//!
//! Files are read from the newest to the oldest, each from its beginning, because a packed one cannot be read
//! from its end. How much is read in all is bounded, so that a question never takes long, whatever is kept.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use atp_core::port::JournalFile;
use flate2::read::MultiGzDecoder;

use super::names::{Day, day_of, number_of};

/// How many bytes of lines one question reads.
const MOST_BYTES: u64 = 256 << 20;

/// Which of the lines that fit are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many.
    pub limit: usize,
    /// How many are passed over first.
    pub offset: usize,
}

/// The lines of a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Newest {
    /// The newest first.
    pub lines: Vec<String>,
    /// Whether older lines may be left that were not looked at, because too much was read already.
    pub more_unread: bool,
}

/// The newest lines of dated files of a kind for which `fits` holds. A line that was cut is left out.
///
/// # Errors
/// Where the directory or a file in it cannot be read; a directory that does not exist holds nothing.
pub fn newest(
    file: JournalFile,
    directory: &Path,
    page: Page,
    mut fits: impl FnMut(&str) -> bool,
) -> io::Result<Newest> {
    let wanted = page.offset.saturating_add(page.limit);
    let mut found = Newest::default();
    let mut left = MOST_BYTES;
    for path in dated_files(file, directory)? {
        if found.lines.len() >= wanted {
            break;
        }
        if left == 0 {
            found.more_unread = true;
            break;
        }
        // The last ones of a file are its newest.
        let room = wanted - found.lines.len();
        let mut last = VecDeque::new();
        let read = each_line(&path, left, |line| {
            if fits(line) {
                if last.len() == room {
                    last.pop_front();
                }
                last.push_back(line.to_owned());
            }
        });
        match read {
            Ok(bytes) => left = left.saturating_sub(bytes),
            // It was deleted or packed in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        found.lines.extend(last.into_iter().rev());
    }
    found.lines.drain(..page.offset.min(found.lines.len()));
    Ok(found)
}

/// The files of a kind, the newest first; of one that is being packed, the plain one.
fn dated_files(file: JournalFile, directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files: Vec<(Day, u32, bool, PathBuf)> = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some(day) = day_of(file, name) else { continue };
        files.push((day, number_of(name), name.ends_with(".gz"), entry.path()));
    }
    files.sort();
    // Equals stand beside each other, the plain one first.
    files.dedup_by(|next, kept| (next.0, next.1) == (kept.0, kept.1));
    Ok(files.into_iter().rev().map(|(.., path)| path).collect())
}

/// Hands over each whole line within the first `most` bytes; tells how many bytes were read.
fn each_line(path: &Path, most: u64, mut take: impl FnMut(&str)) -> io::Result<u64> {
    let opened = File::open(path)?;
    let packed = path.extension().is_some_and(|end| end == "gz");
    let reader: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(opened)) } else { Box::new(opened) };
    let mut lines = BufReader::new(reader.take(most));
    let (mut read, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let bytes = lines.read_until(b'\n', &mut line)?;
        read += bytes as u64;
        if line.pop() != Some(b'\n') {
            return Ok(read);
        }
        if let Ok(text) = std::str::from_utf8(&line) {
            take(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const KIND: JournalFile = JournalFile::Observations;

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"a1\nb2\n").unwrap();
        put("slm_observations-2026-01-01.jsonl.gz", &packed.finish().unwrap());
        put("slm_observations-2026-01-01.2.jsonl", b"a3\n");
        put("slm_observations-2026-01-01.10.jsonl", b"a4\n");
        put("slm_observations-2026-01-02.jsonl", b"b5\na6\ncut of");
        put("decisions-2026-01-03.0.jsonl", b"another kind\n");
        put("slm_observations-2026-01-04.jsonl.tmp", b"no file of ours\n");
        directory
    }

    fn read(directory: &Path, limit: usize, offset: usize, fits: fn(&str) -> bool) -> Vec<String> {
        newest(KIND, directory, Page { limit, offset }, fits).unwrap().lines
    }

    #[test]
    fn the_newest_line_comes_first_over_all_files() {
        let directory = directory();
        assert_eq!(read(directory.path(), 100, 0, |_| true), ["a6", "b5", "a4", "a3", "b2", "a1"]);
        assert_eq!(read(directory.path(), 2, 1, |_| true), ["b5", "a4"]);
        assert_eq!(read(directory.path(), 2, 1, |line| line.starts_with('b')), ["b2"]);
        assert_eq!(read(directory.path(), 1, 9, |_| true), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_packed_in_this_moment_counts_once() {
        let directory = directory();
        std::fs::write(directory.path().join("slm_observations-2026-01-01.jsonl"), b"a1\nb2\n").unwrap();
        assert_eq!(read(directory.path(), 100, 0, |_| true).len(), 6);
    }

    #[test]
    fn a_directory_that_does_not_exist_holds_nothing() {
        assert_eq!(
            newest(KIND, Path::new("/does/not/exist"), Page { limit: 1, offset: 0 }, |_| true).unwrap(),
            Newest::default()
        );
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        let directory = directory();
        let path = directory.path().join("slm_observations-2026-01-02.jsonl");
        let mut lines = Vec::new();
        assert_eq!(each_line(&path, 4, |line| lines.push(line.to_owned())).unwrap(), 4);
        assert_eq!(lines, ["b5"]);
    }
}
