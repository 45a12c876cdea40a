//! Adapters that register themselves, as the file writes it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{SecretSource, Span};

/// Adapters in processes of their own that register with the router (`atp adapter KIND --router URL`).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "adapters")]
pub(in super::super) struct RawAdapters {
    /// What adapters have to show to be taken up. Without it, they are taken up only where the router serves its own
    /// machine alone, without `keys`.
    pub(in super::super) token: Option<SecretSource>,
    /// How often adapters are to report.
    #[schemars(extend("default" = "5s"))]
    pub(in super::super) report_every: Option<Span>,
    /// How long an adapter may be silent before it is forgotten. One that has missed three reports is asked only where
    /// nobody else of its name is left.
    #[schemars(extend("default" = "5m"))]
    pub(in super::super) silence: Option<Span>,
    /// A file of certificate authorities in PEM that are trusted for registered adapters beside the public ones. A
    /// relative path starts at the directory of the configuration file.
    pub(in super::super) ca_file: Option<PathBuf>,
    /// The certificate, in PEM, by which the router shows registered adapters who it is (mutual TLS).
    pub(in super::super) cert_file: Option<PathBuf>,
    /// The private key of `cert_file`, in PEM.
    pub(in super::super) key_file: Option<PathBuf>,
}
