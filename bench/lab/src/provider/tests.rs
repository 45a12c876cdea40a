//! Claims about the simulated providers.

use super::*;
use crate::agenda::origin;
use crate::traffic::{Arrivals, Length, Source};

fn job(seed: u64) -> Job {
    let source = Source::new(0, Arrivals::Poisson(1.0), Length::of(800.0, 0.0), Length::of(60.0, 0.0));
    source.draw(0, 0, origin(), &mut dice(seed, 0))
}

/// Begins `calls` at once and plays the signals of the first `for_seconds`; tells how often each came.
fn played(spec: Spec, calls: usize, for_seconds: u64) -> (usize, usize, usize, Meter) {
    let start = origin();
    let mut provider = Provider::new(spec, 0, start);
    let mut agenda = crate::agenda::Agenda::new(start);
    let mut out = Outbox::new();
    for at in provider.changes() {
        agenda.at(at, Signal::Change);
    }
    for id in 0..calls {
        provider.begin(id, &job(id as u64), 1, start, &mut out);
    }
    let (mut done, mut refused, mut failed) = (0, 0, 0);
    let mut over = vec![false; calls];
    let end = start + Duration::from_secs(for_seconds);
    loop {
        for (at, signal) in out.drain(..) {
            agenda.at(at, signal);
        }
        let Some(signal) = agenda.next(end) else { break };
        let now = agenda.now();
        match signal {
            // Nobody listens to a call that has failed.
            Signal::Done(id) if over[id] => {}
            Signal::Done(id) => {
                done += 1;
                provider.end(id, Waste::None, now, &mut out);
            }
            Signal::Refused(..) => refused += 1,
            Signal::Failed(id) => {
                failed += 1;
                over[id] = true;
                provider.end(id, Waste::Lost, now, &mut out);
            }
            Signal::First(..) => {}
            Signal::Change => provider.change(now, &mut out),
        }
    }
    (done, refused, failed, provider.meter(end))
}

#[test]
fn an_own_server_serves_from_its_line_and_refuses_beyond_it() {
    let (done, refused, failed, meter) = played(Spec::own(4, 6), 12, 60);
    assert_eq!((done, refused, failed), (10, 2, 0));
    // 10 calls of some 1.6 to 1.7 s each.
    assert!((14.0..20.0).contains(&meter.used), "{meter:?}");
    assert!((meter.room - 240.0).abs() < 1e-6, "{meter:?}");
}

#[test]
fn halved_slots_are_halved_room() {
    let (done, _, _, meter) = played(Spec::own(4, 100).shifting(&[(10.0, 0.5)]), 12, 20);
    assert_eq!(done, 12);
    assert!((meter.room - 60.0).abs() < 1e-6, "{meter:?}");
}

#[test]
fn an_outage_breaks_what_is_under_way_and_wastes_its_work() {
    let (done, _, failed, meter) = played(Spec::own(4, 100).down(1.0, 2.0), 4, 20);
    assert_eq!((done, failed), (0, 4));
    assert!(meter.used < 1e-6, "{meter:?}");
}

#[test]
fn a_hosted_model_refuses_what_its_bucket_cannot_pay() {
    let capacity = Capacity::Hosted { unit: Unit::Tokens, per_minute: 60_000.0, burst: 5.0, hint: Hint::Headers };
    let (done, refused, _, meter) = played(Spec::new(capacity), 8, 20);
    // 5,000 tokens pay five requests of 860.
    assert_eq!((done, refused), (5, 3));
    assert!((meter.used - 4_300.0).abs() < 1e-6 && (meter.room - 20_000.0).abs() < 1e-6, "{meter:?}");
}
