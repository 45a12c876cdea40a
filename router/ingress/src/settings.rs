//! What an entrance is told by the configuration. Swapped whole at a reload.

use std::time::Duration;

use crate::auth::KeyRing;

/// The entrance's share of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may come in.
    pub keys: KeyRing,
    /// How much may come in.
    pub limits: Limits,
}

/// Bounds on what a caller may send. Sizes in bytes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request body.
    pub max_body: usize,
    /// Unicode characters of text that a model would read; none for no limit.
    pub max_prompt_chars: Option<u64>,
    /// How long a body may take before its first byte and beyond one second per 16 KiB.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_body: 64 << 20, max_prompt_chars: None, body_timeout: Duration::from_secs(30) }
    }
}
