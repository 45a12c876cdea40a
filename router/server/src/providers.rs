//! Providers, from their configuration to their adapters.
//!
//! A provider whose configuration did not change at a reload keeps its adapter, and with it its
//! open connections.

use std::sync::Arc;

use atp_adapters::http_client::{ClientSettings, Http2, HttpClient, Origin};
use atp_adapters::ollama::{Ollama, OllamaConfig};
use atp_adapters::openai_compatible::{AuthStyle, OpenAiCompatible, OpenAiConfig};
use atp_adapters::persona::Personas;
use atp_adapters::simulated::{ConfigFault, Simulated};
use atp_adapters::vendors::{Vendor, Vendors};
use atp_core::port;

use crate::config::resolved::{self, HttpProvider, PersonaProvider, ProviderKind};
use crate::fleet::Fleet;

/// The largest answer, in bytes, that is read to its end before it is passed on.
pub(crate) const WHOLE_ANSWER_CAP: usize = 32 << 20;

/// A provider and what it was made of.
#[derive(Clone)]
pub(crate) struct Wired {
    pub(crate) config: resolved::Provider,
    pub(crate) provider: Arc<dyn port::Provider>,
}

/// What providers are made with.
pub(crate) struct With<'a> {
    /// Data-plane threads.
    pub(crate) workers: usize,
    /// Who keeps the adapters in processes of their own.
    pub(crate) fleet: &'a Fleet,
}

/// Makes every provider of a configuration, keeping those of `old` that did not change.
///
/// # Errors
/// The name of the provider, and why it cannot be made.
pub(crate) fn wire(config: &[resolved::Provider], old: &[Wired], with: &With<'_>) -> Result<Vec<Wired>, String> {
    // Personas last: they share the adapter, and with it the connections, of the provider that they name.
    let is_persona = |config: &&resolved::Provider| matches!(config.kind, ProviderKind::Persona(_));
    let (personas, others): (Vec<_>, Vec<_>) = config.iter().partition(is_persona);
    let mut wired: Vec<Wired> = Vec::with_capacity(config.len());
    for config in others.into_iter().chain(personas) {
        let one = one(config, old, with, &wired)?;
        wired.push(one);
    }
    let place = |wired: &Wired| config.iter().position(|config| config.name == wired.config.name);
    wired.sort_by_key(place);
    Ok(wired)
}

fn one(config: &resolved::Provider, old: &[Wired], with: &With<'_>, others: &[Wired]) -> Result<Wired, String> {
    if let Some(kept) = old.iter().find(|wired| wired.config == *config) {
        return Ok(kept.clone());
    }
    let provider = match &config.kind {
        ProviderKind::Persona(personas) => persona(&config.name, personas, with, others),
        kind => make(&config.name, kind, with),
    };
    let provider = provider.map_err(|error| format!("provider {:?}: {error}", config.name))?;
    Ok(Wired { config: config.clone(), provider })
}

fn make(name: &Arc<str>, kind: &ProviderKind, with: &With<'_>) -> Result<Arc<dyn port::Provider>, String> {
    let name = Arc::clone(name);
    match kind {
        ProviderKind::Persona(personas) => persona(&name, personas, with, &[]),
        ProviderKind::OpenAi(http) => {
            let client = client(http, with.workers)?;
            let provider = OpenAiCompatible::new(openai(name, http), client).map_err(|error| error.to_string())?;
            Ok(Arc::new(provider))
        }
        ProviderKind::Ollama(http) => {
            let client = client(http, with.workers)?;
            let config = OllamaConfig { name, api_key: http.api_key.clone(), headers: http.headers.clone() };
            Ok(Arc::new(Ollama::new(config, client).map_err(|error| error.to_string())?))
        }
        ProviderKind::Grpc(grpc) => Ok(with.fleet.provider(&name, grpc).map_err(|error| error.to_string())?),
        ProviderKind::Simulated(settings) => {
            let told = |faults: Vec<ConfigFault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            Ok(Arc::new(Simulated::new(name, (*settings).clone()).map_err(told)?))
        }
    }
}

/// Personas in front of the provider that they name, or of one of their own.
fn persona(
    name: &Arc<str>,
    personas: &PersonaProvider,
    with: &With<'_>,
    others: &[Wired],
) -> Result<Arc<dyn port::Provider>, String> {
    let shared = others.iter().find(|wired| Some(&wired.config.name) == personas.of.as_ref());
    let upstream = match shared {
        Some(wired) => Arc::clone(&wired.provider),
        None => make(personas.of.as_ref().unwrap_or(name), &personas.upstream, with)?,
    };
    Ok(Arc::new(Personas::new(Arc::clone(name), upstream, Arc::clone(&personas.model), &personas.personas)))
}

fn client(http: &HttpProvider, workers: usize) -> Result<HttpClient, String> {
    let origin = Origin::parse(&http.base_url).map_err(|error| error.to_string())?;
    let http2 = match http.http2 {
        resolved::Http2::Auto => Http2::Auto,
        resolved::Http2::On => Http2::On,
        resolved::Http2::Off => Http2::Off,
    };
    let extra_roots = http.authorities.as_ref().map(|trusted| trusted.pem.to_vec());
    let settings = ClientSettings { http2, extra_roots, ..ClientSettings::default() };
    HttpClient::new(origin, settings, workers).map_err(|error| error.to_string())
}

fn openai(name: Arc<str>, http: &HttpProvider) -> OpenAiConfig {
    let vendor = http.vendor.as_deref().and_then(|vendor| Vendors::shipped().get(vendor));
    OpenAiConfig {
        name,
        api_key: http.api_key.clone(),
        auth: vendor.map_or(AuthStyle::Bearer, Vendor::auth_style),
        headers: http.headers.clone(),
        query: query(http, vendor),
        quirks: vendor.map(Vendor::quirks).unwrap_or_default(),
        whole_answer_cap: WHOLE_ANSWER_CAP,
    }
}

/// The configured query wins over the vendor's.
fn query(http: &HttpProvider, vendor: Option<&Vendor>) -> String {
    match http.query.as_str() {
        "" => vendor.and_then(Vendor::query).unwrap_or_default().to_owned(),
        configured => configured.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::config::{self, VendorRow};

    #[test]
    fn every_vendor_needs_its_name_and_a_key_and_what_its_address_leaves_open() {
        let rows: Vec<VendorRow> = Vendors::shipped().iter().map(VendorRow::from).collect();
        assert!(rows.len() > 50);
        let env = BTreeMap::<String, String>::new();
        for row in Vendors::shipped().iter() {
            let place = match row.usable_base_url() {
                Some(_) => String::new(),
                None => format!(", base_url: \"{}\"", row.base_url.replace(['{', '}'], "")),
            };
            let text = format!("providers: {{ p: {{ vendor: {}, api_key: k{place} }} }}", row.name);
            let resolved = config::load_str(&text, Path::new("atp.yaml"), &env, &rows)
                .unwrap_or_else(|errors| panic!("{}: {errors}", row.name));
            let wired =
                wire(&resolved.providers, &[], &With { workers: 1, fleet: &Fleet::offline(&resolved).unwrap() })
                    .unwrap_or_else(|error| panic!("{}: {error}", row.name));
            assert_eq!(wired.len(), 1, "{}", row.name);
            let ProviderKind::OpenAi(http) = &wired[0].config.kind else { panic!("{} is no vendor", row.name) };
            let made = openai(Arc::from("p"), http);
            assert_eq!((made.quirks, made.auth), (row.quirks(), row.auth_style()), "{}", row.name);
            assert_eq!(made.query, row.query().unwrap_or_default(), "{}", row.name);
        }
    }
}
