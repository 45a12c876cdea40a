//! What it costs to have the provider in an adapter's process: the router and the adapter together, less the router
//! that has it in its own.

use std::fmt::Write as _;

use super::result::{Comparison, Measured, Sample};

/// Chunks of the rows that stream.
const CHUNKS: f64 = 64.0;

/// The row that tells what a request costs, and those that tell what a chunk costs.
const REQUEST: &str = "chat";
const STREAMS: [&str; 2] = ["stream", "paced"];

/// The name of a router that reaches its provider in another process.
pub(super) fn name(router: &str, way: &str) -> String {
    format!("{router}+{way}")
}

/// Draws what the hop adds, where it was measured.
pub(super) fn told(text: &mut String, comparison: &Comparison) {
    for hop in &comparison.gateways {
        let Some((router, _)) = hop.rsplit_once('+') else { continue };
        let pair = |row: &str| comparison.find(row, router).zip(comparison.find(row, hop));
        let cpu = |row: &str| pair(row).and_then(|(near, far)| added(near, far, |sample| sample.cpu_us));
        let Some(request) = cpu(REQUEST) else { continue };
        // Writing to a string cannot fail, here and below.
        let _ = write!(text, "\nthe hop of {hop}: {request:.1} us of processor time a request");
        for row in STREAMS {
            if let Some(stream) = cpu(row) {
                let _ = write!(text, ", {:.2} us a chunk ({row})", (stream - request) / CHUNKS);
            }
        }
        let half = |sample: &Sample| Some(sample.p50);
        let ours = pair("chat-1").and_then(|(near, far)| added(near, far, half));
        let nginx = comparison.find("chat-1", "direct").zip(comparison.find("chat-1", "nginx"));
        let theirs = nginx.and_then(|(direct, nginx)| added(direct, nginx, half));
        if let Some((ours, theirs)) = ours.zip(theirs) {
            let _ = write!(text, "; p50 one at a time +{ours:.0} us, nginx's hop +{theirs:.0} us");
        }
        text.push('\n');
    }
}

fn added(near: &Measured, far: &Measured, figure: impl Fn(&Sample) -> Option<f64> + Copy) -> Option<f64> {
    Some(far.spread(figure)?.median - near.spread(figure)?.median)
}
