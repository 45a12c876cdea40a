//! Metrics as they are scraped and catalogued.

use std::fs::File;

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts};

use super::{BuildInfo, GaugeGuard, Metrics};

fn metrics() -> Metrics {
    Metrics::new(&BuildInfo { version: "1.2.3", commit: None }).unwrap()
}

/// The value of a sample whose name and labels are `name`.
fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn what_is_running_is_told() {
    let text = metrics().render();
    assert_eq!(sample(&text, r#"atp_build_info{commit="unknown",version="1.2.3"}"#), Some(1.0));
    assert_eq!(sample(&text, r#"router_version{version="1.2.3"}"#), Some(1.0));
}

#[test]
fn the_process_is_measured_at_each_scrape() {
    let metrics = metrics();
    let before = metrics.render();
    let files: Vec<File> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
    let mut spun = 0u64;
    let after = loop {
        // Some work, until the kernel's clock has seen it.
        spun = (0..5_000_000u64).fold(spun, |sum, n| sum ^ n.wrapping_mul(sum | 1));
        let text = metrics.render();
        if sample(&text, "process_cpu_seconds_total") > sample(&before, "process_cpu_seconds_total") {
            break text;
        }
    };
    let fds = |text: &str| sample(text, "process_open_fds").unwrap();
    // Other tests of this process open and close files too, though not fifty.
    assert!(fds(&after) > fds(&before) + 20.0, "{} then {}", fds(&before), fds(&after));
    drop(files);
    assert!(sample(&after, "process_resident_memory_bytes").unwrap() > 1e6);
    assert!(sample(&after, "process_virtual_memory_bytes") > sample(&after, "process_resident_memory_bytes"));
    assert!(sample(&after, "process_threads").unwrap() >= 1.0);
    assert!(sample(&after, "process_max_fds").unwrap() >= fds(&after));
    assert!(sample(&after, "process_start_time_seconds").unwrap() > 1.6e9);
    assert_ne!(spun, 1);
}

#[test]
fn cpu_time_never_goes_back() {
    let metrics = metrics();
    let mut last = 0.0;
    for _ in 0..50 {
        let now = sample(&metrics.render(), "process_cpu_seconds_total").unwrap();
        assert!(now >= last);
        last = now;
    }
}

#[test]
fn the_catalogue_lists_what_has_no_value_yet() {
    let metrics = metrics();
    let help = "Requests | by kind.";
    metrics.register(IntCounterVec::new(Opts::new("atp_requests_total", help), &["kind", "side"]).unwrap()).unwrap();
    metrics.register(Histogram::with_opts(HistogramOpts::new("atp_latency_seconds", "Latency.")).unwrap()).unwrap();
    assert!(!metrics.render().contains("atp_requests_total"), "no label has a value");
    let catalogue = metrics.catalogue();
    assert!(
        catalogue.contains("| `atp_requests_total` | counter | `kind`, `side` | Requests \\| by kind. |\n"),
        "{catalogue}"
    );
    assert!(catalogue.contains("| `atp_latency_seconds` | histogram |  | Latency. |\n"), "{catalogue}");
    assert!(catalogue.contains("| `process_open_fds` | gauge |"), "{catalogue}");
    let names: Vec<&str> = catalogue.lines().skip(2).collect();
    assert!(names.is_sorted(), "{catalogue}");
}

#[test]
fn a_name_is_registered_once() {
    let metrics = metrics();
    assert!(metrics.register(IntGauge::new("atp_build_info", "Another.").unwrap()).is_err());
}

#[test]
fn a_guard_counts_while_it_lives() {
    let gauge = IntGauge::new("g", "h").unwrap();
    let first = GaugeGuard::enter(&gauge);
    let second = GaugeGuard::enter(&gauge);
    assert_eq!(gauge.get(), 2);
    drop(first);
    drop(second);
    assert_eq!(gauge.get(), 0);
}
