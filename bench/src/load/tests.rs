//! The load generator against the scripted upstream: what it counts must be what was served.

use std::net::SocketAddr;
use std::time::Duration;

use super::{HoldPlan, Mark, Plan, Report, Scenario, hold, run, run_marked};
use crate::upstream::{Options, Upstream};

fn upstream() -> Upstream {
    Upstream::start(Options::default()).expect("a free port")
}

fn plan(upstream: &Upstream, model: &str, scenario: Scenario) -> Plan {
    Plan { duration: Duration::from_millis(400), ..Plan::new(&upstream.base_url(), model, scenario) }
}

fn chat(upstream: &Upstream, model: &str) -> Plan {
    plan(upstream, model, Scenario::Chat { prompt_bytes: 800 })
}

fn stream(upstream: &Upstream, model: &str) -> Plan {
    plan(upstream, model, Scenario::Stream { prompt_bytes: 800 })
}

fn only_error(report: &Report) -> &str {
    assert_eq!(report.errors.len(), 1, "{report:?}");
    report.errors.keys().next().expect("one kind")
}

#[test]
fn a_number_of_requests_is_kept_and_every_answer_counted() {
    let upstream = upstream();
    let plan =
        Plan { requests: Some(50), concurrency: 3, duration: Duration::from_secs(20), ..chat(&upstream, "fast") };
    let report = run(&plan).expect("a legal plan");
    assert_eq!((report.done, report.failed, report.connects), (50, 0, 3));
    assert_eq!(upstream.stats().requests_played, 50);
    assert!(report.seconds < 20.0);
}

#[test]
fn a_closed_loop_keeps_so_many_under_way() {
    let upstream = upstream();
    let report = run(&Plan { concurrency: 4, ..chat(&upstream, "slow-head:50") }).expect("a legal plan");
    // Four callers, 50 ms each, 400 ms: 32 at the most.
    assert!((16..=32).contains(&report.done), "{}", report.done);
    assert!(report.latency.expect("latencies").p50 >= 50_000.0);
    assert_eq!(upstream.stats().connections_total, 4);
}

#[test]
fn streams_are_timed_at_their_first_byte_and_between() {
    let upstream = upstream();
    let report = run(&Plan { concurrency: 2, ..stream(&upstream, "stream6-paced:10") }).expect("a legal plan");
    assert!(report.done > 0 && report.failed == 0, "{report:?}");
    assert_eq!(report.events_per_stream, Some(8.0));
    let (latency, first, gap) = (report.latency, report.first_byte, report.gap);
    assert!(latency.expect("latencies").p50 >= 60_000.0);
    assert!(first.expect("first bytes").p50 < 50_000.0);
    assert!((5_000.0..20_000.0).contains(&gap.expect("gaps").p50), "{gap:?}");
}

#[test]
fn an_open_loop_charges_a_stall_to_everybody_who_waited() {
    let upstream = upstream();
    // Two connections that take 50 ms serve 40 a second; 200 a second are due.
    let report = run(&Plan { rate: Some(200.0), concurrency: 2, ..chat(&upstream, "slow-head:50") });
    let report = report.expect("a legal plan");
    assert!(report.unsent > 20, "{}", report.unsent);
    let (latency, service) = (report.latency.expect("latencies"), report.service.expect("service times"));
    assert!(service.p50 < 100_000.0, "{service:?}");
    assert!(latency.max > 2.0 * service.p50, "{latency:?}");
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let upstream = upstream();
    let report = run(&Plan { rate: Some(1000.0), concurrency: 64, ..chat(&upstream, "fast") }).expect("a legal plan");
    assert!((300..=500).contains(&report.done), "{}", report.done);
    assert_eq!((report.failed, report.unsent), (0, 0));
}

