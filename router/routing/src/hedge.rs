//! Whether a second lane may be asked before the first has answered.
//!
//! Hedged requests (Dean and Barroso, "The Tail at Scale", CACM 2013): when the first token has not
//! come within the time that 95 % of the lane's tries need, another lane is asked too, and whoever
//! answers first is kept. Only about one request in twenty is hedged then, but a lane that has become
//! slow as a whole would have all of them hedged; so the tokens spent on hedges are bounded by a share
//! of the tokens spent at all, over a sliding minute, as a retry budget bounds retries
//! (see [`crate::retry_budget`]).
//!
//! Proof: properties over arbitrary spending, in the tests. Units: tokens, counted in eights.

use std::time::{Duration, Instant};

use crate::quantile::Quantiles;

/// How many slots are counted together.
pub const SLOTS: usize = 10;

/// Seconds in a slot.
pub const SLOT_SECONDS: u32 = 6;

/// When and how much is hedged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HedgeRules {
    /// Tokens for hedges per thousand tokens spent in the window; 0 with a floor of 0: never.
    pub extra_per_mille: u32,
    /// Tokens for hedges per window that are allowed whatever the traffic.
    pub floor_tokens: u64,
    /// No hedge starts sooner than this after the first try, however quick the lane is.
    pub soonest: Duration,
}

impl Default for HedgeRules {
    /// 5 % of the tokens spent, and 2,000 tokens a minute so that a quiet gateway can hedge at all; not
    /// before 50 ms, below which a caller notices nothing.
    fn default() -> Self {
        Self { extra_per_mille: 50, floor_tokens: 2_000, soonest: Duration::from_millis(50) }
    }
}

impl HedgeRules {
    /// How long after the first try's start the second may start: the lane's 95th percentile to the
    /// first token. `None` while too few samples are known to say.
    #[must_use]
    pub fn after(&self, first_tokens: &Quantiles, now: Instant) -> Option<Duration> {
        if self.extra_per_mille == 0 && self.floor_tokens == 0 {
            return None;
        }
        first_tokens.tail(now, 0.95).map(|p95| self.when(p95))
    }

    /// The same where the lane's 95th percentile is known: a little later than that, because on a lane whose
    /// slow calls are rare many more are almost as late as that without being slow, and they would use
    /// up what may be spent on those that are.
    #[must_use]
    pub fn when(&self, p95: Duration) -> Duration {
        p95.mul_f64(LATER).max(self.soonest)
    }

    /// How many tokens may still be spent on hedges in the window that ends with `second`.
    #[must_use]
    pub fn balance(&self, slots: impl IntoIterator<Item = Slot>, second: u32) -> u64 {
        let time = time_of(second);
        let (mut spent, mut extra) = (0u64, 0u64);
        for slot in slots.into_iter().filter(|slot| slot.counts_at(time)) {
            // A full counter has lost count of what was spent on hedges: nothing more is spent.
            extra += if slot.extra == EXTRA_MAX { u64::from(u32::MAX) } else { u64::from(slot.extra) };
            spent += u64::from(slot.spent);
        }
        let allowed = self.floor_tokens.saturating_add(spent * UNIT * u64::from(self.extra_per_mille) / 1_000);
        allowed.saturating_sub(extra * UNIT)
    }
}

/// A hedge starts so many times the 95th percentile after the first try.
const LATER: f64 = 1.15;

/// Tokens that are counted as one.
const UNIT: u64 = 8;
const SPENT_MAX: u32 = (1 << 26) - 1;
const EXTRA_MAX: u32 = (1 << 22) - 1;

/// What was spent in six seconds, small enough for one atomic word: 16 bits of time, 26 of all tokens,
/// 22 of tokens for hedges, both in eights. Counts stop at their largest value; the time repeats after
/// four and a half days, by when a slot that meets its own number again holds at worst six seconds of
/// old spending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    time: u16,
    spent: u32,
    extra: u32,
}

impl Slot {
    /// The place in the ring that `second` is counted in.
    #[must_use]
    pub fn place(second: u32) -> usize {
        usize::from(time_of(second)) % SLOTS
    }

    /// Reads a slot from its word.
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self { time: (word >> 48) as u16, spent: (word >> 22) as u32 & SPENT_MAX, extra: word as u32 & EXTRA_MAX }
    }

    /// The slot as one word.
    #[must_use]
    pub fn to_word(self) -> u64 {
        (u64::from(self.time) << 48) | (u64::from(self.spent) << 22) | u64::from(self.extra)
    }

    /// This slot at `second`: itself, or an empty one where it is of another time.
    #[must_use]
    pub fn at(self, second: u32) -> Self {
        let time = time_of(second);
        if self.time == time { self } else { Self { time, spent: 0, extra: 0 } }
    }

    /// This slot with `tokens` more spent, by whichever try. Rounded down.
    #[must_use]
    pub fn with_spent(self, tokens: u64) -> Self {
        let units = u32::try_from(tokens / UNIT).unwrap_or(SPENT_MAX);
        Self { spent: self.spent.saturating_add(units).min(SPENT_MAX), ..self }
    }

    /// This slot with `tokens` more for hedges: the estimate when one starts. Rounded up.
    #[must_use]
    pub fn with_extra(self, tokens: u64) -> Self {
        let units = u32::try_from(tokens.div_ceil(UNIT)).unwrap_or(EXTRA_MAX);
        Self { extra: self.extra.saturating_add(units).min(EXTRA_MAX), ..self }
    }

    /// This slot with `tokens` fewer for hedges: what the loser did not use of its estimate. Only for
    /// the slot that the estimate was counted in; one of another time has forgotten it. Rounded down.
    #[must_use]
    pub fn without_extra(self, tokens: u64) -> Self {
        // A full counter has lost count, and stays so until its time is over.
        if self.extra == EXTRA_MAX {
            return self;
        }
        let units = u32::try_from(tokens / UNIT).unwrap_or(EXTRA_MAX);
        Self { extra: self.extra.saturating_sub(units), ..self }
    }

    /// Whether it is of `second`.
    #[must_use]
    pub fn is_of(self, second: u32) -> bool {
        self.time == time_of(second)
    }

    /// Whether it lies within the window that ends with `time`.
    fn counts_at(self, time: u16) -> bool {
        let age = (u32::from(time) + PERIOD - u32::from(self.time)) % PERIOD;
        (age as usize) < SLOTS
    }
}

/// After so many slots their numbers repeat: a multiple of [`SLOTS`], so that no two neighbours ever have the
/// same place in the ring, and small enough for 16 bits.
const PERIOD: u32 = 65_530;

/// The slot number of a second.
fn time_of(second: u32) -> u16 {
    ((second / SLOT_SECONDS) % PERIOD) as u16
}

#[cfg(test)]
mod tests;
