//! A text that never shows itself.

use std::fmt;
use std::sync::Arc;

/// A secret: `Debug` and `Display` print stars, and nothing serialises it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret; surrounding white space (the newline at the end of a secret file) is cut.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text.trim()))
    }

    /// The secret itself. Call this only where it goes out on the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
