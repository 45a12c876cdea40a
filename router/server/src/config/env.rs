//! The environment: the one place that reads it, and the table of every variable that means something.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use atp_core::Qos;

use super::error::{Code, ConfigError, Issue};
use super::resolved::VendorRow;
use super::value::parse_host;

mod example;

pub use self::example::env_example;

/// Where variables come from; tests bring their own.
pub trait Env {
    /// The value of a variable; `None` where it is not set.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    #[expect(clippy::disallowed_methods, reason = "this file owns the environment")]
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

impl Env for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).cloned()
    }
}

/// A variable that the router reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it does.
    pub meaning: String,
    /// What holds where it is not set.
    pub default: String,
    /// The field of the file that it overrides or fills; empty where there is none.
    pub field: String,
}

/// Name, meaning, default, field.
type Row = (&'static str, &'static str, &'static str, &'static str);

/// The address on which callers connect.
pub(super) const ROUTER_HOST: &str = "ROUTER_HOST";
const ROUTER_PORT: &str = "ROUTER_PORT";
const ROUTER_ADMIN_HOST: &str = "ROUTER_ADMIN_HOST";
const ROUTER_ADMIN_PORT: &str = "ROUTER_ADMIN_PORT";
const ROUTER_WORKERS: &str = "ROUTER_WORKERS";
const ROUTER_RPS_LIMIT: &str = "ROUTER_RPS_LIMIT";
const ROUTER_RPS_BURST: &str = "ROUTER_RPS_BURST";
const DEFAULT_QOS: &str = "DEFAULT_QOS";
const ROUTER_MAX_PROMPT_CHARS: &str = "ROUTER_MAX_PROMPT_CHARS";
const ROUTER_MAX_CONCURRENT: &str = "ROUTER_MAX_CONCURRENT";
const ROUTER_DATA_DIR: &str = "ROUTER_DATA_DIR";
const ATP_CONFIG: &str = "ATP_CONFIG";
const ATP_LOG: &str = "ATP_LOG";
const RUST_LOG: &str = "RUST_LOG";
/// The key of OpenAI, as its own client libraries read it.
pub(super) const OPENAI_API_KEY: &str = "OPENAI_API_KEY";
/// The address of OpenAI, as its own client libraries read it.
pub(super) const OPENAI_BASE_URL: &str = "OPENAI_BASE_URL";
/// The address of Ollama.
pub(super) const OLLAMA_BASE_URL: &str = "OLLAMA_BASE_URL";
/// The address of the model behind personas.
pub(super) const PERSONA_MODEL_ENDPOINT: &str = "PERSONA_MODEL_ENDPOINT";
/// The address of the local model that comes first when there is no file.
pub(super) const LOCAL_MODEL_URL: &str = "ATP_LOCAL_MODEL_URL";
/// The name of that model.
pub(super) const LOCAL_MODEL_NAME: &str = "ATP_LOCAL_MODEL_NAME";

const ROWS: [Row; 20] = [
    (ATP_CONFIG, "The configuration file, where `-c` is not given.", "embedded defaults", ""),
    (ROUTER_HOST, "The IP address on which callers connect.", "127.0.0.1", "listen"),
    (ROUTER_PORT, "The port on which callers connect.", "7443", "listen"),
    (ROUTER_ADMIN_HOST, "The IP address of the admin port.", "127.0.0.1", "admin.listen"),
    (ROUTER_ADMIN_PORT, "The admin port.", "7444", "admin.listen"),
    (ROUTER_WORKERS, "How many data-plane threads serve requests.", "one for each processor", "workers"),
    (ROUTER_RPS_LIMIT, "Requests a second for each key.", "no limit", "limits.rps.rate"),
    (ROUTER_RPS_BURST, "How many of them may come at once.", "the limit itself", "limits.rps.burst"),
    (DEFAULT_QOS, "The class of keys without one, and of callers without a key.", "silver", "flow.qos"),
    (ROUTER_MAX_PROMPT_CHARS, "The most characters that a prompt may have.", "no limit", "limits.max_prompt_chars"),
    (ROUTER_MAX_CONCURRENT, "How many requests may be in flight at once.", "10000", "limits.max_concurrent"),
    (ROUTER_DATA_DIR, "The directory of the ledger.", "./data", "ledger.path"),
    (ATP_LOG, "The level of logs; wins over RUST_LOG.", "info", "logs.level"),
    (RUST_LOG, "The level of logs.", "info", "logs.level"),
    (
        OPENAI_API_KEY,
        "The key of the provider `openai`. Without a file, it also adds that provider.",
        "",
        "providers.openai.api_key",
    ),
    (
        OPENAI_BASE_URL,
        "The base URL of the provider `openai`.",
        "https://api.openai.com/v1",
        "providers.openai.base_url",
    ),
    (
        OLLAMA_BASE_URL,
        "The base URL of the provider `ollama`. Without a file, it also adds that provider.",
        "http://127.0.0.1:11434",
        "providers.ollama.base_url",
    ),
    (
        PERSONA_MODEL_ENDPOINT,
        "The base URL behind the provider `persona`, and behind those of kind `persona` that name none.",
        "",
        "providers.persona.base_url",
    ),
    (
        LOCAL_MODEL_URL,
        "Without a file: the base URL of a local server that speaks OpenAI's API. Its model comes first.",
        "",
        "providers.local.base_url",
    ),
    (LOCAL_MODEL_NAME, "Without a file: the name of that model.", "local", "models"),
];

