//! The configuration of `atp up` without a file: simulated models, and every provider that the environment knows.

use std::collections::BTreeSet;

use atp_adapters::simulated::SimulatedConfig;

use super::document::Document;
use super::env::{self, Env, LOCAL_MODEL_NAME, LOCAL_MODEL_URL, OLLAMA_BASE_URL, OPENAI_API_KEY, OPENAI_BASE_URL};
use super::error::{Code, ConfigError, ConfigErrors};
use super::raw::{RawConfig, RawKind, RawModel, RawPrices, RawProvider, RawTarget};
use super::registered::{self, Registered};
use super::resolve::{Context, resolve};
use super::resolved::{Resolved, VendorRow};
use super::value::Listed;

/// OpenAI's own families of models, which its users ask for without a prefix.
const OPENAI_FAMILIES: [&str; 9] =
    ["gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "text-embedding-*", "omni-moderation-*", "whisper-*", "tts-*"];

/// What runs on the user's own machine costs no dollars.
const FREE: RawPrices = RawPrices { input: 0, output: 0, cached_input: None };

/// The configuration without a file: `127.0.0.1:7443`, admin on `127.0.0.1:7444`; first the local model of
/// `ATP_LOCAL_MODEL_URL`, then the models of OpenAI and of each vendor whose key is in the environment
/// (`groq/*`), then Ollama's (`ollama/*`), then the simulated ones, then those of adapters that have registered.
///
/// # Errors
/// Every environment variable with a bad value.
pub fn embedded(env: &dyn Env, vendors: &[VendorRow], registered: &[Registered]) -> Result<Resolved, ConfigErrors> {
    let errors = match assemble(env, vendors, registered, None) {
        Ok(resolved) => return Ok(resolved),
        Err(errors) => errors,
    };
    // Who points OpenAI's client libraries at the router has the router's own address in this variable.
    let is_ours = |error: &ConfigError| error.field == OPENAI_BASE_URL && error.code == Code::Conflict;
    if !errors.errors().iter().any(is_ours) {
        return Err(errors);
    }
    let mut resolved = assemble(env, vendors, registered, Some(OPENAI_API_KEY))?;
    resolved.warnings.push(format!("{OPENAI_BASE_URL} is the router's own address: the provider `openai` is left out"));
    Ok(resolved)
}

/// The configuration without the vendor whose key is in the variable `without`.
fn assemble(
    env: &dyn Env,
    vendors: &[VendorRow],
    registered: &[Registered],
    without: Option<&str>,
) -> Result<Resolved, ConfigErrors> {
    let mut raw = RawConfig::default();
    local(&mut raw, env);
    let wanted = vendors.iter().filter(|vendor| without.is_none() || vendor.key_env.as_deref() != without);
    vendors_with_keys(&mut raw, env, wanted);
    if env::set(env, OLLAMA_BASE_URL).is_some() {
        provider(&mut raw, "ollama", RawProvider { kind: Some(RawKind::Ollama), ..RawProvider::default() });
        model(&mut raw, "ollama/*", "ollama", None, Some(FREE));
    }
    simulated(&mut raw);
    registered::add(&mut raw, registered);
    let document = Document::empty();
    let mut context = Context {
        document: &document,
        env,
        vendors,
        source: "embedded defaults".to_owned(),
        file: None,
        removed: Vec::new(),
        errors: Vec::new(),
        warnings: Vec::new(),
        watched: Vec::new(),
    };
    let resolved = resolve(&raw, &mut context);
    if context.errors.is_empty() { Ok(resolved) } else { Err(ConfigErrors::new(context.errors)) }
}

fn provider(raw: &mut RawConfig, name: &str, provider: RawProvider) {
    raw.providers.0.push((name.to_owned(), provider));
}

fn model(raw: &mut RawConfig, name: &str, provider: &str, target: Option<&str>, prices: Option<RawPrices>) {
    let target =
        RawTarget { provider: provider.to_owned(), model: target.map(str::to_owned), prices, ..RawTarget::default() };
    let model = RawModel { targets: Listed::of([target]), ..RawModel::default() };
    raw.models.0.push((name.to_owned(), model));
}

/// The local model comes first, so that a first request is answered by a real model without any key.
fn local(raw: &mut RawConfig, env: &dyn Env) {
    let Some(url) = env::set(env, LOCAL_MODEL_URL) else { return };
    let name = env::set(env, LOCAL_MODEL_NAME).unwrap_or_else(|| "local".to_owned());
    let settings = RawProvider { kind: Some(RawKind::Openai), base_url: Some(url), ..RawProvider::default() };
    provider(raw, "local", settings);
    model(raw, &name, "local", None, Some(FREE));
}

fn vendors_with_keys<'v>(raw: &mut RawConfig, env: &dyn Env, vendors: impl Iterator<Item = &'v VendorRow>) {
    let mut used = BTreeSet::new();
    for vendor in vendors {
        let Some(variable) = &vendor.key_env else { continue };
        let placeless = vendor.usable_base_url().is_none();
        // Two vendors may share a variable; the first one has it.
        if placeless || env::set(env, variable).is_none() || !used.insert(variable) {
            continue;
        }
        provider(raw, &vendor.name, RawProvider { vendor: Some(vendor.name.clone()), ..RawProvider::default() });
        if variable == OPENAI_API_KEY {
            for family in OPENAI_FAMILIES {
                model(raw, family, &vendor.name, None, None);
            }
        }
        model(raw, &format!("{}/*", vendor.name), &vendor.name, None, None);
    }
}

/// The ready models, the quick one first.
fn simulated(raw: &mut RawConfig) {
    provider(raw, "simulated", RawProvider { kind: Some(RawKind::Simulated), ..RawProvider::default() });
    let ready = SimulatedConfig::default();
    let mut names: Vec<&String> = ready.models.keys().collect();
    names.sort_by_key(|name| ready.price(name).map(|price| price.output));
    for name in names {
        model(raw, name, "simulated", None, None);
        // They declare how good they are, so that the route `auto` has something to go by from the first request.
        let known = ready.models.get(name).map(|model| model.quality);
        if let Some((_, model)) = raw.models.0.last_mut() {
            model.quality = known;
        }
    }
}
