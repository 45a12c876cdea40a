//! Which model answers: filter, habit, bandit, and the plan that says why.
//!
//! A [`Mind`] is all that a route decides by: what it has learnt, and who kept to which model. It is changed by
//! [`Mind::decide`] and [`Mind::learn`] alone, which read no clock and no dice but those in their arguments:
//! the same calls in the same order make the same mind, and every choice can be made again from a journal.
//!
//! The order of a choice:
//! 1. Candidates with a hard reason are out ([`hard`](crate::candidate::hard)).
//! 2. Active ones without a soft reason are acceptable; where there are none, acceptable fallbacks; where there
//!    are none either, whoever would only be late or less good, the best of them first.
//! 3. Those with room go before those without.
//! 4. A session stays with its model. A prompt's beginning does so too, except for requests that the bandit
//!    spends on learning, and unless another model is ahead by more than a warm cache is worth.
//! 5. The bandit picks, with known probabilities.

use std::sync::Arc;

use atp_core::{Features, Plan, RequestId};
use serde::{Deserialize, Serialize};

use crate::bandit::{ArmRules, ArmView, Brain, BrainRules, Context, Lesson, Strategy};
use crate::candidate::{CandidateFacts, CandidateNow, Needs};
use crate::sticky::{StickyKeys, StickyRules, StickyTable};

pub use self::dice::Dice;
pub use self::scale::Scale;

mod choice;
mod dice;
mod explain;
mod scale;

/// What a route decides by, as configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MindRules {
    /// The route's name.
    pub route: Arc<str>,
    /// The models it chooses among; an arm is a place in this list.
    pub candidates: Vec<CandidateFacts>,
    /// How.
    pub strategy: Strategy,
    /// The largest share of requests that is spent on learning, from 0 to 1.
    pub explore: f64,
    /// How many answers the configured quality of a model counts for.
    pub prior_weight: f64,
    /// After how many milliseconds what was learnt counts half.
    pub half_life_ms: u64,
    /// What keeps to the same model.
    pub sticky: StickyRules,
}

impl MindRules {
    /// The bandit's part of the rules.
    #[must_use]
    pub fn brain(&self) -> BrainRules {
        let arm = |facts: &CandidateFacts| ArmRules { name: Arc::clone(&facts.model), quality: facts.quality };
        BrainRules {
            strategy: self.strategy,
            arms: self.candidates.iter().map(arm).collect(),
            explore: self.explore,
            prior_weight: self.prior_weight,
            half_life_ms: self.half_life_ms,
        }
    }
}

/// A request, as far as choosing goes by it. Holds nothing of its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The exchange.
    #[serde(with = "atp_core::plan::id_text")]
    pub id: RequestId,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// The name that was asked for: the route's, perhaps with a quality (`auto:high`).
    pub asked: Arc<str>,
    /// What is known of it.
    pub features: Features,
    /// The kind of work, in the bandit's terms.
    pub context: Context,
    /// The kind of work, by name.
    pub cluster: Arc<str>,
    /// What it asks of a model.
    pub needs: Needs,
    /// What it has in common with those before it.
    pub keys: StickyKeys,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// What the dice of this choice begin with: random bits, drawn by the caller.
    pub seed: u64,
}

/// All that a route decides by, and all that it has learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mind {
    rules: MindRules,
    brain: Brain,
    sticky: StickyTable,
    /// Counts choices and lessons: the number of the next event in the journal.
    events: u64,
}

impl Mind {
    /// A mind that has learnt nothing.
    #[must_use]
    pub fn new(rules: MindRules) -> Self {
        let brain = Brain::new(rules.brain());
        let sticky = StickyTable::new(rules.sticky, rules.candidates.len());
        Self { rules, brain, sticky, events: 0 }
    }

    /// After the configuration has changed: models of the same name keep what was learnt of them, and who kept
    /// to them. The count of events goes on.
    pub fn adopt(&mut self, before: &Self) {
        self.brain.adopt(&before.brain);
        let name = |arm: usize| before.rules.candidates.get(arm).map(|facts| &facts.model);
        let mine = &self.rules.candidates;
        let place = |arm: usize| name(arm).and_then(|name| mine.iter().position(|facts| facts.model == *name));
        self.sticky.adopt(&before.sticky, place);
        self.events = before.events;
    }

    /// What it decides by.
    #[must_use]
    pub fn rules(&self) -> &MindRules {
        &self.rules
    }

    /// What it has learnt.
    #[must_use]
    pub fn brain(&self) -> &Brain {
        &self.brain
    }

    /// How many choices and lessons it has seen: the number of the next one in the journal.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many sessions and prompts keep to a model.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.sticky.len()
    }

    /// Chooses. `now` holds the candidates in the order of the rules; one that is not there counts as retired.
    ///
    /// The plan's `order` is empty where nobody may answer; its `reason` and each candidate say why.
    pub fn decide(&mut self, request: &Request, now: &[CandidateNow]) -> Plan {
        self.events += 1;
        let (plan, note) = choice::plan(self, request, now);
        choice::remember(self, request, &plan, &note);
        plan
    }

    /// What [`Mind::decide`] would choose, without a trace: nothing is counted and nobody bound.
    #[must_use]
    pub fn would(&self, request: &Request, now: &[CandidateNow]) -> Plan {
        choice::plan(self, request, now).0
    }

    /// Learns from what an answer came to. Returns the reward, from 0 to 1, where the lesson amounts to one.
    pub fn learn(&mut self, lesson: &Lesson) -> Option<f64> {
        self.events += 1;
        self.brain.learn(lesson)
    }

    /// What was learnt, for people.
    #[must_use]
    pub fn view(&self, now_ms: u64) -> Vec<ArmView> {
        self.brain.view(now_ms)
    }
}

#[cfg(test)]
mod tests;
