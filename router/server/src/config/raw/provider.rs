//! Providers, as the file writes them.

use std::path::PathBuf;
use std::time::Duration;

use atp_adapters::simulated::SimulatedConfig;
use atp_core::Timeouts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::value::{Listed, Named};
use super::{SecretSource, Span};

/// One place where models live. It needs a `vendor`, or a `kind`, or both.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "provider")]
pub(in super::super) struct RawProvider {
    /// The protocol that it speaks. Taken from the `vendor` where that is given.
    pub(in super::super) kind: Option<RawKind>,
    /// A vendor known by name (`groq`, `mistral`, `openrouter`, ...), which sets the base URL, how the key is sent, and
    /// the variable that the key is read from when `api_key` is absent.
    pub(in super::super) vendor: Option<String>,
    /// The URL below which the API lives, as OpenAI's client libraries take it: `https://api.openai.com/v1`. A slash at
    /// its end does not matter. Taken from the `vendor` where absent; `http://127.0.0.1:11434` for kind `ollama`.
    pub(in super::super) base_url: Option<String>,
    /// The key for this provider. Without one, nothing is sent.
    pub(in super::super) api_key: Option<SecretSource>,
    /// Headers added to every request, by name. Their values are treated as secrets.
    pub(in super::super) headers: Named<SecretSource>,
    /// How long each phase of a try may take, where neither the target nor the model says.
    pub(in super::super) timeouts: RawTimeouts,
    /// HTTP/2 towards this provider: `auto` agrees on it by TLS, `on` also speaks it in the clear, `off` never does.
    #[schemars(extend("default" = "auto"))]
    pub(in super::super) http2: Option<Http2>,
    /// A file of certificate authorities in PEM that are trusted for this provider beside the public ones: for a server
    /// with a certificate of its own. A relative path starts at the directory of the configuration file.
    pub(in super::super) ca_file: Option<PathBuf>,
    /// A query added to every request, such as Azure's `api-version=2024-10-21`; instead of the vendor's, where it has one.
    pub(in super::super) query: Option<String>,
    /// Where the adapter of a provider of kind `grpc` listens: `http://host:port`, `https://host:port` or `unix:/path`.
    pub(in super::super) endpoint: Option<String>,
    /// The same for several adapters that share the load. Without any, adapters that register under the provider's name
    /// serve it.
    pub(in super::super) endpoints: Listed<String>,
    /// The certificate, in PEM, by which the router shows the adapters of this provider who it is (mutual TLS). A relative
    /// path starts at the directory of the configuration file.
    pub(in super::super) cert_file: Option<PathBuf>,
    /// The private key of `cert_file`, in PEM.
    pub(in super::super) key_file: Option<PathBuf>,
    /// What a provider of kind `simulated` pretends. Without it, three ready models: `sim-fast`, `sim-balanced` and
    /// `sim-high`.
    pub(in super::super) simulated: Option<SimulatedConfig>,
    /// The personas of a provider of kind `persona`: a folder with a `system_prompt.txt` and a `config.yaml`, or one that
    /// holds such a folder for each persona. A persona is a model of this provider, called as its folder is. A relative
    /// path starts at the directory of the configuration file.
    pub(in super::super) dir: Option<PathBuf>,
    /// The provider of this file that a provider of kind `persona` asks, instead of a `base_url` or `vendor` of its own.
    pub(in super::super) upstream: Option<String>,
    /// The model that a provider of kind `persona` asks, by its upstream's name for it.
    pub(in super::super) model: Option<String>,
}

/// The protocols that a provider may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in super::super) enum RawKind {
    /// OpenAI's API, or any server compatible with it.
    Openai,
    /// Ollama's own API.
    Ollama,
    /// Adapters in processes of their own, over gRPC (`atp adapter`).
    Grpc,
    /// No network: answers are made up, from a seed, for trying and testing.
    Simulated,
    /// Personas in front of a model of another provider: a prompt, tools, and what may not leave.
    Persona,
}

/// Whether HTTP/2 is spoken towards a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Http2 {
    /// Where TLS agrees on it.
    #[default]
    Auto,
    /// Always, also without TLS.
    On,
    /// Never.
    Off,
}

/// How long each phase of a try may take. The innermost that is given counts: the target's, then the model's, then the
/// provider's, then the default. A caller can lower them by the header `x-atp-timeout-ms`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "timeouts")]
pub(in super::super) struct RawTimeouts {
    /// From the start of a connection to its readiness, TLS included.
    #[schemars(extend("default" = "5s"))]
    pub(in super::super) connect: Option<Span>,
    /// From sending the request to the first byte of the answer's body that carries content.
    #[schemars(extend("default" = "2m"))]
    pub(in super::super) first_byte: Option<Span>,
    /// Between two reads of the answer's body.
    #[schemars(extend("default" = "1m"))]
    pub(in super::super) idle: Option<Span>,
    /// The whole exchange, all tries together.
    #[schemars(extend("default" = "10m"))]
    pub(in super::super) total: Option<Span>,
}

impl RawTimeouts {
    /// Each timer, for checks.
    pub(in super::super) fn each(&self) -> [(&'static str, Option<Duration>); 4] {
        let Self { connect, first_byte, idle, total } = self;
        [("connect", connect), ("first_byte", first_byte), ("idle", idle), ("total", total)]
            .map(|(name, span)| (name, span.map(|span| span.0)))
    }

    /// These timers, and `outer` where one is not given.
    pub(in super::super) fn over(&self, outer: Timeouts) -> Timeouts {
        let pick = |mine: Option<Span>, outer: Duration| mine.map_or(outer, |span| span.0);
        Timeouts {
            connect: pick(self.connect, outer.connect),
            first_byte: pick(self.first_byte, outer.first_byte),
            idle: pick(self.idle, outer.idle),
            total: pick(self.total, outer.total),
        }
    }
}
