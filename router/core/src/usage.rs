//! What a request used, in tokens.

/// Tokens of one exchange, as the provider reported them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Prompt tokens, cached ones included (OpenAI's `prompt_tokens`).
    pub input: u64,
    /// Completion tokens, reasoning included (OpenAI's `completion_tokens`).
    pub output: u64,
    /// The part of `input` that the provider read from its prompt cache.
    pub cached_input: u64,
    /// The part of `output` that was spent on reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// Input and output together; saturates.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
