//! Another configuration while the router runs: read, check, swap, say what changed.
//!
//! Whatever is wrong with a file, the configuration in force stays in force. What has begun goes on
//! with what it began with; nothing is closed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use atp_core::port::Provider;
use atp_ingress::Settings;
use atp_pipeline::Pipeline;
use atp_store::LedgerStore;
use atp_telemetry::Logs;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::clock;
use crate::config::{ProcessEnv, Registered, Resolved, VendorRow};
use crate::fleet::{Fleet, Terms};
use crate::providers::{self, Wired, With};
use crate::tls::Certificate;
use crate::{snapshot, spent};

/// How long a file has to be left alone before it is read: editors and Kubernetes write in steps.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);

/// What a reload swaps.
pub(crate) struct Reload {
    pub(crate) file: Option<PathBuf>,
    pub(crate) config: Arc<ArcSwap<Resolved>>,
    pub(crate) wired: Vec<Wired>,
    pub(crate) providers: Arc<ArcSwap<Vec<Arc<dyn Provider>>>>,
    pub(crate) settings: Arc<ArcSwap<Settings>>,
    pub(crate) pipeline: Pipeline,
    pub(crate) store: Arc<dyn LedgerStore>,
    pub(crate) certificate: Arc<Certificate>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) fleet: Fleet,
}

impl Reload {
    /// Reads the configuration again and puts it in force. Tells what changed.
    ///
    /// # Errors
    /// Why it is refused; then nothing has changed.
    pub(crate) fn run(&mut self) -> Result<Vec<String>, String> {
        let new = load_with(self.file.as_deref(), &self.fleet.registered()).map_err(|errors| errors.to_string())?;
        let old = self.config.load_full();
        let changes = Resolved::describe_changes(&old, &new);
        if changes.is_empty() {
            return Ok(changes);
        }
        let wired = providers::wire(&new.providers, &self.wired, &With { workers: old.workers, fleet: &self.fleet })?;
        let now = clock::unix();
        let spent = spent::for_reload(&old, &new, self.store.as_ref(), now.as_millis() as u64);
        let moment = snapshot::Moment { version: self.pipeline.version() + 1, created: now.as_secs(), spent };
        let plan = snapshot::pipeline(&new, &wired, moment);
        self.pipeline.swap(&plan).map_err(|error| error.to_string())?;
        self.fleet.agree(Terms::of(&new));
        self.settings.store(Arc::new(snapshot::entrance(&new)));
        if let Some(tls) = &new.tls {
            self.certificate.put(Arc::clone(&tls.certified));
        }
        if new.logs.filter() != old.logs.filter() {
            self.logs.set_filter(&new.logs.filter()).map_err(|error| error.to_string())?;
        }
        self.providers.store(Arc::new(wired.iter().map(|each| Arc::clone(&each.provider)).collect()));
        self.wired = wired;
        self.config.store(Arc::new(new));
        Ok(changes)
    }
}

/// Reads the configuration: a file, or the embedded defaults.
///
/// # Errors
/// Every problem, each with its place.
pub fn load(file: Option<&std::path::Path>) -> Result<Resolved, crate::config::ConfigErrors> {
    load_with(file, &[])
}

/// Reads a text as if it were a file.
///
/// # Errors
/// Every problem, each with its place.
pub(crate) fn load_text(text: &str) -> Result<Resolved, crate::config::ConfigErrors> {
    crate::config::load_str(text, std::path::Path::new("arguments"), &ProcessEnv, &VendorRow::shipped())
}

/// Reads the configuration, and what adapters that have registered add.
///
/// # Errors
/// Every problem, each with its place.
fn load_with(
    file: Option<&std::path::Path>,
    registered: &[Registered],
) -> Result<Resolved, crate::config::ConfigErrors> {
    let vendors = VendorRow::shipped();
    match file {
        Some(path) => crate::config::load_file(path, &ProcessEnv, &vendors, registered),
        None => crate::config::embedded(&ProcessEnv, &vendors, registered),
    }
}

/// Watches the files of a configuration. Folders are watched, not files: editors and Kubernetes
/// replace files, and a watch on the old one would see nothing more.
pub(crate) struct Watch {
    watcher: Option<RecommendedWatcher>,
    changed: mpsc::Receiver<()>,
    /// Something has changed and may not be left alone yet: whoever stops waiting for that loses nothing.
    unsettled: bool,
    folders: Vec<PathBuf>,
    /// The names of the files that matter; shared with the watcher's thread.
    names: Arc<ArcSwap<Vec<OsString>>>,
}

/// Whether an event is about one of the files, and not about a neighbour such as the ledger.
/// Kubernetes swaps a mounted file by renaming the folder link `..data` beside it.
fn concerns(event: &notify::Event, names: &[OsString]) -> bool {
    let mut touched = event.paths.iter().filter_map(|path| path.file_name());
    touched.any(|name| name == "..data" || names.iter().any(|wanted| wanted == name))
}

impl Watch {
    /// Starts watching. Where the system refuses, SIGHUP still works, and the log says so.
    pub(crate) fn start(config: &Resolved) -> Self {
        Self::on(&config.watched)
    }

    /// Starts watching these files.
    pub(crate) fn on(files: &[PathBuf]) -> Self {
        let (tell, changed) = mpsc::channel(1);
        let names = Arc::<ArcSwap<Vec<OsString>>>::default();
        let wanted = Arc::clone(&names);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access() && concerns(&event, &wanted.load())) {
                // A full channel already says that something changed.
                let _ = tell.try_send(());
            }
        });
        let watcher =
            watcher.inspect_err(|error| tracing::warn!(%error, "files are not watched; reload by SIGHUP")).ok();
        let mut watch = Self { watcher, changed, unsettled: false, folders: Vec::new(), names };
        watch.turn_to(files);
        watch
    }

    /// Watches the folders of the files that this configuration was read from.
    pub(crate) fn follow(&mut self, config: &Resolved) {
        self.turn_to(&config.watched);
    }

    fn turn_to(&mut self, files: &[PathBuf]) {
        let names = files.iter().filter_map(|file| file.file_name()).map(ToOwned::to_owned);
        self.names.store(Arc::new(names.collect()));
        let Some(watcher) = &mut self.watcher else { return };
        for file in files {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.map_or_else(|| PathBuf::from("."), std::path::Path::to_path_buf);
            if self.folders.contains(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => self.folders.push(folder),
                Err(error) => {
                    tracing::warn!(%error, folder = %folder.display(), "a folder is not watched; reload by SIGHUP");
                }
            }
        }
    }

    /// Resolves once something changed and has been left alone for [`SETTLE`]. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if !self.unsettled && self.changed.recv().await.is_none() {
            return std::future::pending().await;
        }
        self.unsettled = true;
        while tokio::time::timeout(SETTLE, self.changed.recv()).await.is_ok_and(|more| more.is_some()) {}
        self.unsettled = false;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_change_is_not_lost_when_something_else_comes_first() {
        let (tell, changed) = mpsc::channel(1);
        let mut watch = Watch { watcher: None, changed, unsettled: false, folders: Vec::new(), names: Arc::default() };
        tell.try_send(()).unwrap();
        // A sweep comes while the file is not left alone yet.
        assert!(timeout(SETTLE / 4, watch.changed()).await.is_err());
        assert!(timeout(SETTLE * 10, watch.changed()).await.is_ok(), "the change is told once it has settled");
        assert!(timeout(SETTLE * 2, watch.changed()).await.is_err(), "and only once");
    }
}
