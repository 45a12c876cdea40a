//! Whether the whole gateway can afford another try.
//!
//! Retries may be at most a share of the requests of the last ten seconds, plus a small floor for a
//! gateway with little traffic. In a total outage every request wants a retry, and the budget turns
//! a multiplication by the number of tries into one by `1 + ratio`.
//!
//! The form is that of Finagle's `RetryBudget` (K. Oliver, "Retry Budgets", 2016; also in
//! `tower::retry::budget`): deposits per request that expire after a time to live of 10 s, counted
//! in ten slots of one second, and withdrawals per retry. The ratio is smaller than Finagle's 20 %,
//! because a try of a language model costs more than a remote call; the floor is a number per window
//! as in Envoy's `min_retry_concurrency`, because a floor per second that is as generous as
//! Finagle's would let a small outage be doubled.

/// How many one-second slots are counted together.
pub const SLOTS: usize = 10;

/// The size of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// Retries per thousand requests of the window.
    pub per_mille: u32,
    /// Retries per window that are allowed whatever the traffic.
    pub floor: u32,
}

impl Default for RetryBudget {
    /// 10 % and 10 retries per 10 s.
    fn default() -> Self {
        Self { per_mille: 100, floor: 10 }
    }
}

impl RetryBudget {
    /// How many more retries the window allows at `second`.
    #[must_use]
    pub fn balance(&self, slots: impl IntoIterator<Item = Slot>, second: u32) -> u64 {
        let mut requests = 0u64;
        let mut retries = 0u64;
        for slot in slots.into_iter().filter(|slot| slot.counts_at(second)) {
            requests += u64::from(slot.requests);
            retries += u64::from(slot.retries);
        }
        let allowed = u64::from(self.floor) + requests * u64::from(self.per_mille) / 1_000;
        allowed.saturating_sub(retries)
    }
}

/// What happened in one second, small enough for one atomic word: 24 bits of time, 24 of requests,
/// 16 of retries. Counts stop at their largest value; the time repeats after 194 days, by when a
/// slot of an idle gateway that happens to meet its own number again is at worst one second of old
/// deposits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    second: u32,
    requests: u32,
    retries: u16,
}

const TIME_BITS: u32 = 24;
const TIME_MASK: u32 = (1 << TIME_BITS) - 1;
const REQUESTS_MAX: u32 = (1 << 24) - 1;

impl Slot {
    /// The place in the ring that `second` is counted in.
    #[must_use]
    pub fn place(second: u32) -> usize {
        // Ten does not divide 2^24, so the place comes from the kept bits, as the slot's own time.
        (second & TIME_MASK) as usize % SLOTS
    }

    /// Reads a slot from its word.
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self {
            second: (word >> 40) as u32 & TIME_MASK,
            requests: (word >> 16) as u32 & REQUESTS_MAX,
            retries: word as u16,
        }
    }

    /// The slot as one word.
    #[must_use]
    pub fn to_word(self) -> u64 {
        (u64::from(self.second) << 40) | (u64::from(self.requests) << 16) | u64::from(self.retries)
    }

    /// This slot at `second`: itself, or an empty one where it is of another time.
    #[must_use]
    pub fn at(self, second: u32) -> Self {
        let second = second & TIME_MASK;
        if self.second == second { self } else { Self { second, requests: 0, retries: 0 } }
    }

    /// This slot with one more request.
    #[must_use]
    pub fn with_request(self) -> Self {
        Self { requests: (self.requests + 1).min(REQUESTS_MAX), ..self }
    }

    /// This slot with one more retry.
    #[must_use]
    pub fn with_retry(self) -> Self {
        Self { retries: self.retries.saturating_add(1), ..self }
    }

    /// Whether it lies within the window that ends with `second`.
    fn counts_at(self, second: u32) -> bool {
        let age = second.wrapping_sub(self.second) & TIME_MASK;
        (age as usize) < SLOTS
    }
}

#[cfg(test)]
mod tests {
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
        assert!(amplification <= 1.1 + 10.0 * 6.0 / requests as f64, "{amplification}");
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
                // Deposits leave the window before the retries that they paid for do, so what is
                // granted now never exceeds what the window's requests pay for, but the window's
                // older retries may: a window holds at most those of two windows' requests.
                prop_assert!(granted == 0 || retries <= u64::from(floor) + requests * u64::from(per_mille) / 1_000);
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
}
