//! A name behind which the router chooses: its rules, its candidates, and the mind that has learnt of them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use atp_core::{Price, Weights};
use atp_routing::decide::{Mind, MindRules};
use atp_routing::journal::Why;

use super::log::Due;
use super::shadow::Trials;
use crate::live::Route;
use crate::money::{self, Gap};
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
    /// What its tokens cost where they cost most, input and output each by itself: a ceiling must hold whichever
    /// of its targets answers.
    pub(crate) price: Option<Price>,
}

/// What a route decides by, and whether the journal holds all of it.
///
/// After a reload the new mind takes over what the old one knows when it is first used, and that closes the old one:
/// from then on nothing is learnt there and none of its events is numbered, so that the two never count the same
/// number. Until then, exchanges that hold the old configuration go on with the old mind.
pub(super) struct Thinking {
    state: Mutex<State>,
    due: Due,
}

struct State {
    mind: Mind,
    /// Whose knowledge is to be taken over before the first use.
    before: Option<Arc<Thinking>>,
    /// Who has taken over this one's.
    after: Option<Arc<Thinking>>,
}

/// A mind that is held: for a decision or a lesson, never across an await.
pub(crate) struct Held<'a>(MutexGuard<'a, State>);

impl Held<'_> {
    /// Who has taken over, where this mind is closed: it decides nothing that counts, and learns nothing.
    pub(super) fn successor(&self) -> Option<Arc<Thinking>> {
        self.0.after.clone()
    }
}

impl Deref for Held<'_> {
    type Target = Mind;

    fn deref(&self) -> &Mind {
        &self.0.mind
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Mind {
        &mut self.0.mind
    }
}

impl Thinking {
    fn new(mind: Mind, before: Option<Arc<Self>>, why: Why) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { mind, before, after: None }), due: Due::new(why) })
    }

    /// The mind, with all that the one before it knows. Locks go from the newer to the older one.
    pub(super) fn mind(self: &Arc<Self>) -> Held<'_> {
        let mut state = lock(&self.state);
        if let Some(before) = state.before.take() {
            let mut old = before.mind();
            state.mind.adopt(&old);
            old.0.after = Some(Arc::clone(self));
            // What is missing of the old one in the journal is declared by the new one.
            if before.due.is(Why::Gap) {
                self.due.set(Why::Gap);
            }
        }
        Held(state)
    }

    /// Whether the journal holds all that the mind was made of.
    pub(super) const fn due(&self) -> &Due {
        &self.due
    }
}

impl Choice {
    /// The choice of `rules` among `arms`. What was learnt by the one of the same name `before` is taken over:
    /// the very mind where nothing has changed, else what it knows of models that are still there.
    pub(crate) fn new(rules: &RouteRules, arms: Box<[Arm]>, before: Option<&Self>) -> Self {
        let candidate = |arm: &Arm| arm.facts.candidate(Arc::clone(&arm.route.name), arm.price);
        let mind_rules = rules.mind(arms.iter().map(candidate).collect());
        let why = if before.is_some() { Why::Reload } else { Why::Start };
        let same = before.filter(|before| before.mind_rules == mind_rules);
        let older = before.map(|before| Arc::clone(&before.thinking));
        let thinking = same.map_or_else(
            || Thinking::new(Mind::new(mind_rules.clone()), older, why),
            |before| Arc::clone(&before.thinking),
        );
        let trials = before.map_or_else(Arc::default, |before| Arc::clone(&before.trials));
        Self { rules: rules.clone(), arms, mind_rules, thinking, trials }
    }

    /// What it decides by. Held for a decision or a lesson, never across an await.
    pub(crate) fn mind(&self) -> Held<'_> {
        self.thinking.mind()
    }

    /// Whether the journal holds all that the mind was made of.
    pub(super) fn due(&self) -> &Due {
        self.thinking.due()
    }

    pub(super) const fn thinking(&self) -> &Arc<Thinking> {
        &self.thinking
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
        // One target without a price makes the model's unknown.
        let price = match money::dearest(&route, None, "") {
            (price, Gap::None) => price,
            (_, Gap::Some) => None,
        };
        Self { route, facts, price }
    }
}

#[cfg(test)]
mod tests;
