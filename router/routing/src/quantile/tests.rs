//! Quantiles against sorted samples.

use proptest::prelude::*;

use super::*;

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any moment will do as the zero of a test's time")]
    Instant::now()
}

fn near(found: Duration, truth: Duration) -> bool {
    let (found, truth) = (found.as_secs_f64(), truth.as_secs_f64());
    (found - truth).abs() <= truth * (ERROR + 1e-6)
}

/// The sample at the place that the histogram means: the first up to which `share` of them lie.
fn exact(samples: &[Duration], share: f64) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

proptest! {
    #[test]
    fn a_quantile_is_off_by_at_most_the_error(
        micros in prop::collection::vec(200u64..3_600_000_000, 1..300),
        share in 0.01f64..=1.0,
    ) {
        let now = start();
        let samples: Vec<Duration> = micros.into_iter().map(Duration::from_micros).collect();
        let mut quantiles = Quantiles::new(now);
        samples.iter().for_each(|sample| quantiles.add(now, *sample));
        let truth = exact(&samples, share);
        let found = quantiles.quantile(share).unwrap();
        // A share that falls on a boundary between two samples may be rounded to either.
        let other = exact(&samples, (share - 1e-9).max(0.0));
        prop_assert!(near(found, truth) || near(found, other), "{found:?} for {truth:?}");
    }

    #[test]
    fn two_halves_merged_are_the_whole(
        micros in prop::collection::vec(200u64..60_000_000, 2..200),
        later in 0u64..1_000,
        share in 0.01f64..=1.0,
    ) {
        let now = start();
        let then = now + Duration::from_secs(later);
        let (mut one, mut other, mut whole) = (Quantiles::new(now), Quantiles::new(then), Quantiles::new(now));
        for (place, sample) in micros.iter().map(|micros| Duration::from_micros(*micros)).enumerate() {
            if place % 2 == 0 { one.add(then, sample) } else { other.add(then, sample) }
            whole.add(then, sample);
        }
        one.merge(&other);
        let (merged, single) = (one.quantile(share).unwrap(), whole.quantile(share).unwrap());
        // Sums in another order may put a boundary into the next bucket.
        let ratio = merged.as_secs_f64() / single.as_secs_f64();
        let neighbour = one.quantile((share - 1e-4).max(0.0)).unwrap() <= single
            && one.quantile((share + 1e-4).min(1.0)).unwrap() >= single;
        prop_assert!((ratio - 1.0).abs() < 1e-6 || neighbour, "{merged:?} {single:?}");
        prop_assert!((one.samples(then) - whole.samples(then)).abs() < 0.01);
    }

    #[test]
    fn any_sample_at_any_time_is_taken(steps in prop::collection::vec((0u64..10_000_000, any::<u64>()), 1..100)) {
        let mut now = start();
        let mut quantiles = Quantiles::new(now);
        for (pause, nanos) in steps {
            now += Duration::from_millis(pause);
            quantiles.add(now, Duration::from_nanos(nanos));
            prop_assert!(quantiles.quantile(0.5).is_some());
            prop_assert!(quantiles.samples(now) >= 0.99);
        }
    }
}

#[test]
fn old_samples_are_forgotten() {
    let now = start();
    let mut quantiles = Quantiles::new(now);
    (0..1_000).for_each(|_| quantiles.add(now, Duration::from_secs(1)));
    assert!((quantiles.samples(now + HALF_LIFE) - 500.0).abs() < 1.0);
    let later = now + 10 * HALF_LIFE;
    (0..100).for_each(|_| quantiles.add(later, Duration::from_millis(100)));
    assert!(near(quantiles.quantile(0.95).unwrap(), Duration::from_millis(100)));
}

#[test]
fn a_tail_needs_enough_samples() {
    let now = start();
    let mut quantiles = Quantiles::new(now);
    (0..19).for_each(|_| quantiles.add(now, Duration::from_secs(1)));
    assert_eq!(quantiles.tail(now, 0.95), None);
    quantiles.add(now, Duration::from_secs(1));
    assert!(near(quantiles.tail(now, 0.95).unwrap(), Duration::from_secs(1)));
    assert_eq!(quantiles.tail(now + HALF_LIFE, 0.95), None, "half of them are forgotten");
}
