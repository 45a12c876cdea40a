//! Virtual time, in whole numbers.
//!
//! A child's tag is the virtual time at which its next request may start: every token that it is
//! charged moves it by `rate`, which is [`SCALE`] divided by its weight. Products are exact, so what
//! is charged and given back again leaves no trace, however often; only the rate itself is rounded,
//! by less than 1 in 10^8, which is an error of the weight, not of the books. 128 bits last: at the
//! least weight a token moves a tag by 2^40, so that 2^88 tokens fit, and one charge is cut to
//! [`MOST_TOKENS`].

use atp_core::{Qos, Weight};

/// Virtual time per token of a child of weight one thousandth. Divisible by every class's factor,
/// so that the rates of weight 1.0 are exact.
const SCALE: u64 = 15_000 << 32;

/// The most tokens that one charge counts: a thousand thousand million, more than any model reads.
pub(super) const MOST_TOKENS: u64 = 1 << 40;

/// What one child has been charged, as a place in its siblings' common virtual time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meter {
    /// The start tag of its next request.
    pub(super) tag: u128,
    /// Refunds do not lower the tag below this: what was charged before has been forgotten, and with
    /// it what would be given back.
    floor: u128,
    /// Virtual time per token.
    rate: u64,
}

impl Meter {
    /// A child that has never been charged.
    pub(super) fn new(rate: u64) -> Self {
        Self { tag: 0, floor: 0, rate }
    }

    /// The tokens of later charges count by this rate.
    pub(super) fn set_rate(&mut self, rate: u64) {
        self.rate = rate;
    }

    /// The virtual time of so many tokens.
    pub(super) fn time(&self, tokens: u64) -> u128 {
        u128::from(tokens.min(MOST_TOKENS)) * u128::from(self.rate)
    }

    /// The virtual time of so many tokens where each counts `sum / most` times: its tenant uses other classes too.
    pub(super) fn time_beside(&self, tokens: u64, sum: u64, most: u64) -> u128 {
        u128::from(tokens.min(MOST_TOKENS)) * (u128::from(self.rate) * u128::from(sum) / u128::from(most.max(1)))
    }

    /// Comes back from idleness: whoever is not ahead of `now` begins anew at `level`, so that nobody
    /// saves up while idle.
    pub(super) fn lift(&mut self, now: u128, level: u128) {
        if self.tag <= now {
            (self.tag, self.floor) = (level, level);
        }
    }

    /// What was charged up to `level` was charged while nobody else waited: it will not be given back
    /// at the cost of who comes now.
    pub(super) fn forget_below(&mut self, level: u128) {
        self.floor = self.floor.max(level);
    }

    /// Charges, and tells how far the tag moved.
    pub(super) fn charge(&mut self, tokens: u64) -> u128 {
        let time = self.time(tokens);
        self.pass(time);
        time
    }

    /// Charges so much virtual time.
    pub(super) fn pass(&mut self, time: u128) {
        self.tag = self.tag.saturating_add(time);
    }

    /// Gives back.
    pub(super) fn refund(&mut self, tokens: u64) {
        self.give_back(self.time(tokens));
    }

    /// Gives so much virtual time back.
    pub(super) fn give_back(&mut self, time: u128) {
        let lowest = self.floor.min(self.tag);
        self.tag = self.tag.saturating_sub(time).max(lowest);
    }
}

impl Meter {
    /// How many of its own tokens it is ahead of `now`; negative when it is behind.
    pub(super) fn ahead_of(&self, now: u128) -> i64 {
        let tokens = |time: u128| i64::try_from(time / u128::from(self.rate.max(1))).unwrap_or(i64::MAX);
        if self.tag >= now { tokens(self.tag - now) } else { -tokens(now - self.tag) }
    }
}

/// The rate of a flow: its tenant's weight times its class's factor.
pub(super) fn flow_rate(weight: Weight, qos: Qos) -> u64 {
    // A weight is at least a tenth, and a factor at least one.
    SCALE / (u64::from(weight.thousandths()) * u64::from(qos.factor())).max(1)
}

/// The rate of a session within its flow.
pub(super) fn session_rate(weight: Weight) -> u64 {
    SCALE / u64::from(weight.thousandths()).max(1)
}
