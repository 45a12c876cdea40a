//! What one scan over a JSON request body found at its top level.

use std::ops::Range;

use smallvec::SmallVec;

/// The top-level fields that policy reads or changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `model`.
    Model,
    /// `stream`.
    Stream,
    /// `stream_options`.
    StreamOptions,
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
    /// `user`.
    User,
    /// `n`.
    N,
    /// `temperature`.
    Temperature,
    /// `seed`.
    Seed,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 9] = [
        Self::Model,
        Self::Stream,
        Self::StreamOptions,
        Self::MaxTokens,
        Self::MaxCompletionTokens,
        Self::User,
        Self::N,
        Self::Temperature,
        Self::Seed,
    ];

    /// The field's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::StreamOptions => "stream_options",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::User => "user",
            Self::N => "n",
            Self::Temperature => "temperature",
            Self::Seed => "seed",
        }
    }
}

/// Where one occurrence of a field stands, in byte offsets from the start of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSpan {
    /// Which field.
    pub field: Field,
    /// The value, without surrounding white space.
    pub value: Range<usize>,
}

/// The result of a scan. Where a name stands twice the last one counts, as in every common parser;
/// `spans` holds all occurrences in order, so that an edit reaches each of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// The model asked for, unescaped.
    pub model: Option<String>,
    /// `stream`, where it is a boolean.
    pub stream: Option<bool>,
    /// `stream_options.include_usage`, where it is a boolean.
    pub include_usage: Option<bool>,
    /// `max_completion_tokens`, else `max_tokens`, where it is a whole number.
    pub max_tokens: Option<u64>,
    /// `n`, where it is a whole number.
    pub n: Option<u64>,
    /// Whether `temperature` is the number 0, so that the model takes its likeliest token every time.
    pub greedy: bool,
    /// `user`, unescaped, where it is a string.
    pub user: Option<String>,
    /// Every occurrence of a known field, in body order.
    pub spans: SmallVec<[FieldSpan; 6]>,
    /// The offset just behind the body's opening brace, where a new member can be put.
    pub open: usize,
    /// Whether the top-level object has no member.
    pub empty: bool,
}

impl Fields {
    /// The last occurrence of `field`: the one that counts.
    #[must_use]
    pub fn last(&self, field: Field) -> Option<&FieldSpan> {
        self.spans.iter().rev().find(|span| span.field == field)
    }
}
