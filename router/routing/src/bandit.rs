//! Which of several models answers best for which work.

use serde::{Deserialize, Serialize};

/// How one model is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// A linear model of each arm's quality over the request's features, by task cluster.
    #[default]
    Contextual,
    /// Upper confidence bounds.
    Ucb,
    /// Draws from Beta posteriors.
    Thompson,
    /// The cheapest that is acceptable; learns, but does not explore.
    Cheapest,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 4] = [Self::Contextual, Self::Ucb, Self::Thompson, Self::Cheapest];

    /// The name in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Contextual => "contextual",
            Self::Ucb => "ucb",
            Self::Thompson => "thompson",
            Self::Cheapest => "cheapest",
        }
    }
}
