//! At which pace the tries of a lane may begin.
//!
//! Two halves. The pace itself is the generic cell rate algorithm (GCRA; ITU-T I.371, as used by the
//! `governor` crate) as functions of one word, the *theoretical arrival time*: the moment at which
//! everything admitted so far would have been spread at the pace. [`admit`] is a compare-and-swap away
//! from being shared by all cores.
//!
//! [`Rate`] finds the pace: `told` follows what the provider says in its rate-limit headers,
//! `learned` infers it from refusals where it says nothing.
//!
//! Proof: no interval sees more than `rate * time + burst` admitted, as a property; closed loops
//! against token buckets of several depths. Units: nanoseconds since an origin that the lane chooses,
//! tokens, requests.

use atp_core::RateFacts;

use learned::Learned;
pub(crate) use learned::Named;
use told::{Meter, Told};

pub(crate) mod flow;
mod learned;
mod told;

/// The pace of one lane: of tokens and of requests. What is 0 is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Nanoseconds that a token takes.
    pub ns_per_token: u64,
    /// Tokens that may come at once after a lull.
    pub burst_tokens: u64,
    /// The word of tokens counts as at least this: what the provider said is left.
    pub floor_tokens_ns: u64,
    /// A request counts as at most so many tokens; 0: as many as it has. Where no limit of tokens was told, one
    /// long prompt is no reason to let nobody begin for as long as it is worth.
    pub most_tokens: u64,
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
    gcra(word.max(pace.floor_tokens_ns), now_ns, pace.counted(tokens), pace.ns_per_token, pace.burst_tokens)
}

/// Admits one request at `now_ns` where `word` is the lane's word of requests, as [`admit`] does.
///
/// # Errors
///
/// The nanoseconds after which a request would be admitted if nobody else came.
pub fn admit_request(word: u64, now_ns: u64, pace: &Pace) -> Result<u64, u64> {
    gcra(word.max(pace.floor_requests_ns), now_ns, 1, pace.ns_per_request, pace.burst_requests)
}

/// Admits `tokens` of a light flow, as [`admit`] does, but up to [`AHEAD_NS`] earlier: whoever comes after pays
/// for it.
///
/// # Errors
///
/// As [`admit`].
pub fn admit_ahead(word: u64, now_ns: u64, tokens: u64, pace: &Pace) -> Result<u64, u64> {
    let spent = word.max(pace.floor_tokens_ns).max(now_ns);
    let cost = pace.counted(tokens).saturating_mul(pace.ns_per_token);
    ahead(admit(word, now_ns, tokens, pace), spent.saturating_add(cost))
}

/// Admits one request of a light flow, as [`admit_ahead`] does.
///
/// # Errors
///
/// As [`admit_request`].
pub fn admit_request_ahead(word: u64, now_ns: u64, pace: &Pace) -> Result<u64, u64> {
    let spent = word.max(pace.floor_requests_ns).max(now_ns);
    ahead(admit_request(word, now_ns, pace), spent.saturating_add(pace.ns_per_request))
}

/// A light flow is admitted up to so many nanoseconds early: half a second.
pub const AHEAD_NS: u64 = 500_000_000;

fn ahead(admitted: Result<u64, u64>, next: u64) -> Result<u64, u64> {
    match admitted {
        Err(wait) if wait <= AHEAD_NS => Ok(next),
        other => other,
    }
}

/// The word of tokens at `now_ns` after a request that was admitted with `estimated` tokens turned out to
/// use `used`. It never lies ahead by more than a minute for that: what a provider says a request used is not
/// always to be believed, and what is left of a limit it tells besides.
#[must_use]
pub fn settle(word: u64, now_ns: u64, estimated: u64, used: u64, pace: &Pace) -> u64 {
    let (estimated, used) = (pace.counted(estimated), pace.counted(used));
    let more = used.saturating_sub(estimated).saturating_mul(pace.ns_per_token);
    let less = estimated.saturating_sub(used).saturating_mul(pace.ns_per_token);
    let most = word.max(now_ns.saturating_add(MINUTE));
    word.saturating_add(more).min(most).saturating_sub(less)
}

const MINUTE: u64 = 60_000_000_000;

impl Pace {
    /// As how many tokens a request of so many counts.
    fn counted(&self, tokens: u64) -> u64 {
        if self.most_tokens == 0 { tokens } else { tokens.min(self.most_tokens) }
    }
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

/// How a learned pace stands to what is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paced {
    /// There is none.
    Unknown,
    /// Tries begin more slowly, but several may begin at once: that is to be cut first.
    InLumps,
    /// Tries begin one by one, or at about the pace.
    OneByOne,
}

/// What is known about a lane's pace.
#[derive(Debug, Clone)]
pub struct Rate {
    learned: Learned,
    requests: Told,
    tokens: Told,
}

