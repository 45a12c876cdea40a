//! The comparison as a table for people.

use std::fmt::Write as _;

use super::result::{Comparison, Measured, MemoryResult, Sample};

/// The gateway that others are measured by.
const YARDSTICK: &str = "nginx";

/// Columns of a row's block: title and width.
const COLUMNS: [(&str, usize); 11] = [
    ("CPU us", 9),
    ("spread", 15),
    ("x nginx", 9),
    ("kernel", 8),
    ("calls", 7),
    ("switches", 10),
    ("req/s", 9),
    ("p50 us", 10),
    ("p99 us", 10),
    ("p99.9 us", 11),
    ("x p50/p99", 14),
];

/// Draws everything that was found.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "{} · {} · {} rounds of {:.1} s, medians · open loop at {:.0} requests/s",
        comparison.machine, comparison.date, comparison.rounds, comparison.slice_seconds, comparison.rate
    );
    if !comparison.gateways.iter().any(|name| name == YARDSTICK) {
        let _ = writeln!(text, "{YARDSTICK} is not there: no ratios");
    }
    let mut shown: Vec<&str> = Vec::new();
    for measured in &comparison.measured {
        if !shown.contains(&measured.row.as_str()) {
            shown.push(&measured.row);
            block(&mut text, comparison, measured);
        }
    }
    if !comparison.memory.is_empty() {
        memory(&mut text, comparison);
    }
    super::hop::told(&mut text, comparison);
    aims(&mut text, comparison);
    disturbance(&mut text, comparison);
    text
}

/// Part of the time that nginx's one busy thread may wait for its own core before the run counts as
/// disturbed.
const QUIET: f64 = 0.05;

/// Says so when other work was on the core of the gateways.
fn disturbance(text: &mut String, comparison: &Comparison) {
    let single = comparison.measured.iter().filter(|measured| !is_router(&measured.gateway));
    let worst = single
        .filter_map(|measured| Some((measured.spread(|sample| sample.waited_part)?.median, &measured.row)))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    if let Some((part, row)) = worst.filter(|(part, _)| *part > QUIET) {
        let percent = part * 100.0;
        let _ = writeln!(
            text,
            "\nDISTURBED: other work held the gateways' core, worst in {row} ({percent:.0}% of the time used); repeat on a quiet machine"
        );
    }
}

fn block(text: &mut String, comparison: &Comparison, first: &Measured) {
    let _ = write!(text, "\n{:<46}\n{:<14}", first.title, "");
    for (name, width) in COLUMNS {
        let _ = write!(text, "{name:>width$}");
    }
    let streamed = first.samples.iter().any(|sample| sample.first_p50.is_some());
    text.push_str(if streamed { "   first p50/p99 us\n" } else { "\n" });
    for name in &comparison.gateways {
        if let Some(measured) = comparison.find(&first.row, name) {
            line(text, measured, comparison.find(&first.row, YARDSTICK));
        }
    }
}

fn line(text: &mut String, measured: &Measured, yardstick: Option<&Measured>) {
    let median = |figure: fn(&Sample) -> Option<f64>| measured.spread(figure).map(|spread| spread.median);
    let times = |figure: fn(&Sample) -> Option<f64>| ratio(measured, yardstick, figure);
    let cpu = measured.spread(|sample| sample.cpu_us);
    let cells = [
        cpu.map(|cpu| number(cpu.median)),
        cpu.map(|cpu| format!("{}-{}", number(cpu.low), number(cpu.high))),
        times(|sample| sample.cpu_us).map(|times| format!("{times:.2}")),
        median(|sample| sample.system_part).map(|part| format!("{:.0}%", part * 100.0)),
        measured.syscalls.map(number),
        median(|sample| sample.switches).map(number),
        median(|sample| Some(sample.throughput)).map(|rate| format!("{rate:.0}")),
        median(|sample| Some(sample.p50)).map(number),
        median(|sample| Some(sample.p99)).map(number),
        median(|sample| Some(sample.p999)).map(number),
        times(|sample| Some(sample.p50))
            .zip(times(|sample| Some(sample.p99)))
            .map(|(half, most)| format!("{half:.2}/{most:.2}")),
    ];
    let _ = write!(text, "  {:<12}", measured.gateway);
    for (cell, (_, width)) in cells.into_iter().zip(COLUMNS) {
        let _ = write!(text, "{:>width$}", cell.unwrap_or_else(|| "-".to_owned()));
    }
    if let Some((half, most)) = median(|sample| sample.first_p50).zip(median(|sample| sample.first_p99)) {
        let _ = write!(text, "   {}/{}", number(half), number(most));
    }
    let unsent: u64 = measured.samples.iter().map(|sample| sample.unsent).sum();
    if measured.failed() > 0 || unsent > 0 {
        let kinds: Vec<_> = measured.samples.iter().flat_map(|sample| sample.errors.keys()).collect();
        let kind = kinds.first().map_or("", |kind| kind.as_str());
        let _ = write!(text, "   {} FAILED {kind}, {unsent} unsent", measured.failed());
    }
    text.push('\n');
}

