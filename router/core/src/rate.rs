//! What a provider tells about its rate limits.

use std::time::Duration;

/// The facts of an answer's or a refusal's rate-limit headers. Empty where it told none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateFacts {
    /// About requests.
    pub requests: RateFact,
    /// About tokens; where a provider limits input and output apart, the one with less left.
    pub tokens: RateFact,
}

/// The facts about one thing that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateFact {
    /// How many are let through in a window. Its length is not told; a minute is what providers mean.
    pub limit: Option<u64>,
    /// How many are left of them now.
    pub remaining: Option<u64>,
    /// The time until all are back.
    pub reset: Option<Duration>,
}

impl RateFacts {
    /// Whether nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
