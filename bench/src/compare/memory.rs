//! What a gateway keeps in memory: idle, per open stream, under large prompts, and afterwards.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;

use super::Options;
use super::gateway::{Entry, Gateway, pause};
use super::process::Memory;
use super::result::MemoryResult;
use crate::load::{HoldPlan, Plan, Scenario, hold, run};

/// Length of a large prompt, in bytes.
const PROMPT: usize = 300_000;
/// Large prompts under way at one time.
const PROMPTS: usize = 64;

/// Measures with fresh processes, so that nothing is left from other rows.
pub(super) fn measure(options: &Options, entry: &Entry, upstream: SocketAddr) -> anyhow::Result<MemoryResult> {
    let start = || Gateway::start(entry, upstream, options.cores.0);
    let mut result = MemoryResult { gateway: entry.name.clone(), ..MemoryResult::default() };
    streams(options, &start()?, &mut result)?;
    prompts(options, &start()?, &mut result)?;
    Ok(result)
}

fn streams(options: &Options, gateway: &Gateway, result: &mut MemoryResult) -> anyhow::Result<()> {
    pause(Duration::from_millis(500));
    result.idle_kib = resident(gateway);
    let plan = Plan {
        api_key: Some(super::gateway::API_KEY.to_owned()),
        ..Plan::new(&gateway.url, "idle", Scenario::Stream { prompt_bytes: 800 })
    };
    let plan = HoldPlan { plan, streams: options.streams, opening: 64, within: Duration::from_secs(30) };
    let mut held = hold(&plan)?;
    let still = held.keep(Duration::from_secs(1));
    result.streams_asked = options.streams;
    result.streams_open = still;
    result.stream_failures = std::mem::take(&mut held.failures);
    result.streams_kib = resident(gateway);
    result.kib_per_stream =
        (still > 0).then(|| result.streams_kib.saturating_sub(result.idle_kib) as f64 / still as f64);
    drop(held);
    pause(options.settle);
    result.after_streams_kib = resident(gateway);
    gateway.check()
}

fn prompts(options: &Options, gateway: &Gateway, result: &mut MemoryResult) -> anyhow::Result<()> {
    let Some(tree) = &gateway.tree else { return Ok(()) };
    let before = tree.memory().resident;
    tree.reset_peak().context("reset the peak of resident memory")?;
    let plan = Plan {
        concurrency: PROMPTS,
        duration: Duration::from_millis(1500),
        api_key: Some(super::gateway::API_KEY.to_owned()),
        ..Plan::new(&gateway.url, "fast", Scenario::Mixed { prompt_bytes: PROMPT })
    };
    let report = run(&plan)?;
    let Memory { peak, .. } = tree.memory();
    result.prompts_failed = report.failed;
    result.prompts_peak_kib = peak.saturating_sub(before);
    result.prompts_in_flight_kib = (PROMPTS * PROMPT / 1024) as u64;
    pause(options.settle);
    result.after_prompts_kib = resident(gateway);
    gateway.check()
}

fn resident(gateway: &Gateway) -> u64 {
    gateway.tree.as_ref().map(|tree| tree.memory().resident).unwrap_or_default()
}
