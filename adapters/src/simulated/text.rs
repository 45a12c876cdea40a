//! The text of a simulated answer: sentences of a small grammar about the prompt's own words.
//!
//! The text always says that it is simulated. It depends on the prompt, the model's name and
//! quality, the provider's seed and the request's seed, and on nothing else.

use super::tokens;
use super::words::Words;
use crate::dice::{Dice, hash};

/// What a text is made of.
pub(super) struct Brief<'a> {
    /// The model that answers.
    pub(super) model: &'a str,
    /// The chance that a keyword is carried into the answer.
    pub(super) quality: f64,
    /// The prompt's words.
    pub(super) words: &'a Words,
    /// Results of tools that were called before, as `name` and text.
    pub(super) results: &'a [(String, String)],
    /// The length that the text has at its natural end, in tokens.
    pub(super) length: u64,
}

const SUBJECTS: &[&str] =
    &["{a}", "The question of {a}", "A closer look at {a}", "The link between {a} and {b}", "What is said about {a}"];
const VERBS: &[&str] =
    &["depends on", "becomes clearer with", "is often set beside", "rests on", "begins with", "asks for"];
const OBJECTS: &[&str] = &["{c}", "the role of {c}", "how {c} and {b} fit together", "a careful reading of {c}"];
const TAILS: &[&str] = &["", ", step by step", ", as far as these words go", ", which no real model has checked"];

/// What stands in the place of a keyword that the model did not understand, in turn.
const VAGUE: &[&str] = &["the matter", "something else", "this point"];

/// What sentences also speak of where the prompt gives little.
const SETTING: &[&str] = &["the wider setting", "the details", "the next step"];

/// Sentences that fill what is left of a length, longest first: one for each count of tokens from
/// seven down to one.
const CLOSINGS: &[&str] = &[
    " That is one side of it.",
    " There is more to say.",
    " This much is clear.",
    " So it seems.",
    " So far.",
    " Indeed.",
    " …",
];

/// How many characters of one tool result are repeated.
const RESULT_CHARS: usize = 400;

/// Writes the text.
pub(super) fn write(brief: &Brief<'_>, dice: &mut Dice) -> String {
    let mut keys = understood(brief, dice);
    let mut text = opening(brief, &keys);
    if keys.len() < SETTING.len() {
        keys.extend(SETTING);
    }
    // Whatever is added begins with a space, which is always a token's beginning, so counts add up.
    let mut left = brief.length.saturating_sub(tokens::count(&text));
    loop {
        let next = sentence(&keys, dice);
        let count = tokens::count(&next);
        if count > left {
            break;
        }
        text.push_str(&next);
        left -= count;
    }
    for closing in CLOSINGS {
        let count = tokens::count(closing);
        while count <= left {
            text.push_str(closing);
            left -= count;
        }
    }
    text
}

/// The keywords as this model sees them: vague where it did not understand.
fn understood<'a>(brief: &'a Brief<'_>, dice: &mut Dice) -> Vec<&'a str> {
    let model = hash(brief.model.as_bytes());
    let mut vague = VAGUE.iter().copied().cycle();
    let see = |key: &'a String| {
        let mut own = Dice::new(&[model, hash(key.as_bytes())]);
        if own.chance(brief.quality) { key.as_str() } else { vague.next().unwrap_or_default() }
    };
    let mut keys: Vec<&str> = brief.words.keys.iter().map(see).collect();
    if keys.is_empty() {
        keys.extend(dice.pick(VAGUE));
    }
    keys
}

fn opening(brief: &Brief<'_>, keys: &[&str]) -> String {
    let mut text = format!("[{}] This is a simulated answer about {}.", brief.model, listed(keys));
    for (name, result) in brief.results {
        let shown: String = result.chars().take(RESULT_CHARS).collect();
        text.push_str(&format!(" The tool {name} returned: {shown}"));
        if !shown.ends_with(['.', '!', '?']) {
            text.push('.');
        }
    }
    text
}

