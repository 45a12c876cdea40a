//! The thread that writes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use atp_core::port::JournalFile;
use tracing::{info, warn};

use super::file::Sink;
use super::shared::Shared;
use super::{FileRules, pack};
use crate::signals::{End, Trouble};

/// The writer's thread. Dropping it tells the thread to write once more and end, without waiting.
#[derive(Debug)]
pub struct JournalWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl JournalWriter {
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let state = Writer::new(Arc::clone(&shared));
        let thread = Builder::new().name(String::from("atp-journal")).spawn(move || state.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Writes what waits and ends the thread, within `patience`; returns how many lines could not be written.
    #[must_use]
    pub fn close(mut self, patience: Duration) -> usize {
        if !self.shared.signals.close(self.thread.take(), patience) {
            warn!("journal writer ended by a fault of its own");
        }
        self.shared.stats().queued
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        self.shared.signals.stop();
    }
}

/// The thread's own state.
struct Writer {
    shared: Arc<Shared>,
    sinks: Vec<Sink>,
    /// Files that are done and not yet packed.
    done: Vec<PathBuf>,
    packer: Option<JoinHandle<()>>,
    stop_packing: Arc<AtomicBool>,
    trouble: Trouble,
}

impl Writer {
    fn new(shared: Arc<Shared>) -> Self {
        let kinds = [JournalFile::Decisions, JournalFile::Observations, JournalFile::Lifecycle];
        let sink = |kind| shared.rules(kind).map(|rules| Sink::new(kind, rules.clone()));
        let sinks = kinds.into_iter().filter_map(sink).collect();
        let stop_packing = Arc::new(AtomicBool::new(false));
        Self { shared, sinks, done: Vec::new(), packer: None, stop_packing, trouble: Trouble::default() }
    }

    fn run(mut self) {
        let _end = End(Arc::clone(&self.shared.signals));
        self.pack();
        loop {
            let orders = self.shared.signals.next_orders(self.shared.config.flush_interval);
            for line in self.shared.take() {
                if let Some(sink) = self.sinks.iter_mut().find(|sink| sink.kind() == line.file) {
                    sink.push(line);
                }
            }
            self.write();
            if !self.done.is_empty() {
                self.pack();
            }
            self.tell_losses();
            if self.behind() == 0 {
                self.shared.signals.flushed(orders.flush);
            }
            if orders.stop {
                break;
            }
        }
        self.stop_packing.store(true, Ordering::Relaxed);
        if let Some(packer) = self.packer.take() {
            let _ended = packer.join();
        }
    }

    /// How many lines of earlier rounds wait.
    fn behind(&self) -> usize {
        self.sinks.iter().map(Sink::behind).sum()
    }

    /// Writes what waits; one kind of file that fails does not keep the others back.
    fn write(&mut self) {
        let mut fault = None;
        let mut wrote = false;
        for sink in &mut self.sinks {
            wrote |= sink.behind() > 0;
            if let Err(error) = sink.drain(&self.shared, &mut self.done) {
                fault = Some((sink.rules().directory.display().to_string(), error));
            }
        }
        match fault {
            Some((directory, error)) => self.failed(&directory, &error),
            None if wrote => self.written(),
            None => {}
        }
    }

    fn written(&mut self) {
        let lost = self.shared.lost();
        if self.trouble.over(lost) {
            info!(lost, "journal is written again");
        }
    }

    fn failed(&mut self, directory: &str, fault: &io::Error) {
        self.shared.failed(&format!("{directory}: {fault}"));
        let lost = self.shared.lost();
        if self.trouble.failed(lost) {
            warn!(directory, reason = %fault, waiting = self.behind(), lost, "journal cannot be written; requests go on");
        }
    }

    /// Speaks of lines that were lost while the disk was well: it was too slow for them.
    fn tell_losses(&mut self) {
        let lost = self.shared.lost();
        if self.trouble.is_slow(lost) {
            warn!(lost, "journal is slower than the decisions; lines were dropped");
        }
    }

    /// Packs what is done on a thread of its own, because that takes seconds: one at a time.
    fn pack(&mut self) {
        if self.packer.as_ref().is_some_and(|packer| !packer.is_finished()) {
            return;
        }
        let done = std::mem::take(&mut self.done);
        let kinds: Vec<(JournalFile, FileRules)> =
            self.sinks.iter().map(|sink| (sink.kind(), sink.rules().clone())).collect();
        let stop = Arc::clone(&self.stop_packing);
        let thread = Builder::new().name(String::from("atp-pack")).spawn(move || pack::tidy(&done, &kinds, &stop));
        // Where there is no thread the files stay as they are; the next start packs them.
        self.packer = thread.ok();
    }
}
