//! `atp adapter`: runs one provider as a process of its own and says how to reach it.

use std::path::PathBuf;
use std::time::Duration;

use atp_server::{AdapterSource, AdapterStart, AdapterStarted, LocalModel, Secret};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::term::Terminal;
use crate::up::not_started;

/// The port of an adapter where nothing else is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:7070";

#[derive(Args)]
pub(crate) struct AdapterArgs {
    /// What it speaks to its models: openai, ollama, simulated, persona, local, or another kind of provider of the configuration.
    #[arg(required_unless_present = "config")]
    kind: Option<String>,
    /// A configuration file with the provider, instead of the options below.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which provider of the file.
    #[arg(long, value_name = "NAME", requires = "config")]
    provider: Option<String>,
    /// The URL below which the provider's API lives.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    base_url: Option<String>,
    /// A vendor known by name, such as groq or mistral.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    vendor: Option<String>,
    /// The environment variable that holds the provider's key.
    #[arg(long, value_name = "VARIABLE", conflicts_with = "config")]
    api_key_env: Option<String>,
    /// Another field of the provider, as the configuration file writes it: --set simulated.seed=7
    #[arg(long = "set", value_name = "FIELD=VALUE", conflicts_with = "config")]
    fields: Vec<String>,
    /// Of kind local: the GGUF file of the model that is run in this process.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    model: Option<PathBuf>,
    /// Of kind local: the most tokens of prompt and answer together [default: what the file says].
    #[arg(long, value_name = "TOKENS", requires = "model")]
    context: Option<u32>,
    /// Of kind local: how many requests are answered at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    slots: u16,
    /// Of kind local: how many more may wait.
    #[arg(long, default_value_t = 16)]
    line: u16,
    /// Where it listens: HOST:PORT, or unix:/PATH
    #[arg(long, default_value = DEFAULT_LISTEN, value_name = "ADDR")]
    listen: String,
    /// The certificate by which it is known, in PEM; read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The authorities that routers have to be known by (mutual TLS), in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// A router to register with; may be given several times.
    #[arg(long = "router", value_name = "URL")]
    routers: Vec<String>,
    /// What the router wants to be shown (`adapters.token`).
    #[arg(long, env = "ATP_ADAPTER_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The authorities that routers are trusted by, beside the public ones, in PEM.
    #[arg(long, value_name = "FILE")]
    router_ca: Option<PathBuf>,
    /// Where routers reach it, if not where it listens.
    #[arg(long, value_name = "ADDR")]
    advertise: Option<String>,
    /// The provider's name at the routers; adapters of one name share its load [default: the kind].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its own name among its replicas; another one that comes with it takes its place [default: host and process].
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Threads that serve.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Seconds that calls under way may take once it is told to end.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    grace: u64,
}

/// Runs until a signal ends it.
pub(crate) fn run(args: &AdapterArgs, term: &Terminal) -> Result<(), Failure> {
    let mut started = |started: &AdapterStarted| {
        // An adapter whose starter does not listen serves all the same.
        let _ = term.write(&banner(started));
    };
    let start = args.start()?;
    atp_server::run_adapter(start, &mut started).map_err(|error| not_started(&error, term))
}

impl AdapterArgs {
    fn start(&self) -> Result<AdapterStart, Failure> {
        Ok(AdapterStart {
            source: self.source()?,
            name: self.name.clone(),
            id: self.id.clone(),
            listen: self.listen.clone(),
            tls: self.tls_cert.clone().zip(self.tls_key.clone()).map(|(cert, key)| [cert, key]),
            client_ca: self.tls_client_ca.clone(),
            routers: self.routers.clone(),
            token: self.token.as_deref().filter(|token| !token.is_empty()).map(Secret::new),
            advertise: self.advertise.clone(),
            router_ca: self.router_ca.clone(),
            workers: usize::from(self.workers),
            grace: Duration::from_secs(self.grace),
        })
    }

    fn source(&self) -> Result<AdapterSource, Failure> {
        if let Some(file) = &self.config {
            return Ok(AdapterSource::File(file.clone(), self.provider.clone()));
        }
        let kind = self.kind.as_deref().unwrap_or_default();
        if kind == "local" {
            return self.local();
        }
        let mut provider = Map::new();
        provider.insert("kind".to_owned(), json!(kind));
        for (field, value) in [("base_url", &self.base_url), ("vendor", &self.vendor)] {
            if let Some(value) = value {
                provider.insert(field.to_owned(), json!(value));
            }
        }
        if let Some(variable) = &self.api_key_env {
            provider.insert("api_key".to_owned(), json!({ "env": variable }));
        }
        for field in &self.fields {
            set(&mut provider, field)?;
        }
        let name = self.name.as_deref().unwrap_or(kind);
        // JSON is YAML.
        Ok(AdapterSource::Fields(json!({ "providers": { name: provider } }).to_string()))
    }
}

impl AdapterArgs {
    fn local(&self) -> Result<AdapterSource, Failure> {
        let wanted = || Failure::usage("no model file").hint("name one with --model FILE.gguf");
        let file = self.model.clone().ok_or_else(wanted)?;
        let name = file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        Ok(AdapterSource::Local(LocalModel {
            file,
            name,
            context: self.context,
            slots: usize::from(self.slots),
            line: usize::from(self.line),
        }))
    }
}

/// Puts `a.b=value` where it belongs. A value that is JSON is what it says; any other is text.
fn set(provider: &mut Map<String, Value>, field: &str) -> Result<(), Failure> {
    let wrong =
        || Failure::usage(format!("--set {field}")).hint("write --set FIELD=VALUE, such as --set simulated.seed=7");
    let (path, value) = field.split_once('=').ok_or_else(wrong)?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
    let mut steps = path.split('.').peekable();
    let mut at = provider;
    while let Some(step) = steps.next() {
        if step.is_empty() {
            return Err(wrong());
        }
        if steps.peek().is_none() {
            at.insert(step.to_owned(), value);
            return Ok(());
        }
        let below = at.entry(step).or_insert_with(|| json!({}));
        at = below.as_object_mut().ok_or_else(wrong)?;
    }
    Err(wrong())
}

fn banner(started: &AdapterStarted) -> String {
    let AdapterStarted { place, name, id, kind, models, routers } = started;
    let models = if models.is_empty() { "any that is asked for".to_owned() } else { models.join(", ") };
    let mut text = format!("adapter `{name}` ({kind}) listens on {place}\n  id      {id}\n  models  {models}\n");
    for router in routers {
        text.push_str(&format!("  router  {router}\n"));
    }
    if routers.is_empty() {
        text.push_str(&format!(
            "\nin a router's configuration:\n  providers: {{ {name}: {{ kind: grpc, endpoint: \"{place}\" }} }}\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(given: &[&str]) -> Result<Value, Failure> {
        let mut provider = Map::new();
        given.iter().try_for_each(|field| set(&mut provider, field))?;
        Ok(Value::Object(provider))
    }

    #[test]
    fn fields_are_put_where_they_belong() {
        let told = fields(&["simulated.seed=7", "simulated.models.m.quality=0.5", "dir=personas/a"]).unwrap();
        assert_eq!(
            told,
            json!({ "simulated": { "seed": 7, "models": { "m": { "quality": 0.5 } } }, "dir": "personas/a" })
        );
    }

    #[test]
    fn what_is_no_field_is_refused_with_the_way_out() {
        for wrong in ["seed", "=7", "a..b=1"] {
            assert!(fields(&[wrong]).unwrap_err().message.contains("--set"), "{wrong}");
        }
        assert!(fields(&["a=1", "a.b=2"]).is_err());
    }
}
