//! Hears SIGINT and SIGTERM, so that an interrupted comparison still ends what it started.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

/// Knows whether the comparison was asked to end.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens on a thread of its own, which ends with the process.
    pub(super) fn listen() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&asked);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let (mut interrupt, mut terminate) = signals;
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            told.store(true, Relaxed);
        })?;
        Ok(Self(asked))
    }

    /// Fails once a signal has come.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}
