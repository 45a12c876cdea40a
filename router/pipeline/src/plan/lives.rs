//! Models that are promoted to answer callers, and those that go back into the shadow.
//!
//! One lifecycle for all models that some route may choose, because a model's status is the same wherever it
//! stands. What flips is told to the model's [`super::known::Known`], from where every choice reads it, and to
//! the journal.

use std::sync::Arc;

use atp_core::port::{JournalFile, Kept};
use atp_core::{MicroUsd, Status};
use atp_routing::experiment::Compared;
use atp_routing::lifecycle::{Entry, Flip, Lifecycle, LifecycleRules, Sample, Standing, Unpinned};

use super::choice::Choice;
use crate::live::Live;
use crate::pipeline::Shared;
use crate::sync::{Mutex, lock};

/// The lives of the models that may be chosen. Its lock is held for a look or a sample, never across an await.
pub(crate) struct Lives(Mutex<Lifecycle>);

impl Default for Lives {
    fn default() -> Self {
        Self(Mutex::new(Lifecycle::new(LifecycleRules::default(), &[])))
    }
}

impl Lives {
    /// The lives of the models that these routes may choose, with what `before` knows of them. Who has
    /// flipped, or is pinned, stays what it is until the configuration changes its mind.
    pub(crate) fn new<'a>(choices: impl Iterator<Item = &'a Arc<Choice>> + Clone, before: Option<&Self>) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for arm in choices.clone().flat_map(|choice| &choice.arms) {
            if !entries.iter().any(|entry| entry.model == arm.route.name) {
                entries.push(Entry { model: Arc::clone(&arm.route.name), status: arm.facts.status });
            }
        }
        let models = |choice: &Arc<Choice>| choice.arms.iter().map(|arm| Arc::clone(&arm.route.name)).collect();
        let routes = choices.clone().map(models).collect();
        let mut lifecycle = Lifecycle::new(LifecycleRules::default(), &entries).of_routes(routes);
        if let Some(before) = before {
            lifecycle.adopt(&lock(&before.0));
        }
        let lives = Self(Mutex::new(lifecycle));
        lives.tell(choices);
        lives
    }

    /// All of them, to go on with after a restart.
    pub(super) fn all(&self) -> Lifecycle {
        lock(&self.0).clone()
    }

    /// Goes on with what was known before a restart.
    pub(super) fn restore<'a>(&self, before: &Lifecycle, choices: impl Iterator<Item = &'a Arc<Choice>>) {
        lock(&self.0).adopt(before);
        self.tell(choices);
    }

    /// Tells models that are not what the configuration says.
    fn tell<'a>(&self, choices: impl Iterator<Item = &'a Arc<Choice>>) {
        let lifecycle = lock(&self.0);
        for arm in choices.flat_map(|choice| &choice.arms) {
            let status = lifecycle.status(&arm.route.name).filter(|status| *status != arm.facts.status);
            arm.route.known.set_status(status);
        }
    }

    /// Every model as it stands.
    pub(crate) fn view(&self) -> Vec<Standing> {
        lock(&self.0).view()
    }

    /// What a model is now.
    pub(crate) fn status(&self, model: &str) -> Option<Status> {
        lock(&self.0).status(model)
    }
}

/// Takes in a comparison of the champion's answer with the challenger's. An active model is compared with active ones
/// alone: that one in shadow is cheaper is a reason to promote that one, none to take its answers from callers.
pub(super) fn observe(
    shared: &Shared,
    live: &Live,
    (champion, challenger): (&Arc<str>, &Arc<str>),
    compared: Compared,
    costs: Option<(MicroUsd, MicroUsd)>,
    now_ms: u64,
) {
    let won = compared.value();
    let own = Sample { quality: Some((won, 1.0 - won)), cost: costs.map(|(champion, own)| (own, champion)) };
    let other = Sample { quality: Some((1.0 - won, won)), cost: costs };
    let flips = {
        let mut lives = lock(&live.lives.0);
        let [one, two] = [champion, challenger].map(|model| lives.status(model) == Some(Status::Active));
        let mut flips = [None, None];
        if !two || one {
            flips[0] = lives.observe(challenger, &own, now_ms);
        }
        if one && two {
            flips[1] = lives.observe(champion, &other, now_ms);
        }
        flips
    };
    flips.iter().flatten().for_each(|flip| flipped(shared, live, flip));
}

/// Keeps a model at a status until it is unpinned; `false` where no route knows it.
pub(crate) fn pin(shared: &Shared, live: &Live, model: &str, status: Status, now_ms: u64) -> bool {
    if live.lives.status(model).is_none() {
        return false;
    }
    let flip = lock(&live.lives.0).pin(model, status, now_ms);
    if let Some(flip) = flip {
        flipped(shared, live, &flip);
    }
    true
}

/// Lets evidence decide on a model again, from where it stood before it was pinned; `false` where it was not pinned.
pub(crate) fn unpin(shared: &Shared, live: &Live, model: &str, now_ms: u64) -> bool {
    let unpinned = lock(&live.lives.0).unpin(model, now_ms);
    if let Unpinned::Returns(flip) = &unpinned {
        flipped(shared, live, flip);
    }
    unpinned != Unpinned::WasFree
}

/// A model has flipped: from now on every choice sees it.
fn flipped(shared: &Shared, live: &Live, flip: &Flip) {
    let arms = live.choices().filter_map(|choice| choice.arms.get(choice.arm_of(&flip.model)?));
    arms.for_each(|arm| arm.route.known.set_status(Some(flip.to)));
    let metrics = &shared.metrics.experiments;
    match flip.to {
        Status::Active => metrics.promotions.inc(),
        Status::Shadow | Status::Fallback | Status::Retired => metrics.demotions.inc(),
    }
    tracing::info!(
        model = &*flip.model,
        from = flip.from.label(),
        to = flip.to.label(),
        reason = &*flip.reason,
        calls = flip.calls,
        "model changed its status"
    );
    if let Some(journal) = shared.journal.as_deref().filter(|journal| journal.takes(JournalFile::Lifecycle)) {
        // A lost line is counted by who lost it.
        let _: Kept = journal.write(JournalFile::Lifecycle, serde_json::to_string(flip).unwrap_or_default());
    }
}
