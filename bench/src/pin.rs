//! Which core a thread runs on, and how many files it may open.
//!
//! A comparison means something only when each gateway has a core of its own and the far sides
//! share another; threads and child processes inherit the mask of the thread that starts them.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Binds the calling thread, and every thread and process it starts from now on, to one core.
///
/// # Errors
/// The core does not exist or this process may not use it.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("core {core}: no such core")));
    }
    set.set(core);
    sched_setaffinity(None, &set)
        .map_err(|error| io::Error::new(io::Error::from(error).kind(), format!("core {core}: {error}")))
}

/// Runs `work` bound to `core`, then gives the calling thread its former cores back.
///
/// # Errors
/// As [`pin_to_core`], or the error of `work`.
pub fn with_core<T>(core: usize, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    pin_to_core(core)?;
    let result = work();
    sched_setaffinity(None, &before)?;
    result
}

/// How many cores this thread may use.
#[must_use]
pub fn usable_cores() -> usize {
    sched_getaffinity(None).map_or(1, |set| set.count() as usize)
}

/// Raises the soft limit of open files to the hard limit and returns what it is now.
#[must_use]
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // A refusal leaves the old limit, which is what we then report.
    let _ = setrlimit(Resource::Nofile, wanted);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Precedence over ordinary work, which only a privileged user gets; without the privilege
/// everything goes on as before, only more disturbed.
#[derive(Debug)]
pub struct Precedence {
    /// What the session's group had before, when the kernel groups work by session.
    group: Option<String>,
}

/// The kernel schedules sessions against each other before it looks at niceness within one.
const GROUP: &str = "/proc/self/autogroup";

impl Precedence {
    /// Takes it for this process, for what it starts from now on, and for its session until the value
    /// is dropped.
    #[must_use]
    pub fn take() -> Self {
        // A refusal leaves us where we are.
        let _ = rustix::process::nice(-15);
        let before = std::fs::read_to_string(GROUP).ok();
        // Written as `/autogroup-13 nice 0`.
        let group = before.and_then(|text| text.rsplit(' ').next().map(|nice| nice.trim().to_owned()));
        if group.is_some() {
            let _ = std::fs::write(GROUP, "-15");
        }
        Self { group }
    }
}

impl Drop for Precedence {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            let _ = std::fs::write(GROUP, group);
        }
    }
}
