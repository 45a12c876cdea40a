//! What a run of a challenger holds of the day's money while it is under way.
//!
//! Runs end seconds after they were drawn, and many are drawn meanwhile: were the money only looked at, all of them
//! would find the same remainder. Dropping what is held gives it back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use atp_core::{Candidate, MicroUsd};
use atp_routing::experiment::Compared;

use super::super::choice::{Arm, Choice};
use super::super::judge;
use super::Trials;
use crate::live::Live;
use crate::pipeline::Shared;
use crate::snapshot::{Experiment, Judge, ModelFacts};

/// What is held for one run.
pub(super) struct Hold {
    trials: Arc<Trials>,
    model: Arc<str>,
    /// What the challenger and its judge are expected to cost.
    expected: (MicroUsd, MicroUsd),
    held: MicroUsd,
    spent: MicroUsd,
}

impl Hold {
    /// Holds what a run of `candidate` and its judge may cost; `None` where that is not known, or more than is left of
    /// the day's money.
    pub(super) fn of(
        shared: &Shared,
        live: &Live,
        choice: &Choice,
        rules: &Experiment,
        candidate: &Candidate,
        now_ms: u64,
    ) -> Option<Self> {
        let judge = judging(live, &rules.judge, candidate);
        let Some(expected) = candidate.forecast.guarded.zip(judge) else {
            shared.metrics.experiments.unpriced.inc();
            if !choice.trials.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    route = &*choice.rules.name,
                    challenger = &*candidate.model,
                    "the challenger or its judge has no price, so that `max_usd_per_day` could not hold and it is not \
                     asked; set `prices` for both, zeros where they cost nothing"
                );
            }
            return None;
        };
        let held = MicroUsd(expected.0.0.saturating_add(expected.1.0));
        let (trials, model) = (Arc::clone(&choice.trials), Arc::clone(&candidate.model));
        let fits = trials.with(&model, |trial| trial.hold(held, rules.max_usd_per_day, now_ms));
        fits.then(|| Self { trials, model, expected, held, spent: MicroUsd::default() })
    }

    /// The challenger has come to its end. Where nobody knows what that has cost, it has cost what was expected.
    pub(super) fn ran(&mut self, cost: Option<MicroUsd>) {
        self.spends(cost.unwrap_or(self.expected.0));
    }

    /// And so has its judge.
    pub(super) fn was_judged(&mut self, cost: Option<MicroUsd>) {
        self.spends(cost.unwrap_or(self.expected.1));
    }

    fn spends(&mut self, cost: MicroUsd) {
        self.spent = MicroUsd(self.spent.0.saturating_add(cost.0));
    }

    /// Books what was spent, and the comparison where there is one with the costs of both answers.
    pub(super) fn settle(self, compared: Option<(Compared, Option<(MicroUsd, MicroUsd)>)>, now_ms: u64) {
        self.trials.with(&self.model, |trial| {
            trial.pay(self.spent, now_ms);
            if let Some((compared, costs)) = compared {
                trial.judge(compared, costs);
            }
        });
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.trials.with(&self.model, |trial| trial.release(self.held));
    }
}

/// What judging two answers like the challenger's may cost; `None` where the judge has no price.
fn judging(live: &Live, judge: &Judge, candidate: &Candidate) -> Option<MicroUsd> {
    let Judge::Model(name) = judge else { return Some(MicroUsd::default()) };
    let route = live.find_model(name)?.route;
    let price = Arm::new(route, ModelFacts::default()).price?;
    Some(judge::expected(price, candidate.forecast.input, candidate.forecast.output_guarded))
}
