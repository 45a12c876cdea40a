//! Starts and ends what is compared: each gateway as a process of its own, bound to its core.

use std::fs;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::process::Tree;
use crate::pin;

/// How long a gateway may take until it accepts connections.
const START: Duration = Duration::from_secs(10);
/// How long a gateway may take to end before it is killed.
const STOP: Duration = Duration::from_secs(5);
/// The key that callers of `atp` show, so that authentication is part of what is measured.
pub(super) const API_KEY: &str = "sk-bench-0123456789abcdef";

/// What kind of program stands between the load generator and the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// None: the load generator asks the upstream itself.
    Direct,
    /// nginx with a generated configuration.
    Nginx(PathBuf),
    /// The bare pass-through of this crate.
    BareHyper(PathBuf),
    /// `atp up -c FILE` of a binary.
    Atp(PathBuf),
    /// The same, with the provider in an adapter's process: both of them are measured.
    Hop(PathBuf, Way),
}

/// How a router reaches its adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By a Unix socket.
    Unix,
    /// By TCP on the loopback interface.
    Tcp,
}

/// A gateway to start: its name in the table and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A process that is ended, with its files, when dropped.
pub(super) struct Gateway {
    pub(super) name: String,
    /// Base URL with the version.
    pub(super) url: String,
    child: Option<Child>,
    /// The adapter's process, where there is one.
    beside: Option<Child>,
    pub(super) tree: Option<Tree>,
    /// Its configuration and log; removed last.
    directory: tempfile::TempDir,
}

impl Gateway {
    pub(super) fn start(entry: &Entry, upstream: SocketAddr, core: usize) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("atp-compare-").tempdir()?;
        let name = entry.name.clone();
        let listen = free_address()?;
        let mut beside = None;
        let command = match &entry.kind {
            Kind::Direct => {
                return Ok(Self {
                    name,
                    url: format!("http://{upstream}/v1"),
                    child: None,
                    beside: None,
                    tree: None,
                    directory,
                });
            }
            Kind::Nginx(binary) => nginx(binary, directory.path(), listen, upstream)?,
            Kind::BareHyper(binary) => bare_hyper(binary, listen, upstream),
            Kind::Atp(binary) => {
                let provider = format!("{{ kind: openai, base_url: \"http://{upstream}/v1\", api_key: \"secret\" }}");
                atp(binary, directory.path(), listen, &provider)?
            }
            Kind::Hop(binary, way) => {
                let (adapter, place) = adapter(binary, directory.path(), *way, upstream)?;
                beside = Some(spawn(adapter, directory.path(), "adapter.log", core).context("start an adapter")?);
                atp(binary, directory.path(), listen, &format!("{{ kind: grpc, endpoint: \"{place}\" }}"))?
            }
        };
        let child = spawn(command, directory.path(), "log", core).with_context(|| format!("start {name}"))?;
        let url = format!("http://{listen}/v1");
        let mut gateway = Self { name, url, child: Some(child), beside, tree: None, directory };
        gateway.wait_until_ready(listen)?;
        Ok(gateway)
    }

    fn wait_until_ready(&mut self, listen: SocketAddr) -> anyhow::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let mut patience = START.as_millis() / 20;
        while TcpStream::connect_timeout(&listen, Duration::from_millis(200)).is_err() {
            patience = patience.saturating_sub(1);
            if let Some(status) = child.try_wait()? {
                bail!("{} ended while starting ({status}): {}", self.name, log_end(self.directory.path()));
            }
            if patience == 0 {
                bail!("{} did not accept connections within {START:?}: {}", self.name, log_end(self.directory.path()));
            }
            pause(Duration::from_millis(20));
        }
        // Workers start after the listener; one more moment and all are there.
        pause(Duration::from_millis(100));
        let roots = [child.id()].into_iter().chain(self.beside.as_ref().map(Child::id));
        self.tree = Some(Tree::of(roots.collect()));
        Ok(())
    }

    /// Says why the process is gone, if it is.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match &self.tree {
            Some(tree) if !tree.is_alive() => bail!("{} has died: {}", self.name, log_end(self.directory.path())),
            _ => Ok(()),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        for child in [&mut self.child, &mut self.beside].into_iter().flatten() {
            end(child);
        }
    }
}

