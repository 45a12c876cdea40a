//! Going on with a stream that broke off.

use std::fmt;

use bytes::Bytes;

use crate::usage::Usage;

/// What the caller has of a stream that broke off: what another try needs to go on with it as if nothing
/// had happened. Made by the adapter whose stream it was, used by the adapter that goes on.
#[derive(Clone, PartialEq, Eq)]
pub struct Resume {
    /// The text so far, all tries together.
    pub text: String,
    /// Tokens of it, as far as that is known: each piece of a stream counts as one, which is how
    /// providers cut their streams.
    pub tokens: u64,
    /// What all events of the stream have in common, as the caller's dialect writes it.
    pub envelope: Bytes,
}

impl Resume {
    /// The usage of the whole answer, when its last try told `last`: that try was given the text so far
    /// as input, and to the caller it is output. The sum stays what the provider told.
    #[must_use]
    pub fn joined(&self, last: Usage) -> Usage {
        let moved = self.tokens.min(last.input);
        let input = last.input - moved;
        Usage { input, output: last.output + moved, cached_input: last.cached_input.min(input), ..last }
    }
}

impl fmt::Debug for Resume {
    /// Sizes only: the text is an answer to somebody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resume({} bytes, {} tokens)", self.text.len(), self.tokens)
    }
}

/// How a try is connected with others of its exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Continuity<'a> {
    /// Not at all: where it breaks off, it has ended.
    #[default]
    None,
    /// It may break off and be gone on with: its body is to remember what
    /// [`crate::AnswerBody::resume`] tells.
    Remember,
    /// It goes on with what another try has begun, and may itself be gone on with. An adapter that
    /// cannot do that fails, so that another target is asked.
    Continue(&'a Resume),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_so_far_is_the_callers_output_and_the_sum_stays() {
        let resume = Resume { text: String::from("secret"), tokens: 7, envelope: Bytes::new() };
        let last = Usage { input: 27, output: 5, cached_input: 24, reasoning: 0 };
        let joined = resume.joined(last);
        assert_eq!(joined, Usage { input: 20, output: 12, cached_input: 20, reasoning: 0 });
        assert_eq!(joined.total(), last.total());
        // A provider that counts otherwise than we do leaves no tokens below zero.
        assert_eq!(resume.joined(Usage { input: 3, ..last }).total(), 8);
        assert!(!format!("{resume:?}").contains("secret"));
    }
}