/// `a`, `a and b`, or `a, b and c`, of at most the first eight, each once.
fn listed(keys: &[&str]) -> String {
    let mut shown: Vec<&str> = Vec::new();
    for key in keys.iter().take(8) {
        if !shown.contains(key) {
            shown.push(key);
        }
    }
    match shown.split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// A sentence with a space before it. Its three things differ where there are three.
fn sentence(keys: &[&str], dice: &mut Dice) -> String {
    let start = dice.below(keys.len());
    let step = 1 + dice.below(keys.len().saturating_sub(1) / 2);
    let key = |turn: usize| keys.get((start + turn * step) % keys.len().max(1)).copied().unwrap_or_default();
    let mut part = |list: &[&str]| {
        let chosen = dice.pick(list).copied().unwrap_or_default();
        chosen.replace("{a}", key(0)).replace("{b}", key(1)).replace("{c}", key(2))
    };
    let (subject, verb, object, tail) = (part(SUBJECTS), part(VERBS), part(OBJECTS), part(TAILS));
    let mut letters = subject.chars();
    let first: String = letters.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    format!(" {first}{} {verb} {object}{tail}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(prompt: &str, quality: f64, length: u64) -> String {
        let words = Words::of(prompt);
        write(&Brief { model: "sim-fast", quality, words: &words, results: &[], length }, &mut Dice::new(&[1]))
    }

    #[test]
    fn it_says_that_it_is_simulated_and_names_the_topic() {
        let text = text("How do rivers shape valleys?", 1.0, 60);
        assert!(text.starts_with("[sim-fast] This is a simulated answer about rivers, shape and valleys."), "{text}");
        assert!(text.ends_with(['.', '…']));
    }

    #[test]
    fn the_length_is_met_exactly_beyond_the_opening() {
        for length in 30..200 {
            assert_eq!(tokens::count(&text("How do rivers shape valleys?", 1.0, length)), length);
        }
        assert!(text("rivers", 1.0, 1).ends_with("answer about rivers."));
    }

    #[test]
    fn closings_fill_any_rest_with_one_token_less_each() {
        let counts: Vec<u64> = CLOSINGS.iter().map(|closing| tokens::count(closing)).collect();
        assert_eq!(counts, [7, 6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn sentences_are_whole_and_speak_of_different_things() {
        let keys = ["one", "two", "three"];
        let mut dice = Dice::new(&[9]);
        for _ in 0..100 {
            let sentence = sentence(&keys, &mut dice);
            assert!(sentence.starts_with(' ') && sentence.ends_with('.'), "{sentence}");
            assert!(keys.iter().all(|key| sentence.to_lowercase().matches(key).count() < 2), "{sentence}");
        }
        assert!(sentence(&["alone"], &mut dice).to_lowercase().contains("alone"));
    }

    #[test]
    fn another_prompt_gives_another_text_and_the_same_prompt_the_same() {
        assert_eq!(text("rivers and valleys", 1.0, 80), text("rivers and valleys", 1.0, 80));
        assert_ne!(text("rivers and valleys", 1.0, 80), text("rivers and hills", 1.0, 80));
    }

    #[test]
    fn quality_is_the_share_of_keywords_that_come_back() {
        let keys: Vec<String> = (0..200).map(|n| format!("topic{n}")).collect();
        let share = |quality: f64| {
            let words = Words { keys: keys.clone(), ..Words::default() };
            let brief = Brief { model: "m", quality, words: &words, results: &[], length: 60 };
            let seen = understood(&brief, &mut Dice::new(&[1]));
            seen.iter().filter(|key| key.starts_with("topic")).count()
        };
        assert_eq!(share(1.0), 200);
        assert!((100..140).contains(&share(0.6)), "{}", share(0.6));
        assert_eq!(share(0.0), 0);
    }

    #[test]
    fn an_empty_prompt_and_tool_results_are_answered() {
        assert!(text("", 1.0, 40).contains("simulated answer about "));
        let results = [("weather".to_owned(), "18 degrees".to_owned())];
        let words = Words::of("weather in Paris");
        let brief = Brief { model: "m", quality: 1.0, words: &words, results: &results, length: 1 };
        assert!(write(&brief, &mut Dice::new(&[1])).ends_with(" The tool weather returned: 18 degrees."));
    }
}
