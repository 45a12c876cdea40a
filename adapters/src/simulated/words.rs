//! What a prompt is about: its keywords, names and numbers.

/// The words of a prompt that an answer can be made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Words {
    /// What is neither common nor short, in order, lower case, each once.
    pub(super) keys: Vec<String>,
    /// Quoted texts and capitalised words inside a sentence, in order.
    pub(super) names: Vec<String>,
    /// Numbers, in order.
    pub(super) numbers: Vec<f64>,
}

/// How many keywords are kept, and how many names.
const MOST: usize = 24;

/// How many characters of one word are kept; scripts without spaces give long ones.
const LONGEST: usize = 32;

/// Words that say nothing about a topic.
const COMMON: &[&str] = &[
    "a",
    "about",
    "all",
    "also",
    "an",
    "and",
    "answer",
    "any",
    "are",
    "as",
    "at",
    "be",
    "been",
    "briefly",
    "but",
    "by",
    "can",
    "could",
    "describe",
    "did",
    "do",
    "does",
    "each",
    "explain",
    "for",
    "from",
    "give",
    "had",
    "has",
    "have",
    "hello",
    "hey",
    "hi",
    "how",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "just",
    "let",
    "like",
    "list",
    "make",
    "may",
    "me",
    "more",
    "most",
    "my",
    "no",
    "not",
    "of",
    "on",
    "one",
    "only",
    "or",
    "our",
    "out",
    "please",
    "say",
    "sentence",
    "sentences",
    "should",
    "so",
    "some",
    "tell",
    "than",
    "thanks",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "us",
    "use",
    "using",
    "very",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "which",
    "who",
    "why",
    "will",
    "with",
    "word",
    "words",
    "would",
    "write",
    "you",
    "your",
];

impl Words {
    /// Reads a prompt.
    pub(super) fn of(prompt: &str) -> Self {
        let mut words = Self { names: quoted(prompt), ..Self::default() };
        let mut opens_sentence = true;
        for raw in prompt.split_whitespace() {
            let word = raw.trim_matches(|c: char| !c.is_alphanumeric());
            if let Ok(number) = word.parse::<f64>()
                && number.is_finite()
                && words.numbers.len() < MOST
            {
                words.numbers.push(number);
            } else {
                words.take(word, opens_sentence);
            }
            opens_sentence = raw.ends_with(['.', '!', '?', ':', '"']) || raw.starts_with('"');
        }
        words
    }

    fn take(&mut self, word: &str, opens_sentence: bool) {
        let word: String = word.chars().take(LONGEST).collect();
        let lower = word.to_lowercase();
        if lower.is_empty() || COMMON.binary_search(&lower.as_str()).is_ok() {
            return;
        }
        if !opens_sentence && word.starts_with(char::is_uppercase) && self.names.len() < MOST {
            push_once(&mut self.names, word);
        }
        if self.keys.len() < MOST {
            push_once(&mut self.keys, lower);
        }
    }
}

/// The texts between pairs of double quotes, without empty and long ones.
fn quoted(prompt: &str) -> Vec<String> {
    let inside = prompt.split('"').skip(1).step_by(2);
    // The piece after the last, unpaired quote is no quotation.
    let pairs = prompt.matches('"').count() / 2;
    inside.take(pairs.min(MOST)).filter(|text| (1..=200).contains(&text.len())).map(str::to_owned).collect()
}

fn push_once(list: &mut Vec<String>, word: String) {
    if !list.contains(&word) {
        list.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_are_sorted_so_that_the_search_finds_them() {
        assert!(COMMON.is_sorted());
    }

    #[test]
    fn keywords_names_and_numbers_of_a_prompt() {
        let words = Words::of("Please book 2 tables in Paris, for Ada and \"the old bridge\". Tables at 7.5!");
        assert_eq!(words.keys, ["book", "tables", "paris", "ada", "old", "bridge"]);
        assert_eq!(words.names, ["the old bridge", "Paris", "Ada"]);
        assert_eq!(words.numbers, [2.0, 7.5]);
    }

    #[test]
    fn odd_prompts_give_what_they_have() {
        assert_eq!(Words::of(""), Words::default());
        assert_eq!(Words::of("?! ... \" lonely").keys, ["lonely"]);
        assert!(Words::of("nan inf").numbers.is_empty());
        let long = "字".repeat(500);
        assert_eq!(Words::of(&long).keys, ["字".repeat(LONGEST)]);
    }
}
