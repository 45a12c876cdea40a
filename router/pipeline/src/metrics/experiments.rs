//! The metrics of challengers and panels.

use atp_routing::experiment::Compared;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec};

use super::{Registry, add, counters};
use crate::snapshot::EnsembleMode;

/// Of the share of a panel that says the same (the mission's bounds).
const AGREEMENT: [f64; 5] = [0.2, 0.4, 0.6, 0.8, 0.9];

/// What is counted of challengers, their judges and the lives that depend on them, and of panels.
#[derive(Clone)]
pub(crate) struct ExperimentMetrics {
    /// Challengers that were asked.
    pub(crate) runs: IntCounter,
    wins: IntCounter,
    compared: IntCounterVec,
    /// Challengers that were not asked, because what that costs is not known.
    pub(crate) unpriced: IntCounter,
    pub(crate) judge_failed: IntCounter,
    pub(crate) promotions: IntCounter,
    pub(crate) demotions: IntCounter,
    panels: IntCounterVec,
    agreement: Histogram,
    pub(crate) arbiters: IntCounter,
    pub(crate) arbiter_too_dear: IntCounter,
}

impl ExperimentMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| add(registry, IntCounter::new(name, help)?);
        let agreement =
            HistogramOpts::new("agreement_pct", "The share of a panel's answers that say the same, from 0 to 1");
        Ok(Self {
            runs: counter("challenger_runs_total", "Challengers that were asked in the shadow")?,
            wins: counter("challenger_wins_total", "Comparisons that the challenger has won")?,
            compared: counters(
                registry,
                "atp_challenges_total",
                "Comparisons of a challenger with the model that was chosen, by how the challenger did",
                &["result"],
            )?,
            unpriced: counter(
                "atp_challengers_unpriced_total",
                "Challengers that were not asked because they or their judge have no price, and a day's money is to hold",
            )?,
            judge_failed: counter("atp_judge_failed_total", "Comparisons whose judge came to nothing")?,
            promotions: counter("atp_router_promotions_total", "Models that were promoted to answer callers")?,
            demotions: counter("atp_router_demotions_total", "Models that may not answer callers any more")?,
            panels: counters(
                registry,
                "consensus_strategy_used_total",
                "Panels of models, by how one answer was made of theirs",
                &["strategy"],
            )?,
            agreement: add(registry, Histogram::with_opts(agreement.buckets(AGREEMENT.to_vec()))?)?,
            arbiters: counter("arbiter_invocations_total", "Arbiters that were asked")?,
            arbiter_too_dear: counter(
                "arbiter_budget_exceeded_total",
                "Arbiters that were not asked because they would have cost too much",
            )?,
        })
    }

    /// Counts a comparison.
    pub(crate) fn compared(&self, compared: Compared) {
        let result = match compared {
            Compared::Win => "win",
            Compared::Tie => "tie",
            Compared::Loss => "loss",
        };
        self.compared.with_label_values(&[result]).inc();
        if compared == Compared::Win {
            self.wins.inc();
        }
    }

    /// Counts a panel, and how much of it said the same.
    pub(crate) fn used(&self, mode: &EnsembleMode, share: Option<f64>) {
        let strategy = match mode {
            EnsembleMode::FirstWin => "first_win",
            EnsembleMode::Quorum => "quorum",
            EnsembleMode::Weighted => "weighted",
            EnsembleMode::Arbiter { .. } => "arbiter",
        };
        self.panels.with_label_values(&[strategy]).inc();
        if let Some(share) = share.filter(|_| *mode != EnsembleMode::FirstWin) {
            self.agreement.observe(share);
        }
    }
}
