//! How an adapter fares: what its last calls took, and whether it wants new ones.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atp_core::{Error, Side};
use atp_proto::adapter::v1::{HealthResponse, HealthStatus};
use tonic::Status;

use crate::http_client::now;

/// How long a call counts, and how many at the most.
const MEMORY: Duration = Duration::from_secs(300);
const MOST: usize = 1024;

/// The share of failures from which an adapter says that it is degraded, and unhealthy; and how many calls it takes
/// to say so.
const DEGRADED: f64 = 0.1;
const UNHEALTHY: f64 = 0.5;
const ENOUGH: usize = 10;

/// How an adapter fares.
#[derive(Debug)]
pub struct Health {
    born: Instant,
    in_flight: AtomicU32,
    calls: AtomicU64,
    leaving: AtomicBool,
    teaches: AtomicBool,
    /// The last calls that have ended, the oldest first.
    ended: Mutex<VecDeque<Ended>>,
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    at: Instant,
    took: Duration,
    failed: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            born: now(),
            in_flight: AtomicU32::new(0),
            calls: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            teaches: AtomicBool::new(false),
            ended: Mutex::default(),
        }
    }
}

impl Health {
    /// Takes nothing new from now on.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Calls under way.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Somebody asks for estimates: from now on requests are learnt from.
    pub(super) fn teach(&self) {
        self.teaches.store(true, Ordering::Relaxed);
    }

    pub(super) fn teaches(&self) -> bool {
        self.teaches.load(Ordering::Relaxed)
    }

    /// A call has come.
    ///
    /// # Errors
    /// The adapter is leaving; the call has not been looked at, so that another one may be asked.
    pub(super) fn begin(self: &Arc<Self>) -> Result<Call, Status> {
        if self.leaving.load(Ordering::Relaxed) {
            return Err(Status::unavailable("this adapter is leaving; ask another one"));
        }
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Call { health: Arc::clone(self), began: now(), verdict: None })
    }

    /// What is told to who asks.
    #[must_use]
    pub fn told(&self) -> HealthResponse {
        let seen = self.seen();
        let mut took: Vec<f64> = seen.iter().map(|ended| ended.took.as_secs_f64() * 1e3).collect();
        took.sort_unstable_by(f64::total_cmp);
        let failed = seen.iter().filter(|ended| ended.failed).count();
        let rate = if seen.is_empty() { 0.0 } else { failed as f64 / seen.len() as f64 };
        let span = seen.first().map_or(0.0, |first| now().saturating_duration_since(first.at).as_secs_f64());
        HealthResponse {
            p95_ms: quantile(&took, 0.95),
            error_rate: rate,
            status: self.status(seen.len(), rate) as i32,
            in_flight: self.in_flight(),
            calls: self.calls.load(Ordering::Relaxed),
            p50_ms: quantile(&took, 0.5),
            p99_ms: quantile(&took, 0.99),
            requests_per_second: if span > 0.0 { seen.len() as f64 / span.max(1.0) } else { 0.0 },
            uptime_seconds: now().saturating_duration_since(self.born).as_secs(),
        }
    }

    fn status(&self, seen: usize, rate: f64) -> HealthStatus {
        if self.leaving.load(Ordering::Relaxed) {
            HealthStatus::Draining
        } else if seen < ENOUGH || rate < DEGRADED {
            HealthStatus::Healthy
        } else if rate < UNHEALTHY {
            HealthStatus::Degraded
        } else {
            HealthStatus::Unhealthy
        }
    }

    fn seen(&self) -> Vec<Ended> {
        let now = now();
        let ended = self.ended();
        ended.iter().filter(|ended| now.saturating_duration_since(ended.at) < MEMORY).copied().collect()
    }

    fn ended(&self) -> MutexGuard<'_, VecDeque<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The nearest rank; 0 of nothing.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// A call under way. Dropped without a word it has been left by who asked, which says nothing of the adapter.
pub(super) struct Call {
    health: Arc<Health>,
    began: Instant,
    verdict: Option<bool>,
}

impl Call {
    pub(super) fn served(&mut self) {
        self.verdict = Some(false);
    }

    /// It has failed; what was the caller's fault is served as well as can be.
    pub(super) fn failed(&mut self, error: &Error) {
        self.verdict = Some(error.side() != Side::Caller);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.health.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Some(failed) = self.verdict else { return };
        let at = now();
        let mut ended = self.health.ended();
        if ended.len() == MOST {
            ended.pop_front();
        }
        ended.push_back(Ended { at, took: at.saturating_duration_since(self.began), failed });
    }
}

#[cfg(test)]
mod tests {
    use atp_core::ErrorKind;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_figures_are_those_of_the_calls_that_ended() {
        let health = Arc::<Health>::default();
        for millis in 1..=100u64 {
            let mut call = health.begin().unwrap();
            tokio::time::advance(Duration::from_millis(millis)).await;
            if millis <= 20 {
                call.failed(&Error::provider(ErrorKind::ProviderFailed, "no"));
            } else {
                call.served();
            }
        }
        let told = health.told();
        assert_eq!((told.p50_ms, told.p95_ms, told.p99_ms), (50.0, 95.0, 99.0));
        assert!((told.error_rate - 0.2).abs() < 1e-9);
        assert_eq!((told.status, told.in_flight, told.calls), (HealthStatus::Degraded as i32, 0, 100));
        tokio::time::advance(MEMORY).await;
        assert_eq!(health.told().status, HealthStatus::Healthy as i32, "what is long ago is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_leaves_and_a_callers_fault_are_no_failures() {
        let health = Arc::<Health>::default();
        drop(health.begin().unwrap());
        let mut call = health.begin().unwrap();
        assert_eq!(health.in_flight(), 1);
        call.failed(&Error::caller(ErrorKind::InvalidRequest, "no"));
        drop(call);
        let told = health.told();
        assert_eq!((told.error_rate, told.in_flight, told.calls), (0.0, 0, 2));
    }

    #[test]
    fn who_leaves_takes_nothing_new() {
        let health = Arc::<Health>::default();
        health.leave();
        let refused = health.begin().err().unwrap();
        assert_eq!(refused.code(), tonic::Code::Unavailable);
        assert_eq!(health.told().status, HealthStatus::Draining as i32);
    }
}
