//! Files that are done: packed, and in the end deleted.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use atp_core::port::JournalFile;
use flate2::Compression;
use flate2::write::GzEncoder;
use tracing::warn;

use super::FileRules;
use super::names::{self, DAY_MS};
use crate::clock;

/// How much is packed between two looks at whether to stop.
const PIECE: usize = 256 << 10;

/// Packs those files, then those that an earlier process left, then deletes what is too old.
pub(super) fn tidy(done: &[PathBuf], kinds: &[(JournalFile, FileRules)], stop: &AtomicBool) {
    for path in done {
        try_pack(path, stop);
    }
    for (kind, rules) in kinds {
        let Ok(entries) = fs::read_dir(&rules.directory) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(day) = names::day_of(*kind, name) else { continue };
            let ends = day.0.saturating_add(1).saturating_mul(DAY_MS);
            let keep = rules.keep.map(|keep| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
            if keep.is_some_and(|keep| ends.saturating_add(keep) < clock::unix_millis()) {
                // Another router may have been quicker.
                let _gone = fs::remove_file(entry.path());
            } else if name.ends_with(".jsonl") {
                try_pack(&entry.path(), stop);
            }
        }
    }
}

fn try_pack(path: &Path, stop: &AtomicBool) {
    if stop.load(Ordering::Relaxed) {
        return;
    }
    match pack(path, stop) {
        Ok(()) => {}
        Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::Interrupted) => {}
        Err(fault) => {
            warn!(path = %path.display(), reason = %fault, "journal file cannot be packed; it stays as it is");
        }
    }
}

/// Packs a file that nobody writes: `x.jsonl` becomes `x.jsonl.gz`. At every moment one of the two is whole.
fn pack(path: &Path, stop: &AtomicBool) -> io::Result<()> {
    let mut from = File::open(path)?;
    // Who writes the file holds it; its time will come.
    if matches!(from.try_lock(), Err(fs::TryLockError::WouldBlock)) {
        return Ok(());
    }
    let packed = PathBuf::from(format!("{}.gz", path.display()));
    let under_way = PathBuf::from(format!("{}.gz.tmp", path.display()));
    let outcome = copy(&mut from, &under_way, stop);
    if outcome.is_err() {
        let _gone = fs::remove_file(&under_way);
        return outcome;
    }
    fs::rename(&under_way, &packed)?;
    fs::remove_file(path)
}

fn copy(from: &mut File, to: &Path, stop: &AtomicBool) -> io::Result<()> {
    let mut to = GzEncoder::new(File::create(to)?, Compression::fast());
    let mut piece = vec![0; PIECE];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        match from.read(&mut piece)? {
            0 => break,
            read => to.write_all(piece.get(..read).unwrap_or_default())?,
        }
    }
    // The packed file replaces the other, so that it has to be on the disk before.
    to.finish()?.sync_all()
}
