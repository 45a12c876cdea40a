//! What another way of choosing would have been worth, from the journal of the one that was in force.
//!
//! Each choice was logged with the probability `p` of the model that was drawn; the other way of choosing would have
//! drawn it with probability `q`. Weighted with `w = q / p`, the rewards that were seen stand for those that would have
//! been seen:
//!
//! - *IPS*, inverse propensity scoring (Horvitz and Thompson 1952): the mean of `w r`.
//! - *SNIPS*, self-normalised (Swaminathan and Joachims 2015): the sum of `w r` over the sum of `w`. Slightly
//!   biased, and steadier.
//! - *DR*, doubly robust (Dudik, Langford and Li 2011): the mean of `w (r - g) + sum of q g`, where `g` is the reward that
//!   the bandit expected at that moment. As unbiased as IPS, and closer the better `g` is. In the same way an expected score stands
//!   for one that was not told.
//!
//! The other way learns as it would have: it begins with the knowledge of the logged one and is taught the logged
//! lessons. So its probabilities depend on the past alone, and what is estimated is the mean worth of the choices that
//! it would have made one by one, along the way that the logged one took.
//!
//! *Bounds* (`bounds`) of IPS and DR hold at any number of choices, for rewards from 0 to 1, without an assumption about
//! how they are spread; that of SNIPS is asymptotic, with a margin.
//!
//! *Who is counted.* Choices that were drawn freely, as far as the other way draws nobody that could not have been
//! drawn. Sticky ones are left out: what they were bound by depends on who was bound before. Where an answer was
//! never scored its quality is unknown; the others of its model stand for it, which is right as long as whether a score is
//! told does not depend on how good the answer was.

use std::collections::HashMap;
use std::sync::Arc;

use atp_core::{Plan, RequestId, Weights};
use serde::Serialize;

use crate::decide::{Mind, MindRules, Request};
use crate::journal::{Choice, Learnt, Witness};
use crate::sticky::StickyKeys;

pub use self::bounds::Estimate;
use self::records::{Record, Side};

mod bounds;
mod records;

/// Another way of choosing for a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    /// Its rules; `route` names whose journal it is held against.
    pub rules: MindRules,
    /// What counts how much, where that is configured; else what counted for each request. Both ways are judged by it.
    pub weights: Option<Weights>,
}

/// What another way of choosing would have been worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The route.
    pub route: Arc<str>,
    /// The choices in the journal.
    pub choices: u64,
    /// Those that count.
    pub used: u64,
    /// Those of them whose answer was scored, or failed.
    pub scored: u64,
    /// Those that were sticky.
    pub sticky: u64,
    /// Those of which nothing was learnt: cancelled, under way at the end, or answered by nobody.
    pub unknown: u64,
    /// Those at which the other way draws somebody who could not have been drawn.
    pub unsupported: u64,
    /// The other way's candidates that the journal does not know.
    pub strangers: Vec<Arc<str>>,
    /// To how many choices of the other way's own the weighted ones amount: `(sum of w)^2 / sum of w^2`.
    pub effective: f64,
    /// What the logged way was worth.
    pub logged: Estimate,
    /// Inverse propensity scoring.
    pub ips: Estimate,
    /// Self-normalised.
    pub snips: Estimate,
    /// Doubly robust.
    pub dr: Estimate,
    /// How often each model was, and would have been, chosen first: shares of the choices that count.
    pub shares: Vec<Share>,
}

/// How often a model was, and would have been, chosen first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    /// The model.
    pub model: Arc<str>,
    /// As logged.
    pub logged: f64,
    /// By the other way.
    pub other: f64,
}

/// Watches a replay and holds other ways of choosing against it.
#[derive(Debug, Default)]
pub struct Evaluator {
    routes: Vec<Case>,
}

/// One route.
#[derive(Debug)]
struct Case {
    other: Other,
    /// The other way, as it would be by now; `None` before the route's first mind.
    mind: Option<Mind>,
    /// The logged candidates, and the place of each among the other way's.
    logged: Vec<(Arc<str>, Option<usize>)>,
    models: Vec<Arc<str>>,
    records: Vec<Record>,
    by_id: HashMap<RequestId, usize>,
    choices: u64,
    sticky: u64,
    unsupported: u64,
    strangers: Vec<Arc<str>>,
}

impl Evaluator {
    /// Holds these against their routes.
    #[must_use]
    pub fn new(others: Vec<Other>) -> Self {
        Self { routes: others.into_iter().map(Case::new).collect() }
    }

    /// What came out, for the routes of which the journal tells.
    #[must_use]
    pub fn end(self) -> Vec<Evaluation> {
        self.routes.into_iter().filter(|case| case.mind.is_some()).map(Case::end).collect()
    }

    fn of(&mut self, route: &str) -> Option<&mut Case> {
        self.routes.iter_mut().find(|case| *case.other.rules.route == *route)
    }
}

impl Witness for Evaluator {
    fn begins(&mut self, mind: &Mind) {
        if let Some(case) = self.of(&mind.rules().route) {
            case.begins(mind);
        }
    }

    fn chose(&mut self, choice: &Choice, plan: &Plan) {
        if let Some(case) = self.of(&choice.route) {
            case.chose(choice, plan);
        }
    }

