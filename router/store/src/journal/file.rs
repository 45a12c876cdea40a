//! One kind of file: the lines that wait for it, and the file that is written now.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use atp_core::port::JournalFile;

use super::FileRules;
use super::names::{self, Day};
use super::shared::{Line, Shared};
use crate::clock;

/// How many bytes are gathered for one call to the system.
const GATHER: usize = 256 << 10;

/// How many names are tried where others take them at the same moment.
const NAMES: u32 = 100;

/// Where lines of one kind go.
#[derive(Debug)]
pub(super) struct Sink {
    kind: JournalFile,
    rules: FileRules,
    backlog: VecDeque<Line>,
    /// What has been gathered and not yet written, and how many lines end in it.
    gathered: Vec<u8>,
    lines: usize,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
}

impl Sink {
    pub(super) fn new(kind: JournalFile, rules: FileRules) -> Self {
        Self { kind, rules, backlog: VecDeque::new(), gathered: Vec::new(), lines: 0, current: None }
    }

    pub(super) const fn kind(&self) -> JournalFile {
        self.kind
    }

    pub(super) const fn rules(&self) -> &FileRules {
        &self.rules
    }

    /// Adds a line to those that wait.
    pub(super) fn push(&mut self, line: Line) {
        self.backlog.push_back(line);
    }

    /// How many lines wait.
    pub(super) fn behind(&self) -> usize {
        self.backlog.len() + self.lines
    }

    /// Writes what waits. The files that are done are added to `done`. After an error everything that was not
    /// written waits, and is written from that very byte on the next time.
    pub(super) fn drain(&mut self, shared: &Shared, done: &mut Vec<PathBuf>) -> io::Result<()> {
        if self.behind() == 0 {
            return Ok(());
        }
        self.look_for_the_file(shared);
        self.write(shared)?;
        while let Some(line) = self.backlog.front() {
            if let Some(day) = line.begins {
                self.write(shared)?;
                self.begin(shared, day, done)?;
            }
            let Some(line) = self.backlog.pop_front() else { break };
            self.gathered.extend_from_slice(line.text.as_bytes());
            self.gathered.push(b'\n');
            self.lines += 1;
            if self.gathered.len() >= GATHER {
                self.write(shared)?;
            }
        }
        self.write(shared)
    }

    /// Somebody may have moved or deleted the file: then the next line is to begin a new one.
    fn look_for_the_file(&mut self, shared: &Shared) {
        if self.current.as_ref().is_some_and(|current| !current.path.exists()) {
            self.current = None;
            shared.begin_anew(self.kind);
        }
    }

    /// Ends the file and begins the next.
    fn begin(&mut self, shared: &Shared, day: Day, done: &mut Vec<PathBuf>) -> io::Result<()> {
        if let Some(current) = self.current.take().filter(|_| self.kind != JournalFile::Lifecycle) {
            shared.rotated(self.kind);
            done.push(current.path);
        }
        self.current = Some(self.open(shared, day, done)?);
        Ok(())
    }

    fn open(&self, shared: &Shared, day: Day, done: &mut Vec<PathBuf>) -> io::Result<Current> {
        fs::create_dir_all(&self.rules.directory)?;
        let current = match self.kind {
            JournalFile::Lifecycle => self.open_lasting(shared, day, done)?,
            JournalFile::Decisions | JournalFile::Observations => self.open_dated(day)?,
        };
        // Held for as long as the file is open; where a file system knows no locks, packing relies on names.
        let _unlocked = current.file.try_lock();
        Ok(current)
    }

    /// The first free name of the day.
    fn open_dated(&self, day: Day) -> io::Result<Current> {
        let first = self.next_number(day)?;
        for number in first..first.saturating_add(NAMES) {
            let path = self.rules.directory.join(names::dated(self.kind, day, number));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Current { file, path }),
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "others take every name of the day"))
    }

    /// The number after those that the day has, packed or not.
    fn next_number(&self, day: Day) -> io::Result<u32> {
        let mut next = 0;
        for entry in fs::read_dir(&self.rules.directory)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| names::day_of(self.kind, name) == Some(day)) else { continue };
            let number = name.split('.').nth(1).and_then(|number| number.parse::<u32>().ok()).unwrap_or(0);
            next = next.max(number.saturating_add(1));
        }
        Ok(next)
    }

    /// The file that goes on over days and restarts; a full one is put aside before.
    fn open_lasting(&self, shared: &Shared, day: Day, done: &mut Vec<PathBuf>) -> io::Result<Current> {
        let path = self.rules.directory.join(format!("{}.jsonl", names::stem(self.kind)));
        if fs::metadata(&path).is_ok_and(|meta| meta.len() >= self.rules.max_bytes) {
            let aside = self.rules.directory.join(names::dated(self.kind, day, self.next_number(day)?));
            fs::rename(&path, &aside)?;
            shared.rotated(self.kind);
            done.push(aside);
        }
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        Ok(Current { file, path })
    }

    /// Writes what has been gathered.
    fn write(&mut self, shared: &Shared) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        if self.current.is_none() {
            let mut done = Vec::new();
            self.current = Some(self.open(shared, Day::of(clock::unix_millis()), &mut done)?);
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        let mut written = 0;
        let result = loop {
            match current.file.write(self.gathered.get(written..).unwrap_or_default()) {
                Ok(0) if written == self.gathered.len() => break Ok(()),
                Ok(0) => break Err(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(more) => written += more,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => break Err(fault),
            }
        };
        self.wrote(shared, written);
        result
    }

    /// Forgets what stands in the file now.
    fn wrote(&mut self, shared: &Shared, written: usize) {
        let ends = self.gathered.iter().take(written).filter(|byte| **byte == b'\n').count();
        self.gathered.drain(..written);
        self.lines -= ends.min(self.lines);
        shared.wrote(self.kind, ends, written.saturating_sub(ends));
    }
}
