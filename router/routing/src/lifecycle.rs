//! When a model is promoted to answer callers, and when it goes back into the shadow.
//!
//! A model in shadow is promoted when it is not worse than the model it is compared with *and* cheaper: each
//! of the two is a test of its own against the opposite, and both must be won, so that the probability of a
//! false promotion is at most that of the weaker test (intersection-union test; Berger, Technometrics 1982).
//! An active model goes back when another active one is better *and* no dearer to speak of, or clearly cheaper
//! *and* no worse to speak of: what is worse is watched for change, and what would make up for it is looked at. So
//! a cheap model is not demoted for being cheap, nor a good one for its price. Tests and watches are [`Bet`]s and
//! so may be looked at after every sample.
//!
//! Costs are compared as `own / (own + other)`, a number from 0 to 1: nine tenths of the other's cost is
//! 0.4737, five quarters 0.5556. Qualities are compared as `(1 + own - other) / 2`.
//!
//! Nobody flips twice within the hysteresis, whoever is pinned stays, and the last active model of a route is not
//! demoted: a model's status is the same in every route, so that what one route has seen could leave another
//! with nobody.

mod life;

use std::sync::Arc;

use atp_core::{MicroUsd, Status};
use serde::{Deserialize, Serialize};

use self::life::Life;

#[cfg(doc)]
use crate::experiment::Bet;

/// What is configured. The defaults are the mission's (facts 3.6), and for what it leaves open: 5 % for a
/// false promotion per window, a false demotion in a thousand samples, a margin of 5 points of quality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LifecycleRules {
    /// Fewer samples than this promote or demote nobody.
    pub min_calls: u64,
    /// Promote below this multiple of the other's cost.
    pub promote_cost: f64,
    /// Demote above this multiple of the other's cost.
    pub demote_cost: f64,
    /// How much worse, in points from 0 to 1, counts as not worse.
    pub margin: f64,
    /// The probability of a false promotion within a window.
    pub alpha: f64,
    /// The mean number of samples to a false demotion.
    pub false_alarm: f64,
    /// After a flip the next one waits for this long.
    pub hysteresis_ms: u64,
    /// A test for promotion that has not come to an end by then begins anew: models change.
    pub window_ms: u64,
}

impl Default for LifecycleRules {
    fn default() -> Self {
        Self {
            min_calls: 5,
            promote_cost: 0.9,
            demote_cost: 1.25,
            margin: 0.05,
            alpha: 0.05,
            false_alarm: 1_000.0,
            hysteresis_ms: 5_000,
            window_ms: 604_800_000,
        }
    }
}

/// One comparison of a model with another on the same request.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// The qualities of its answer and of the other's, from 0 to 1.
    pub quality: Option<(f64, f64)>,
    /// What its answer has cost, and what the other's has: for a model in shadow the other is the one that
    /// answered; for an active one it is another active one, never one in shadow.
    pub cost: Option<(MicroUsd, MicroUsd)>,
}

/// What a model is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The router's name of the model.
    pub model: Arc<str>,
    /// Its configured status.
    pub status: Status,
}

/// Who flipped a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The samples.
    Evidence,
    /// Somebody pinned it.
    Pin,
    /// Somebody unpinned it.
    Unpin,
}

/// What unpinning a model did.
#[derive(Debug, Clone, PartialEq)]
pub enum Unpinned {
    /// Nothing: it was not pinned.
    WasFree,
    /// It is what it was before it was pinned, or is needed as it is.
    Stays,
    /// It is again what it was before it was pinned.
    Returns(Box<Flip>),
}

/// A model that was promoted or demoted: one line of the lifecycle's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// When, in Unix milliseconds.
    pub now_ms: u64,
    /// The model.
    pub model: Arc<str>,
    /// What it was.
    pub from: Status,
    /// What it is.
    pub to: Status,
    /// Who did it.
    pub cause: Cause,
    /// Why: `cost_improvement_12.3pct`, `cost_regress_31.0pct`, `quality_regress_0.08`, `pinned`, `unpinned`.
    pub reason: String,
    /// How many samples stood behind it.
    pub calls: u64,
    /// Its cost as a multiple of the other's; `None` where no cost was compared.
    pub cost_ratio: Option<f64>,
    /// Its quality less the other's; `None` where no quality was compared.
    pub quality_gap: Option<f64>,
}

/// A model as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The model.
    pub model: Arc<str>,
    /// What it is now.
    pub status: Status,
    /// What the configuration says it is.
    pub configured: Status,
    /// Whether it was pinned.
    pub pinned: bool,
    /// Samples since it last flipped, or since the window began.
    pub calls: u64,
    /// Its cost as a multiple of the other's.
    pub cost_ratio: Option<f64>,
    /// Its quality less the other's.
    pub quality_gap: Option<f64>,
    /// The p-values of what must be refuted for a promotion: that it is not cheaper, that it is worse.
    pub p_values: (f64, f64),
    /// When it last flipped.
    pub flipped_ms: Option<u64>,
}

