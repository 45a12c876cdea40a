//! What is played. Each scenario is a chapter of the page.

mod shares;

use crate::paper::Section;

/// How long everything is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// For the page.
    Full,
    /// For the tests: the same aims, less of everything.
    Quick,
}

impl Scale {
    /// A length in seconds, shortened in the quick version.
    pub(crate) fn seconds(self, full: f64) -> f64 {
        match self {
            Self::Full => full,
            Self::Quick => (full / 4.0).round(),
        }
    }
}

/// Plays every scenario.
#[must_use]
pub fn play_all(scale: Scale) -> Vec<Section> {
    vec![shares::play(scale)]
}
