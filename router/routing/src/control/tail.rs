//! The times of answers, and the percentile after which a hedge may start.

use std::time::{Duration, Instant};

use crate::quantile::Quantiles;

/// The percentile is computed again after so many samples: reading it walks the whole histogram.
const REFRESH: u32 = 16;

/// Times, and what is read from them now and then.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    pub(super) times: Quantiles,
    /// The 95th percentile, where enough samples are known.
    pub(super) p95: Option<Duration>,
    unread: u32,
}

impl Tail {
    pub(super) fn new(now: Instant) -> Self {
        Self { times: Quantiles::new(now), p95: None, unread: 0 }
    }

    pub(super) fn add(&mut self, now: Instant, took: Duration) {
        self.times.add(now, took);
        self.unread += 1;
        if self.unread >= REFRESH {
            self.unread = 0;
            self.p95 = self.times.tail(now, 0.95);
        }
    }
}
