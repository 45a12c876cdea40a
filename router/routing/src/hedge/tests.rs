//! Claims about the budget of hedges.

use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Ring([Slot; SLOTS]);

impl Ring {
    fn spend(&mut self, second: u32, tokens: u64) {
        let slot = &mut self.0[Slot::place(second)];
        *slot = slot.at(second).with_spent(tokens);
    }

    fn hedge(&mut self, rules: &HedgeRules, second: u32, tokens: u64) -> bool {
        let granted = rules.balance(self.0, second) >= tokens;
        if granted {
            let slot = &mut self.0[Slot::place(second)];
            *slot = slot.at(second).with_extra(tokens);
        }
        granted
    }
}

fn rules(extra_per_mille: u32, floor_tokens: u64) -> HedgeRules {
    HedgeRules { extra_per_mille, floor_tokens, soonest: Duration::from_millis(50) }
}

#[test]
fn a_lane_that_became_slow_as_a_whole_costs_a_twentieth() {
    let (rules, mut ring) = (rules(50, 0), Ring::default());
    let (mut spent, mut extra) = (0u64, 0u64);
    for second in 1_000..1_300 {
        for _ in 0..50 {
            ring.spend(second, 800);
            spent += 800;
            if ring.hedge(&rules, second, 800) {
                extra += 800;
            }
        }
    }
    let share = extra as f64 / spent as f64;
    assert!((0.045..=0.0505).contains(&share), "{share}");
}

#[test]
fn the_rest_of_an_estimate_is_given_back_within_its_slot_alone() {
    let (rules, mut ring) = (rules(0, 1_000), Ring::default());
    assert!(ring.hedge(&rules, 600, 800));
    assert!(!ring.hedge(&rules, 600, 800));
    let slot = &mut ring.0[Slot::place(600)];
    assert!(slot.is_of(605) && !slot.is_of(606));
    *slot = slot.without_extra(600);
    assert!(ring.hedge(&rules, 600, 800));
}

#[test]
fn the_window_holds_while_the_numbers_of_slots_begin_anew() {
    let (rules, mut ring) = (rules(0, 1_000), Ring::default());
    // The last slots before the numbers repeat, and the first after.
    let turn = SLOT_SECONDS * PERIOD;
    for second in (turn - 36..turn + 20).step_by(SLOT_SECONDS as usize) {
        assert!(ring.hedge(&rules, second, 96), "{second}");
    }
    assert_eq!(rules.balance(ring.0, turn + 20), 1_000 - 10 * 96);
}

#[test]
fn a_full_counter_stops_hedging_instead_of_losing_count() {
    let (rules, slot) = (rules(1_000, 1_000_000), Slot::default().at(600).with_spent(u64::MAX).with_extra(u64::MAX));
    assert_eq!(rules.balance([slot], 600), 0);
    assert_eq!(slot.without_extra(u64::MAX), slot);
}

#[test]
fn a_hedge_waits_for_the_percentile_and_never_less_than_the_soonest() {
    #[expect(clippy::disallowed_methods, reason = "any moment will do as the zero of a test's time")]
    let now = Instant::now();
    let mut seen = Quantiles::new(now);
    (0..19).for_each(|_| seen.add(now, Duration::from_secs(1)));
    assert_eq!(rules(50, 0).after(&seen, now), None, "too few samples");
    seen.add(now, Duration::from_secs(1));
    let after = rules(50, 0).after(&seen, now).unwrap().as_secs_f64();
    assert!((0.95..1.05).contains(&(after / LATER)), "{after}");
    assert_eq!(rules(0, 0).after(&seen, now), None, "switched off");
    seen.clear(now);
    (0..100).for_each(|_| seen.add(now, Duration::from_millis(1)));
    assert_eq!(rules(50, 0).after(&seen, now), Some(Duration::from_millis(50)));
}

proptest! {
    #[test]
    fn a_word_holds_a_slot(second: u32, spent: u64, extra: u64, word: u64) {
        let slot = Slot::default().at(second).with_spent(spent).with_extra(extra);
        prop_assert_eq!(Slot::from_word(slot.to_word()), slot);
        prop_assert_eq!(Slot::from_word(word).to_word(), word);
    }

    #[test]
    fn hedges_of_any_window_stay_within_share_and_floor(
        steps in prop::collection::vec((0u32..20, 0u64..100_000, 1u64..5_000), 1..100),
        per_mille in 0u32..200,
        floor in 0u64..10_000,
        start in any::<u32>(),
    ) {
        let (rules, mut ring) = (rules(per_mille, floor), Ring::default());
        let mut log: Vec<(u32, u64, u64)> = Vec::new();
        // A fresh ring looks like slots of time zero; stay clear of them.
        let mut second = start.clamp(1_000, u32::MAX - 10_000);
        for (pause, spent, wanted) in steps {
            second += pause;
            ring.spend(second, spent);
            let granted = ring.hedge(&rules, second, wanted);
            log.push((second / SLOT_SECONDS, spent, if granted { wanted } else { 0 }));
            let window = || log.iter().filter(|(at, ..)| second / SLOT_SECONDS - at < SLOTS as u32);
            let spent: u64 = window().map(|entry| entry.1).sum();
            let extra: u64 = window().map(|entry| entry.2).sum();
            prop_assert!(!granted || extra <= floor + spent * u64::from(per_mille) / 1_000);
        }
    }
}
