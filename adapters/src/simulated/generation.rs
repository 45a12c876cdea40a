//! What a simulated model has decided to say, before it is written to the wire.

use std::ops::Range;

use atp_core::{Finish, Usage};

use super::tokens;
use super::tools::Call;

/// A whole answer to a chat or a legacy completion.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Generation {
    /// `chatcmpl-...` or `cmpl-...`.
    pub(super) id: String,
    /// Seconds since the Unix epoch.
    pub(super) created: u64,
    /// The model that answers.
    pub(super) model: String,
    /// The answers, by index.
    pub(super) choices: Vec<Choice>,
    /// What the prompt cost.
    pub(super) prompt_tokens: u64,
    /// How the probabilities of its tokens are told; `None` where they are not asked for.
    pub(super) logprobs: Option<Probabilities>,
}

/// How the probabilities of tokens are told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Probabilities {
    /// How many alternatives each token is shown with.
    pub(super) top: usize,
    /// What the probabilities of the chosen tokens are on average, from 0.35 to 0.99.
    pub(super) mean: f64,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The text; empty where tools are called.
    pub(super) text: String,
    /// The calls; empty where the answer is text.
    pub(super) calls: Vec<Call>,
    /// Why it ended.
    pub(super) finish: Finish,
}

/// One token of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A part of the text.
    Text(Range<usize>),
    /// The beginning of a call: its name.
    Open(usize),
    /// A part of a call's arguments.
    Arguments(usize, Range<usize>),
}

impl Generation {
    /// What the whole answer used.
    pub(super) fn usage(&self) -> Usage {
        self.usage_of(self.choices.iter().map(Choice::tokens).sum())
    }

    /// What an answer used that has given `output` tokens up to now.
    pub(super) fn usage_of(&self, output: u64) -> Usage {
        Usage { input: self.prompt_tokens, output, ..Usage::default() }
    }

    /// How many tokens the longest choice has: choices are written side by side.
    pub(super) fn longest(&self) -> u64 {
        self.choices.iter().map(|choice| choice.pieces().len() as u64).max().unwrap_or(0)
    }
}

impl Choice {
    /// An answer in text: cut at the first stop sequence, then at `limit` tokens.
    pub(super) fn text(mut text: String, stops: &[String], limit: u64) -> Self {
        let stop = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min();
        text.truncate(stop.unwrap_or(text.len()));
        let kept = tokens::prefix(&text, limit).len();
        let finish = if kept < text.len() { Finish::Length } else { Finish::Stop };
        text.truncate(kept);
        Self { text, calls: Vec::new(), finish }
    }

    /// An answer that calls tools, cut at `limit` tokens.
    pub(super) fn calls(calls: Vec<Call>, limit: u64) -> Self {
        let mut choice = Self { text: String::new(), calls: Vec::new(), finish: Finish::ToolCalls };
        let mut left = limit;
        for mut call in calls {
            if left == 0 {
                choice.finish = Finish::Length;
                break;
            }
            left -= 1;
            let kept = tokens::prefix(&call.arguments, left).len();
            if kept < call.arguments.len() {
                choice.finish = Finish::Length;
            }
            call.arguments.truncate(kept);
            left -= tokens::count(&call.arguments);
            choice.calls.push(call);
        }
        choice
    }

    /// Its tokens; a call's name counts as one.
    pub(super) fn tokens(&self) -> u64 {
        let calls: u64 = self.calls.iter().map(|call| 1 + tokens::count(&call.arguments)).sum();
        tokens::count(&self.text) + calls
    }

    /// Its tokens in order.
    pub(super) fn pieces(&self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = ranges(&self.text).map(Piece::Text).collect();
        for (index, call) in self.calls.iter().enumerate() {
            pieces.push(Piece::Open(index));
            pieces.extend(ranges(&call.arguments).map(|range| Piece::Arguments(index, range)));
        }
        pieces
    }
}

fn ranges(text: &str) -> impl Iterator<Item = Range<usize>> {
    tokens::split(text).scan(0, |at, token| {
        let start = *at;
        *at += token.len();
        Some(start..*at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_sequence_ends_the_text_before_it() {
        let stops = ["three".to_owned(), " two".to_owned(), String::new()];
        let choice = Choice::text("one two three".to_owned(), &stops, 99);
        assert_eq!((choice.text.as_str(), choice.finish), ("one", Finish::Stop));
    }

    #[test]
    fn a_limit_ends_text_and_calls_at_that_many_tokens() {
        let choice = Choice::text("one two three".to_owned(), &[], 2);
        assert_eq!((choice.text.as_str(), choice.finish), ("one two", Finish::Length));
        let whole = Choice::text("one two".to_owned(), &[], 2);
        assert_eq!((whole.tokens(), whole.finish), (2, Finish::Stop));
        let call = |name: &str| Call {
            id: "call_1".to_owned(),
            name: name.to_owned(),
            arguments: r#"{"a":1}"#.to_owned(),
            custom: false,
        };
        let calls = vec![call("first"), call("second")];
        let full = Choice::calls(calls.clone(), 99);
        assert_eq!(full.finish, Finish::ToolCalls);
        assert_eq!(full.pieces().len() as u64, full.tokens());
        for limit in 1..full.tokens() {
            let cut = Choice::calls(calls.clone(), limit);
            assert_eq!((cut.tokens(), cut.finish), (limit, Finish::Length));
        }
    }
}
