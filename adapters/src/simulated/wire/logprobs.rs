//! Token probabilities in the right shape. A simulated model has none, so they are drawn from the
//! token itself: the same token always has the same, and those of a list add up to less than one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::generation::Probabilities;
use super::super::tokens;
use crate::dice::{Dice, hash};

/// Words that stand beside the chosen token; enough for OpenAI's most, which is 20.
const OTHERS: [&str; 20] = [
    " the", " a", " of", " and", " to", " in", " is", " that", " it", " for", " on", " as", " with", " at", " by",
    " this", " from", " or", " an", " be",
];

/// The probabilities of a text, in one of the two shapes.
#[derive(Serialize)]
#[serde(untagged)]
pub(in super::super) enum Logprobs {
    /// Chat's: a list of tokens.
    Chat { content: Vec<Token>, refusal: Option<()> },
    /// The legacy one: lists side by side.
    Legacy {
        tokens: Vec<String>,
        token_logprobs: Vec<f64>,
        top_logprobs: Option<Vec<BTreeMap<String, f64>>>,
        text_offset: Vec<usize>,
    },
}

/// A token with its alternatives.
#[derive(Serialize)]
pub(in super::super) struct Token {
    #[serde(flatten)]
    chosen: Candidate,
    top_logprobs: Vec<Candidate>,
}

/// A token and its probability.
#[derive(Clone, Serialize)]
struct Candidate {
    token: String,
    logprob: f64,
    bytes: Vec<u8>,
}

impl Logprobs {
    /// Chat's shape for a text, with `top` candidates for each token.
    pub(in super::super) fn chat(text: &str, of: Probabilities) -> Self {
        let top = of.top;
        let token = |token| {
            let candidates = candidates(token, of);
            let chosen = candidates.first().cloned().unwrap_or_else(|| candidate(token, 1.0));
            Token { chosen, top_logprobs: candidates.into_iter().take(top).collect() }
        };
        Self::Chat { content: tokens::split(text).map(token).collect(), refusal: None }
    }

    /// The legacy shape for a text that begins at byte `offset` of the whole one.
    pub(in super::super) fn legacy(text: &str, offset: usize, of: Probabilities) -> Self {
        let top = of.top;
        let (mut names, mut logprobs, mut tops, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut at = offset;
        for token in tokens::split(text) {
            let candidates = candidates(token, of);
            logprobs.push(candidates.first().map_or(0.0, |chosen| chosen.logprob));
            tops.push(candidates.into_iter().take(top).map(|one| (one.token, one.logprob)).collect());
            names.push(token.to_owned());
            offsets.push(at);
            at += token.len();
        }
        let top_logprobs = (top > 0).then_some(tops);
        Self::Legacy { tokens: names, token_logprobs: logprobs, top_logprobs, text_offset: offsets }
    }
}

/// The chosen token first, then others, each with half of the probability that is left.
fn candidates(token: &str, of: Probabilities) -> Vec<Candidate> {
    let mut dice = Dice::new(&[hash(token.as_bytes())]);
    // As far to both sides of the mean as fits between 0.34 and 1: the first alternative must not be likelier than the
    // chosen one, and half of 0.66 is below 0.34.
    let reach = (of.mean - 0.34).min(0.995 - of.mean).clamp(0.0, 0.295);
    let chosen = of.mean + reach * (2.0 * dice.unit() - 1.0);
    let mut left = 1.0 - chosen;
    let mut list = vec![candidate(token, chosen)];
    for other in OTHERS.iter().filter(|other| **other != token).take(of.top.saturating_sub(1)) {
        left /= 2.0;
        list.push(candidate(other, left));
    }
    list
}

fn candidate(token: &str, probability: f64) -> Candidate {
    Candidate { token: token.to_owned(), logprob: probability.ln(), bytes: token.as_bytes().to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(top: usize) -> Probabilities {
        Probabilities { top, mean: 0.695 }
    }

    #[test]
    fn probabilities_fall_and_add_up_to_less_than_one() {
        for (token, mean) in [(" the", 0.695), ("Hello", 0.35), (" x", 0.5), ("", 0.99), ("z", 0.35)] {
            let list = candidates(token, Probabilities { top: 20, mean });
            assert!(list.windows(2).all(|pair| pair[0].logprob > pair[1].logprob), "{token}");
            assert!(list.iter().map(|one| one.logprob.exp()).sum::<f64>() < 1.0);
        }
    }

    #[test]
    fn the_chosen_tokens_have_the_mean_that_is_configured() {
        for mean in [0.35, 0.5, 0.695, 0.9, 0.99] {
            let all: f64 = (0..4000)
                .filter_map(|n| {
                    candidates(&format!("t{n}"), Probabilities { top: 1, mean }).first().map(|c| c.logprob.exp())
                })
                .sum();
            assert!((all / 4000.0 - mean).abs() < 0.01, "{mean}: {}", all / 4000.0);
        }
    }

    #[test]
    fn the_tokens_of_both_shapes_are_the_text() {
        let text = "Rivers shape valleys.";
        let chat = serde_json::to_value(Logprobs::chat(text, of(2))).unwrap();
        let joined: String =
            chat["content"].as_array().unwrap().iter().map(|token| token["token"].as_str().unwrap()).collect();
        assert_eq!(joined, text);
        assert_eq!(chat["content"][0]["top_logprobs"].as_array().unwrap().len(), 2);
        assert_eq!(chat["content"][0]["top_logprobs"][0]["token"], chat["content"][0]["token"]);
        let legacy = serde_json::to_value(Logprobs::legacy(text, 3, of(0))).unwrap();
        assert_eq!(legacy["text_offset"][0], 3);
        assert!(legacy["top_logprobs"].is_null());
    }
}
