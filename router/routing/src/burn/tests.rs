//! The burn rate against a list of all costs, and spikes by example.

use proptest::prelude::*;

use super::*;

const START: u64 = 1_763_664_490_000;

#[test]
fn a_steady_dollar_a_minute_is_a_dollar_a_minute() {
    let mut burn = Burn::default();
    assert_eq!(burn.usd_per_minute(START), 0.0);
    for second in 0..900 {
        burn.add(MicroUsd(16_667), START + second * 1_000);
        if second >= 60 {
            let rate = burn.usd_per_minute(START + second * 1_000);
            assert!((rate - 1.0).abs() < 0.15, "{second}: {rate}");
        }
    }
    let end = START + 899_000;
    assert!((burn.usd_per_minute(end) - 1.0).abs() < 0.04);
    // What stops is forgotten within 300 seconds, and by half after half of them.
    assert!((burn.usd_per_minute(end + 150_000) - 0.5).abs() < 0.04);
    assert_eq!(burn.usd_per_minute(end + 300_000), 0.0);
    burn.add(MicroUsd(1), end + 3_600_000);
    assert!(burn.usd_per_minute(end + 3_600_000) < 1e-5, "nothing of an hour ago comes back");
}

#[test]
fn one_request_after_a_start_is_spread_over_a_minute() {
    let mut burn = Burn::default();
    burn.add(MicroUsd(2_000_000), START);
    assert!((burn.usd_per_minute(START) - 2.0).abs() < 1e-9);
}

proptest! {
    #[test]
    fn the_rate_is_that_of_the_list(steps in prop::collection::vec((0u64..40_000, 0u64..5_000_000), 1..200)) {
        let (mut burn, mut list, mut now) = (Burn::default(), Vec::new(), START);
        for (pause, cost) in steps {
            now += pause;
            burn.add(MicroUsd(cost), now);
            list.push((now / SLOT_MS, cost));
            let newest = now / SLOT_MS;
            let sum: u64 = list.iter().filter(|(slot, _)| slot + RATED > newest).map(|(_, cost)| cost).sum();
            let span = (newest + 1 - (newest + 1 - RATED).max(list[0].0)).max(6);
            let expected = MicroUsd(sum).as_usd() * 6.0 / span as f64;
            prop_assert!((burn.usd_per_minute(now) - expected).abs() < 1e-9);
        }
    }
}

#[test]
fn a_spike_is_told_once_and_again_after_the_pause() {
    let mut guard = SpikeGuard::default();
    for n in 0..10u64 {
        assert_eq!(guard.add(MicroUsd(1_000 + n % 3), START), None);
    }
    let spike = guard.add(MicroUsd(50_000), START).expect("fifty times the ordinary");
    assert!(spike.z > FAR && (spike.mean - 1_001.0).abs() < 2.0, "{spike:?}");
    for _ in 0..30 {
        assert_eq!(guard.add(MicroUsd(1_000), START + 1_000), None);
    }
    assert_eq!(guard.add(MicroUsd(500_000), START + 299_999), None, "it is silent");
    for _ in 0..30 {
        guard.add(MicroUsd(1_000), START + 299_999);
    }
    assert!(guard.add(MicroUsd(500_000), START + 300_000).is_some());
}

#[test]
fn nine_costs_are_too_few_to_tell_and_cheap_ones_are_no_spike() {
    let mut guard = SpikeGuard::default();
    for _ in 0..9 {
        assert_eq!(guard.add(MicroUsd(10), START), None);
    }
    assert_eq!(guard.add(MicroUsd(1_000_000), START), None, "the tenth is not judged");
    let mut guard = SpikeGuard::default();
    for _ in 0..20 {
        guard.add(MicroUsd(1_000_000), START);
    }
    assert_eq!(guard.add(MicroUsd(0), START), None);
}
