//! What contradicts itself in a snapshot is found before anything that is in force is touched.

use std::collections::HashSet;
use std::sync::Arc;

use atp_core::{Error, ErrorKind};

use crate::snapshot::{Ensemble, EnsembleMode, Experiment, Judge, Manner, Model, RouteRules, Snapshot, Target};

/// Checks what the types allow and the request path cannot do.
///
/// # Errors
///
/// [`ErrorKind::Configuration`], naming the field, the value and the way out.
pub(super) fn check(snapshot: &Snapshot) -> Result<(), Error> {
    let mut names = HashSet::new();
    for model in &snapshot.models {
        check_targets(model)?;
        for name in std::iter::once(&model.name).chain(&model.aliases) {
            if name.matches('*').count() > 1 {
                return Err(configuration(format!("models.{name}: a pattern may hold one `*`; it holds more")));
            }
            // Two patterns may be the same: the first one counts.
            if !name.contains('*') && !names.insert(name) {
                return Err(configuration(format!(
                    "models.{name}: the name stands twice, as a model or an alias; choose another"
                )));
            }
        }
    }
    for route in &snapshot.routes {
        check_route(snapshot, route)?;
        if !names.insert(&route.name) {
            return Err(configuration(format!(
                "routes.{}: the name stands twice, as a route, a model or an alias; choose another",
                route.name
            )));
        }
    }
    let mut providers = HashSet::new();
    for name in snapshot.providers.iter().map(|raw| raw.provider.name()) {
        if !providers.insert(name) {
            return Err(configuration(format!("providers.{name}: the name stands twice; choose another")));
        }
    }
    Ok(())
}

fn check_route(snapshot: &Snapshot, route: &RouteRules) -> Result<(), Error> {
    let name = &route.name;
    if name.contains('*') {
        return Err(configuration(format!("routes.{name}: a route's name may hold no `*`; choose another")));
    }
    if route.candidates.is_empty() {
        return Err(configuration(format!("routes.{name}.candidates: the list is empty; name at least one model")));
    }
    for (index, candidate) in route.candidates.iter().enumerate() {
        check_candidate(snapshot, &format!("routes.{name}.candidates[{index}]"), candidate)?;
        if route.candidates.iter().take(index).any(|before| before == candidate) {
            return Err(configuration(format!(
                "routes.{name}.candidates[{index}]: `{candidate}` stands there already; name each model once"
            )));
        }
    }
    if let Some(Experiment { challenger: Some(challenger), .. }) = &route.experiment {
        check_candidate(snapshot, &format!("routes.{name}.experiment.challenger"), challenger)?;
    }
    if let Some(Experiment { judge: Judge::Model(judge), .. }) = &route.experiment {
        check_candidate(snapshot, &format!("routes.{name}.experiment.judge"), judge)?;
    }
    if let Manner::Several(Ensemble { mode: EnsembleMode::Arbiter { model, .. }, .. }) = &route.manner {
        check_candidate(snapshot, &format!("routes.{name}.ensemble.arbiter"), model)?;
    }
    Ok(())
}

/// A model that a route names: one that stands in the configuration by this very name, so that its price and
/// its quality are known, and no pattern, which stands for many.
fn check_candidate(snapshot: &Snapshot, field: &str, name: &Arc<str>) -> Result<(), Error> {
    if name.contains('*') {
        return Err(configuration(format!("{field}: `{name}` is a pattern; name one of the models behind it")));
    }
    if snapshot.models.iter().any(|model| model.name == *name) {
        return Ok(());
    }
    Err(configuration(format!("{field}: no model is called `{name}`; name one that stands under `models`")))
}

fn check_targets(model: &Model) -> Result<(), Error> {
    let name = &model.name;
    if model.targets.is_empty() {
        return Err(configuration(format!("models.{name}.targets: the list is empty; name at least one target")));
    }
    for (index, target) in model.targets.iter().enumerate() {
        check_target(model, index, target)?;
    }
    Ok(())
}

fn check_target(model: &Model, index: usize, target: &Target) -> Result<(), Error> {
    let name = &model.name;
    if let Some(weight) = target.weight
        && !(weight.is_finite() && weight >= 0.0)
    {
        return Err(configuration(format!(
            "models.{name}.targets[{index}].weight: {weight} is not a number of 0 or more"
        )));
    }
    let is_pattern = std::iter::once(name).chain(&model.aliases).any(|name| name.contains('*'));
    if target.model.contains('*') && !is_pattern {
        return Err(configuration(format!(
            "models.{name}.targets[{index}].model: `{}` holds a `*`, but `{name}` is not a pattern that could fill it",
            target.model
        )));
    }
    Ok(())
}

fn configuration(text: String) -> Error {
    Error::router(ErrorKind::Configuration, text)
}
