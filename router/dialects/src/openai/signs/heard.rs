//! Listening to an answer: the first choice's text, and what is told beside it.

use atp_core::Finish;

use crate::json::text::{Number, number, unquote};
use crate::json::view::{elements, members};
use crate::openai::chat::finish_reason;
use crate::sse::{Decoder, Step};

/// What the first choice has said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) text: String,
    pub(super) finish: Option<Finish>,
    pub(super) tool_calls: bool,
    /// It declines in the member that is made for it.
    pub(super) refused: bool,
    /// The sum of the probabilities of its tokens, and how many were told.
    probability: (f64, u64),
}

impl Heard {
    /// Listens to a whole body, or to all bytes of a stream.
    pub(super) fn of(answer: &[u8]) -> Self {
        let mut heard = Self::default();
        if answer.trim_ascii_start().starts_with(b"{") {
            heard.object(answer);
        } else {
            heard.stream(answer);
        }
        heard
    }

    /// The mean probability of the tokens.
    pub(super) fn confidence(&self) -> Option<f64> {
        let (sum, count) = self.probability;
        (count > 0).then(|| sum / count as f64)
    }

    fn stream(&mut self, answer: &[u8]) {
        let mut decoder = Decoder::default();
        let mut at = 0;
        loop {
            match decoder.next(answer, at) {
                Step::Block(block) => {
                    at = block.end;
                    if !block.oversized {
                        self.object(&block.event().data());
                    }
                }
                Step::Tail(end) => at = end,
                Step::Rest(_) => break,
            }
        }
        if let Some(block) = decoder.finish() {
            self.object(&block.event().data());
        }
    }

    /// A reply, or a chunk.
    fn object(&mut self, raw: &[u8]) {
        for member in members(raw).map_while(Result::ok).filter(|member| member.is("choices")) {
            for choice in elements(member.raw).map_while(Result::ok).filter(|choice| is_first(choice)).take(1) {
                self.choice(choice);
            }
        }
    }

    fn choice(&mut self, raw: &[u8]) {
        for member in members(raw).map_while(Result::ok) {
            if member.is("message") || member.is("delta") {
                self.message(member.raw);
            } else if member.is("text") {
                self.say(member.raw);
            } else if member.is("finish_reason") {
                self.finish = finish_reason(member.raw).or(self.finish);
            } else if member.is("logprobs") {
                self.probabilities(member.raw);
            }
        }
    }

    fn message(&mut self, raw: &[u8]) {
        for member in members(raw).map_while(Result::ok) {
            if member.is("content") {
                self.say(member.raw);
            } else if member.is("refusal") {
                self.refused |= member.raw.len() > 2 && member.raw.starts_with(b"\"");
            } else if member.is("tool_calls") {
                self.tool_calls |= elements(member.raw).next().is_some_and(|call| call.is_ok());
            } else if member.is("function_call") {
                self.tool_calls |= member.raw.starts_with(b"{");
            }
        }
    }

    /// A text, or a list of parts of which some are text.
    fn say(&mut self, raw: &[u8]) {
        match raw.first() {
            Some(b'"') => match unquote(raw) {
                Ok(text) => self.text.push_str(&text),
                Err(_) => self.text.push(char::REPLACEMENT_CHARACTER),
            },
            Some(b'[') => {
                for part in elements(raw).map_while(Result::ok) {
                    for text in members(part).map_while(Result::ok).filter(|member| member.is("text")) {
                        if text.raw.starts_with(b"\"") {
                            self.say(text.raw);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Of chat, `content: [{"logprob"}]`; of completions, `token_logprobs: [..]`, of which the first may be null.
    fn probabilities(&mut self, raw: &[u8]) {
        for member in members(raw).map_while(Result::ok) {
            if member.is("content") {
                for token in elements(member.raw).map_while(Result::ok) {
                    let told = members(token).map_while(Result::ok).find(|member| member.is("logprob"));
                    told.into_iter().for_each(|told| self.probability(told.raw));
                }
            } else if member.is("token_logprobs") {
                elements(member.raw).map_while(Result::ok).for_each(|told| self.probability(told));
            }
        }
    }

    fn probability(&mut self, raw: &[u8]) {
        let logarithm = std::str::from_utf8(raw).ok().and_then(|text| text.parse::<f64>().ok());
        if let Some(logarithm) = logarithm.filter(|logarithm| !logarithm.is_nan()) {
            self.probability.0 += logarithm.exp().min(1.0);
            self.probability.1 += 1;
        }
    }
}

/// Whether a choice is the first one: its index is zero, or missing.
fn is_first(raw: &[u8]) -> bool {
    let index = members(raw).map_while(Result::ok).find(|member| member.is("index"));
    index.is_none_or(|index| number(index.raw) == Number::Whole(0))
}
