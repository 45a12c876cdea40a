//! What routes have learnt, as plain values: for operators, live views and metrics.

use std::sync::Arc;
use std::time::Instant;

use atp_routing::task;

use super::choice::Choice;
use crate::clock;
use crate::live::Live;
use crate::snapshot::{Experiment, Judge};
use crate::view::{ArmStatus, ClusterStats, ExperimentStatus, ModelStatus};

/// Every arm of every route at every kind of work that it has seen.
pub(crate) fn arms(live: &Live, now: Instant) -> Vec<ArmStatus> {
    let now_ms = clock::unix_ms(now);
    live.choices().flat_map(|choice| of_choice(choice, now_ms)).collect()
}

fn of_choice(choice: &Choice, now_ms: u64) -> Vec<ArmStatus> {
    let views = choice.mind().view(now_ms);
    let arm = |view: atp_routing::bandit::ArmView| ArmStatus {
        route: Arc::clone(&choice.rules.name),
        strategy: choice.mind_rules.strategy.label(),
        cluster: task::cluster_name(view.cluster),
        model: view.name,
        pulls: view.pulls,
        scores: view.scores,
        quality: view.quality,
        interval: view.interval,
        reliability: view.reliability,
        cost: view.cost,
        latency: view.latency,
        exploit: view.exploit,
        explore: view.explore,
    };
    views.into_iter().map(arm).collect()
}

/// The kinds of work that routes have seen.
pub(crate) fn clusters(live: &Live, now: Instant) -> Vec<ClusterStats> {
    let mut stats: Vec<ClusterStats> = Vec::new();
    for arm in arms(live, now) {
        let same = |stats: &&mut ClusterStats| stats.route == arm.route && stats.cluster == arm.cluster;
        match stats.iter_mut().find(same) {
            Some(known) => known.add(&arm),
            None => stats.push(ClusterStats::first(&arm)),
        }
    }
    stats
}

/// The challengers of every route.
pub(crate) fn experiments(live: &Live, now: Instant) -> Vec<ExperimentStatus> {
    let now_ms = clock::unix_ms(now);
    let with_rules = live.choices().filter_map(|choice| Some((choice, choice.rules.experiment.as_ref()?)));
    let of = |(choice, rules): (&Arc<Choice>, &Experiment)| ExperimentStatus {
        route: Arc::clone(&choice.rules.name),
        share: rules.share,
        max_per_day: rules.max_usd_per_day,
        judge: match &rules.judge {
            Judge::Model(name) => Arc::clone(name),
            Judge::Signs => Arc::from("signs"),
        },
        challengers: choice.trials.all().into_iter().map(|(model, trial)| (model, trial.standing(now_ms))).collect(),
    };
    with_rules.map(of).collect()
}

/// Every model that some route may choose, once.
pub(crate) fn models(live: &Live, now: Instant) -> Vec<ModelStatus> {
    let mut models: Vec<ModelStatus> = Vec::new();
    for choice in live.choices() {
        for arm in &choice.arms {
            let name = &arm.route.name;
            if let Some(known) = models.iter_mut().find(|model| model.model == *name) {
                known.routes.push(Arc::clone(&choice.rules.name));
                continue;
            }
            let (known, facts) = (&arm.route.known, &arm.facts);
            let standing = arm.route.pool.standing(atp_core::Qos::default(), 0, now);
            let latencies = known.latencies();
            models.push(ModelStatus {
                model: Arc::clone(name),
                routes: vec![Arc::clone(&choice.rules.name)],
                configured: facts.status,
                status: known.status().unwrap_or(facts.status),
                quality: facts.quality,
                price: arm.price,
                region: facts.region.clone(),
                safety: facts.safety,
                healthy: standing.healthy,
                room: standing.room,
                latency_p50: latencies.map(|(p50, _)| p50),
                latency_p95: latencies.map(|(_, p95)| p95),
                accuracy: known.accuracy(),
            });
        }
    }
    models
}
