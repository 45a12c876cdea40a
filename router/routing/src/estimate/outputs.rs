//! How long a model's answers are.
//!
//! Lengths of answers to one kind of work are near to log-normal: the logarithm of the length has a mean
//! and a deviation, which are learnt as discounted moments. A cluster that has not been seen begins with
//! what is usual for its kind of work, moved by what this model has shown elsewhere (some models talk
//! twice as much as others, whatever they are asked).
//!
//! An answer that reached its limit tells only that it would have been longer. It counts as what a normal
//! distribution is expected to be beyond that point (its first two moments; the E step of Dempster, Laird,
//! Rubin, JRSS B 1977), or limits would teach that answers are short.

use atp_core::TaskKind;
use serde::{Deserialize, Serialize};

use super::Spread;
use super::moments::Moments;
use super::normal::{below, density};
use crate::task::{CLUSTERS, cluster_kind};

/// What an answer takes from the weight of all earlier ones of its cluster: the last 200 count.
const KEEP: f64 = 1.0 - 1.0 / 200.0;
/// The same for the model's own way, over all clusters.
const KEEP_SHIFT: f64 = 1.0 - 1.0 / 500.0;
/// As many answers stand behind what is believed of a cluster before any is seen.
const PRIOR_WEIGHT: f64 = 4.0;
/// As many stand behind the belief that a model talks as much as others.
const SHIFT_WEIGHT: f64 = 8.0;
/// The deviation of the logarithm never counts as less: 2 %, so that no limit divides by zero.
const LEAST_SIGMA: f64 = 0.02;
/// A limit so many deviations beyond the mean cuts nothing that counts.
const UNCUT: f64 = 6.0;
/// What a limit's answer may count as, in deviations beyond the limit: one far beyond what was
/// thought possible moves the mean step by step.
const FARTHEST: f64 = 6.0;

/// The learned distribution of output tokens, by cluster.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outputs {
    /// Moments of the logarithm of the output, by cluster; shorter than all clusters where the last ones
    /// have not been seen.
    clusters: Vec<Moments>,
    /// Moments of how much longer, as a logarithm, answers were than is usual for their kind of work.
    shift: Moments,
}

impl Outputs {
    /// The output tokens of one choice, at most `most`.
    #[must_use]
    pub fn expect(&self, cluster: u16, most: Option<u64>) -> Spread {
        let (mu, sigma) = self.logs(cluster);
        cut(mu, sigma, most.map(|most| most as f64))
    }

    /// The length that one choice has at least, where it is no shorter than `k` deviations below the median; at
    /// most `most`.
    #[must_use]
    pub fn least(&self, cluster: u16, most: Option<u64>, k: f64) -> f64 {
        let (mu, sigma) = self.logs(cluster);
        (mu - k * sigma).exp().min(most.map_or(f64::INFINITY, |most| most as f64))
    }

    /// Takes in the length of an answer that could have been at most `most` long.
    pub fn learn(&mut self, cluster: u16, most: Option<u64>, tokens: f64) {
        if most == Some(0) || !tokens.is_finite() {
            return;
        }
        let (mu, sigma) = self.logs(cluster);
        let log = tokens.max(1.0).ln();
        // Providers are off by a token where they cut.
        let (mean, square) = match most {
            Some(most) if tokens + 1.0 >= most as f64 => beyond(mu, sigma, log),
            _ => (log, log * log),
        };
        let (usual, _) = usual(cluster);
        self.shift.add(mean - usual, KEEP_SHIFT);
        if let Some(moments) = self.slot(cluster) {
            moments.add_expected(mean, square, KEEP);
        }
    }

    /// How many answers of a cluster are remembered, old ones counting less.
    #[must_use]
    pub fn seen(&self, cluster: u16) -> f64 {
        self.clusters.get(usize::from(cluster)).map_or(0.0, Moments::weight)
    }

    /// Mean and deviation of the logarithm.
    fn logs(&self, cluster: u16) -> (f64, f64) {
        let (mu, sigma) = usual(cluster);
        let shift = self.shift.with(Moments::prior(SHIFT_WEIGHT, 0.0, 0.0)).mean();
        let seen = self.clusters.get(usize::from(cluster)).copied().unwrap_or_default();
        let known = seen.with(Moments::prior(PRIOR_WEIGHT, mu + shift, sigma));
        (known.mean(), known.deviation().max(LEAST_SIGMA))
    }

    fn slot(&mut self, cluster: u16) -> Option<&mut Moments> {
        let place = usize::from(cluster.min(CLUSTERS - 1));
        if self.clusters.len() <= place {
            self.clusters.resize(place + 1, Moments::default());
        }
        self.clusters.get_mut(place)
    }
}

/// What is usual for a kind of work: the logarithm of the median, and its deviation. Medians of public
/// chat logs and of the benches of this repository, rounded; a few answers weigh more than they do.
fn usual(cluster: u16) -> (f64, f64) {
    let median: f64 = match cluster_kind(cluster) {
        Some(TaskKind::Classify) => 12.0,
        Some(TaskKind::Extract | TaskKind::Structure) => 120.0,
        Some(TaskKind::Summarize | TaskKind::Translate) => 180.0,
        Some(TaskKind::Chat) | None => 200.0,
        Some(TaskKind::Code | TaskKind::Reason) => 400.0,
    };
    (median.ln(), 1.0)
}

/// The logarithm of a length beyond `from`, of which no more is known: its expected first and second
/// moment, where the logarithm is normal.
fn beyond(mu: f64, sigma: f64, from: f64) -> (f64, f64) {
    let at = ((from - mu) / sigma).min(FARTHEST);
    let hazard = density(at) / below(-at);
    let mean = sigma * hazard;
    // Far out the numbers above are small differences: what is beyond is at least where it begins.
    let start = mu + sigma * at;
    let first = (mu + mean).max(start);
    let variance = (sigma * sigma * (1.0 + at * hazard - hazard * hazard)).max(0.0);
    // Where the answer is beyond anything believed, it counts as what it shows.
    let moved = first + (from - start).max(0.0);
    (moved, moved * moved + variance)
}

/// Mean and deviation of a log-normal length that is cut at `most`.
fn cut(mu: f64, sigma: f64, most: Option<f64>) -> Spread {
    let variance = sigma * sigma;
    let (first, second) = ((mu + variance / 2.0).exp(), (2.0 * mu + 2.0 * variance).exp());
    let Some(most) = most.filter(|most| most.is_finite()) else {
        return Spread { mean: first, deviation: (second - first * first).max(0.0).sqrt() };
    };
    if most <= 0.0 {
        return Spread::default();
    }
    let at = (most.ln() - mu) / sigma;
    if at > UNCUT + 2.0 * sigma {
        return Spread { mean: first, deviation: (second - first * first).max(0.0).sqrt() };
    }
    let at_most = below(-at);
    let mean = first * below(at - sigma) + most * at_most;
    let square = second * below(at - 2.0 * sigma) + most * most * at_most;
    let mean = mean.min(most);
    Spread { mean, deviation: (square - mean * mean).max(0.0).sqrt() }
}

#[cfg(test)]
mod tests;
