//! The books of a stream that was gone on with: each part was another provider's work, at its own price.

use std::sync::Arc;
use std::time::Instant;

use atp_core::{Error, ErrorKind, MicroUsd, Resume, Usage};

use super::{Books, Ending};
use crate::attempt::{Opening, Way};
use crate::flow::lane::AnswerKind;

/// The parts of an answer that broke off.
#[derive(Default)]
pub(super) struct Broken {
    parts: Vec<Part>,
    /// What the last part was given as the beginning of its answer, where it goes on with the others.
    carried: Option<Resume>,
}

/// One part, and who made it.
struct Part {
    lane: usize,
    model: Option<Arc<str>>,
    /// What its provider told it used.
    told: Option<Usage>,
    /// Tokens that it was given as the beginning of its answer.
    given: u64,
    /// Tokens that it added, by the pieces that came.
    made: u64,
}

impl Part {
    /// What it used: as its provider told, or else the caller's prompt, which the last part's usage tells,
    /// with what it was given and what it added.
    fn usage(&self, prompt: Option<u64>) -> Option<Usage> {
        let counted = |prompt: u64| Usage { input: prompt + self.given, output: self.made, ..Usage::default() };
        self.told.or_else(|| prompt.map(counted))
    }
}

impl Books {
    /// Notes that the try under way broke off after `pieces` of an answer, and that another one goes on.
    pub(super) fn breaks_off(&mut self, error: &Error, told: Option<Usage>, pieces: u64, way: &Way, now: Instant) {
        let broken = self.broken.get_or_insert_default();
        let given = broken.carried.as_ref().map_or(0, |carried| carried.tokens);
        let made = match way {
            Way::Continue(resume) => resume.tokens.saturating_sub(given),
            Way::Restart => pieces,
        };
        broken.parts.push(Part { lane: self.lane, model: self.model.clone(), told, given, made });
        broken.carried = match way {
            Way::Continue(resume) => Some(resume.clone()),
            Way::Restart => None,
        };
        let tokens = told.map_or(made, |usage| usage.total());
        let ending = if error.kind() == ErrorKind::Preempted { Ending::Left } else { Ending::Failed(error) };
        self.try_ended(ending, now, tokens);
        self.shared.metrics.count_retry(error.kind());
        self.shared.metrics.count_rescue(way);
    }

    /// Notes that an answer goes on.
    pub(crate) fn goes_on_at(&mut self, opening: &Opening, now: Instant) {
        if let Some(lane) = self.current() {
            lane.answered();
        }
        let input = self.bill.as_ref().map_or(0, |bill| bill.input);
        if let Some(turn) = &mut self.turn {
            let written = opening.answer.body.report().usage.map(|usage| usage.output);
            let answer = if self.stream { AnswerKind::Stream } else { AnswerKind::Whole(written) };
            turn.first_token(now, answer, input, &opening.answer.limits);
        }
    }

    /// The usage of the whole answer as its caller knows it, where the last part's is `last`.
    pub(super) fn joined(&self, last: Option<Usage>) -> Option<Usage> {
        let Some(broken) = &self.broken else { return last };
        match (last, &broken.carried) {
            (Some(last), Some(carried)) => Some(carried.joined(last)),
            (Some(last), None) => Some(last),
            (None, _) => broken.parts.iter().rev().find_map(|part| part.told),
        }
    }

    /// Counts what the parts that broke off have cost beside the last one, whose own usage is `last`; `None`
    /// where that is not known of each.
    pub(super) fn count_parts(&self, last: Option<Usage>) -> Option<MicroUsd> {
        let Some(broken) = &self.broken else { return Some(MicroUsd::default()) };
        let carried = broken.carried.as_ref().map_or(0, |carried| carried.tokens);
        let prompt = last.map(|usage| usage.input.saturating_sub(carried));
        let costs = broken.parts.iter().map(|part| {
            let lane = self.route.as_ref()?.lanes.get(part.lane)?;
            let (usage, model) = (part.usage(prompt)?, part.model.as_deref().unwrap_or_default());
            lane.spent(&usage, model);
            lane.price_of(model).map(|price| price.cost(&usage).0)
        });
        // Each is counted, also where the sum cannot be known.
        let costs: Vec<Option<u64>> = costs.collect();
        costs.into_iter().try_fold(0u64, |sum, cost| Some(sum.saturating_add(cost?))).map(MicroUsd)
    }
}
