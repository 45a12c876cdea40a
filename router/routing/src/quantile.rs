//! Quantiles of a duration over the recent past, in constant memory.
//!
//! A histogram whose buckets grow by a constant factor, so that each quantile is off by at most
//! [`ERROR`] of its value, whatever the distribution: DDSketch (Masson, Rim, Lee, VLDB 2019). Old
//! samples are forgotten exponentially by weighing new ones more (forward decay: Cormode et al.,
//! ICDE 2009), so that adding a sample touches one bucket. Two histograms of the same age add up.
//!
//! Proof: against sorted samples of random distributions, in the tests. Units: durations from 100 us
//! to about three hours; what lies outside is counted at the edge.

use std::time::{Duration, Instant};

/// The largest relative error of a quantile: 5 %.
pub const ERROR: f64 = 0.05;

/// After this long a sample counts half.
pub const HALF_LIFE: Duration = Duration::from_secs(120);

/// Fewer samples than this, after forgetting, tell nothing about a tail.
pub const ENOUGH: f64 = 20.0;

const BUCKETS: usize = 186;
/// The upper edge of the first bucket, in nanoseconds.
const LEAST: f64 = 100_000.0;
/// Ratio of two edges, `(1 + ERROR) / (1 - ERROR)`.
const GROWTH: f64 = (1.0 + ERROR) / (1.0 - ERROR);
/// `1 / ln(GROWTH)`.
const PER_LN: f64 = 9.991_661_103_824_153;
/// Weights are brought back to 1 before they cost precision.
const HEAVIEST: f64 = 1_024.0;

/// The histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles {
    buckets: [f32; BUCKETS],
    total: f64,
    /// When a sample weighs 1.
    unit_at: Instant,
}

impl Quantiles {
    /// An empty histogram.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { buckets: [0.0; BUCKETS], total: 0.0, unit_at: now }
    }

    /// Adds a sample.
    pub fn add(&mut self, now: Instant, sample: Duration) {
        let mut weight = self.weight(now);
        if weight > HEAVIEST {
            self.rescale(weight, now);
            weight = 1.0;
        }
        if let Some(bucket) = self.buckets.get_mut(place(sample)) {
            *bucket += weight as f32;
            self.total += weight;
        }
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        // Expressed in this one's unit: a unit of the other weighs as a sample of that time does here.
        let ratio =
            if other.unit_at >= self.unit_at { self.weight(other.unit_at) } else { 1.0 / other.weight(self.unit_at) };
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs * ratio as f32;
        }
        self.total += other.total * ratio;
    }

    /// How many samples it stands for at `now`, old ones counting less.
    #[must_use]
    pub fn samples(&self, now: Instant) -> f64 {
        self.total / self.weight(now)
    }

    /// The value that `share` (0 to 1) of the samples do not exceed; `None` without samples.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        if self.total <= 0.0 {
            return None;
        }
        let wanted = share.clamp(0.0, 1.0) * self.total;
        let mut seen = 0.0;
        let mut last = 0;
        for (place, bucket) in self.buckets.iter().enumerate() {
            if *bucket > 0.0 {
                seen += f64::from(*bucket);
                last = place;
                if seen >= wanted {
                    break;
                }
            }
        }
        Some(value(last))
    }

    /// [`Quantiles::quantile`], where there are [`ENOUGH`] samples for a tail.
    #[must_use]
    pub fn tail(&self, now: Instant, share: f64) -> Option<Duration> {
        if self.samples(now) < ENOUGH { None } else { self.quantile(share) }
    }

    /// Forgets everything.
    pub fn clear(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    fn weight(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.unit_at).as_secs_f64();
        (age / HALF_LIFE.as_secs_f64()).exp2()
    }

    fn rescale(&mut self, weight: f64, now: Instant) {
        for bucket in &mut self.buckets {
            // Far below one sample: gone, so that no denormal slows the sum.
            let scaled = f64::from(*bucket) / weight;
            *bucket = if scaled < 1e-6 { 0.0 } else { scaled as f32 };
        }
        self.total = self.buckets.iter().map(|bucket| f64::from(*bucket)).sum();
        self.unit_at = now;
    }
}

/// The bucket of a sample.
fn place(sample: Duration) -> usize {
    let ratio = sample.as_nanos() as f64 / LEAST;
    if ratio <= 1.0 {
        return 0;
    }
    // At least zero, and a float that is too large for the type saturates.
    ((ratio.ln() * PER_LN).ceil() as usize).min(BUCKETS - 1)
}

/// The value a bucket stands for: the one that no member of it is further from than [`ERROR`].
fn value(place: usize) -> Duration {
    let place = i32::try_from(place).unwrap_or(i32::MAX);
    let upper = LEAST * GROWTH.powi(place);
    Duration::from_nanos((upper * (1.0 - ERROR)) as u64)
}

#[cfg(test)]
mod tests;
