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

    /// Nothing where it failed; else the weighted mean of what is known, the score among it.
    fn reward(&self) -> f64 {
        if self.served != Some(true) {
            return 0.0;
        }
        let quality = self.is_told().then(|| self.scores.0 / self.scores.1.max(f64::MIN_POSITIVE));
        let weights = self.weights;
        let parts = [(weights.quality, quality), (weights.cost, self.cost), (weights.latency, self.latency)];
        let known = parts.into_iter().filter_map(|(weight, part)| part.map(|part| (weight, part)));
        let (sum, all) = known.fold((0.0, 0.0), |(sum, all), (weight, part)| (sum + weight * part, all + weight));
        if all > 0.0 { (sum / all).clamp(0.0, 1.0) } else { 0.0 }
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
        Some(Row { sides: record.sides.clone(), reward: record.reward(), stands_for, most })
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
