//! What has been learnt, and the choice that is made with it.

use atp_core::{Terms, Weights};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::arm::Arm;
use super::change::Verdict;
use super::matrix::Vector;
use super::model::{Guess, Prior};
use super::{ArmNow, ArmRules, Belief, BrainRules, Context, Lesson, Pick, Scored, Strategy, arm, unit};
use super::{UNKNOWN_QUALITY, UNKNOWN_WEIGHT, spread, thompson, ucb, worth};

/// What was learnt fades in steps of this part of the half-life, all arms at once.
const STEPS: u64 = 64;
/// With each score that is told of an arm the others fade as one of so many scores does, times the number of arms. So what
/// is known of an arm that is seldom asked rests on a score or two and on its prior: it is soon worth a try
/// again, and little is enough to change what is thought of it.
const OTHERS_MEMORY: f64 = 18.0;
/// And it fades itself as one of so many: an arm that is asked often remembers more of its scores, which follow one another
/// soon enough to tell when it changes.
const OWN_MEMORY: f64 = 80.0;
/// A few arms fade no sooner than this many do.
const LEAST_ARMS: f64 = 5.0;
/// That fading is done once in so many scores.
const MEMORY_STEP: u32 = 8;
/// What one score weighs at most.
const MOST_WEIGHT: f64 = 10.0;

/// What has been learnt, and how it is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Brain {
    pub(super) rules: BrainRules,
    pub(super) arms: Vec<Arm>,
    /// Until when the fading has been done; `None` before the first lesson.
    faded_ms: Option<u64>,
    /// How often an arm was found not to be what it was.
    changes: u64,
    /// Scores told since the last fading for them.
    told: u32,
    /// All scores that were told.
    #[serde(default)]
    scores: u64,
}

/// A request, as every arm is looked at for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    context: Context,
    /// What is left of what counted fully when it was last faded.
    fresh: f64,
}

impl Brain {
    /// Nothing learnt yet.
    #[must_use]
    pub fn new(rules: BrainRules) -> Self {
        let arms = rules.arms.iter().map(|arm| Arm::new(prior(arm, rules.prior_weight))).collect();
        Self { rules, arms, faded_ms: None, changes: 0, told: 0, scores: 0 }
    }

    /// What is configured.
    #[must_use]
    pub const fn rules(&self) -> &BrainRules {
        &self.rules
    }

    /// How often an arm was found not to be what it was.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// After a reload: arms of the same name keep what they learnt, on top of what is stated of them now.
    pub fn adopt(&mut self, before: &Self) {
        for (rules, arm) in self.rules.arms.iter().zip(&mut self.arms) {
            let place = before.rules.arms.iter().position(|old| old.name == rules.name);
            let old = place.and_then(|place| before.rules.arms.get(place).zip(before.arms.get(place)));
            let Some((old_rules, old)) = old else { continue };
            let (was, is) = (prior(old_rules, before.rules.prior_weight), prior(rules, self.rules.prior_weight));
            arm.clone_from(old);
            // What is stated as before may have been disproved since.
            if was != is {
                arm.model.set_prior(is);
            }
        }
        (self.faded_ms, self.changes) = (before.faded_ms, before.changes);
        (self.told, self.scores) = (before.told, before.scores);
    }

    /// Chooses; `None` where no arm is given that is known. Draws one number.
    pub fn pick(
        &self,
        context: &Context,
        weights: Weights,
        arms: &[ArmNow],
        now_ms: u64,
        dice: &mut impl Rng,
    ) -> Option<Pick> {
        let sight = self.sight(context, now_ms);
        self.pick_seen(&sight, weights, arms, |arm| self.guess(&sight, arm), dice)
    }