impl Default for Rate {
    fn default() -> Self {
        Self::new()
    }
}

impl Rate {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self { learned: Learned::new(), requests: Told::default(), tokens: Told::default() }
    }

    /// The pace at `now_ns`, where one is known.
    pub fn pace(&self, now_ns: u64) -> Option<Pace> {
        let now = seconds(now_ns);
        let learned = self.learned.pace(now);
        let (requests, tokens) = (self.requests.meter(now), self.tokens.meter(now));
        if learned.is_none() && requests.is_none() && tokens.is_none() {
            return None;
        }
        let mut pace = Pace::default();
        if let Some((rate, lull)) = learned {
            pace.ns_per_request = nanos(1.0 / rate);
            pace.burst_requests = units(rate * lull);
            if self.learned.tokens() >= 1.0 {
                // Requests of the same length would not notice; a run of long ones is spread.
                let rate = rate * self.learned.tokens();
                pace.ns_per_token = nanos(1.0 / rate);
                pace.burst_tokens = units(rate * (lull + SPREAD));
                pace.most_tokens = if tokens.is_none() { pace.burst_tokens } else { 0 };
            }
        }
        if let Some(meter) = requests {
            (pace.ns_per_request, pace.burst_requests, pace.floor_requests_ns) =
                slower(&meter, now, pace.ns_per_request, pace.burst_requests);
        }
        if let Some(meter) = tokens {
            (pace.ns_per_token, pace.burst_tokens, pace.floor_tokens_ns) =
                slower(&meter, now, pace.ns_per_token, pace.burst_tokens);
        }
        Some(pace)
    }

    /// The provider told about its limits.
    pub fn told(&mut self, now_ns: u64, facts: &RateFacts) {
        let now = seconds(now_ns);
        self.requests.heard(now, &facts.requests);
        self.tokens.heard(now, &facts.tokens);
    }

    /// The provider accepted a try: its first token came.
    pub fn accepted(&mut self, now_ns: u64) {
        self.learned.accepted(seconds(now_ns));
    }

    /// A try was served with so many tokens.
    pub fn served(&mut self, tokens: u64) {
        self.learned.served(tokens);
    }

    /// A try that began at `began_ns` was refused, and the pace is to blame.
    pub(crate) fn refused(&mut self, now_ns: u64, began_ns: u64, named: Named) {
        self.learned.refused(seconds(now_ns), seconds(began_ns), named);
    }

    /// A try was refused, and the window is to blame.
    pub(crate) fn spared(&mut self, now_ns: u64) {
        self.learned.spared(seconds(now_ns));
    }

    /// What was refused lately was refused because a queue was full.
    pub(crate) fn acquitted(&mut self, now_ns: u64) {
        self.learned.acquitted(seconds(now_ns));
    }

    /// Nobody begins before `until_ns`.
    pub fn paused(&mut self, now_ns: u64, until_ns: u64) {
        self.learned.paused(seconds(now_ns), seconds(until_ns));
    }

    /// Seconds that a try takes at the pace that was found.
    pub(crate) fn spacing(&self, now_ns: u64) -> Option<f64> {
        self.learned.pace(seconds(now_ns)).map(|(rate, _)| 1.0 / rate)
    }

    /// How the learned pace stands to what is refused.
    pub(crate) fn paced(&self, now_ns: u64) -> Paced {
        self.learned.paced(seconds(now_ns))
    }

    /// Whether the provider said that nothing is left.
    #[must_use]
    pub fn is_empty(&self, now_ns: u64) -> bool {
        let now = seconds(now_ns);
        self.requests.is_empty(now) || self.tokens.is_empty(now)
    }
}

/// Seconds of tokens that a learned pace lets come at once beyond its lull, so that it spreads only runs
/// of long requests.
const SPREAD: f64 = 2.0;

/// The slower one of a pace that was found and one that was told: nanoseconds per unit, burst and floor. What is
/// told to be left bounds both.
fn slower(meter: &Meter, now: f64, ns_per_unit: u64, burst: u64) -> (u64, u64, u64) {
    let told = nanos(1.0 / meter.per_second);
    if ns_per_unit == 0 || told > ns_per_unit {
        return (told, units(meter.burst), nanos(meter.floor));
    }
    // From when on anything is left, and what is missing by then to the burst that was found.
    let opens = meter.opens();
    let free = (now - opens).max(0.0) * meter.per_second;
    let missing = (burst as f64 - free).max(0.0) * ns_per_unit as f64 / 1e9;
    let floor = if missing > 0.0 { nanos(opens.max(now) + missing) } else { 0 };
    (ns_per_unit, burst, floor)
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Whole nanoseconds, at least one: a float that is too large for the type saturates.
fn nanos(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

/// Whole units, at least one.
fn units(units: f64) -> u64 {
    (units as u64).max(1)
}

#[cfg(test)]
mod tests;
