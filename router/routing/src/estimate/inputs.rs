//! How a provider counts a prompt that the router has counted by its own tokenizer.
//!
//! A provider's count is taken for `a + m * messages + b * tokens`, times a factor for the language and the
//! kind of work: `a` is what it puts before every prompt (a template, a system text of its own), `m` what its
//! frames of a message take more than OpenAI's, `b` its tokenizer. The three are a Bayesian linear
//! regression of the *relative* error (each sample divided by its tokens, because a share is what has to be
//! right), with exponential forgetting (recursive least squares; Haykin, "Adaptive Filter Theory"). The
//! factors are what is left, by language and within it by cluster, each shrunk towards one by the samples
//! that stand behind it, and taken out of a sample before the regression sees it (backfitting: Breiman and
//! Friedman, JASA 1985).

use atp_core::Language;
use serde::{Deserialize, Serialize};

use super::moments::Moments;
use super::{Ask, Spread};
use crate::task::CLUSTERS;

/// What a sample takes from the weight of all earlier ones: the last 300 count.
const KEEP: f64 = 1.0 - 1.0 / 300.0;
/// Samples behind the belief that a language's factor is one.
const LANGUAGE_WEIGHT: f64 = 2.0;
/// Samples behind the belief that a cluster's factor is its language's.
const CLUSTER_WEIGHT: f64 = 6.0;
/// The relative error that two counts of one text are thought to have, squared.
const NOISE: f64 = 0.03 * 0.03;
/// The prior of what is added per request (10 tokens), per message (3) and per token (15 %), each as a
/// precision in units of the noise.
const PRIOR: [f64; 3] = [NOISE / 100.0, NOISE / 9.0, NOISE / 0.0225];
/// The deviation of the relative error before any sample, and how many samples stand behind it.
const ERROR: Moments = Moments::prior(5.0, 0.0, 0.06);
/// What an image is thought to take: one of 1024 x 1024 at OpenAI.
const IMAGE: Moments = Moments::prior(2.0, 765.0, 400.0);
/// A factor that is learnt is at most this far from one, as a logarithm: 16 times.
const FARTHEST: f64 = 2.772;

/// The learned relation of a provider's count to the router's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// Discounted sums of products of the three features: the upper triangle, row by row.
    products: [f64; 6],
    /// Discounted sums of each feature times the relative error of the plain count.
    targets: [f64; 3],
    /// What follows from both: what is added per request, per message and per token.
    added: [f64; 3],
    /// Logarithms of factors, by language.
    languages: [Moments; Language::ALL.len()],
    /// Logarithms of factors within a language, by cluster: language times clusters plus cluster.
    clusters: Vec<Moments>,
    /// Relative errors of what was expected.
    errors: Moments,
    /// Tokens per image.
    images: Moments,
}

impl Inputs {
    /// The provider's input tokens.
    #[must_use]
    pub fn expect(&self, ask: &Ask) -> Spread {
        let text = self.text(ask);
        let error = self.errors.with(ERROR);
        // The mean error is an error too: it is the distance from zero that counts.
        let error = error.deviation().hypot(error.mean());
        let image = self.images.with(IMAGE);
        let images = f64::from(ask.images);
        Spread {
            mean: text + images * image.mean(),
            deviation: (text * error).hypot(images.sqrt() * image.deviation()),
        }
    }

    /// Takes in what the provider has counted; nothing where either count is missing.
    pub fn learn(&mut self, ask: &Ask, told: u64) {
        if told == 0 || (ask.tokens == 0 && ask.images == 0) {
            return;
        }
        let told = told as f64;
        let text = self.text(ask);
        if ask.images > 0 {
            self.images.add((told - text).max(0.0) / f64::from(ask.images), KEEP);
            return;
        }
        self.errors.add((told - text) / text.max(1.0), KEEP);
        self.regress(ask, told / self.factor(ask).exp());
        self.residual(ask, told);
    }

    /// One sample of the regression.
    fn regress(&mut self, ask: &Ask, told: f64) {
        let x = features(ask);
        let error = told / (ask.tokens as f64) - 1.0;
        let [a, m, b] = x;
        let products = [a * a, a * m, a * b, m * m, m * b, b * b];
        for (sum, product) in self.products.iter_mut().zip(products) {
            *sum = *sum * KEEP + product;
        }
        for (sum, feature) in self.targets.iter_mut().zip(x) {
            *sum = *sum * KEEP + feature * error;
        }
        self.added = solve(self.products, self.targets);
    }

    /// What the regression leaves goes to the factors.
    fn residual(&mut self, ask: &Ask, told: f64) {
        let left = (told / self.line(ask).max(1.0)).ln().clamp(-FARTHEST, FARTHEST);
        let language = self.language(ask.language);
        if let Some(moments) = self.languages.get_mut(ask.language as usize) {
            moments.add(left, KEEP);
        }
        let place = place(ask);
        if self.clusters.len() <= place {
            self.clusters.resize(place + 1, Moments::default());
        }
        if let Some(moments) = self.clusters.get_mut(place) {
            moments.add(left - language, KEEP);
        }
    }

    /// The count of a request's texts.
    fn text(&self, ask: &Ask) -> f64 {
        self.line(ask) * self.factor(ask).exp()
    }

    /// The count without factors; at least zero.
    fn line(&self, ask: &Ask) -> f64 {
        let tokens = ask.tokens.max(1) as f64;
        let [a, m, b] = self.added;
        let [x, y, z] = features(ask);
        (ask.tokens as f64 + tokens * (a * x + m * y + b * z)).max(0.0)
    }

    /// The logarithm of the factor of a request.
    fn factor(&self, ask: &Ask) -> f64 {
        let own = self.clusters.get(place(ask)).copied().unwrap_or_default();
        self.language(ask.language) + own.with(Moments::prior(CLUSTER_WEIGHT, 0.0, 0.0)).mean()
    }

    fn language(&self, language: Language) -> f64 {
        let own = self.languages.get(language as usize).copied().unwrap_or_default();
        own.with(Moments::prior(LANGUAGE_WEIGHT, 0.0, 0.0)).mean()
    }
}

/// A request, its messages and its tokens, each per token.
fn features(ask: &Ask) -> [f64; 3] {
    let tokens = ask.tokens.max(1) as f64;
    [1.0 / tokens, f64::from(ask.messages) / tokens, 1.0]
}

fn place(ask: &Ask) -> usize {
    ask.language as usize * usize::from(CLUSTERS) + usize::from(ask.cluster.min(CLUSTERS - 1))
}

/// Solves the normal equations with the prior on their diagonal by Cholesky's decomposition. The prior makes
/// the matrix positive definite, so that every root is of a number above zero.
fn solve([aa, am, ab, mm, mb, bb]: [f64; 6], [ta, tm, tb]: [f64; 3]) -> [f64; 3] {
    let [pa, pm, pb] = PRIOR;
    let root = |value: f64| value.max(f64::MIN_POSITIVE).sqrt();
    let l11 = root(aa + pa);
    let (l21, l31) = (am / l11, ab / l11);
    let l22 = root(mm + pm - l21 * l21);
    let l32 = (mb - l31 * l21) / l22;
    let l33 = root(bb + pb - l31 * l31 - l32 * l32);
    let y1 = ta / l11;
    let y2 = (tm - l21 * y1) / l22;
    let y3 = (tb - l31 * y1 - l32 * y2) / l33;
    let b = y3 / l33;
    let m = (y2 - l32 * b) / l22;
    let a = (y1 - l21 * m - l31 * b) / l11;
    [a, m, b]
}

#[cfg(test)]
mod tests;
