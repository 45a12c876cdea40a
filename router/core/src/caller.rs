//! Who asks.

use std::sync::Arc;

use crate::choice::Hints;
use crate::qos::Qos;

/// The owner of a request: which key asked, for which tenant. Made once per key when the
/// configuration is resolved and shared by every request of that key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's configured name; `anonymous` where no keys are configured.
    pub key: Arc<str>,
    /// The tenant that the key belongs to; the key's name where none is given.
    pub tenant: Arc<str>,
    /// The key's place in the configuration, an index into per-key state.
    pub index: usize,
    /// The tenant's place in the configuration, an index into per-tenant state.
    pub tenant_index: usize,
    /// The class of its requests; a request may ask for a lower one, never for a higher.
    pub qos: Qos,
    /// What holds of its requests that do not say otherwise about which model is to answer.
    pub hints: Option<Box<Hints>>,
}

impl Caller {
    /// The caller of a router without keys.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            key: Arc::from("anonymous"),
            tenant: Arc::from("anonymous"),
            index: 0,
            tenant_index: 0,
            qos: Qos::default(),
            hints: None,
        }
    }
}
