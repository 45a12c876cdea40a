//! A name behind which the router chooses: its rules, its candidates, and the mind that has learnt of them.

use std::sync::Arc;

use atp_core::{Price, Weights};
use atp_routing::decide::{Mind, MindRules};
use atp_routing::journal::Why;

use super::log::Due;
use super::shadow::Trials;
use crate::live::Route;
use crate::snapshot::{ModelFacts, RouteRules};
use crate::sync::{Mutex, MutexGuard, lock};

/// One such name.
pub(crate) struct Choice {
    pub(crate) rules: RouteRules,
    /// In configured order: an arm of the bandit is a place here.
    pub(crate) arms: Box<[Arm]>,
    pub(crate) mind_rules: MindRules,
    thinking: Arc<Thinking>,
    /// What is known of its challengers.
    pub(crate) trials: Arc<Trials>,
}

/// One model that may answer.
pub(crate) struct Arm {
    pub(crate) route: Arc<Route>,
    pub(crate) facts: ModelFacts,
    /// What its tokens cost where they cost most: a ceiling must hold whichever of its targets answers.
    pub(crate) price: Option<Price>,
}

/// What a route decides by, and whether the journal holds all of it.
struct Thinking {
    mind: Mutex<Mind>,
    due: Due,
}

impl Choice {
    /// The choice of `rules` among `arms`. What was learnt by the one of the same name `before` is taken over:
    /// the very mind where nothing has changed, else what it knows of models that are still there.
    pub(crate) fn new(rules: &RouteRules, arms: Box<[Arm]>, before: Option<&Self>) -> Self {
        let candidate = |arm: &Arm| arm.facts.candidate(Arc::clone(&arm.route.name), arm.price);
        let mind_rules = rules.mind(arms.iter().map(candidate).collect());
        let why = if before.is_some() { Why::Reload } else { Why::Start };
        let same = before.filter(|before| before.mind_rules == mind_rules);
        let thinking = same.map_or_else(
            || {
                let mut mind = Mind::new(mind_rules.clone());
                if let Some(before) = before {
                    mind.adopt(&before.mind());
                }
                Arc::new(Thinking { mind: Mutex::new(mind), due: Due::new(why) })
            },
            |before| Arc::clone(&before.thinking),
        );
        let trials = before.map_or_else(Arc::default, |before| Arc::clone(&before.trials));
        Self { rules: rules.clone(), arms, mind_rules, thinking, trials }
    }

    /// What it decides by. Held for a decision or a lesson, never across an await.
    pub(crate) fn mind(&self) -> MutexGuard<'_, Mind> {
        lock(&self.thinking.mind)
    }

    /// Whether the journal holds all that the mind was made of.
    pub(super) fn due(&self) -> &Due {
        &self.thinking.due
    }

    /// The place of a model among the candidates.
    pub(crate) fn arm_of(&self, model: &str) -> Option<usize> {
        self.arms.iter().position(|arm| *arm.route.name == *model)
    }

    /// What counts how much, where the request leaves it open.
    pub(crate) fn weights(&self, quality: atp_core::Quality) -> Weights {
        self.rules.weights.unwrap_or_else(|| Weights::of(quality))
    }
}

impl Arm {
    /// The candidate behind `route`.
    pub(crate) fn new(route: Arc<Route>, facts: ModelFacts) -> Self {
        let prices = route.lanes.iter().map(|lane| lane.price_of(&lane.model_for("", None)));
        // One target without a price makes the model's unknown.
        let price = prices.reduce(|one, other| {
            let (one, other) = (one?, other?);
            Some(if other.input + other.output > one.input + one.output { other } else { one })
        });
        Self { route, facts, price: price.flatten() }
    }
}
