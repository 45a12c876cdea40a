//! What the router has learnt, kept in a file over restarts: `knowledge.json` beside the log of decisions.
//!
//! Read once at the start, written every minute where something was learnt, and at the end. It is written whole
//! beside the old one and put in its place, so that a crash leaves one or the other. A file that cannot be read is
//! put aside, not overwritten: somebody may want to know why.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use atp_pipeline::{Knowledge, Pipeline};

use crate::clock;
use crate::config::Resolved;

const NAME: &str = "knowledge.json";

/// How long what was learnt may be unwritten.
const PAUSE: Duration = Duration::from_secs(60);

/// The file, and what stands in it.
pub(crate) struct KnowledgeFile {
    path: PathBuf,
    /// The count of events that was written last.
    events: u64,
    written: Instant,
    /// Whether the last write failed, so that it is told once.
    failing: bool,
}

impl KnowledgeFile {
    /// Reads the file into `pipeline`. `None` where decisions are not kept: then nothing of them is.
    pub(crate) fn open(config: &Resolved, pipeline: &Pipeline) -> Option<Self> {
        let folder = config.decisions.enabled.then(|| config.decisions.path.clone())?;
        let file = Self { path: folder.join(NAME), events: 0, written: clock::now(), failing: false };
        match read(&file.path).map(|known| known.map(|knowledge| pipeline.recall(knowledge))) {
            Ok(None) => {}
            Ok(Some(true)) => {
                tracing::debug!(path = %file.path.display(), "went on with what was learnt before");
            }
            Ok(Some(false)) => file.put_aside("it is of another version"),
            Err(why) => file.put_aside(&why),
        }
        Some(Self { events: pipeline.knowledge().events(), ..file })
    }

    /// Writes what was learnt, where it is time and something was.
    pub(crate) fn tick(&mut self, pipeline: &Pipeline) {
        let now = clock::now();
        if now.saturating_duration_since(self.written) >= PAUSE {
            self.written = now;
            self.write(pipeline);
        }
    }

    /// Writes what was learnt, where something was.
    pub(crate) fn write(&mut self, pipeline: &Pipeline) {
        let knowledge = pipeline.knowledge();
        if knowledge.is_empty() || knowledge.events() == self.events {
            return;
        }
        match write(&self.path, &knowledge) {
            Ok(()) => (self.events, self.failing) = (knowledge.events(), false),
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!(path = %self.path.display(), %error, "what was learnt cannot be written");
            }
            Err(_) => {}
        }
    }

    fn put_aside(&self, why: &str) {
        let aside = self.path.with_extension("unread.json");
        // Where even that fails, the next write puts a new one in its place.
        let moved = fs::rename(&self.path, &aside).is_ok();
        tracing::warn!(path = %self.path.display(), why, moved, "what was learnt before cannot be read; learning begins anew");
    }
}

fn read(path: &Path) -> Result<Option<Knowledge>, String> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn write(path: &Path, knowledge: &Knowledge) -> std::io::Result<()> {
    let new = path.with_extension("new.json");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&new, serde_json::to_vec(knowledge).map_err(std::io::Error::other)?)?;
    fs::rename(new, path)
}