    /// The same, where what is believed of each arm's quality at this request is known already.
    pub(crate) fn pick_seen(
        &self,
        sight: &Sight,
        weights: Weights,
        arms: &[ArmNow],
        guess: impl Fn(usize) -> Option<Guess>,
        dice: &mut impl Rng,
    ) -> Option<Pick> {
        let weights = sane(weights);
        let mut scored: SmallVec<[Scored; 8]> = SmallVec::with_capacity(arms.len());
        let known = arms.iter().filter_map(|now| Some((now, self.arms.get(now.arm)?, guess(now.arm)?)));
        known.for_each(|(now, arm, quality)| scored.push(self.scored(weights, now, arm, quality)));
        let greedy = spread::highest(&scored);
        let cap = unit(self.rules.explore);
        match self.rules.strategy {
            Strategy::Contextual => spread::matched(&mut scored, greedy, cap),
            Strategy::Thompson => {
                thompson::weigh(&mut scored);
                spread::capped(&mut scored, greedy, cap);
            }
            Strategy::Ucb => {
                let pulls = |arm: usize| self.arms.get(arm).map_or(0.0, |arm| arm.place(sight.context.cluster).pulls);
                let winner = ucb::bound(&mut scored, |arm| pulls(arm) * sight.fresh);
                spread::certain(&mut scored, winner);
            }
            Strategy::Cheapest => spread::certain(&mut scored, greedy),
        }
        let place = spread::drawn(&scored, greedy, dice.random::<f64>());
        Some(Pick { chosen: scored.get(place)?.arm, scored, explored: place != greedy })
    }

    /// What an arm is worth, before chance has a part in it.
    fn scored(&self, weights: Weights, now: &ArmNow, arm: &Arm, quality: Guess) -> Scored {
        let reliability = arm.reliability();
        let (cost, latency) = (unit(now.cost), unit(now.latency));
        let whole = weights.quality * quality.mean + weights.cost * cost + weights.latency * latency;
        let score = match self.rules.strategy {
            Strategy::Cheapest => cost,
            _ => reliability.mean * whole,
        };
        let by_quality = reliability.mean * weights.quality;
        let variance = by_quality * by_quality * quality.variance + whole * whole * reliability.variance;
        let terms = Terms {
            quality: quality.mean,
            cost,
            latency,
            reliability: reliability.mean,
            bonus: if self.rules.strategy == Strategy::Cheapest { 0.0 } else { variance.sqrt() },
            score,
            probability: 0.0,
        };
        Scored { arm: now.arm, terms }
    }

    /// A request as every arm is looked at for it.
    pub(crate) fn sight(&self, context: &Context, now_ms: u64) -> Sight {
        Sight { context: clean(context), fresh: self.fresh(now_ms) }
    }

    /// What is believed of an arm's quality, in the way of the strategy; `None` where there is no such arm.
    pub(crate) fn guess(&self, sight: &Sight, arm: usize) -> Option<Guess> {
        let (arm, context) = (self.arms.get(arm)?, &sight.context);
        Some(match self.rules.strategy {
            Strategy::Contextual | Strategy::Cheapest => {
                arm.model.guess(context, arm::place(context.cluster), sight.fresh)
            }
            Strategy::Ucb | Strategy::Thompson => arm.quality(context.cluster, sight.fresh),
        })
    }

    /// Learns; returns the reward from 0 to 1 that the lesson amounts to, where it has one.
    pub fn learn(&mut self, lesson: &Lesson) -> Option<f64> {
        self.arms.get(lesson.arm)?;
        self.fade(lesson.now_ms);
        let arm = self.arms.get_mut(lesson.arm)?;
        arm.tell(lesson);
        if let Some(score) = lesson.quality.and_then(taken_back) {
            arm.take_back(&clean(&lesson.context), score);
            return None;
        }
        if let Some(score) = lesson.quality.and_then(score) {
            if lesson.quiet {
                arm.score_quietly(&clean(&lesson.context), score);
                return reward(lesson);
            }
            self.scores += 1;
            let verdict = arm.score(&clean(&lesson.context), score, self.scores);
            self.remember();
            if let Verdict::Changed(since) = verdict {
                self.reopen(lesson.arm, since);
            }
        }
        reward(lesson)
    }

    /// Lets all arms forget a little for the scores that were told.
    fn remember(&mut self) {
        self.told += 1;
        if self.told < MEMORY_STEP {
            return;
        }
        let arms = (self.arms.len() as f64).max(LEAST_ARMS);
        let (told, own, other) = (self.told, 1.0 / (OWN_MEMORY * arms), 1.0 / (OTHERS_MEMORY * arms));
        self.arms.iter_mut().for_each(|arm| arm.forget(told, own, other));
        self.told = 0;
    }

