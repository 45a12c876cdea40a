//! Who is served when: a rate limit, seats, and a bounded queue before them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atp_core::{RateFact, RateFacts};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::config::{SimulatedModel, SimulatedRateLimit};
use super::refusal::Refusal;

/// What stands before one model.
#[derive(Debug)]
pub(super) struct Gate {
    rate: Option<Rate>,
    seats: Option<Arc<Seats>>,
}

/// What a model tells about its rate limit, to callers and to the router.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) headers: HeaderMap,
    pub(super) limits: RateFacts,
}

/// The right to be served. Dropping it lets the next one in.
#[derive(Debug)]
#[expect(dead_code, reason = "both are held for their drop")]
pub(super) struct Seat(Option<(Present, OwnedSemaphorePermit)>);

#[derive(Debug)]
struct Seats {
    /// Hands out seats first come, first served, also past those who try without waiting.
    free: Arc<Semaphore>,
    capacity: u32,
    queue_len: u32,
    /// Who is served and who waits, together.
    present: AtomicU32,
}

/// Counts one who is served or waits, until dropped.
#[derive(Debug)]
struct Present(Arc<Seats>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(super) fn new(model: &SimulatedModel) -> Self {
        let seats = |capacity: u32| {
            let free = Arc::new(Semaphore::new(capacity as usize));
            Arc::new(Seats { free, capacity, queue_len: model.queue_len, present: AtomicU32::new(0) })
        };
        Self { rate: model.rate_limit.map(Rate::new), seats: model.capacity.map(seats) }
    }

    /// Takes one request from the rate limit and tells what is left.
    pub(super) fn count(&self, now: Instant) -> (Facts, Result<(), Refusal>) {
        match &self.rate {
            None => (Facts::default(), Ok(())),
            Some(rate) => rate.count(now),
        }
    }

    /// Waits for a seat in the order of arrival.
    pub(super) async fn seat(&self) -> Result<Seat, Refusal> {
        let Some(seats) = &self.seats else { return Ok(Seat(None)) };
        let before = seats.present.fetch_add(1, Ordering::Relaxed);
        let present = Present(Arc::clone(seats));
        if before >= seats.capacity.saturating_add(seats.queue_len) {
            let text = format!(
                "all {} seats of the simulated model are taken and its queue of {} is full",
                seats.capacity, seats.queue_len
            );
            return Err(Refusal::overloaded(text, Duration::from_secs(1)));
        }
        // The semaphore is never closed; if it were, serving without a seat is the lesser evil.
        let permit = Arc::clone(&seats.free).acquire_owned().await.ok();
        Ok(Seat(permit.map(|permit| (present, permit))))
    }

    /// How many requests are served and how many wait; (0, 0) without a capacity.
    #[cfg(test)]
    pub(super) fn load(&self) -> (u32, u32) {
        let Some(seats) = &self.seats else { return (0, 0) };
        let served = seats.capacity - u32::try_from(seats.free.available_permits()).unwrap();
        (served, seats.present.load(Ordering::Relaxed) - served)
    }
}

/// A token bucket in the form of the generic cell rate algorithm: one time instead of a level.
#[derive(Debug)]
struct Rate {
    limit: SimulatedRateLimit,
    /// The time that one request is worth.
    cell: Duration,
    /// When the bucket will be full again.
    full_at: Mutex<Option<Instant>>,
}

impl Rate {
    fn new(limit: SimulatedRateLimit) -> Self {
        // Checked at start to be above 0; a cell of a year at most, so that sums stay in range.
        let seconds = (1.0 / limit.requests_per_second).clamp(1e-9, 31_536_000.0);
        Self { limit, cell: Duration::from_secs_f64(seconds), full_at: Mutex::new(None) }
    }

