//! Claims about the breaker, without a clock.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any moment will do as the zero of a test's time")]
    Instant::now()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// An ejected breaker, and until when.
fn ejected(rules: BreakerRules, now: Instant, rng: &mut StdRng) -> (Breaker, Instant) {
    let mut breaker = Breaker::new(rules, now);
    (0..rules.failures).for_each(|_| breaker.failed(now, now, rng));
    let until = rest_of(&breaker).expect("failures in a row eject");
    (breaker, until)
}

fn rest_of(breaker: &Breaker) -> Option<Instant> {
    match breaker.mode() {
        Mode::Ejected { until } => Some(until),
        Mode::Serving | Mode::Probing { .. } => None,
    }
}

#[test]
fn five_failures_in_a_row_eject_and_a_success_between_them_does_not() {
    let (now, mut rng) = (start(), StdRng::seed_from_u64(1));
    let mut breaker = Breaker::new(BreakerRules::default(), now);
    for _ in 0..4 {
        (0..4).for_each(|_| breaker.failed(now, now, &mut rng));
        breaker.served(now, now);
    }
    assert_eq!(breaker.mode(), Mode::Serving);
    (0..5).for_each(|_| breaker.failed(now, now, &mut rng));
    assert!(rest_of(&breaker).is_some());
}

#[test]
fn every_other_failure_ejects_after_twenty_tries_but_not_over_a_longer_time() {
    let (now, mut rng) = (start(), StdRng::seed_from_u64(1));
    let run = |gap: f64, rng: &mut StdRng| {
        let mut breaker = Breaker::new(BreakerRules::default(), now);
        let mut tries = 0;
        let mut at = now;
        while breaker.mode() == Mode::Serving && tries < 200 {
            at += seconds(gap);
            if tries % 2 == 0 {
                breaker.served(at, at);
            } else {
                breaker.failed(at, at, rng);
            }
            tries += 1;
        }
        tries
    };
    assert_eq!(run(0.1, &mut rng), 20);
    assert_eq!(run(1.0, &mut rng), 200, "ten tries in ten seconds are too few for a share");
}

#[test]
fn rests_double_up_to_the_longest_and_start_over_after_health() {
    let (now, mut rng) = (start(), StdRng::seed_from_u64(1));
    let rules = BreakerRules::default();
    let (mut breaker, mut until) = ejected(rules, now, &mut rng);
    let mut rest = until - now;
    for nominal in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0] {
        assert!(rest >= seconds(nominal) && rest <= seconds(nominal * 1.25), "{nominal}: {rest:?}");
        breaker.tick(until - seconds(0.001));
        assert!(rest_of(&breaker).is_some(), "not before it is over");
        assert!(breaker.take_probe(until));
        breaker.failed(until, until, &mut rng);
        let next = rest_of(&breaker).unwrap();
        rest = next - until;
        until = next;
    }
    assert!(breaker.take_probe(until));
    (0..2).for_each(|_| breaker.served(until, until));
    assert_eq!(breaker.mode(), Mode::Serving);
    let healthy = until + rules.longest_rest;
    breaker.served(healthy, healthy);
    (0..5).for_each(|_| breaker.failed(healthy, healthy, &mut rng));
    assert!(rest_of(&breaker).unwrap() - healthy < seconds(1.3));
}

#[test]
fn tries_that_began_before_the_lane_was_well_do_not_eject_it_again() {
    let (now, mut rng) = (start(), StdRng::seed_from_u64(1));
    let (mut breaker, until) = ejected(BreakerRules::default(), now, &mut rng);
    assert!(breaker.take_probe(until));
    // An old try's end is not the probe's.
    breaker.served(until, now);
    breaker.answered(until, now);
    breaker.failed(until, now, &mut rng);
    assert!(!breaker.take_probe(until));
    breaker.served(until, until);
    (0..50).for_each(|_| breaker.failed(until, now, &mut rng));
    assert_eq!(breaker.mode(), Mode::Serving);
}

#[test]
fn one_probe_that_is_answered_closes_it_on_trial() {
    let (now, mut rng) = (start(), StdRng::seed_from_u64(1));
    let (mut breaker, until) = ejected(BreakerRules::default(), now, &mut rng);
    assert!(breaker.take_probe(until));
    let answered = until + seconds(0.3);
    breaker.answered(answered, until);
    assert_eq!(breaker.mode(), Mode::Serving, "its answer may go on for a minute");
    // The end of the probe is no second try.
    let end = until + seconds(20.0);
    breaker.served(end, until);
    breaker.failed(end, answered, &mut rng);
    let rest = rest_of(&breaker).expect("on trial the first failure opens it") - end;
    assert!(rest >= seconds(2.0), "and the rests grow on: {rest:?}");
    let until = rest_of(&breaker).unwrap();
    assert!(breaker.take_probe(until));
    breaker.answered(until, until);
    breaker.served(until, until);
    breaker.failed(until, until, &mut rng);
    assert_eq!(breaker.mode(), Mode::Serving, "then it may fail like any other");
}

#[test]
fn a_refused_key_ejects_at_once_and_a_caller_who_left_frees_the_probe() {
    let (now, mut rng) = (start(), StdRng::seed_from_u64(1));
    let mut breaker = Breaker::new(BreakerRules::default(), now);
    breaker.refused_key(now, now, &mut rng);
    let until = rest_of(&breaker).unwrap();
    assert!(breaker.take_probe(until));
    assert!(!breaker.take_probe(until));
    breaker.told_nothing(until);
    assert!(breaker.take_probe(until));
}

#[test]
fn zero_failures_switch_it_off() {
    let (now, mut rng) = (start(), StdRng::seed_from_u64(1));
    let off = BreakerRules { failures: 0, ..BreakerRules::default() };
    let mut breaker = Breaker::new(off, now);
    (0..100).for_each(|_| breaker.failed(now, now, &mut rng));
    breaker.refused_key(now, now, &mut rng);
    assert_eq!(breaker.mode(), Mode::Serving);
    let (mut breaker, _) = ejected(BreakerRules::default(), now, &mut rng);
    breaker.set_rules(off, now);
    assert_eq!(breaker.mode(), Mode::Serving);
}

proptest! {
    #[test]
    fn there_is_never_a_second_probe(
        steps in prop::collection::vec((0u64..2_000, 0u8..6, any::<bool>()), 1..300),
        seed: u64,
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut breaker, _) = ejected(BreakerRules::default(), start(), &mut rng);
        let mut now = start();
        let old = now;
        let mut out: Option<Instant> = None;
        for (pause, what, of_the_probe) in steps {
            now += Duration::from_millis(pause);
            let began = out.filter(|_| of_the_probe).unwrap_or(old);
            let probing = matches!(breaker.mode(), Mode::Probing { .. });
            match what {
                0 | 1 => {
                    let given = breaker.take_probe(now);
                    prop_assert!(!(given && out.is_some()), "a second probe");
                    if given { out = Some(now); }
                    continue;
                }
                2 => breaker.served(now, began),
                3 => breaker.failed(now, began, &mut rng),
                4 => breaker.told_nothing(began),
                _ => { breaker.tick(now); continue; }
            }
            if probing && out == Some(began) { out = None; }
        }
    }
}