fn ratio(measured: &Measured, yardstick: Option<&Measured>, figure: fn(&Sample) -> Option<f64>) -> Option<f64> {
    let own = measured.spread(figure)?.median;
    let base = yardstick?.spread(figure)?.median;
    (base > 0.0).then(|| own / base)
}

fn memory(text: &mut String, comparison: &Comparison) {
    let seconds = comparison.settle_seconds;
    let _ = writeln!(
        text,
        "\nmemory, MiB resident{:<12}{:>8}{:>14}{:>12}{:>16}{:>16}{:>18}{:>16}",
        "",
        "idle",
        "streams open",
        "with them",
        "KiB per stream",
        format!("{seconds:.0} s after"),
        "300 KB prompts +",
        format!("{seconds:.0} s after"),
    );
    let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
    for m in &comparison.memory {
        let peak = format!("{} of {}", mib(m.prompts_peak_kib), mib(m.prompts_in_flight_kib));
        let _ = writeln!(
            text,
            "  {:<30}{:>8}{:>14}{:>12}{:>16}{:>16}{:>18}{:>16}{}",
            m.gateway,
            mib(m.idle_kib),
            m.streams_open,
            mib(m.streams_kib),
            m.kib_per_stream.map_or_else(|| "-".to_owned(), |kib| format!("{kib:.1}")),
            mib(m.after_streams_kib),
            peak,
            mib(m.after_prompts_kib),
            troubles(m),
        );
    }
}

fn troubles(memory: &MemoryResult) -> String {
    let mut text = String::new();
    if memory.streams_open < memory.streams_asked {
        let why = memory.stream_failures.first().map_or("closed early", String::as_str);
        let _ = write!(text, "   {} streams not open: {why}", memory.streams_asked - memory.streams_open);
    }
    if memory.prompts_failed > 0 {
        let _ = write!(text, "   {} prompts FAILED", memory.prompts_failed);
    }
    text
}

/// What the project aims at, for every router binary of the run.
fn aims(text: &mut String, comparison: &Comparison) {
    let mut lines = Vec::new();
    for measured in comparison.measured.iter().filter(|measured| is_router(&measured.gateway)) {
        let yardstick = comparison.find(&measured.row, YARDSTICK);
        let mut judge = |what: &str, aim: Option<f64>, figure: fn(&Sample) -> Option<f64>| {
            if let (Some(aim), Some(times)) = (aim, ratio(measured, yardstick, figure)) {
                lines.push(verdict(&measured.gateway, &format!("{}: {what} / nginx", measured.row), times, aim));
            }
        };
        judge("CPU", measured.cpu_aim, |sample| sample.cpu_us);
        judge("p50", measured.latency_aim, |sample| Some(sample.p50));
        judge("p99", measured.latency_aim, |sample| Some(sample.p99));
    }
    for memory in comparison.memory.iter().filter(|memory| is_router(&memory.gateway)) {
        let mut judge = |what: &str, value: f64, aim: f64| lines.push(verdict(&memory.gateway, what, value, aim));
        let back = |kib: u64| kib as f64 / memory.idle_kib.max(1) as f64;
        judge("idle MiB", memory.idle_kib as f64 / 1024.0, 12.0);
        judge("KiB per open stream", memory.kib_per_stream.unwrap_or(f64::INFINITY), 16.0);
        let in_flight = memory.prompts_in_flight_kib.max(1) as f64;
        judge("peak / bytes in flight", memory.prompts_peak_kib as f64 / in_flight, 2.0);
        judge("after streams / idle", back(memory.after_streams_kib), 1.1);
        judge("after prompts / idle", back(memory.after_prompts_kib), 1.1);
    }
    if !lines.is_empty() {
        let _ = writeln!(text, "\nagainst the aims");
        text.extend(lines);
    }
}

fn is_router(name: &str) -> bool {
    !matches!(name, "direct" | "nginx" | "bare hyper")
}

fn verdict(gateway: &str, what: &str, value: f64, aim: f64) -> String {
    let verdict = if value <= aim { "reached" } else { "MISSED" };
    format!("  {gateway:<12}{what:<26}{value:>8.2}   aim {aim:>5.2}   {verdict}\n")
}

/// Three digits or so, whatever the size.
fn number(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
