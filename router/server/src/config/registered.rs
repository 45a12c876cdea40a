//! What adapters that have registered add to the configuration.
//!
//! It is put into the raw form, so that one who registers is checked, wired and told of like one who is written down.
//! What is written down wins: a name of the file is never taken by somebody who registers.

use super::raw::{RawConfig, RawKind, RawModel, RawProvider, RawTarget};
use super::value::Listed;

/// Adapters of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The provider.
    pub name: String,
    /// The models that they serve.
    pub models: Vec<String>,
    /// Whether one of them passes any name on.
    pub any_model: bool,
}

/// Adds providers and models.
pub(super) fn add(raw: &mut RawConfig, registered: &[Registered]) {
    for each in registered {
        let known = raw.providers.0.iter().find(|(name, _)| *name == each.name);
        match known.map(|(_, provider)| provider.kind) {
            None => {
                let provider = RawProvider { kind: Some(RawKind::Grpc), ..RawProvider::default() };
                raw.providers.0.push((each.name.clone(), provider));
            }
            Some(Some(RawKind::Grpc)) => {}
            Some(_) => continue,
        }
        for name in &each.models {
            model(raw, format!("{}/{name}", each.name), each, name);
            model(raw, name.clone(), each, name);
        }
        if each.any_model {
            model(raw, format!("{}/*", each.name), each, "*");
        }
    }
}

fn model(raw: &mut RawConfig, name: String, of: &Registered, target: &str) {
    let mut taken = raw
        .models
        .0
        .iter()
        .map(|(known, model)| known == &name || model.aliases.iter().any(|(_, alias)| *alias == name));
    let route = raw.routes.0.iter().any(|(known, _)| *known == name);
    if route || taken.any(|taken| taken) {
        return;
    }
    let target = RawTarget { provider: of.name.clone(), model: Some(target.to_owned()), ..RawTarget::default() };
    raw.models.0.push((name, RawModel { targets: Listed::of([target]), ..RawModel::default() }));
}
