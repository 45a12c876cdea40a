//! The comparison of gateways: one machine, one run, one table.
//!
//! Each gateway is a process bound to a core of its own; the scripted upstream and the load
//! generator share another. All run at once and take turns in short slices, in changing order and
//! several rounds, so that what disturbs the machine disturbs all alike; what is told is the median
//! with its spread, and the ratio to nginx of the same run.

mod gateway;
mod hop;
mod interrupt;
mod measure;
mod memory;
mod process;
mod result;
mod scenario;
mod syscalls;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

use gateway::{Entry, Gateway, Kind, Way, start_upstream};
use interrupt::Interrupt;
use scenario::{ROWS, Row, Slice};

pub use process::Memory;
pub use result::{Comparison, Measured, MemoryResult, Sample, Spread};
pub use table::table;

/// What to compare and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of this crate's programs: the upstream and the bare pass-through.
    pub programs: PathBuf,
    /// nginx, unless it is left out.
    pub nginx: Option<PathBuf>,
    /// Router binaries with the names they get in the table.
    pub atp: Vec<(String, PathBuf)>,
    /// Rows to run, by id, `memory` among them; all when empty.
    pub only: Vec<String>,
    /// Rounds; the median is taken over them.
    pub rounds: usize,
    /// Length of one measurement.
    pub slice: Duration,
    /// What runs before each measurement.
    pub warmup: Duration,
    /// Requests a second of the open loop.
    pub rate: f64,
    /// Streams to open for the memory of an idle stream.
    pub streams: usize,
    /// How long after the load memory is looked at again.
    pub settle: Duration,
    /// Whether each router is measured with its provider in an adapter's process too.
    pub hops: Hops,
    /// Whether system calls per request are counted too, by `perf`.
    pub syscalls: Syscalls,
    /// The core of each gateway, and the core of the far sides.
    pub cores: (usize, usize),
}

/// Whether adapters in processes of their own are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// By a Unix socket and by TCP.
    Measured,
    /// Not.
    Left,
}

/// Whether system calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syscalls {
    /// In slices of their own, because counting costs.
    Counted,
    /// Not.
    Left,
}

impl Options {
    /// What `--only` accepts.
    #[must_use]
    pub fn row_ids() -> Vec<&'static str> {
        ROWS.iter().map(|row| row.id).chain(["memory"]).collect()
    }

    fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == id)
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = vec![Entry { name: "direct".to_owned(), kind: Kind::Direct }];
        if let Some(nginx) = &self.nginx {
            entries.push(Entry { name: "nginx".to_owned(), kind: Kind::Nginx(nginx.clone()) });
        }
        entries.push(Entry { name: "bare hyper".to_owned(), kind: Kind::BareHyper(self.programs.join("bare-hyper")) });
        for (name, path) in &self.atp {
            entries.push(Entry { name: name.clone(), kind: Kind::Atp(path.clone()) });
            for (way, label) in [(Way::Unix, "unix"), (Way::Tcp, "tcp")] {
                if self.hops == Hops::Measured {
                    entries.push(Entry { name: hop::name(name, label), kind: Kind::Hop(path.clone(), way) });
                }
            }
        }
        entries
    }
}

/// Runs the comparison; `progress` hears what is being measured.
///
/// # Errors
/// A program that does not start or dies, a row that does not exist, or an interrupt.
pub fn run(options: &Options, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Comparison> {
    let known = Options::row_ids();
    if let Some(wrong) = options.only.iter().find(|id| !known.contains(&id.as_str())) {
        bail!("--only {wrong}: no such row; there are {}", known.join(", "));
    }
    if options.cores.0 == options.cores.1 || crate::pin::usable_cores() < 2 {
        bail!("the gateway and the far sides need a core each: two cores are the least for a comparison");
    }
    let interrupt = Interrupt::listen()?;
    let _ = crate::pin::raise_open_files();
    crate::pin::pin_to_core(options.cores.1).context("bind the load generator")?;
    let (upstream, address) = start_upstream(&options.programs.join("atp-upstream"), options.cores.1)?;
    let entries = options.entries();
    let mut comparison = Comparison::new(options, entries.iter().map(|entry| entry.name.clone()).collect());
    if options.wants("memory") {
        for entry in entries.iter().filter(|entry| entry.kind != Kind::Direct) {
            progress(&format!("memory · {}", entry.name));
            interrupt.check()?;
            comparison.memory.push(memory::measure(options, entry, address)?);
        }
    }
    let rows: Vec<&Row> = ROWS.iter().filter(|row| options.wants(row.id)).collect();
    if !rows.is_empty() {
        let gateways: Vec<Gateway> =
            entries.iter().map(|entry| Gateway::start(entry, address, options.cores.0)).collect::<Result<_, _>>()?;
        measure_rows(options, &rows, &gateways, &interrupt, &mut comparison, progress)?;
        if options.syscalls == Syscalls::Counted {
            progress("system calls");
            syscalls::count(options, &rows, &gateways, &mut comparison)?;
        }
    }
    drop(upstream);
    Ok(comparison)
}

fn measure_rows(
    options: &Options,
    rows: &[&Row],
    gateways: &[Gateway],
    interrupt: &Interrupt,
    comparison: &mut Comparison,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let slice = Slice { warmup: options.warmup, length: options.slice, rate: options.rate };
    for round in 0..options.rounds {
        for row in rows {
            // Forth and back in turn: nobody is always first, and what drifts evens out.
            let mut order: Vec<&Gateway> = gateways.iter().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for gateway in order {
                progress(&format!("round {}/{} · {} · {}", round + 1, options.rounds, row.id, gateway.name));
                interrupt.check()?;
                gateway.check()?;
                let sample = measure::slice(row, gateway, slice)?;
                comparison.add(row, &gateway.name, sample);
            }
        }
    }
    Ok(())
}
