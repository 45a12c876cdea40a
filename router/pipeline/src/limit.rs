//! Step 2: request rate per key, then exchanges in flight. The cheapest refusals come first.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use atp_core::{Caller, Error, ErrorKind, Retry, Side};
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};

use crate::clock::LimiterClock;
use crate::live::Live;
use crate::permit::{Permit, Permits};
use crate::snapshot::{KeyLimit, RateLimit};

type Limiter = RateLimiter<NotKeyed, InMemoryState, LimiterClock>;

/// What a caller is told to wait when the gateway is full: places come back as answers end, which
/// nobody can foretell; a second is long enough not to make matters worse.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The longest time that a rate deals in. The limiter adds a few times a period, and a period times
/// the burst, in nanoseconds of 64 bits, which hold 584 years; beyond that it would panic or wrap.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// One key's limit and how much of it is used.
pub(crate) struct KeyState {
    limit: KeyLimit,
    limiter: Option<Arc<Limiter>>,
}

impl KeyState {
    /// Makes the states of `limits`, taking over from `before` those that are unchanged.
    pub(crate) fn resolve(limits: &[KeyLimit], before: &[Self]) -> Box<[Self]> {
        limits.iter().map(|limit| Self::one(limit, before)).collect()
    }

    fn one(limit: &KeyLimit, before: &[Self]) -> Self {
        let kept = before.iter().find(|state| state.limit == *limit).and_then(|state| state.limiter.clone());
        let fresh = || Some(Arc::new(Limiter::direct_with_clock(quota(limit.rate?)?, LimiterClock)));
        Self { limit: limit.clone(), limiter: kept.or_else(fresh) }
    }
}

/// None where the rate sets no bound.
fn quota(rate: RateLimit) -> Option<Quota> {
    let period = rate.period.min(CENTURY);
    let most = CENTURY.as_nanos().checked_div(period.as_nanos())?;
    let most = u32::try_from(most).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
    Some(Quota::with_period(period)?.allow_burst(rate.burst.min(most)))
}

/// Admits an exchange, or says why not.
pub(crate) fn admit(live: &Live, caller: &Caller, permits: &Arc<Permits>) -> Result<Permit, Error> {
    counts(live, caller)?;
    Permits::try_take(permits, live.max_concurrent).ok_or_else(|| full(live.max_concurrent))
}

/// Counts a request against its key's rate. What is answered at once, as a plan or a score, takes no more than
/// this.
///
/// # Errors
///
/// [`ErrorKind::RateLimited`], telling the rate and when there is room again.
pub(crate) fn counts(live: &Live, caller: &Caller) -> Result<(), Error> {
    if let Some(state) = state_of(live, caller)
        && let Some(limiter) = &state.limiter
        && let Err(refusal) = limiter.check()
    {
        return Err(rate_limited(state, &refusal));
    }
    Ok(())
}

/// The caller's state. A reload between authentication and here may have moved the keys, so the
/// name decides and the index is only where to look first.
fn state_of<'a>(live: &'a Live, caller: &Caller) -> Option<&'a KeyState> {
    let named = |state: &&KeyState| state.limit.key == caller.key;
    live.keys.get(caller.index).filter(named).or_else(|| live.keys.iter().find(named))
}

fn rate_limited(state: &KeyState, refusal: &NotUntil<std::time::Instant>) -> Error {
    let wait = refusal.wait_time_from(crate::clock::now());
    let text = match state.limit.rate {
        Some(rate) => format!(
            "the key `{}` may make {} requests a second and {} at once; try again in {} ms",
            state.limit.key,
            per_second(rate.period),
            rate.burst,
            wait.as_micros().div_ceil(1_000)
        ),
        None => String::from("the key's request rate is used up"),
    };
    Error::new(ErrorKind::RateLimited, Side::Caller, text).with_retry(Retry::After(wait))
}

/// How many requests a second a period stands for, as people write it: so many digits behind the
/// point that slow rates differ, and no zeros at their end.
fn per_second(period: Duration) -> String {
    let rate = 1.0 / period.as_secs_f64();
    let text = if rate < 1.0 { format!("{rate:.5}") } else { format!("{rate:.2}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn full(limit: usize) -> Error {
    let text = format!("the router answers {limit} requests already, which is its limit; try again in a second");
    Error::router(ErrorKind::Backpressure, text).with_retry(Retry::After(FULL_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_as_they_are_written() {
        let rates = [0.001, 0.0125, 0.5, 1.0, 1.5, 3.0, 10.0, 100.0, 12_345.0, 1e6];
        let told = rates.map(|rate| per_second(Duration::from_secs_f64(1.0 / rate)));
        let written = ["0.001", "0.0125", "0.5", "1", "1.5", "3", "10", "100", "12345.07", "1000000"];
        // A period in whole nanoseconds is not exactly that of 12,345 a second.
        assert_eq!(told, written);
    }

    #[test]
    fn the_slowest_rate_with_the_largest_burst_does_not_overflow() {
        for period in [Duration::from_secs(1_000), CENTURY, Duration::MAX] {
            let quota = quota(RateLimit { period, burst: NonZeroU32::MAX }).unwrap();
            let limiter = Limiter::direct_with_clock(quota, LimiterClock);
            let most = quota.burst_size().get();
            assert_eq!(u128::from(most), CENTURY.as_nanos() / period.min(CENTURY).as_nanos());
            assert!(limiter.check_n(quota.burst_size()).unwrap().is_ok() && limiter.check().is_err());
        }
    }

    #[test]
    fn no_time_between_requests_is_no_bound() {
        assert!(quota(RateLimit { period: Duration::ZERO, burst: NonZeroU32::MIN }).is_none());
    }
}