/// Asks a child to end, waits, and then insists.
pub(super) fn end(child: &mut Child) {
    if let Ok(Some(_)) = child.try_wait() {
        return;
    }
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // If it has just ended, there is nobody to tell and `wait` returns at once.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    for _ in 0..STOP.as_millis() / 20 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        pause(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Blocks this thread; the comparison has nothing else to do meanwhile.
pub(super) fn pause(length: Duration) {
    // Nobody sends, so this is a timeout on a channel: the one sleep that the house allows.
    let (_silent, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(length);
}

/// Starts the scripted upstream as its own process and returns its address.
pub(super) fn start_upstream(binary: &Path, core: usize) -> anyhow::Result<(Upstream, SocketAddr)> {
    let address = free_address()?;
    let mut command = Command::new(binary);
    command.args(["--listen", &address.to_string(), "--core", &core.to_string(), "--until-stdin-closes"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let child = command.spawn().with_context(|| format!("start {}", binary.display()))?;
    let upstream = Upstream { child };
    for _ in 0..START.as_millis() / 20 {
        if TcpStream::connect(address).is_ok() {
            return Ok((upstream, address));
        }
        pause(Duration::from_millis(20));
    }
    bail!("{} did not accept connections within {START:?}", binary.display())
}

/// The upstream's process; ends when dropped.
pub(super) struct Upstream {
    child: Child,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn spawn(mut command: Command, directory: &Path, log: &str, core: usize) -> io::Result<Child> {
    let log = fs::File::create(directory.join(log))?;
    command.current_dir(directory).stdout(log.try_clone()?).stderr(log).stdin(Stdio::piped());
    pin::with_core(core, || command.spawn())
}

/// An address that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

fn log_end(directory: &Path) -> String {
    let mut text = String::new();
    for name in ["log", "error.log", "adapter.log"] {
        if let Ok(mut file) = fs::File::open(directory.join(name)) {
            // What cannot be read is left out of the message.
            let _ = file.read_to_string(&mut text);
        }
    }
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
}

fn bare_hyper(binary: &Path, listen: SocketAddr, upstream: SocketAddr) -> Command {
    let mut command = Command::new(binary);
    command.args(["--listen", &listen.to_string(), "--upstream", &upstream.to_string(), "--until-stdin-closes"]);
    command
}

fn nginx(binary: &Path, directory: &Path, listen: SocketAddr, upstream: SocketAddr) -> io::Result<Command> {
    // Workers of root would become another user, who may not write into our directory.
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let config = include_str!("nginx.conf")
        .replace("@user@", user)
        .replace("@directory@", &directory.display().to_string())
        .replace("@upstream@", &upstream.to_string())
        .replace("@listen@", &listen.to_string());
    let path = directory.join("nginx.conf");
    fs::write(&path, config)?;
    let mut command = Command::new(binary);
    command.arg("-e").arg(directory.join("error.log")).arg("-p").arg(directory).arg("-c").arg(path);
    Ok(command)
}

/// An adapter of one thread before the upstream, and where it listens.
fn adapter(binary: &Path, directory: &Path, way: Way, upstream: SocketAddr) -> io::Result<(Command, String)> {
    let place = match way {
        Way::Unix => format!("unix:{}/adapter.sock", directory.display()),
        Way::Tcp => free_address()?.to_string(),
    };
    let mut command = Command::new(binary);
    command.args(["adapter", "openai", "--base-url", &format!("http://{upstream}/v1"), "--set", "api_key=secret"]);
    command.args(["--listen", &place]);
    Ok((command, place))
}

/// Everything that costs is on: a key, a rate limit for it, prices, the ledger, a name for every model.
fn atp(binary: &Path, directory: &Path, listen: SocketAddr, provider: &str) -> io::Result<Command> {
    let admin = free_address()?;
    let models = super::scenario::MODELS
        .iter()
        .map(|model| format!("  {model}: {{ targets: [ {{ provider: up, model: {model} }} ], prices: {{ input: 150000, output: 600000 }} }}\n"))
        .collect::<String>();
    let config = format!(
        "listen: {listen}
admin: {{ listen: {admin} }}
workers: 1
providers:
  up: {provider}
keys:
  - {{ name: bench, key: \"{API_KEY}\" }}
limits: {{ rps: {{ rate: 1000000, burst: 1000000 }} }}
models:
{models}"
    );
    let path = directory.join("atp.yaml");
    fs::write(&path, config)?;
    let mut command = Command::new(binary);
    command.arg("up").arg("-c").arg(path);
    Ok(command)
}
