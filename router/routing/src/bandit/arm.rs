//! One arm: how good it is, how sure it is to answer, and how often it was asked for what.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::change::{Change, Verdict};
use super::model::{Guess, Model, Prior};
use super::{Context, Lesson, UNKNOWN_WEIGHT, unit};

/// Clusters beyond these share the last place, so that a wrong number cannot take memory without bound.
const MOST_CLUSTERS: usize = 64;
/// Before any answer: 95 of 100 are served, as sure as after so many of them.
const SERVED: f64 = 0.95;
const SERVED_WEIGHT: f64 = 4.0;
/// Reliability is remembered over so many answers.
const SERVED_MEMORY: f64 = 200.0;
/// After a change what was known weighs as much as so many scores: more than nothing, less than the next word.
const REOPENED: f64 = 0.05;
/// So many of the last scores are at hand, to be learnt anew where a change lies in front of them.
const RECENT: usize = 16;

/// All that is learnt of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Arm {
    pub(super) model: Model,
    change: Change,
    served: Mean,
    /// What follows from `served`.
    reliability: Guess,
    places: Vec<Place>,
    /// Its last scores, the oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    recent: VecDeque<Recent>,
    /// Scores of its own since all arms have last faded for scores.
    #[serde(default)]
    told: u32,
}

/// A score that was told of late.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Recent {
    /// Which of all scores it was.
    number: u64,
    context: Context,
    score: (f64, f64),
}

/// What an arm did for one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// How often it was asked.
    pub(super) pulls: f64,
    pub(super) cost: Mean,
    pub(super) latency: Mean,
}

/// A mean whose past fades.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Mean {
    sum: f64,
    count: f64,
}

/// The place of a cluster.
pub(super) fn place(cluster: u16) -> usize {
    usize::from(cluster).min(MOST_CLUSTERS - 1)
}

impl Arm {
    pub(super) fn new(prior: Prior) -> Self {
        let served = Mean::default();
        Self {
            model: Model::new(prior),
            change: Change::default(),
            served,
            reliability: served.share(),
            places: Vec::new(),
            recent: VecDeque::new(),
            told: 0,
        }
    }

    /// Mean and variance of the share of requests that it answers: a Beta posterior.
    pub(super) const fn reliability(&self) -> Guess {
        self.reliability
    }

    /// The quality at a cluster as a Beta posterior over that cluster's scores alone.
    pub(super) fn quality(&self, cluster: u16, fresh: f64) -> Guess {
        let Prior { mean, weight } = self.model.prior();
        let (count, sum) = self.model.told(place(cluster));
        beta((mean, weight), (sum * fresh, count * fresh))
    }

    pub(super) fn place(&self, cluster: u16) -> Place {
        self.places.get(place(cluster)).copied().unwrap_or_default()
    }

    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// Takes in what is not about quality.
    pub(super) fn tell(&mut self, lesson: &Lesson) {
        let cluster = place(lesson.context.cluster);
        if self.places.len() <= cluster {
            self.places.resize(cluster + 1, Place::default());
        }
        if let Some(served) = lesson.served {
            self.served.fade(1.0 - 1.0 / SERVED_MEMORY);
            self.served.add(if served { 1.0 } else { 0.0 });
            self.reliability = self.served.share();
        }
        let Some(place) = self.places.get_mut(cluster) else { return };
        place.pulls += if lesson.served.is_some() { 1.0 } else { 0.0 };
        if let Some(cost) = lesson.cost {
            place.cost.add(unit(cost));
        }
        if let Some(latency) = lesson.latency {
            place.latency.add(unit(latency));
        }
    }

