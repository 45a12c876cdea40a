//! How good an arm's answers are: a discounted Bayesian linear regression with an offset per task cluster.
//!
//! The model of a score is `y = m0 + x . theta + delta[cluster] + noise`, with independent normal priors
//! of mean 0 for each part of `theta` and for each `delta`, precisions in units of one score:
//! the first part of `theta` (the bias) has the weight of the stated quality, so that `m0` is worth that many
//! scores; the features have [`FEATURE_PRECISION`]; the offsets have [`CLUSTER_PRECISION`]. What all clusters
//! have in common is thus learnt once, and what sets one apart only as fast as its own scores bear it out.
//!
//! *Source.* The mixed linear model of Henderson (1950); as a bandit it is the hybrid model of Li, Chu, Langford and
//! Schapire, "A contextual-bandit approach to personalized news article recommendation" (2010), whose block
//! elimination is used: the precision matrix is an arrow, each offset is eliminated exactly, and what is left to
//! invert has the size of the features. Forgetting is that of Russac, Vernade and Cappe, "Weighted linear bandits
//! for non-stationary environments" (2019): the sums fade, the prior does not.
//!
//! *Property.* Mean and variance are those of the joint posterior over `theta` and all offsets
//! (the tests compare with a direct solution of the whole system). With `z = x - X_c / (n_c + l)` the mean
//! is `m0 + z . theta + y_c / (n_c + l)` and the variance `z S^-1 z + 1 / (n_c + l)`, times that of the noise.
//!
//! *Units.* Scores from 0 to 1; weights in scores; features from -1 to 1, the first being 1.

use serde::{Deserialize, Serialize};

use super::Context;
use super::matrix::{Half, Matrix, Vector, ZERO, ZEROS, add_outer, add_scaled, dot, inverse, times};

/// A feature is expected to move a score by about `deviation of the noise / sqrt(this)`: 0.12 at 0.2.
const FEATURE_PRECISION: f64 = 3.0;
/// A cluster is expected to differ from the arm's mean by about 0.14, at a noise of 0.2.
const CLUSTER_PRECISION: f64 = 2.0;
/// The least weight of a prior mean: less and the first score would be everything.
const LEAST_PRIOR: f64 = 0.5;
/// The deviation of a score about its mean before any is known, and how many scores that guess weighs.
const NOISE: f64 = 0.2;
const NOISE_WEIGHT: f64 = 8.0;
/// Noise is remembered over so many scores.
const NOISE_MEMORY: f64 = 200.0;
/// Scores that are nearly alike must not make the model certain: the least deviation.
const LEAST_NOISE: f64 = 0.02;

/// What is learnt of an arm's quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Data", into = "Data")]
pub(super) struct Model {
    data: Data,
    /// The inverse of what is left of the precision matrix once the offsets are eliminated.
    spread: Half,
    theta: Vector,
    /// The variance of one score about its mean.
    variance: f64,
}

/// The sums that everything else follows from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Data {
    prior: Prior,
    /// Sum of `w x xT`.
    outer: Matrix,
    /// Sum of `w x (y - m0)`.
    sum: Vector,
    cells: Vec<Cell>,
    /// Sum of squared standardised errors, and their number.
    noise: (f64, f64),
}

/// What is stated of a quality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Prior {
    pub(super) mean: f64,
    /// In scores.
    pub(super) weight: f64,
}

/// The scores of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Cell {
    /// Sum of `w x`.
    x: Vector,
    /// Sum of `w`.
    n: f64,
    /// Sum of `w (y - m0)`.
    y: f64,
}

/// A normal belief about a quality at one request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Guess {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

impl Prior {
    /// A prior that makes sense, whatever was configured.
    pub(super) fn new(mean: f64, weight: f64) -> Self {
        let weight = if weight.is_finite() { weight.clamp(LEAST_PRIOR, 1e6) } else { LEAST_PRIOR };
        Self { mean: super::unit(mean), weight }
    }
}

impl From<Data> for Model {
    fn from(data: Data) -> Self {
        let mut model = Self { data, spread: Half::of(&ZEROS), theta: ZERO, variance: NOISE * NOISE };
        model.solve();
        model
    }
}