    /// One arm is not what it was since behind the score of this number: what was known of all before is a hint now,
    /// and what was stated of that one a guess.
    fn reopen(&mut self, changed: usize, since: u64) {
        if let Some(arm) = self.arms.get_mut(changed) {
            arm.doubt();
        }
        self.arms.iter_mut().for_each(|arm| arm.reopen(since));
        self.changes += 1;
    }

    /// What is believed of an arm's quality at such a request; of an arm that is not known, nothing.
    #[must_use]
    pub fn quality(&self, arm: usize, context: &Context, now_ms: u64) -> Belief {
        let sight = self.sight(context, now_ms);
        let Some((arm, guess)) = self.arms.get(arm).zip(self.guess(&sight, arm)) else {
            return Belief { mean: 0.0, deviation: 0.0, weight: 0.0 };
        };
        Belief { mean: guess.mean, deviation: guess.variance.sqrt(), weight: arm.model.weight() * sight.fresh }
    }

    /// What is left now of what counted fully when it was last faded.
    pub(super) fn fresh(&self, now_ms: u64) -> f64 {
        let Some(faded) = self.faded_ms.filter(|_| self.rules.half_life_ms > 0) else { return 1.0 };
        let elapsed = now_ms.saturating_sub(faded);
        // Less than a step is left to the next lesson: that saves the exponential, and changes 1 % at most.
        if elapsed < self.rules.half_life_ms / STEPS {
            return 1.0;
        }
        (-(elapsed as f64) / self.rules.half_life_ms as f64).exp2()
    }

    fn fade(&mut self, now_ms: u64) {
        let fresh = self.fresh(now_ms);
        if fresh < 1.0 {
            self.arms.iter_mut().for_each(|arm| arm.fade(fresh));
        }
        if fresh < 1.0 || self.faded_ms.is_none() {
            self.faded_ms = Some(now_ms);
        }
    }
}

fn prior(arm: &ArmRules, weight: f64) -> Prior {
    match arm.quality {
        Some(quality) => Prior::new(quality, weight),
        None => Prior::new(UNKNOWN_QUALITY, UNKNOWN_WEIGHT),
    }
}

/// The context with every feature where it has to be.
fn clean(context: &Context) -> Context {
    let inside = |x: f64| if x.is_nan() { 0.0 } else { x.clamp(-1.0, 1.0) };
    let mut x: Vector = context.x.map(inside);
    if let Some(bias) = x.first_mut() {
        *bias = 1.0;
    }
    Context { cluster: context.cluster, x }
}

/// Weights that are no numbers count nothing.
fn sane(weights: Weights) -> Weights {
    let share = |weight: f64| if weight.is_finite() { weight.clamp(0.0, 1e6) } else { 0.0 };
    Weights { quality: share(weights.quality), cost: share(weights.cost), latency: share(weights.latency) }.normal()
}

/// A score and its weight, where they say anything.
fn score((score, weight): (f64, f64)) -> Option<(f64, f64)> {
    (score.is_finite() && weight.is_finite() && weight > 0.0).then(|| (unit(score), weight.min(MOST_WEIGHT)))
}

/// A score that is taken back, and what it still weighs: one that is told with a weight below zero.
fn taken_back((score, weight): (f64, f64)) -> Option<(f64, f64)> {
    (score.is_finite() && weight.is_finite() && weight < 0.0).then(|| (unit(score), (-weight).min(MOST_WEIGHT)))
}

/// What an answer was worth: nothing where it failed, unknown where nobody told its quality.
fn reward(lesson: &Lesson) -> Option<f64> {
    if lesson.served == Some(false) {
        return Some(0.0);
    }
    let (quality, _) = lesson.quality.and_then(score)?;
    let told = |part: Option<f64>| part.filter(|part| part.is_finite()).map(unit);
    worth(sane(lesson.weights), [Some(quality), told(lesson.cost), told(lesson.latency)]).or(Some(quality))
}

#[cfg(test)]
mod tests;
