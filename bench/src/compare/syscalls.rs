//! System calls per request, counted by `perf` in slices of their own because counting costs.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::Options;
use super::gateway::{Gateway, pause};
use super::result::Comparison;
use super::scenario::{Row, Slice};
use crate::load::{Mark, run_marked};

/// Length of a counted slice.
const LENGTH: Duration = Duration::from_millis(700);

pub(super) fn count(
    options: &Options,
    rows: &[&Row],
    gateways: &[Gateway],
    comparison: &mut Comparison,
) -> anyhow::Result<()> {
    let slice = Slice { warmup: options.warmup, length: LENGTH, rate: options.rate };
    for row in rows {
        for gateway in gateways {
            let Some(tree) = &gateway.tree else { continue };
            let pids: Vec<_> = tree.members.iter().map(ToString::to_string).collect();
            let calls = counted(row, gateway, slice, &pids.join(","))?;
            comparison.set_syscalls(row, &gateway.name, calls);
        }
    }
    Ok(())
}

fn counted(row: &Row, gateway: &Gateway, slice: Slice, pids: &str) -> anyhow::Result<f64> {
    let mut perf = None;
    let mut calls = None;
    let report = run_marked(&row.plan(&gateway.url, slice), |mark| match mark {
        Mark::Begin => perf = Some(begin(pids)),
        Mark::End => calls = perf.take().map(|perf| perf.and_then(end)),
        Mark::Progress { .. } => {}
    })?;
    let calls = calls.context("the slice had no end")??;
    Ok(calls as f64 / report.done.max(1) as f64)
}

fn begin(pids: &str) -> anyhow::Result<std::process::Child> {
    let arguments = ["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", pids];
    let child =
        Command::new("perf").args(arguments).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
    let child = child.context("start perf, which counts system calls")?;
    // It needs a moment to attach; meanwhile the load only waits.
    pause(Duration::from_millis(60));
    Ok(child)
}

fn end(child: std::process::Child) -> anyhow::Result<u64> {
    let pid =
        i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).context("perf has no process id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find(|line| line.contains("sys_enter")).and_then(|line| line.split(',').next());
    match count.and_then(|count| count.parse().ok()) {
        Some(count) => Ok(count),
        None => bail!("perf did not count system calls: {}", text.trim()),
    }
}