impl From<Model> for Data {
    fn from(model: Model) -> Self {
        model.data
    }
}

impl Model {
    pub(super) fn new(prior: Prior) -> Self {
        Data { prior, outer: ZEROS, sum: ZERO, cells: Vec::new(), noise: (0.0, 0.0) }.into()
    }

    /// The weight of all scores, faded.
    pub(super) fn weight(&self) -> f64 {
        self.data.outer[0][0].max(0.0)
    }

    /// The weight of a cluster's scores, and the sum of those scores, each times its weight.
    pub(super) fn told(&self, cluster: usize) -> (f64, f64) {
        let cell = self.cell(cluster);
        (cell.n, (cell.y + self.data.prior.mean * cell.n).clamp(0.0, cell.n))
    }

    /// The mean of the features of a cluster's scores.
    pub(super) fn typical(&self, cluster: usize) -> Option<Vector> {
        let cell = self.cell(cluster);
        (cell.n > 0.0).then(|| cell.x.map(|x| x / cell.n))
    }

    pub(super) const fn prior(&self) -> Prior {
        self.data.prior
    }

    /// The variance of one score about its mean.
    pub(super) const fn noise(&self) -> f64 {
        self.variance
    }

    /// What is believed of a request's score, where what was learnt counts `fresh` of what it did.
    pub(super) fn guess(&self, context: &Context, cluster: usize, fresh: f64) -> Guess {
        let cell = self.data.cells.get(cluster);
        let (z, own, offset) = match cell {
            Some(cell) => {
                let own = 1.0 / (cell.n + CLUSTER_PRECISION);
                let mut z = context.x;
                add_scaled(&mut z, -own, &cell.x);
                (z, own, cell.y * own)
            }
            None => (context.x, 1.0 / CLUSTER_PRECISION, 0.0),
        };
        let effect = dot(&z, &self.theta) + offset;
        let spread = self.spread.square(&z) + own;
        let (effect, spread) =
            if fresh < 1.0 { self.faded((effect, spread), context, fresh) } else { (effect, spread) };
        Guess { mean: super::unit(self.data.prior.mean + effect), variance: spread.max(0.0) * self.noise() }
    }

    /// What a guess becomes when the scores behind it fade: exact for one number, and for many an
    /// approximation that is used until the next lesson solves anew.
    fn faded(&self, (effect, spread): (f64, f64), context: &Context, fresh: f64) -> (f64, f64) {
        let squares: f64 = context.x.iter().skip(1).map(|x| x * x).sum();
        let before = 1.0 / (1.0 / self.data.prior.weight + squares / FEATURE_PRECISION + 1.0 / CLUSTER_PRECISION);
        let now = 1.0 / spread.max(1e-12);
        let learnt = (now - before).max(0.0) * fresh;
        let precision = before + learnt;
        (effect * fresh * now / precision.max(now * fresh), 1.0 / precision)
    }

    /// Takes in a score; returns how many standard deviations it lies above what was expected.
    pub(super) fn learn(&mut self, context: &Context, cluster: usize, (score, weight): (f64, f64)) -> f64 {
        let guess = self.guess(context, cluster, 1.0);
        let relative = 1.0 / weight + guess.variance / self.noise();
        let error = score - guess.mean;
        let surprise = error / (self.noise() * relative).sqrt();
        let kept = (1.0 - 1.0 / NOISE_MEMORY).powf(weight);
        let noise = &mut self.data.noise;
        // A score of little weight says as little about the noise.
        let counts = weight.min(1.0);
        *noise = (noise.0 * kept + counts * error * error / relative, noise.1 * kept + counts);

        self.add(context, cluster, (score, weight));
        surprise
    }

    /// Takes in a score that tells nothing of the noise: one that takes another's place, or a comparison's.
    pub(super) fn learn_quietly(&mut self, context: &Context, cluster: usize, score: (f64, f64)) {
        self.add(context, cluster, score);
    }

