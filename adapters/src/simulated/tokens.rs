//! How a simulated model counts: a rule that anyone can repeat.
//!
//! A token is up to one white-space character followed by up to six letters or digits, or by one
//! other character; white space that nothing follows is a token of its own. Joined again, the
//! tokens of a text are the text. English prose comes to about four and a half bytes a token,
//! close to what real tokenizers give.
//!
//! A prompt costs the tokens of its texts, four for each message, three for the answer's opening,
//! and [`MEDIA`] for each part that is not text.

/// What an image, a sound or a file costs: OpenAI's price of a low-detail image.
pub(super) const MEDIA: u64 = 85;

/// What a message costs beside its text.
pub(super) const MESSAGE: u64 = 4;

/// What opening the answer costs.
pub(super) const OPENING: u64 = 3;

/// Letters or digits in one token.
const RUN: usize = 6;

/// The tokens of a text, in order.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (token, after) = rest.split_at_checked(first_len(rest))?;
        rest = after;
        (!token.is_empty()).then_some(token)
    })
}

/// How many tokens a text has.
pub(super) fn count(text: &str) -> u64 {
    split(text).count() as u64
}

/// The part of a text that its first `limit` tokens are.
pub(super) fn prefix(text: &str, limit: u64) -> &str {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let end = split(text).take(limit).map(str::len).sum();
    text.get(..end).unwrap_or(text)
}

/// The length in bytes of a text's first token; 0 where there is no text.
fn first_len(text: &str) -> usize {
    let space = text.chars().next().filter(|c| c.is_whitespace()).map_or(0, char::len_utf8);
    let word = text.get(space..).unwrap_or_default();
    let run: usize = word.chars().take(RUN).take_while(|c| c.is_alphanumeric()).map(char::len_utf8).sum();
    let body = match run {
        0 => word.chars().next().filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8),
        run => run,
    };
    space + body
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rule_by_example() {
        let tokens: Vec<&str> = split("Hello, simulated world!  Größe 12345678 \n").collect();
        assert_eq!(tokens, ["Hello", ",", " simula", "ted", " world", "!", " ", " Größe", " 123456", "78", " ", "\n"]);
        assert_eq!(count(""), 0);
        assert_eq!(prefix("one two three", 2), "one two");
        assert_eq!(prefix("one", 9), "one");
    }

    proptest! {
        #[test]
        fn tokens_joined_are_the_text(text in any::<String>()) {
            prop_assert_eq!(split(&text).collect::<String>(), text.clone());
            prop_assert!(split(&text).all(|token| !token.is_empty() && token.chars().count() <= RUN + 1));
        }

        #[test]
        fn a_prefix_has_the_tokens_it_was_cut_to(text in any::<String>(), limit in 0u64..20) {
            prop_assert_eq!(count(prefix(&text, limit)), count(&text).min(limit));
        }
    }
}
