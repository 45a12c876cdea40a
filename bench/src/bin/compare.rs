//! `make bench`: every gateway against nginx, in one run, on pinned cores.
#![expect(clippy::print_stdout, reason = "the table on standard output is this program's answer")]
#![expect(clippy::print_stderr, reason = "progress goes to standard error, beside the answer")]

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use atp_bench::compare::{Hops, Options, Syscalls, run, table};
use clap::Parser;

/// Compares gateways: processor time, throughput, latency and memory, with ratios to nginx.
#[derive(Parser)]
#[command(version, after_help = format!("Rows: {}", Options::row_ids().join(", ")))]
struct Arguments {
    /// Under a minute instead of under ten.
    #[arg(long)]
    quick: bool,
    /// Only these rows, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A router binary, PATH or NAME=PATH; may be repeated to compare builds.
    #[arg(long)]
    atp: Vec<String>,
    /// nginx; left out when it does not exist.
    #[arg(long, default_value = "/usr/sbin/nginx")]
    nginx: PathBuf,
    /// Rounds; the median is told.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of one measurement.
    #[arg(long)]
    slice: Option<f64>,
    /// Requests a second of the open loop.
    #[arg(long, default_value_t = 4000.0)]
    rate: f64,
    /// Idle streams to open.
    #[arg(long)]
    streams: Option<usize>,
    /// Seconds after the load at which memory is looked at again.
    #[arg(long)]
    settle: Option<f64>,
    /// Measure each router with its provider in an adapter's process too.
    #[arg(long)]
    hop: bool,
    /// Count system calls per request too, with perf.
    #[arg(long)]
    syscalls: bool,
    /// The core of the gateways.
    #[arg(long, default_value_t = 1)]
    gateway_core: usize,
    /// The core of upstream and load generator.
    #[arg(long, default_value_t = 0)]
    far_core: usize,
    /// Where the results are written as JSON, one file a run.
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Before anything is started, so that all of it inherits the precedence over other work.
    let _precedence = atp_bench::pin::Precedence::take();
    let options = options(&arguments)?;
    let terminal = std::io::stderr().is_terminal();
    let comparison = run(&options, &mut |what| {
        if terminal {
            eprint!("\r\x1b[K{what}");
        }
    })?;
    if terminal {
        eprint!("\r\x1b[K");
    }
    print!("{}", table(&comparison));
    let path = arguments.results.join(format!("{}.json", comparison.date));
    std::fs::create_dir_all(&arguments.results)
        .and_then(|()| std::fs::write(&path, serde_json::to_string_pretty(&comparison)?))
        .with_context(|| format!("write {}", path.display()))?;
    println!("\nresults: {}", path.display());
    Ok(())
}

fn options(arguments: &Arguments) -> anyhow::Result<Options> {
    let own = std::env::current_exe()?;
    let programs = own.parent().map(Path::to_path_buf).unwrap_or_default();
    let nginx = arguments.nginx.exists().then(|| arguments.nginx.clone());
    if nginx.is_none() {
        eprintln!("{} does not exist: the nginx column and all ratios are left out", arguments.nginx.display());
    }
    let seconds = |given: Option<f64>, quick: f64, full: f64| {
        Duration::try_from_secs_f64(given.unwrap_or(if arguments.quick { quick } else { full })).context("seconds")
    };
    let count =
        |given: Option<usize>, quick: usize, full: usize| given.unwrap_or(if arguments.quick { quick } else { full });
    Ok(Options {
        atp: routers(&arguments.atp, &programs)?,
        programs,
        nginx,
        only: arguments.only.clone(),
        rounds: count(arguments.rounds, 2, 5).clamp(1, 100),
        slice: seconds(arguments.slice, 0.4, 1.5)?.clamp(Duration::from_millis(50), Duration::from_secs(60)),
        warmup: seconds(None, 0.1, 0.3)?,
        rate: arguments.rate,
        streams: count(arguments.streams, 1000, 5000).clamp(1, 9000),
        settle: seconds(arguments.settle, 1.0, 10.0)?.min(Duration::from_secs(120)),
        hops: if arguments.hop { Hops::Measured } else { Hops::Left },
        syscalls: if arguments.syscalls { Syscalls::Counted } else { Syscalls::Left },
        cores: (arguments.gateway_core, arguments.far_core),
    })
}

/// The binaries to compare: those that are named, else the one that was built beside this program.
fn routers(named: &[String], programs: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    if named.is_empty() {
        let built = programs.join("atp");
        if !built.exists() {
            eprintln!("{} does not exist: build it with cargo build --release -p atp", built.display());
            return Ok(Vec::new());
        }
        return Ok(vec![("atp".to_owned(), built)]);
    }
    named
        .iter()
        .map(|text| {
            let (name, path) = text.split_once('=').unwrap_or(("atp", text));
            let path = std::path::absolute(path)?;
            anyhow::ensure!(path.exists(), "--atp {text}: {} does not exist", path.display());
            Ok((name.to_owned(), path))
        })
        .collect()
}
