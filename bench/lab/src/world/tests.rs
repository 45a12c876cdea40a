//! Claims about the world itself: whoever leaves, whenever, everything is given back.

use super::*;
use crate::provider::Spec;
use crate::traffic::{Arrivals, Length, Source, Tenant};

fn plan(patience: Option<f64>) -> Plan {
    let source = |tenant, qos| {
        Source::new(tenant, Arrivals::Poisson(20.0), Length::of(600.0, 0.6), Length::of(150.0, 0.5)).class(qos)
    };
    let tenants = ["one", "two"].map(|name| Tenant { name, weight: 1.0 }).to_vec();
    let lanes = vec![Spec::own(24, 8), Spec::own(24, 8).down(60.0, 70.0)];
    let plan = Plan::new(9, 150.0, tenants, vec![source(0, Qos::Gold), source(1, Qos::Bronze)], lanes);
    Plan { patience, max_wait: 20.0, ..plan }
}

fn system() -> System {
    let slots = Slots::Ranked(atp_routing::share::Gold::Configured);
    System { slots, hedging: Some(atp_routing::hedge::HedgeRules::default()), ..System::ours() }
}

#[test]
fn nothing_is_left_over_after_thousands_of_random_departures() {
    let tally = run(&plan(Some(3.0)), &system());
    let left = tally.jobs.iter().filter(|job| job.fate == Fate::Left).count();
    assert!(left > 1_000, "{left} of {} left", tally.jobs.len());
    assert_eq!(tally.left_over, 0);
}

#[test]
fn every_request_comes_to_an_end_of_its_own() {
    let tally = run(&plan(None), &system());
    let early = tally.jobs.iter().filter(|job| job.arrived < 60.0);
    let open = early.filter(|job| job.fate == Fate::Open).count();
    assert_eq!((open, tally.left_over), (0, 0), "of {}", tally.jobs.len());
}

#[test]
fn a_run_repeats_to_the_bit() {
    let ends = |tally: &Tally| tally.jobs.iter().map(|job| (job.fate, job.over)).collect::<Vec<_>>();
    assert_eq!(ends(&run(&plan(Some(10.0)), &system())), ends(&run(&plan(Some(10.0)), &system())));
}