/// The lives of some models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lifecycle {
    rules: LifecycleRules,
    lives: Vec<Life>,
    /// The models of each route, which needs one that is active. They are configured, not known.
    #[serde(default)]
    routes: Vec<Vec<Arc<str>>>,
    /// How many times something has changed.
    #[serde(default)]
    events: u64,
}

impl Lifecycle {
    /// Models with their configured status. Only active ones and those in shadow flip by evidence.
    #[must_use]
    pub fn new(rules: LifecycleRules, entries: &[Entry]) -> Self {
        let all = entries.iter().map(|entry| Arc::clone(&entry.model)).collect();
        Self {
            rules,
            lives: entries.iter().map(|entry| Life::new(entry, &rules)).collect(),
            routes: vec![all],
            events: 0,
        }
    }

    /// The same models, where they are those of several routes, each of which needs one that is active. Without
    /// this all of them are one route's.
    #[must_use]
    pub fn of_routes(self, routes: Vec<Vec<Arc<str>>>) -> Self {
        Self { routes, ..self }
    }

    /// Takes over what is known of models of the same name, after a reload. A model of which the
    /// configuration has changed its mind begins anew, unless it is pinned. Where that leaves a route without an
    /// active model, because the route is new or has lost one, its models that evidence has demoted are active again.
    pub fn adopt(&mut self, before: &Self) {
        self.events = before.events;
        for life in &mut self.lives {
            if let Some(known) = before.lives.iter().find(|known| known.model == life.model) {
                life.adopt(known, &self.rules);
            }
        }
        let active = |route: &&Vec<Arc<str>>| route.iter().any(|model| self.status(model) == Some(Status::Active));
        let empty: Vec<Arc<str>> = self.routes.iter().filter(|route| !active(route)).flatten().cloned().collect();
        for life in self.lives.iter_mut().filter(|life| empty.contains(&life.model)) {
            life.come_back(&self.rules);
            self.events += 1;
        }
    }

    /// What a model is now; `None` for one that is not known here.
    #[must_use]
    pub fn status(&self, model: &str) -> Option<Status> {
        self.life(model).map(|life| life.status)
    }

    /// Takes in a comparison of a model, and flips it where that is due.
    pub fn observe(&mut self, model: &str, sample: &Sample, now_ms: u64) -> Option<Flip> {
        let rules = self.rules;
        let needed = self.is_needed(model);
        let life = self.lives.iter_mut().find(|life| &*life.model == model)?;
        life.add(sample, &rules, now_ms);
        self.events += 1;
        let (to, reason) = life.due(&rules, now_ms)?;
        if to == Status::Shadow && needed {
            return None;
        }
        Some(life.flip(to, Cause::Evidence, reason, &rules, now_ms))
    }

    /// Keeps a model at a status until it is unpinned; a flip where that changes what it is.
    pub fn pin(&mut self, model: &str, status: Status, now_ms: u64) -> Option<Flip> {
        let rules = self.rules;
        let life = self.lives.iter_mut().find(|life| &*life.model == model)?;
        life.pin();
        self.events += 1;
        (life.status != status).then(|| life.flip(status, Cause::Pin, "pinned".to_owned(), &rules, now_ms))
    }

    /// Lets evidence decide on a model again, from where it stood before it was pinned: what evidence had made of
    /// it, or else what the configuration says. Who would leave a route without an active model by that stays
    /// active, until evidence speaks of another one.
    pub fn unpin(&mut self, model: &str, now_ms: u64) -> Unpinned {
        let (rules, needed) = (self.rules, self.is_needed(model));
        let Some(life) = self.lives.iter_mut().find(|life| &*life.model == model) else { return Unpinned::WasFree };
        let Some(to) = life.unpin() else { return Unpinned::WasFree };
        self.events += 1;
        if to != life.status && !(needed && life.status == Status::Active) {
            return Unpinned::Returns(Box::new(life.flip(to, Cause::Unpin, "unpinned".to_owned(), &rules, now_ms)));
        }
        // What was gathered under the pin may be old; and a flip right now would be a surprise.
        life.restart(&rules, now_ms);
        life.flipped_ms = Some(now_ms);
        Unpinned::Stays
    }

    /// How many samples, flips and pins it comes from: where this has not changed, nothing has.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Every model, in configured order.
    #[must_use]
    pub fn view(&self) -> Vec<Standing> {
        self.lives.iter().map(Life::standing).collect()
    }

    /// Whether some route has no other active model.
    fn is_needed(&self, model: &str) -> bool {
        let serves = |other: &Arc<str>| **other != *model && self.status(other) == Some(Status::Active);
        let mut with = self.routes.iter().filter(|route| route.iter().any(|each| **each == *model));
        with.any(|route| !route.iter().any(serves))
    }

    fn life(&self, model: &str) -> Option<&Life> {
        self.lives.iter().find(|life| &*life.model == model)
    }
}

#[cfg(test)]
mod tests;
