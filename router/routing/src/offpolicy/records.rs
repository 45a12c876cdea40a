//! What is kept of each choice until the end, and what it comes to.

use std::sync::Arc;

use atp_core::{Status, Weights};

use super::Share;
use crate::bandit::Lesson;
use crate::candidate::CandidateNow;

/// A candidate that was, or would have been, drawn with some probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Side {
    /// Its number among all models.
    pub(super) model: usize,
    /// Whether it was drawn.
    pub(super) chosen: bool,
    /// The probability of that, as logged.
    pub(super) logged: f64,
    /// The probability by the other way of choosing.
    pub(super) other: f64,
    /// The reward that was expected of it.
    pub(super) expected: f64,
    /// The quality that was.
    pub(super) quality: f64,
}

/// A choice, and what was learnt of it so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    weights: Weights,
    arm: usize,
    pub(super) sides: Vec<Side>,
    served: Option<bool>,
    /// The sum of the weighted scores, and of their weights.
    scores: (f64, f64),
    cost: Option<f64>,
    latency: Option<f64>,
}

/// A choice that counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Who might have been drawn.
    pub(super) sides: Vec<Side>,
    /// The reward, from 0 to 1; 0 where it is not known.
    pub(super) reward: f64,
    /// For how many this reward stands: 0 where it is not known, and more than 1 where some of the same model are not.
    pub(super) stands_for: f64,
    /// The most that `stands_for` could have been, for each side.
    pub(super) most: Vec<f64>,
    /// What the reward is made of; `None` where the answer failed.
    pub(super) parts: Option<Parts>,
}

/// The parts of the reward of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Parts {
    /// What cost and latency make of it; known of every answer.
    pub(super) rest: f64,
    /// What a score of 1 adds to that.
    pub(super) share: f64,
    /// The score, where it was told.
    pub(super) score: Option<f64>,
    /// The score that was expected beforehand.
    pub(super) expected: f64,
    /// For how many answers of the same model each told score stands; 0 where none was told.
    pub(super) stands: f64,
}

impl Parts {
    /// The same of what is left to 1.
    pub(super) fn mirrored(self) -> Self {
        let rest = (1.0 - self.rest - self.share).max(0.0);
        Self { rest, score: self.score.map(|score| 1.0 - score), expected: 1.0 - self.expected, ..self }
    }
}

impl Record {
    pub(super) fn new(weights: Weights, arm: usize, sides: Vec<Side>) -> Self {
        Self { weights, arm, sides, served: None, scores: (0.0, 0.0), cost: None, latency: None }
    }

    /// Takes a lesson in, where it is about the one that was drawn.
    pub(super) fn learn(&mut self, lesson: &Lesson) {
        if lesson.arm != self.arm {
            return;
        }
        self.served = lesson.served.or(self.served);
        self.cost = lesson.cost.or(self.cost);
        self.latency = lesson.latency.or(self.latency);
        if let Some((score, weight)) = lesson.quality {
            self.scores = (self.scores.0 + weight * score, self.scores.1 + weight);
        }
    }

    fn model(&self) -> Option<usize> {
        self.sides.iter().find(|side| side.chosen).map(|side| side.model)
    }

    fn is_told(&self) -> bool {
        self.scores.1 > 0.0
    }

    fn score(&self) -> Option<f64> {
        self.is_told().then(|| (self.scores.0 / self.scores.1.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0))
    }

    /// The reward is the weighted mean of the score and of what is known of cost and latency.
    fn parts(&self, stands: f64) -> Parts {
        let weights = self.weights;
        let known = [(weights.cost, self.cost), (weights.latency, self.latency)];
        let known = known.into_iter().filter_map(|(weight, part)| part.map(|part| (weight, part)));
        let (sum, all) =
            known.fold((0.0, weights.quality), |(sum, all), (weight, part)| (sum + weight * part, all + weight));
        let all = if all > 0.0 { all } else { 1.0 };
        let expected = self.sides.iter().find(|side| side.chosen).map_or(0.0, |side| side.quality);
        let (rest, share) = ((sum / all).clamp(0.0, 1.0), (weights.quality / all).clamp(0.0, 1.0));
        Parts { rest, share, score: self.score(), expected: expected.clamp(0.0, 1.0), stands }
    }
}

/// The candidates as they stood; one that is not listed as one that does not answer.
pub(super) fn listed(now: &[Option<CandidateNow>]) -> Vec<CandidateNow> {
    let absent = CandidateNow { status: Status::Retired, healthy: false, ..CandidateNow::default() };
    now.iter().map(|each| each.unwrap_or(absent)).collect()
}

/// The choices that count: those that are known to have been served or to have failed.
pub(super) fn rows(records: &[Record], models: usize) -> Vec<Row> {
    // A failure needs no score. Of what was served, those with a score stand for all of the same model.
    let mut served = vec![(0u64, 0u64); models];
    for record in records.iter().filter(|record| record.served == Some(true)) {
        if let Some((all, told)) = record.model().and_then(|model| served.get_mut(model)) {
            *all += 1;
            *told += u64::from(record.is_told());
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of lines in files")]
    let stands = |model: usize| match served.get(model) {
        Some((all, told)) if *told > 0 => *all as f64 / *told as f64,
        // Of a model that was never scored nothing is known.
        Some(_) | None => 0.0,
    };
    let row = |record: &Record| {
        let model = record.model()?;
        let known = record.served?;
        let stands_for = if known { if record.is_told() { stands(model) } else { 0.0 } } else { 1.0 };
        let most = record.sides.iter().map(|side| stands(side.model).max(1.0)).collect();
        let parts = known.then(|| record.parts(stands(model)));
        let reward = parts.map_or(0.0, |parts| parts.rest + parts.share * parts.score.unwrap_or(0.0));
        Some(Row { sides: record.sides.clone(), reward: reward.clamp(0.0, 1.0), stands_for, most, parts })
    };
    records.iter().filter_map(row).collect()
}

/// How often each model was, and would have been, drawn.
pub(super) fn shares(rows: &[Row], models: &[Arc<str>]) -> Vec<Share> {
    let mut shares: Vec<Share> =
        models.iter().map(|model| Share { model: model.clone(), logged: 0.0, other: 0.0 }).collect();
    #[expect(clippy::cast_precision_loss, reason = "a count of lines in files")]
    let each = 1.0 / rows.len().max(1) as f64;
    for side in rows.iter().flat_map(|row| &row.sides) {
        if let Some(share) = shares.get_mut(side.model) {
            share.logged += if side.chosen { each } else { 0.0 };
            share.other += side.other * each;
        }
    }
    shares
}
