//! What a file may say, and what every wrong file is told.

mod accept;
mod broken;
mod change;
mod choice;
mod document;
mod environment;
mod flow;
mod fuzz;
mod money;
mod personas;
mod without_file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;

/// The file that has to work as it stands.
const MINIMAL: &str = r#"listen: 127.0.0.1:7443
admin: { listen: 127.0.0.1:7444 }
providers:
  up: { kind: openai, base_url: "http://127.0.0.1:9100/v1", api_key: "secret" }
models:
  m: { targets: [ { provider: up, model: m } ] }
"#;

fn no_env() -> BTreeMap<String, String> {
    BTreeMap::new()
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A few vendors of each sort: with a key, without one, with a place that has to be given.
fn vendors() -> Vec<VendorRow> {
    let row = |name: &str, url: &str, key: &str| VendorRow {
        name: name.to_owned(),
        base_url: Some(url.to_owned()),
        key_env: (!key.is_empty()).then(|| key.to_owned()),
        key_required: !key.is_empty(),
    };
    vec![
        row("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        row("azure-openai", "https://{resource}.openai.azure.com/openai/v1", "AZURE_OPENAI_API_KEY"),
        row("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        row("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        row("vllm", "http://127.0.0.1:8000/v1", ""),
    ]
}

fn load_with(text: &str, env: &dyn Env) -> Result<Resolved, ConfigErrors> {
    load_str(text, Path::new("atp.yaml"), env, &vendors())
}

fn good(text: &str) -> Resolved {
    load_with(text, &no_env()).unwrap_or_else(|errors| panic!("{}", errors.pretty(Colour::Off)))
}

fn bad(text: &str) -> Vec<ConfigError> {
    load_with(text, &no_env()).unwrap_err().errors().to_vec()
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares a text with a file of the repository, or writes the file where `UPDATE` is set.
pub(crate) fn assert_file(path: &Path, text: &str) {
    let read = || std::fs::read_to_string(path).unwrap_or_default();
    if ProcessEnv.get("UPDATE").is_some() && read() != text {
        // Renamed into place: another test may be reading the old one.
        let fresh = path.with_extension("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, path).unwrap();
    }
    let written = read();
    assert!(
        written == text,
        "{} is stale; run `UPDATE=1 cargo test -p atp-server` and look at the difference\n{text}",
        path.display()
    );
}

#[test]
fn the_log_of_requests_is_chosen_by_its_own_word() {
    for (word, filter) in
        [("failed", "atp::requests=warn,info"), ("all", "atp::requests=debug,info"), ("none", "atp::requests=off,info")]
    {
        let text = format!(
            "logs: {{ requests: {word} }}\nproviders:\n  s: {{ kind: simulated }}\nmodels:\n  m: {{ targets: [ {{ provider: s, model: sim-fast }} ] }}\n"
        );
        let env = BTreeMap::new();
        let resolved = load_str(&text, Path::new("test.yaml"), &env, &[]).unwrap();
        assert_eq!(resolved.logs.filter(), filter);
        atp_telemetry::logs::check_filter(&resolved.logs.filter()).unwrap();
    }
}
