//! What an adapter tells of itself.

use std::collections::BTreeMap;

use atp_proto::adapter::v1::CapabilitiesResponse;

use super::LocalModel;
use crate::config::Resolved;
use crate::config::resolved::{Provider, ProviderKind, TargetModel};

/// The capabilities of a provider.
pub(super) fn of(config: &Resolved, provider: &Provider, id: String) -> CapabilitiesResponse {
    let capabilities = ["text-generation", "embedding"].map(ToOwned::to_owned).to_vec();
    CapabilitiesResponse {
        adapter_id: id,
        adapter_type: provider.kind.label().to_owned(),
        capabilities,
        models: models(config, provider),
        max_tokens: 0,
        supported_languages: Vec::new(),
        cost_per_token_micros: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        metadata: std::collections::HashMap::new(),
        dialects: vec!["openai".to_owned()],
        max_concurrent: 0,
    }
}

/// The capabilities of a model in this process.
pub(super) fn of_local(model: &LocalModel, id: String) -> CapabilitiesResponse {
    CapabilitiesResponse {
        adapter_id: id,
        adapter_type: "local".to_owned(),
        capabilities: vec!["text-generation".to_owned()],
        models: vec![model.name.clone()],
        version: env!("CARGO_PKG_VERSION").to_owned(),
        dialects: vec!["openai".to_owned()],
        max_concurrent: u32::try_from(model.slots.saturating_add(model.line)).unwrap_or(u32::MAX),
        ..CapabilitiesResponse::default()
    }
}

/// The names that the provider knows; none where it takes any.
fn models(config: &Resolved, provider: &Provider) -> Vec<String> {
    match &provider.kind {
        ProviderKind::Simulated(simulated) => return simulated.models.keys().cloned().collect(),
        ProviderKind::Persona(personas) => {
            return personas.personas.iter().map(|persona| persona.name.to_string()).collect();
        }
        ProviderKind::OpenAi(_) | ProviderKind::Ollama(_) | ProviderKind::Grpc(_) => {}
    }
    let targets = config.models.iter().flat_map(|model| &model.targets);
    let mut names = BTreeMap::new();
    for target in targets.filter(|target| target.provider == provider.name) {
        match &target.model {
            TargetModel::Fixed(name) => names.insert(name.to_string(), ()),
            TargetModel::Matched { .. } => return Vec::new(),
        };
    }
    names.into_keys().collect()
}

/// A name among replicas: of this machine, and of this process on it.
pub(super) fn own_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "adapter" } else { host }, std::process::id())
}
