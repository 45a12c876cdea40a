//! Providers, checked and complete.

use std::path::PathBuf;
use std::sync::Arc;

use atp_adapters::http_client::{ClientSettings, Identity};
use atp_adapters::persona::Persona;
use atp_adapters::remote::client::Place;
use atp_adapters::simulated::SimulatedConfig;
use atp_adapters::vendors::{Vendor, Vendors};
use atp_core::{Secret, Timeouts};
use http::{HeaderName, HeaderValue, Uri};

use super::Http2;

/// One place where models live.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// Its name.
    pub name: Arc<str>,
    /// How it is reached.
    pub kind: ProviderKind,
}

/// How a provider is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum ProviderKind {
    /// Over HTTP, by OpenAI's API.
    OpenAi(HttpProvider),
    /// Over HTTP, by Ollama's API.
    Ollama(HttpProvider),
    /// By adapters in processes of their own.
    Grpc(GrpcProvider),
    /// Not at all: it is made up.
    Simulated(SimulatedConfig),
    /// As another one is, on which personas are put.
    Persona(PersonaProvider),
}

/// Personas, and who answers for them.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonaProvider {
    /// The folder that they were read from.
    pub dir: PathBuf,
    /// How their upstream is reached; never itself a provider of personas.
    pub upstream: Box<ProviderKind>,
    /// The provider of the file that it is, where it is one.
    pub of: Option<Arc<str>>,
    /// The upstream's name for the model.
    pub model: Arc<str>,
    /// The personas, by name; at least one.
    pub personas: Vec<Arc<Persona>>,
}

impl PersonaProvider {
    /// A persona by its name.
    #[must_use]
    pub fn persona(&self, name: &str) -> Option<&Persona> {
        self.personas.iter().find(|persona| *persona.name == *name).map(|persona| &**persona)
    }
}

impl ProviderKind {
    /// The word of the file.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::OpenAi(_) => "openai",
            Self::Ollama(_) => "ollama",
            Self::Grpc(_) => "grpc",
            Self::Simulated(_) => "simulated",
            Self::Persona(_) => "persona",
        }
    }

    /// What is known of it as an HTTP server, where it is one.
    #[must_use]
    pub fn http(&self) -> Option<&HttpProvider> {
        match self {
            Self::OpenAi(http) | Self::Ollama(http) => Some(http),
            Self::Grpc(_) | Self::Simulated(_) => None,
            Self::Persona(personas) => personas.upstream.http(),
        }
    }

    /// The timers of a try where neither target nor model says otherwise.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        match self {
            Self::OpenAi(http) | Self::Ollama(http) => http.timeouts,
            Self::Grpc(grpc) => grpc.timeouts,
            Self::Simulated(_) => Timeouts::default(),
            Self::Persona(personas) => personas.upstream.timeouts(),
        }
    }
}

/// A provider whose adapters run in processes of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcProvider {
    /// Where they listen; those that register themselves come beside them.
    pub endpoints: Vec<Place>,
    /// How connections to them are secured, where they are.
    pub trust: Trust,
    /// The timers of a try where neither target nor model says otherwise.
    pub timeouts: Timeouts,
}

/// Whom a client trusts, and as whom it is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// Certificate authorities that are trusted beside the public ones.
    pub authorities: Option<Authorities>,
    /// The client's own certificate and key.
    pub identity: Option<ClientIdentity>,
}

impl Trust {
    /// What a client of these is made with.
    #[must_use]
    pub fn client(&self) -> ClientSettings {
        ClientSettings {
            extra_roots: self.authorities.as_ref().map(|trusted| trusted.pem.to_vec()),
            identity: self.identity.as_ref().map(|identity| identity.pem.clone()),
            ..ClientSettings::default()
        }
    }
}

/// A client's certificate and key, known to belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The files that they were read from.
    pub files: [PathBuf; 2],
    /// What they hold.
    pub pem: Identity,
}

/// A provider behind HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProvider {
    /// The vendor's name, which sets how the key is sent and other habits; `None` for a plain compatible server.
    pub vendor: Option<Arc<str>>,
    /// The base URL: `http` or `https`, with a host, without query and without a slash at its end.
    pub base_url: String,
    /// The same, parsed.
    pub base_uri: Uri,
    /// The key; nothing is sent where there is none. Fit for a header.
    pub api_key: Option<Secret>,
    /// Headers added to every request; the values are marked sensitive, so that they never show.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A query added to every request, without its question mark; empty for none.
    pub query: String,
    /// The timers of a try where neither target nor model says otherwise; targets have theirs already merged.
    pub timeouts: Timeouts,
    /// Whether HTTP/2 is spoken.
    pub http2: Http2,
    /// Certificate authorities that are trusted beside the public ones.
    pub authorities: Option<Authorities>,
}

/// Certificate authorities, each known to be usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorities {
    /// The file that they were read from.
    pub file: PathBuf,
    /// What it holds, in PEM.
    pub pem: Arc<[u8]>,
}

/// What the configuration needs to know of a vendor's row in `vendors.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VendorRow {
    /// The vendor's name.
    pub name: String,
    /// Its base URL; `None`, or with a `{placeholder}` in it, where the file must give one.
    pub base_url: Option<String>,
    /// The variable that its key is read from where the file gives none.
    pub key_env: Option<String>,
    /// Whether it refuses requests without a key.
    pub key_required: bool,
}

impl From<&Vendor> for VendorRow {
    fn from(vendor: &Vendor) -> Self {
        Self {
            name: vendor.name.clone(),
            base_url: Some(vendor.base_url.clone()),
            key_env: vendor.key_env.clone(),
            key_required: vendor.key_required,
        }
    }
}

impl VendorRow {
    /// The rows of the vendors that are shipped, in the file's order.
    #[must_use]
    pub fn shipped() -> Vec<Self> {
        Vendors::shipped().iter().map(Self::from).collect()
    }

    /// The base URL, where it can be used as it is.
    #[must_use]
    pub fn usable_base_url(&self) -> Option<&str> {
        self.base_url.as_deref().filter(|url| !url.is_empty() && !url.contains('{'))
    }
}
