//! Putting values back into a text that comes in pieces, cut anywhere.

use std::sync::Arc;

use crate::vault::Vault;

/// One text on its way back. What may be the beginning of a placeholder waits for what follows; everything else goes
/// on at once.
#[derive(Debug, Clone)]
pub struct Restorer {
    vault: Arc<Vault>,
    held: String,
}

impl Restorer {
    /// In front of the first piece.
    #[must_use]
    pub const fn new(vault: Arc<Vault>) -> Self {
        Self { vault, held: String::new() }
    }

    /// Takes the next piece, and gives what may go on.
    #[must_use]
    pub fn push(&mut self, piece: &str) -> String {
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        let keep = text.len() - self.vault.unfinished(&text);
        self.held = text.split_off(keep);
        self.vault.restore(&text).unwrap_or(text)
    }

    /// Whether something waits.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// The text has ended: what waited was no placeholder.
    #[must_use]
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}
