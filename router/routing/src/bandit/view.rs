//! What has been learnt, for people: per arm and kind of work.

use std::sync::Arc;

use atp_core::{Quality, Weights};
use serde::{Deserialize, Serialize};

use super::arm::{Arm, Place};
use super::{ArmRules, Brain, Context, D, Guess, ucb, unit, worth};

/// What is known of an arm at one kind of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmView {
    /// Its number.
    pub arm: usize,
    /// Its name.
    pub name: Arc<str>,
    /// The kind of work.
    pub cluster: u16,
    /// How often it was asked, what is long ago counting less.
    pub pulls: f64,
    /// How many scores were told, likewise.
    pub scores: f64,
    /// The expected quality of a typical answer.
    pub quality: f64,
    /// Where that lies with a probability of 95 %.
    pub interval: (f64, f64),
    /// How sure it is to answer.
    pub reliability: f64,
    /// How cheap it was on average, from 0 to 1.
    pub cost: Option<f64>,
    /// How soon on average, from 0 to 1.
    pub latency: Option<f64>,
    /// The first term of the upper confidence bound: the mean reward with the weights of `balanced`.
    pub exploit: f64,
    /// The second term: what being unsure adds; `None` before the first pull.
    pub explore: Option<f64>,
}

impl Brain {
    /// What has been learnt, by kind of work and then by arm; kinds that nobody asked for are left out.
    #[must_use]
    pub fn view(&self, now_ms: u64) -> Vec<ArmView> {
        let fresh = self.fresh(now_ms);
        let clusters = self.arms.iter().map(Arm::places).max().unwrap_or_default();
        let clusters = (0..u16::try_from(clusters).unwrap_or(u16::MAX)).filter_map(|cluster| {
            let all: f64 = self.arms.iter().map(|arm| arm.place(cluster).pulls).sum();
            let scores: f64 = self.arms.iter().map(|arm| arm.model.told(usize::from(cluster)).0).sum();
            (all + scores > 0.0).then_some((cluster, all * fresh))
        });
        let arms = || self.rules.arms.iter().zip(&self.arms).enumerate();
        clusters
            .flat_map(|(cluster, all)| {
                arms().map(move |(number, (rules, arm))| seen(number, rules, arm, (cluster, all, fresh)))
            })
            .collect()
    }
}

fn seen(number: usize, rules: &ArmRules, arm: &Arm, (cluster, all, fresh): (u16, f64, f64)) -> ArmView {
    let place = usize::from(cluster);
    let x = arm.model.typical(place).unwrap_or_else(|| {
        let mut x = [0.0; D];
        x[0] = 1.0;
        x
    });
    let Guess { mean, variance } = arm.model.guess(&Context { cluster, x }, place, fresh);
    let reach = 1.96 * variance.sqrt();
    let Place { pulls, cost, latency } = arm.place(cluster);
    let reliability = arm.reliability().mean;
    let weights = Weights::of(Quality::Balanced);
    let exploit = reliability * worth(weights, [Some(mean), cost.value(), latency.value()]).unwrap_or(mean);
    ArmView {
        arm: number,
        name: rules.name.clone(),
        cluster,
        pulls: pulls * fresh,
        scores: arm.model.told(place).0 * fresh,
        quality: mean,
        interval: (unit(mean - reach), unit(mean + reach)),
        reliability,
        cost: cost.value(),
        latency: latency.value(),
        exploit,
        explore: (pulls * fresh > ucb::UNSEEN).then(|| ucb::bonus(all, pulls * fresh)),
    }
}