    /// Takes in a score, the one of this number.
    pub(super) fn score(&mut self, context: &Context, score: (f64, f64), number: u64) -> Verdict {
        let surprise = self.model.learn(context, place(context.cluster), score);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { number, context: *context, score });
        self.told += 1;
        self.change.feel(surprise, number)
    }

    /// Takes in a score that is no news by itself.
    pub(super) fn score_quietly(&mut self, context: &Context, score: (f64, f64)) {
        self.model.learn_quietly(context, place(context.cluster), score);
    }

    /// Takes back a score that was told before, of which so much weight is left.
    pub(super) fn take_back(&mut self, context: &Context, score: (f64, f64)) {
        self.model.take_back(context, place(context.cluster), score);
        // What is left of it has faded: it is known by what was told.
        let told = |recent: &Recent| recent.score.0.total_cmp(&score.0).is_eq() && recent.context == *context;
        if let Some(place) = self.recent.iter().rposition(told) {
            self.recent.remove(place);
        }
    }

    /// After a change somewhere, behind the score of this number: what was known is a hint, no more; what was told
    /// since holds.
    pub(super) fn reopen(&mut self, since: u64) {
        self.change = Change::default();
        self.model.keep_at_most(REOPENED);
        self.recent.retain(|recent| recent.number > since);
        self.model.learn_again(
            self.recent.iter().map(|recent| (&recent.context, place(recent.context.cluster), recent.score)),
        );
    }

    /// Forgets a little for the scores that were told: for its own `own` of it to each, for those of others `other`.
    pub(super) fn forget(&mut self, told: u32, own: f64, other: f64) {
        let mine = std::mem::take(&mut self.told).min(told);
        self.model.fade((1.0 - own * f64::from(mine) - other * f64::from(told - mine)).max(0.0));
    }

    /// What was stated of this arm has been disproved: it weighs no more than a guess.
    pub(super) fn doubt(&mut self) {
        let Prior { mean, weight } = self.model.prior();
        self.model.set_prior(Prior::new(mean, weight.min(UNKNOWN_WEIGHT)));
    }

    /// Everything counts this share of what it did.
    pub(super) fn fade(&mut self, factor: f64) {
        self.model.fade(factor);
        self.served.fade(factor);
        self.reliability = self.served.share();
        for place in &mut self.places {
            place.pulls *= factor;
            place.cost.fade(factor);
            place.latency.fade(factor);
        }
    }
}

impl Mean {
    pub(super) fn value(self) -> Option<f64> {
        (self.count > 0.0).then(|| unit(self.sum / self.count))
    }

    /// A Beta posterior over a share of requests served.
    fn share(self) -> Guess {
        beta((SERVED, SERVED_WEIGHT), (self.sum, self.count))
    }

    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn fade(&mut self, factor: f64) {
        self.sum *= factor;
        self.count *= factor;
    }
}

/// Mean and variance of a Beta posterior: a prior (mean, weight) and what was seen (sum, count).
fn beta(prior: (f64, f64), (sum, count): (f64, f64)) -> Guess {
    let weight = prior.1 + count;
    let mean = unit((prior.0 * prior.1 + sum) / weight);
    Guess { mean, variance: mean * (1.0 - mean) / (weight + 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beta_posterior_has_the_moments_of_the_textbook() {
        // Beta(1, 1) and 7 of 10: Beta(8, 4), mean 2/3, variance 8 x 4 / (12^2 x 13).
        let guess = beta((0.5, 2.0), (7.0, 10.0));
        assert!((guess.mean - 2.0 / 3.0).abs() < 1e-12, "{guess:?}");
        assert!((guess.variance - 32.0 / 1872.0).abs() < 1e-12, "{guess:?}");
    }

    #[test]
    fn reliability_follows_within_its_memory() {
        let mut arm = Arm::new(Prior::new(0.8, 10.0));
        let mut lesson = Lesson {
            arm: 0,
            context: Context::default(),
            weights: atp_core::Weights::of(atp_core::Quality::Fast),
            served: Some(true),
            quality: None,
            quiet: false,
            cost: Some(0.4),
            latency: None,
            now_ms: 0,
        };
        for _ in 0..5_000 {
            arm.tell(&lesson);
        }
        assert!(arm.reliability().mean > 0.99);
        lesson.served = Some(false);
        for _ in 0..400 {
            arm.tell(&lesson);
        }
        assert!(arm.reliability().mean < 0.2, "{:?}", arm.reliability());
        let place = arm.place(0);
        assert_eq!((place.pulls, place.latency.value()), (5_400.0, None));
        assert!(place.cost.value().is_some_and(|cost| (cost - 0.4).abs() < 1e-9));
    }
}
