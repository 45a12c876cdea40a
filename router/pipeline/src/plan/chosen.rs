//! A choice on its way: the plan, and what has come of it so far. It travels with the exchange's books.

use std::sync::Arc;
use std::time::Instant;

use atp_core::{Capability, Features, MicroUsd, Plan, PlanEvent, Signs, Usage};
use atp_routing::bandit::Context;
use atp_routing::decide::Scale;
use atp_routing::estimate::Ask;
use bytes::Bytes;

/// What a choice was made of, and the choice.
pub(crate) struct Basis {
    pub(crate) plan: Arc<Plan>,
    /// The route by its own name.
    pub(crate) route: Arc<str>,
    /// The kind of work, in the bandit's terms.
    pub(crate) context: Context,
    pub(crate) features: Features,
    /// What was asked of the estimators.
    pub(crate) ask: Ask,
    /// What dollars and milliseconds are worth to this request.
    pub(crate) scale: Scale,
    /// Who would answer in the shadow.
    pub(crate) challenger: Option<usize>,
    /// The label that whoever sees the request has to carry.
    pub(crate) data_scope: Option<Arc<str>>,
}

/// What the choice of an exchange was, and what has come of it.
pub(crate) struct Chosen {
    pub(crate) basis: Arc<Basis>,
    /// What happened on the way.
    pub(crate) events: Vec<PlanEvent>,
    /// Tries of legs other than the one that holds this.
    pub(crate) attempts: u32,
    /// What answers have cost that did not go out.
    pub(crate) spent: Spent,
    /// When the leg began that holds this.
    pub(crate) leg_began: Instant,
    /// What the answer that goes out shows of its quality, where it was looked at.
    pub(crate) signs: Option<Signs>,
    /// The stream that goes out, where its form is looked at once it has ended.
    gathered: Option<Gathered>,
}

/// How much of a stream is gathered at most: of a longer one the form is not looked at.
const MOST_GATHERED: usize = 256 * 1024;

/// The pieces of a stream; they are shared with those that go out.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Chosen {
    /// A choice that is about to be carried out, at `now`.
    pub(super) fn new(basis: Arc<Basis>, now: Instant) -> Self {
        let spent = Spent::default();
        Self { basis, events: Vec::new(), attempts: 0, spent, leg_began: now, signs: None, gathered: None }
    }

    /// From now on the answer is gathered, where it is a stream that has to be of a form.
    pub(super) fn gathers(&mut self, stream: bool) {
        let wanted = stream && self.signs.is_none() && self.basis.features.needs.has(Capability::Json);
        self.gathered = wanted.then(Gathered::default);
    }

    /// A piece of the answer goes out.
    pub(crate) fn gather(&mut self, piece: &Bytes) {
        let Some(gathered) = &mut self.gathered else { return };
        gathered.bytes += piece.len();
        if gathered.bytes > MOST_GATHERED {
            self.gathered = None;
        } else {
            gathered.pieces.push(piece.clone());
        }
    }

    /// What the answer has shown, where it was looked at or can be.
    pub(crate) fn look(&mut self, see: impl FnOnce(&[u8]) -> Signs) -> Option<Signs> {
        if let Some(Gathered { pieces, .. }) = self.gathered.take() {
            self.signs = Some(see(&pieces.concat()));
        }
        self.signs
    }

    /// How many other candidates were asked.
    pub(crate) fn escalations(&self) -> u32 {
        let escalations = self.events.iter().filter(|event| matches!(event, PlanEvent::Escalate { .. })).count();
        u32::try_from(escalations).unwrap_or(u32::MAX)
    }
}

/// What was spent beside the answer that went out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    cost: u64,
    usage: Usage,
    /// Whether something was spent of which the price is not known.
    unknown: bool,
}

impl Spent {
    /// Adds what an answer has cost that was given up.
    pub(crate) fn add(&mut self, usage: Option<Usage>, cost: Option<MicroUsd>) {
        if let Some(usage) = usage {
            self.usage = sum(self.usage, usage);
        }
        match cost {
            Some(cost) => self.cost = self.cost.saturating_add(cost.0),
            None => self.unknown = true,
        }
    }

    /// The usage of all answers, where that of the last one is `usage`.
    pub(crate) fn with_usage(&self, usage: Option<Usage>) -> Option<Usage> {
        if self.usage == Usage::default() {
            return usage;
        }
        Some(sum(self.usage, usage.unwrap_or_default()))
    }

    /// The cost of all answers, where that of the last one is `cost`; it is unknown where that of any is.
    /// `answered` tells whether there was a last one at all.
    pub(crate) fn with_cost(&self, cost: Option<MicroUsd>, answered: bool) -> Option<MicroUsd> {
        if self.unknown {
            return None;
        }
        match cost {
            Some(cost) => Some(MicroUsd(cost.0.saturating_add(self.cost))),
            None if self.cost > 0 && !answered => Some(MicroUsd(self.cost)),
            None => None,
        }
    }
}

fn sum(one: Usage, other: Usage) -> Usage {
    Usage {
        input: one.input.saturating_add(other.input),
        output: one.output.saturating_add(other.output),
        cached_input: one.cached_input.saturating_add(other.cached_input),
        reasoning: one.reasoning.saturating_add(other.reasoning),
    }
}
