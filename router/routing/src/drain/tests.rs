//! Claims about the forecast.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

/// Any instant will do: only differences count.
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from; no claim depends on which")]
fn start() -> Instant {
    Instant::now()
}

/// Service at a constant pace, of requests of this size, for so many requests.
fn served(requests: u64, pace: Duration, tokens: u64) -> (Drain, Instant) {
    let mut now = start();
    let mut drain = Drain::new();
    drain.resume(now);
    for _ in 0..requests {
        now += pace;
        drain.on_served(now, tokens);
    }
    (drain, now)
}

#[test]
fn nothing_is_said_from_nothing() {
    let now = start();
    let mut drain = Drain::new();
    assert_eq!(drain.wait_for(100, now), None);
    drain.on_served(now, 100);
    // One moment is not a pace.
    assert_eq!(drain.wait_for(100, now), None);
    assert_eq!(drain.wait_for(100, now + Duration::from_secs(1)), None);
    drain.on_served(now + Duration::from_secs(1), 100);
    assert!(drain.wait_for(100, now + Duration::from_secs(1)).is_some());
    // And long after, nothing is known again.
    assert_eq!(drain.wait_for(100, now + Duration::from_secs(100)), None);
}

#[test]
fn a_constant_pace_is_known_from_the_first_seconds_on() {
    for requests in [20, 100, 1_000, 10_000] {
        let (drain, now) = served(requests, Duration::from_millis(100), 50);
        let (tokens, paces) = drain.rates(now).expect("known");
        assert!((tokens - 500.0).abs() < 5.0 && (paces - 10.0).abs() < 0.1, "{tokens} {paces}");
    }
}

#[test]
fn the_forecast_is_late_by_a_standard_error_and_no_more() {
    let (drain, now) = served(2_000, Duration::from_millis(100), 50);
    // 5,000 tokens at 500 a second; a hundred requests were counted.
    let wait = drain.wait_for(5_000, now).expect("known").as_secs_f64();
    assert!((10.5..11.5).contains(&wait), "{wait}");
    // A hundred small requests take as long as the requests do.
    let wait = drain.wait_for_place(100, 10, now).expect("known").as_secs_f64();
    assert!((10.5..11.5).contains(&wait), "{wait}");
    let wait = drain.wait_for_place(1, 5_000, now).expect("known").as_secs_f64();
    assert!((10.5..11.5).contains(&wait), "{wait}");
    // Who knows little is careful.
    let (drain, now) = served(3, Duration::from_millis(100), 50);
    let wait = drain.wait_for(500, now).expect("known").as_secs_f64();
    assert!((1.5..2.5).contains(&wait), "{wait}");
}

#[test]
fn time_without_anyone_waiting_does_not_pass() {
    let (mut drain, now) = served(200, Duration::from_millis(100), 50);
    let before = drain.wait_for(1_000, now);
    drain.pause(now);
    let later = now + Duration::from_secs(3_600);
    assert_eq!(drain.wait_for(1_000, later), before);
    drain.resume(later);
    assert_eq!(drain.wait_for(1_000, later), before);
    assert!(drain.wait_for(1_000, later + Duration::from_secs(1)) > before);
}

#[test]
fn a_halved_pace_is_noticed_within_the_horizon() {
    let (mut drain, mut now) = served(500, Duration::from_millis(10), 50);
    for _ in 0..1_000 {
        now += Duration::from_millis(20);
        drain.on_served(now, 50);
    }
    let (_, paces) = drain.rates(now).expect("known");
    // Two horizons later an eighth of the old pace's excess is left.
    assert!((50.0..58.0).contains(&paces), "{paces}");
}

#[test]
fn no_forecast_is_longer_than_the_longest() {
    let (drain, now) = served(10, Duration::from_secs(1), 1);
    assert_eq!(drain.wait_for(u64::MAX, now), Some(LONGEST));
    // Requests of no tokens forecast nothing about tokens, and something about requests.
    let (drain, now) = served(10, Duration::from_secs(1), 0);
    assert_eq!(drain.wait_for(5, now), Some(LONGEST));
    assert_eq!(drain.wait_for(0, now), Some(Duration::ZERO));
    assert!(drain.wait_for_place(5, 0, now).is_some_and(|wait| wait < Duration::from_secs(15)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, rng_seed: RngSeed::Fixed(10), failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn a_forecast_is_bounded_and_grows_with_what_is_ahead(
        steps in prop::collection::vec((0u64..5_000, 0u64..u64::MAX, 0u8..8), 1..100),
        ahead in 0u64..u64::MAX / 2,
    ) {
        let mut now = start();
        let mut drain = Drain::new();
        for (millis, tokens, what) in steps {
            now += Duration::from_millis(millis);
            match what {
                0 => drain.pause(now),
                1 => drain.resume(now),
                _ => drain.on_served(now, tokens),
            }
            if let Some(wait) = drain.wait_for(ahead, now) {
                prop_assert!(wait <= LONGEST);
                prop_assert!(drain.wait_for(ahead * 2, now) >= Some(wait));
                prop_assert!(drain.wait_for_place(7, ahead, now) >= Some(wait));
            }
        }
    }
}
