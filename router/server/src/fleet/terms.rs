//! On which terms adapters are taken up.

use std::collections::BTreeSet;
use std::time::Duration;

use atp_core::Secret;
use atp_proto::adapter::v1::CapabilitiesResponse;
use subtle::ConstantTimeEq;
use tonic::Status;

use crate::config::resolved::{ProviderKind, Trust};
use crate::config::{Resolved, is_label, is_model_name};

/// What adapters have to know and to show.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    token: Option<Secret>,
    /// Whether they are taken up without a token: where everybody who can connect is this machine's own.
    open: bool,
    /// How often they report.
    pub(super) report_every: Duration,
    /// How long one may be silent.
    pub(super) silence: Duration,
    /// How connections to them are secured.
    pub(super) trust: Trust,
    /// Names of providers that are no adapters'.
    taken: BTreeSet<String>,
}

impl Terms {
    /// The terms of a configuration.
    pub(crate) fn of(config: &Resolved) -> Self {
        let others = config.providers.iter().filter(|each| !matches!(each.kind, ProviderKind::Grpc(_)));
        Self {
            token: config.adapters.token.clone(),
            open: config.keys.is_empty() && config.listen.ip().is_loopback(),
            report_every: config.adapters.report_every,
            silence: config.adapters.silence,
            trust: config.adapters.trust.clone(),
            taken: others.map(|each| each.name.to_string()).collect(),
        }
    }

    /// Lets in who shows the token.
    pub(super) fn admit(&self, shown: Option<&str>) -> Result<(), Status> {
        match (&self.token, shown) {
            (Some(token), Some(shown)) if bool::from(token.expose().as_bytes().ct_eq(shown.as_bytes())) => Ok(()),
            (Some(_), Some(_)) => Err(Status::unauthenticated("this is not the router's `adapters.token`")),
            (Some(_), None) => {
                Err(Status::unauthenticated("adapters have to show the router's `adapters.token`: `--token`"))
            }
            (None, _) if self.open => Ok(()),
            (None, _) => Err(Status::permission_denied(
                "this router takes up no adapters: set `adapters.token` in its configuration, and `--token` here",
            )),
        }
    }

    /// A name that the configuration uses for something else cannot be had.
    pub(super) fn may_be_called(&self, name: &str) -> Result<(), Status> {
        if self.taken.contains(name) {
            let text = format!("`{name}` is a provider of another kind here; register by another `--name`");
            return Err(Status::already_exists(text));
        }
        Ok(())
    }

    /// After how long without a report an adapter is asked only where there is nobody else.
    pub(super) fn late(&self) -> Duration {
        self.report_every.saturating_mul(3)
    }
}

/// Refuses what could not stand in a configuration.
pub(super) fn check(name: &str, facts: &CapabilitiesResponse) -> Result<(), Status> {
    if !is_label(name) {
        let text = format!("`name` is {name:?}; letters, digits, `-`, `_` and `.` can stand in paths and metrics");
        return Err(Status::invalid_argument(text));
    }
    if facts.adapter_id.is_empty() || facts.adapter_id.len() > 256 {
        return Err(Status::invalid_argument("`capabilities.adapter_id` must have 1 to 256 bytes"));
    }
    match facts.models.iter().find(|model| !is_model_name(model) || model.contains('*')) {
        Some(wrong) => {
            Err(Status::invalid_argument(format!("`capabilities.models` holds {wrong:?}, which is no name")))
        }
        None => Ok(()),
    }
}