    fn count(&self, now: Instant) -> (Facts, Result<(), Refusal>) {
        let bucket = self.cell.saturating_mul(self.limit.burst);
        let mut slot = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let owed = slot.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now));
        let after = owed.saturating_add(self.cell);
        let allowed = after <= bucket;
        if allowed {
            *slot = now.checked_add(after);
        }
        drop(slot);
        let owed = if allowed { after } else { owed };
        let facts = self.facts(bucket, owed);
        if allowed {
            return (facts, Ok(()));
        }
        let pause = after.saturating_sub(bucket);
        let text = format!(
            "rate limit reached: {} requests a second with a burst of {}; try again in {} ms",
            self.limit.requests_per_second,
            self.limit.burst,
            pause.as_millis().max(1)
        );
        (facts, Err(Refusal::overloaded(text, pause)))
    }

    /// OpenAI's three headers: the limit of a minute, what may come at once, and the time until all
    /// of the burst may, written as Go writes durations.
    fn facts(&self, bucket: Duration, owed: Duration) -> Facts {
        let left = bucket.saturating_sub(owed).as_secs_f64() / self.cell.as_secs_f64();
        // The tiny addend undoes the division's rounding: a whole number of cells stays whole.
        let remaining = (left + 1e-6).floor() as u64;
        let limit = (60.0 / self.cell.as_secs_f64() + 1e-6).floor() as u64;
        // Rounded up: who waits for it finds it done.
        let reset = u64::try_from(owed.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let mut headers = HeaderMap::with_capacity(6);
        let mut set = |name: &'static str, value: HeaderValue| {
            headers.insert(HeaderName::from_static(name), value);
        };
        set("x-ratelimit-limit-requests", HeaderValue::from(limit));
        set("x-ratelimit-remaining-requests", HeaderValue::from(remaining));
        if let Ok(reset) = HeaderValue::try_from(format!("{reset}ms")) {
            set("x-ratelimit-reset-requests", reset);
        }
        let reset = Some(Duration::from_millis(reset));
        let requests = RateFact { limit: Some(limit), remaining: Some(remaining), reset };
        Facts { headers, limits: RateFacts { requests, ..RateFacts::default() } }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use atp_dialects::openai::errors;

    use super::*;

    fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_one_request_a_cell() {
        let rate = Rate::new(SimulatedRateLimit { requests_per_second: 2.0, burst: 3 });
        let start = Instant::now();
        for left in ["2", "1", "0"] {
            let (facts, result) = rate.count(start);
            assert_eq!(facts.headers["x-ratelimit-remaining-requests"], left);
            result.unwrap();
        }
        let (facts, result) = rate.count(start);
        assert_eq!(facts.headers["x-ratelimit-limit-requests"], "120", "in a minute, as real ones mean it");
        assert_eq!(facts.headers["x-ratelimit-reset-requests"], "1500ms");
        let read = errors::passthrough_headers(&facts.headers, &mut HeaderMap::new(), || Duration::ZERO);
        assert_eq!(facts.limits, read, "the router is told what callers are told");
        let pause = result.unwrap_err().retry_after.unwrap();
        assert_eq!(pause, Duration::from_millis(500));
        // Who waits as told is served, and only he.
        rate.count(start + pause).1.unwrap();
        rate.count(start + pause).1.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn seats_are_taken_in_order_and_given_back_on_drop() {
        let gate = Gate::new(&SimulatedModel { capacity: Some(1), queue_len: 1, ..SimulatedModel::default() });
        let first = gate.seat().await.unwrap();
        let mut second = Box::pin(gate.seat());
        assert!(poll(&mut second).is_pending());
        assert_eq!(gate.load(), (1, 1));
        let refusal = gate.seat().await.unwrap_err();
        assert_eq!(refusal.status, 429);
        drop(first);
        // The seat is the waiter's, also against one who comes just now.
        let mut third = Box::pin(gate.seat());
        assert!(poll(&mut third).is_pending());
        let second = second.await.unwrap();
        assert_eq!(gate.load(), (1, 1));
        drop(third);
        assert_eq!(gate.load(), (1, 0));
        drop(second);
        assert_eq!(gate.load(), (0, 0));
    }
}
