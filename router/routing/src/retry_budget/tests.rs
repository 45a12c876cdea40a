//! Claims about the budget, second by second, without a clock.

use proptest::prelude::*;

use super::*;

/// The budget as the gateway keeps it, without atomics.
#[derive(Default)]
struct Ring([Slot; SLOTS]);

impl Ring {
    fn request(&mut self, second: u32) {
        let slot = &mut self.0[Slot::place(second)];
        *slot = slot.at(second).with_request();
    }

    fn retry(&mut self, budget: &RetryBudget, second: u32) -> bool {
        let granted = budget.balance(self.0, second) > 0;
        if granted {
            let slot = &mut self.0[Slot::place(second)];
            *slot = slot.at(second).with_retry();
        }
        granted
    }
}

#[test]
fn a_total_outage_is_not_multiplied() {
    let budget = RetryBudget::default();
    let mut ring = Ring::default();
    let (mut requests, mut tries) = (0u64, 0u64);
    for second in 1_000..1_060 {
        for _ in 0..200 {
            ring.request(second);
            requests += 1;
            tries += 1;
            // Every request would try twice more.
            for _ in 0..2 {
                if !ring.retry(&budget, second) {
                    break;
                }
                tries += 1;
            }
        }
    }
    let amplification = tries as f64 / requests as f64;
    assert!(amplification <= 1.1 + 10.0 / requests as f64, "{amplification}");
    assert!(amplification > 1.08, "the budget is there to be used: {amplification}");
}

#[test]
fn a_quiet_gateway_has_the_floor_and_gets_it_back() {
    let budget = RetryBudget { per_mille: 100, floor: 3 };
    let mut ring = Ring::default();
    ring.request(50);
    let granted = (0..10).filter(|_| ring.retry(&budget, 50)).count();
    assert_eq!(granted, 3);
    assert!(!ring.retry(&budget, 59), "the window still holds them");
    assert!(ring.retry(&budget, 60), "ten seconds later it does not");
}

#[test]
fn no_ratio_and_no_floor_allow_nothing() {
    let budget = RetryBudget { per_mille: 0, floor: 0 };
    let mut ring = Ring::default();
    ring.request(1);
    assert!(!ring.retry(&budget, 1));
}

proptest! {
    #[test]
    fn a_word_holds_a_slot(second: u32, requests in 0..=REQUESTS_MAX, retries: u16) {
        let slot = Slot { second: second & TIME_MASK, requests, retries };
        prop_assert_eq!(Slot::from_word(slot.to_word()), slot);
        prop_assert!(slot.with_request().requests <= REQUESTS_MAX);
    }

    #[test]
    fn retries_of_any_window_stay_within_share_and_floor(
        steps in prop::collection::vec((0u32..3, 1u32..50, 0u32..50), 1..80),
        per_mille in 0u32..500,
        floor in 0u32..20,
    ) {
        let budget = RetryBudget { per_mille, floor };
        let mut ring = Ring::default();
        let mut log: Vec<(u32, u64, u64)> = Vec::new();
        let mut second = 100;
        for (pause, requests, wanted) in steps {
            second += pause;
            (0..requests).for_each(|_| ring.request(second));
            let granted = (0..wanted).filter(|_| ring.retry(&budget, second)).count();
            log.push((second, u64::from(requests), granted as u64));
            let window = || log.iter().filter(|(at, ..)| second - at < 10);
            let requests: u64 = window().map(|entry| entry.1).sum();
            let retries: u64 = window().map(|entry| entry.2).sum();
            prop_assert!(granted == 0 || retries <= u64::from(floor).max(requests * u64::from(per_mille) / 1_000));
        }
    }

    #[test]
    fn time_that_wraps_keeps_the_window(start in TIME_MASK - 20..=TIME_MASK) {
        let budget = RetryBudget { per_mille: 0, floor: 1 };
        let mut ring = Ring::default();
        prop_assert!(ring.retry(&budget, start));
        prop_assert!(!ring.retry(&budget, start.wrapping_add(5)));
        prop_assert!(ring.retry(&budget, start.wrapping_add(10)));
    }
}