    fn learnt(&mut self, learnt: &Learnt) {
        if let Some(case) = self.of(&learnt.route) {
            case.learnt(learnt);
        }
    }
}

impl Case {
    fn new(other: Other) -> Self {
        Self {
            other,
            mind: None,
            logged: Vec::new(),
            models: Vec::new(),
            records: Vec::new(),
            by_id: HashMap::new(),
            choices: 0,
            sticky: 0,
            unsupported: 0,
            strangers: Vec::new(),
        }
    }

    fn begins(&mut self, logged: &Mind) {
        let mut mind = Mind::new(self.other.rules.clone());
        mind.adopt(logged);
        self.mind = Some(mind);
        let mine = &self.other.rules.candidates;
        let theirs = &logged.rules().candidates;
        let place = |name: &Arc<str>| mine.iter().position(|facts| facts.model == *name);
        self.logged = theirs.iter().map(|facts| (facts.model.clone(), place(&facts.model))).collect();
        let unknown = mine.iter().filter(|facts| theirs.iter().all(|their| their.model != facts.model));
        self.strangers = unknown.map(|facts| facts.model.clone()).collect();
    }

    fn chose(&mut self, choice: &Choice, plan: &Plan) {
        self.choices += 1;
        let Some(chosen) = choice.chosen else { return };
        if &*choice.strategy == "sticky" {
            self.sticky += 1;
            return;
        }
        let Some(other) = self.probabilities(choice) else { return };
        let weights = self.other.weights.unwrap_or(choice.request.needs.weights).normal();
        let sides: Vec<Side> = (0..self.logged.len())
            .filter_map(|arm| {
                let terms = plan.candidates.get(arm)?.terms;
                let worth =
                    weights.quality * terms.quality + weights.cost * terms.cost + weights.latency * terms.latency;
                let expected = (terms.reliability * worth).clamp(0.0, 1.0);
                let model = self.model(arm)?;
                let (logged, other) = (terms.probability, *other.get(arm)?);
                Some(Side { model, chosen: arm == chosen, logged, other, expected, quality: terms.quality })
            })
            .filter(|side| side.logged > 0.0 || side.other > 0.0)
            .collect();
        if sides.iter().any(|side| side.logged <= 0.0) || !sides.iter().any(|side| side.chosen) {
            self.unsupported += 1;
            return;
        }
        self.by_id.insert(choice.request.id, self.records.len());
        self.records.push(Record::new(weights, chosen, sides));
    }

    /// With which probability the other way would have drawn each of the logged candidates.
    fn probabilities(&self, choice: &Choice) -> Option<Vec<f64>> {
        let mind = self.mind.as_ref()?;
        let mut now = vec![None; self.other.rules.candidates.len()];
        for ((_, place), candidate) in self.logged.iter().zip(&choice.candidates) {
            if let Some(slot) = place.and_then(|place| now.get_mut(place)) {
                *slot = Some(*candidate);
            }
        }
        let weights = self.other.weights.unwrap_or(choice.request.needs.weights);
        let mut request = Request { keys: StickyKeys::default(), ..choice.request.clone() };
        request.needs.weights = weights;
        let plan = mind.would(&request, &records::listed(&now));
        let of = |place: Option<usize>| place.and_then(|place| plan.candidates.get(place));
        Some(self.logged.iter().map(|(_, place)| of(*place).map_or(0.0, |each| each.terms.probability)).collect())
    }

    /// The number of a logged candidate among all models that were ever seen.
    fn model(&mut self, arm: usize) -> Option<usize> {
        let name = &self.logged.get(arm)?.0;
        Some(self.models.iter().position(|model| model == name).unwrap_or_else(|| {
            self.models.push(name.clone());
            self.models.len() - 1
        }))
    }

    fn learnt(&mut self, learnt: &Learnt) {
        if let Some(record) = self.by_id.get(&learnt.id).and_then(|place| self.records.get_mut(*place)) {
            record.learn(&learnt.lesson);
        }
        let place = self.logged.get(learnt.lesson.arm).and_then(|(_, place)| *place);
        if let (Some(arm), Some(mind)) = (place, &mut self.mind) {
            let _reward = mind.learn(&crate::bandit::Lesson { arm, ..learnt.lesson });
        }
    }

    fn end(self) -> Evaluation {
        let free = self.records.len() as u64;
        let rows = records::rows(&self.records, self.models.len());
        let shares = records::shares(&rows, &self.models);
        Evaluation {
            route: self.other.rules.route.clone(),
            choices: self.choices,
            used: rows.len() as u64,
            scored: rows.iter().filter(|row| row.stands_for > 0.0).count() as u64,
            sticky: self.sticky,
            unknown: self.choices - self.sticky - self.unsupported - free + (free - rows.len() as u64),
            unsupported: self.unsupported,
            strangers: self.strangers,
            effective: bounds::effective(&rows),
            logged: bounds::logged(&rows),
            ips: bounds::ips(&rows),
            snips: bounds::snips(&rows),
            dr: bounds::dr(&rows),
            shares,
        }
    }
}

#[cfg(test)]
mod tests;
