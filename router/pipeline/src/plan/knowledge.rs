//! All that has been learnt, as one value: what a router that begins again goes on with.
//!
//! The journal could be read again instead, but only as far back as it is kept, and at the cost of all that it
//! holds; this is a few hundred kilobytes, and read at once.

use std::sync::Arc;

use atp_routing::decide::Mind;
use atp_routing::estimate::Estimator;
use atp_routing::experiment::Trial;
use atp_routing::journal::Why;
use atp_routing::lifecycle::Lifecycle;
use serde::{Deserialize, Serialize};

use super::choice::Choice;
use crate::live::Live;

/// The form of this value. Another one is not read: what it holds means something else.
const VERSION: u32 = 1;

/// What routes and models have learnt. It holds nothing of any prompt or answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Knowledge {
    version: u32,
    routes: Vec<RouteKnowledge>,
    models: Vec<(Arc<str>, Estimator)>,
    lives: Lifecycle,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct RouteKnowledge {
    route: Arc<str>,
    mind: Mind,
    trials: Vec<(Arc<str>, Trial)>,
}

impl Knowledge {
    /// What is known now.
    pub(crate) fn of(live: &Live) -> Self {
        let route = |choice: &Arc<Choice>| RouteKnowledge {
            route: Arc::clone(&choice.rules.name),
            mind: choice.mind().clone(),
            trials: choice.trials.all(),
        };
        let mut models: Vec<(Arc<str>, Estimator)> = Vec::new();
        for arm in live.choices().flat_map(|choice| &choice.arms) {
            if !models.iter().any(|(name, _)| *name == arm.route.name) {
                models.push((Arc::clone(&arm.route.name), arm.route.known.estimator()));
            }
        }
        Self { version: VERSION, routes: live.choices().map(route).collect(), models, lives: live.lives.all() }
    }

    /// How many choices, lessons, comparisons and pins it comes from: where this has not changed, there is nothing new
    /// to keep.
    #[must_use]
    pub fn events(&self) -> u64 {
        let minds = self.routes.iter().map(|route| route.mind.events());
        let trials = self.routes.iter().flat_map(|route| &route.trials).map(|(_, trial)| trial.events());
        minds.chain(trials).fold(self.lives.events(), u64::wrapping_add)
    }

    /// Whether there is a route that could learn.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Teaches routes and models of the same name what is known here; `false` where it is of another form.
    pub(crate) fn teach(self, live: &Live) -> bool {
        if self.version != VERSION {
            return false;
        }
        for known in self.routes {
            let Some(choice) = live.choice(&known.route) else { continue };
            choice.mind().adopt(&known.mind);
            choice.due().set(Why::Start);
            choice.trials.restore(known.trials);
        }
        let arms = || live.choices().flat_map(|choice| &choice.arms);
        for (name, estimator) in self.models {
            if let Some(arm) = arms().find(|arm| arm.route.name == name) {
                arm.route.known.restore(estimator);
            }
        }
        live.lives.restore(&self.lives, live.choices());
        true
    }
}