/// Every variable that the router reads by itself, the key of every vendor included.
#[must_use]
pub fn variables(vendors: &[VendorRow]) -> Vec<Variable> {
    let own = ROWS.iter().map(|(name, meaning, default, field)| Variable {
        name: (*name).to_owned(),
        meaning: (*meaning).to_owned(),
        default: (*default).to_owned(),
        field: (*field).to_owned(),
    });
    let mut all: Vec<Variable> = own.collect();
    for vendor in vendors {
        let Some(name) = &vendor.key_env else { continue };
        if all.iter().any(|variable| variable.name == *name) {
            continue;
        }
        all.push(Variable {
            name: name.clone(),
            meaning: format!(
                "The key of providers with `vendor: {0}`. Without a file, it adds the provider `{0}`.",
                vendor.name
            ),
            default: String::new(),
            field: format!("providers.{}.api_key", vendor.name),
        });
    }
    all
}

/// The file that the environment names, for `atp up` without `-c`.
#[must_use]
pub fn config_path(env: &dyn Env) -> Option<PathBuf> {
    set(env, ATP_CONFIG).map(PathBuf::from)
}

/// A variable's value, where it holds anything. Compose files set variables to nothing where they mean unset.
pub(super) fn set(env: &dyn Env, name: &str) -> Option<String> {
    env.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// What the environment overrides, read and checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Overrides {
    pub(super) host: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) admin_host: Option<IpAddr>,
    pub(super) admin_port: Option<u16>,
    pub(super) workers: Option<usize>,
    pub(super) rps_limit: Option<f64>,
    pub(super) rps_burst: Option<u32>,
    pub(super) default_qos: Option<Qos>,
    pub(super) max_prompt_chars: Option<usize>,
    pub(super) max_concurrent: Option<usize>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) log_level: Option<String>,
}

impl Overrides {
    /// Reads them; a bad value is an error that names variable, value and what is allowed.
    pub(super) fn read(env: &dyn Env, errors: &mut Vec<ConfigError>) -> Self {
        let mut reader = Reader { env, errors };
        let host = "an IP address: `127.0.0.1`, or `0.0.0.0` for every interface";
        let port = "a port from 0 to 65535; 0 lets the system choose";
        let count = |most: usize| move |text: &str| text.parse().ok().filter(|number| (1..=most).contains(number));
        let level = if set(env, ATP_LOG).is_some() { ATP_LOG } else { RUST_LOG };
        Self {
            host: reader.get(ROUTER_HOST, host, parse_host),
            port: reader.get(ROUTER_PORT, port, |text| text.parse().ok()),
            admin_host: reader.get(ROUTER_ADMIN_HOST, host, parse_host),
            admin_port: reader.get(ROUTER_ADMIN_PORT, port, |text| text.parse().ok()),
            workers: reader.get(ROUTER_WORKERS, "a whole number from 1 to 1024", count(1024)),
            rps_limit: reader.get(ROUTER_RPS_LIMIT, "a number from 0.001 to 1000000", |text| {
                text.parse().ok().filter(|rate| (0.001..=1e6).contains(rate))
            }),
            rps_burst: reader.get(ROUTER_RPS_BURST, "a whole number, 1 or more", |text| {
                text.parse().ok().filter(|burst| *burst > 0)
            }),
            default_qos: reader
                .get(DEFAULT_QOS, "gold, silver or bronze", |text| Qos::parse(&text.to_ascii_lowercase())),
            max_prompt_chars: reader.get(ROUTER_MAX_PROMPT_CHARS, "a whole number, 1 or more", count(usize::MAX)),
            max_concurrent: reader.get(ROUTER_MAX_CONCURRENT, "a whole number, 1 or more", count(usize::MAX)),
            data_dir: set(env, ROUTER_DATA_DIR).map(PathBuf::from),
            log_level: reader
                .get(level, super::resolve::LEVELS, |text| super::resolve::is_level(text).then(|| text.to_owned())),
        }
    }
}

struct Reader<'a> {
    env: &'a dyn Env,
    errors: &'a mut Vec<ConfigError>,
}

impl Reader<'_> {
    fn get<T>(&mut self, name: &str, allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = set(self.env, name)?;
        let value = parse(&text);
        if value.is_none() {
            let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
            let issue = Issue::new(Code::Environment, "this variable has a value that is not allowed");
            self.errors.push(ConfigError::of_environment(name, issue.found(&format!("`{shown}`")).allowed(allowed)));
        }
        value
    }
}
