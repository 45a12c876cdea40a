//! Whether the whole gateway can afford another try.
//!
//! Retries may be at most a share of the requests of the last ten seconds, or a small floor where a
//! gateway has little traffic. In a total outage every request wants a retry, and the budget turns
//! a multiplication by the number of tries into one by `1 + ratio`.
//!
//! The form is that of Finagle's `RetryBudget` (K. Oliver, "Retry Budgets", 2016; also in
//! `tower::retry::budget`): deposits per request that expire after a time to live of 10 s, counted
//! in ten slots of one second, and withdrawals per retry. The ratio is smaller than Finagle's 20 %,
//! because a try of a language model costs more than a remote call; the floor is a number per window
//! as in Envoy's `min_retry_concurrency`, because a floor per second that is as generous as
//! Finagle's would let a small outage be doubled. It is no addition to the share: with 20 requests a second it would be half
//! as much again. And a try elsewhere that costs nothing because that target is not known to fail counts as well: when all
//! targets fail at once, every request under way has one.

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
    /// 10 %, or 10 retries per 10 s if that is more.
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
        let allowed = u64::from(self.floor).max(requests * u64::from(self.per_mille) / 1_000);
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
mod tests;
