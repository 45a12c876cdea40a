//! One slice: load on one gateway, and what its processes used meanwhile.

use super::gateway::Gateway;
use super::process::{Tree, Used};
use super::result::Sample;
use super::scenario::{Row, Slice};
use crate::load::{Mark, run_marked};

/// Part of a slice's requests that may fail before the figures mean nothing.
const FAILURES_BORNE: f64 = 0.001;

/// Loads a gateway with a row's requests for one slice.
pub(super) fn slice(row: &Row, gateway: &Gateway, slice: Slice) -> anyhow::Result<Sample> {
    let plan = row.plan(&gateway.url, slice);
    let (mut before, mut after) = (Used::default(), Used::default());
    let report = run_marked(&plan, |mark| match mark {
        Mark::Begin => before = used(gateway),
        Mark::End => after = used(gateway),
        Mark::Progress { .. } => {}
    })?;
    let per_request = |amount: f64| (report.done > 0).then(|| amount / report.done as f64);
    let used = after.since(before);
    let latency = report.latency.unwrap_or_default();
    let first = report.first_byte;
    let failed_part = report.failed as f64 / (report.done + report.failed).max(1) as f64;
    Ok(Sample {
        cpu_us: gateway.tree.as_ref().and_then(|_| per_request(used.cpu_ns as f64 / 1e3)),
        system_part: gateway.tree.as_ref().map(|_| used.system_part()),
        waited_part: gateway.tree.as_ref().map(|_| used.waited_ns as f64 / used.cpu_ns.max(1) as f64),
        switches: gateway.tree.as_ref().and_then(|_| per_request(used.switches as f64)),
        throughput: report.throughput,
        p50: latency.p50,
        p99: latency.p99,
        p999: latency.p999,
        first_p50: first.map(|first| first.p50),
        first_p99: first.map(|first| first.p99),
        done: report.done,
        failed: report.failed,
        unsent: report.unsent,
        errors: report.errors,
        trusted: failed_part <= FAILURES_BORNE && report.done > 0,
    })
}

fn used(gateway: &Gateway) -> Used {
    gateway.tree.as_ref().map(Tree::used).unwrap_or_default()
}
