//! What starting takes and tells.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::resolved::{RouteRules, strategy};
use crate::config::{Colour, ConfigErrors, Resolved};
use crate::snapshot;

/// What `atp up` was asked for.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// The configuration file; none for the embedded defaults.
    pub config: Option<PathBuf>,
    /// The commit that the program was built from, where its build knew it.
    pub commit: Option<&'static str>,
}

/// What runs now.
#[derive(Debug, Clone)]
pub struct Started {
    /// Where callers connect.
    pub listen: SocketAddr,
    /// Where the control plane listens.
    pub admin: SocketAddr,
    /// Whether callers connect with TLS.
    pub tls: bool,
    /// The models, in configured order.
    pub models: Vec<StartedModel>,
    /// The names behind which the router chooses a model.
    pub routes: Vec<StartedRoute>,
    /// How many keys are configured; none means that everybody on this machine is let in.
    pub keys: usize,
    /// Where the configuration came from.
    pub source: String,
    /// What is right but worth a line.
    pub warnings: Vec<String>,
    /// Data-plane threads.
    pub workers: usize,
}

/// One model of [`Started`].
#[derive(Debug, Clone)]
pub struct StartedModel {
    /// The name or pattern to ask for.
    pub name: String,
    /// Whether it is a pattern.
    pub pattern: bool,
    /// Who answers, as `provider/model`.
    pub targets: Vec<String>,
}

/// One route of [`Started`].
#[derive(Debug, Clone)]
pub struct StartedRoute {
    /// The name to ask for.
    pub name: String,
    /// How it chooses, in the file's word.
    pub strategy: &'static str,
    /// The models that it chooses among.
    pub candidates: Vec<String>,
}

impl Started {
    pub(crate) fn of(config: &Resolved, listen: SocketAddr, admin: SocketAddr) -> Self {
        let described = snapshot::described(config).into_iter().zip(&config.models);
        let models = described.map(|((name, targets), model)| StartedModel {
            name,
            pattern: snapshot::is_pattern(&model.name),
            targets,
        });
        Self {
            listen,
            admin,
            tls: config.tls.is_some(),
            models: models.collect(),
            routes: config.routes.iter().map(StartedRoute::of).collect(),
            keys: config.keys.len(),
            source: config
                .file
                .as_ref()
                .map_or_else(|| "embedded defaults".to_owned(), |file| file.display().to_string()),
            warnings: config.warnings.clone(),
            workers: config.workers,
        }
    }
}

impl StartedRoute {
    fn of(route: &RouteRules) -> Self {
        Self {
            name: route.name.to_string(),
            strategy: strategy(route),
            candidates: route.candidates.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Why the router does not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is wrong.
    Config(ConfigErrors),
    /// An address cannot be bound.
    Bind {
        /// The address.
        address: SocketAddr,
        /// The field that holds it.
        field: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// Anything else, told in full.
    Other(String),
}

impl StartError {
    /// The exit code of the process: 2 for a wrong configuration, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Bind { .. } | Self::Other(_) => 1,
        }
    }

    /// The text for a terminal, coloured where asked.
    #[must_use]
    pub fn render(&self, colour: Colour) -> String {
        match self {
            Self::Config(errors) => errors.pretty(colour),
            other => other.to_string(),
        }
    }

    pub(crate) fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |cause| Self::Other(format!("{what}: {cause}"))
    }

    pub(crate) fn bind(address: SocketAddr, field: &'static str) -> impl Fn(io::Error) -> Self {
        move |cause| Self::Bind { address, field, cause }
    }

    pub(crate) fn other(error: impl fmt::Display) -> Self {
        Self::Other(error.to_string())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(errors) => errors.fmt(f),
            Self::Bind { address, field, cause } if cause.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "{address} is in use, perhaps by a router that already runs; stop it, or choose another address in '{field}'"
            ),
            Self::Bind { address, field, cause } => write!(f, "cannot listen on {address} ({field}): {cause}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StartError {}