    /// Takes back a score that was learnt before and of which so much weight is left, so that another one can
    /// take its place. What it told about the noise stays. No more is taken than there is: a matrix stays positive
    /// definite as long as the weight times the relative variance is below 1, and the score may have faded more
    /// than whoever takes it back can know.
    pub(super) fn take_back(&mut self, context: &Context, cluster: usize, (score, weight): (f64, f64)) {
        let spread = self.guess(context, cluster, 1.0).variance / self.noise();
        let most = (0.9 / spread.max(1e-9)).min(self.cell(cluster).n);
        self.add(context, cluster, (score, -weight.min(most).max(0.0)));
    }

    /// Takes in scores that were learnt before, and have been forgotten since.
    pub(super) fn learn_again<'a>(&mut self, scores: impl Iterator<Item = (&'a Context, usize, (f64, f64))>) {
        scores.for_each(|(context, cluster, score)| self.sum_up(context, cluster, score));
        self.solve();
    }

    fn add(&mut self, context: &Context, cluster: usize, score: (f64, f64)) {
        self.sum_up(context, cluster, score);
        self.solve();
    }

    fn sum_up(&mut self, context: &Context, cluster: usize, (score, weight): (f64, f64)) {
        let excess = score - self.data.prior.mean;
        add_outer(&mut self.data.outer, weight, &context.x);
        add_scaled(&mut self.data.sum, weight * excess, &context.x);
        if self.data.cells.len() <= cluster {
            self.data.cells.resize(cluster + 1, Cell::default());
        }
        if let Some(cell) = self.data.cells.get_mut(cluster) {
            add_scaled(&mut cell.x, weight, &context.x);
            cell.n = (cell.n + weight).max(0.0);
            cell.y += weight * excess;
        }
    }

    /// Fades what was learnt so that it weighs at most this many scores.
    pub(super) fn keep_at_most(&mut self, weight: f64) {
        self.fade((weight / self.weight().max(1e-12)).min(1.0));
    }

    /// Everything learnt counts this share of what it did.
    pub(super) fn fade(&mut self, factor: f64) {
        if factor < 1.0 {
            for value in self.data.outer.iter_mut().flatten().chain(&mut self.data.sum) {
                *value *= factor;
            }
            for cell in &mut self.data.cells {
                cell.x.iter_mut().for_each(|value| *value *= factor);
                cell.n *= factor;
                cell.y *= factor;
            }
        }
        self.solve();
    }

    /// Another prior: sums that are counted from its mean are moved there.
    pub(super) fn set_prior(&mut self, prior: Prior) {
        let shift = self.data.prior.mean - prior.mean;
        // The first feature is always 1, so the first column holds the sums of the features.
        let features = self.data.outer[0];
        add_scaled(&mut self.data.sum, shift, &features);
        for cell in &mut self.data.cells {
            cell.y += shift * cell.n;
        }
        self.data.prior = prior;
        self.solve();
    }

    fn cell(&self, cluster: usize) -> Cell {
        self.data.cells.get(cluster).copied().unwrap_or_default()
    }

    /// Eliminates the offsets and inverts what is left. Some 3 us: once per score, never per choice.
    fn solve(&mut self) {
        let mut precision = self.data.outer;
        for (place, row) in precision.iter_mut().enumerate() {
            if let Some(value) = row.get_mut(place) {
                *value += if place == 0 { self.data.prior.weight } else { FEATURE_PRECISION };
            }
        }
        let mut sum = self.data.sum;
        for cell in self.data.cells.iter().filter(|cell| cell.n > 0.0) {
            let own = 1.0 / (cell.n + CLUSTER_PRECISION);
            add_outer(&mut precision, -own, &cell.x);
            add_scaled(&mut sum, -own * cell.y, &cell.x);
        }
        let inverse = inverse(&precision);
        self.theta = times(&inverse, &sum);
        self.spread = Half::of(&inverse);
        let (errors, count) = self.data.noise;
        let variance = (NOISE * NOISE * NOISE_WEIGHT + errors) / (NOISE_WEIGHT + count);
        self.variance = variance.max(LEAST_NOISE * LEAST_NOISE);
    }
}

#[cfg(test)]
mod tests;