#[test]
fn failures_are_counted_by_kind() {
    let upstream = upstream();
    let once = |plan: Plan| run(&Plan { requests: Some(3), ..plan }).expect("a legal plan");
    let report = once(chat(&upstream, "status-429:1"));
    assert_eq!((report.done, report.failed, only_error(&report)), (0, 3, "status 429"));
    assert_eq!(only_error(&once(stream(&upstream, "cut-chunk"))), "closed within the answer");
    assert_eq!(only_error(&once(stream(&upstream, "error-in-200"))), "stream without [DONE]");
    assert_eq!(only_error(&once(chat(&upstream, "no-answer"))), "closed before the answer");
    let slow = Plan { timeout: Duration::from_millis(80), ..chat(&upstream, "hang-head") };
    assert_eq!(only_error(&once(slow)), "timeout");
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let report = once(Plan { url: format!("http://{nobody}/v1"), ..chat(&upstream, "fast") });
    assert_eq!(only_error(&report), "connect: connection refused");
}

#[test]
fn a_connection_closed_between_requests_is_no_failure() {
    let upstream = upstream();
    // Paced, so that the close has arrived before the next request.
    let report =
        run(&Plan { rate: Some(50.0), concurrency: 1, ..chat(&upstream, "close-idle") }).expect("a legal plan");
    assert!(report.done > 5 && report.failed == 0, "{report:?}");
    assert!(report.connects >= report.done);
}

#[test]
fn large_prompts_and_embeddings_go_through() {
    let upstream = upstream();
    let report = run(&plan(&upstream, "fast", Scenario::Mixed { prompt_bytes: 300_000 })).expect("a legal plan");
    assert!(report.done > 2 && report.failed == 0, "{report:?}");
    let report = run(&plan(&upstream, "embed100", Scenario::Embeddings { inputs: 100 })).expect("a legal plan");
    assert!(report.done > 0 && report.failed == 0 && report.megabytes_per_second > 0.0, "{report:?}");
}

#[test]
fn the_moments_of_a_run_come_in_order() {
    let upstream = upstream();
    let mut marks = Vec::new();
    run_marked(&Plan { duration: Duration::from_millis(600), ..chat(&upstream, "fast") }, |mark| marks.push(mark))
        .expect("a legal plan");
    assert_eq!(marks.first(), Some(&Mark::Begin));
    assert_eq!(marks.last(), Some(&Mark::End));
    let parts: Vec<f64> = marks
        .iter()
        .filter_map(|mark| if let Mark::Progress { part, .. } = mark { Some(*part) } else { None })
        .collect();
    assert_eq!(parts.len(), 2);
    assert!(parts.iter().all(|part| (0.0..1.0).contains(part)) && parts.is_sorted(), "{parts:?}");
}

#[test]
fn held_streams_stay_open_until_they_are_dropped() {
    let upstream = upstream();
    let plan = HoldPlan { plan: stream(&upstream, "idle"), streams: 40, opening: 8, within: Duration::from_secs(10) };
    let mut held = hold(&plan).expect("a legal plan");
    assert_eq!((held.open, held.failures.len()), (40, 0));
    assert_eq!(held.keep(Duration::from_millis(50)), 40);
    assert_eq!(upstream.stats().streams_open, 40);
    drop(held);
    for _ in 0..200 {
        if upstream.stats().streams_open == 0 {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{:?}", upstream.stats());
}

#[test]
fn plans_that_cannot_run_say_what_to_change() {
    let upstream = upstream();
    let refused = |plan: Plan| run(&plan).expect_err("refused").to_string();
    assert!(refused(Plan { concurrency: 0, ..chat(&upstream, "m") }).contains("1 to 100000"));
    assert!(refused(Plan { rate: Some(f64::NAN), ..chat(&upstream, "m") }).contains("requests a second"));
    assert!(refused(Plan { headers: vec![("a b".into(), String::new())], ..chat(&upstream, "m") }).contains("`a b`"));
}

#[test]
fn the_table_shows_what_went_wrong() {
    let upstream = upstream();
    let report = run(&Plan { requests: Some(2), ..chat(&upstream, "status-500") }).expect("a legal plan");
    assert!(report.table().contains("error: status 500: 2"), "{}", report.table());
    let json = serde_json::to_value(&report).expect("json");
    assert_eq!(json["scenario"]["kind"], "chat");
}
