//! Words that say what the number behind them is.

use std::ops::Range;

use memchr::memmem;

/// Between a word and what it speaks of stand at most so many bytes: `born in Amsterdam on 3 May 1980`.
const GAP: usize = 28;

/// A text, prepared for looking for words in either case.
pub(super) struct Words {
    lower: Vec<u8>,
}

impl Words {
    /// Only letters of ASCII are made small, so that places stay what they are.
    pub(super) fn of(text: &str) -> Self {
        Self { lower: text.as_bytes().to_ascii_lowercase() }
    }

    /// For every place where one of `words` stands as a word of its own: where it may be spoken of what follows.
    /// That ends at the next line.
    pub(super) fn behind<'a>(&'a self, words: &'a [&'a str]) -> impl Iterator<Item = Range<usize>> + 'a {
        words.iter().flat_map(move |word| {
            memmem::find_iter(&self.lower, word).filter_map(move |at| {
                let end = at + word.len();
                self.is_word(at, end).then(|| end..self.reach(end))
            })
        })
    }

    fn is_word(&self, start: usize, end: usize) -> bool {
        let letter = |at: Option<usize>| {
            at.and_then(|at| self.lower.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
        };
        let ends_in_letter = letter(end.checked_sub(1));
        let goes_on = ends_in_letter && letter(Some(end));
        !goes_on && !letter(start.checked_sub(1))
    }

    fn reach(&self, end: usize) -> usize {
        let rest = self.lower.get(end..).unwrap_or_default();
        let line = rest.iter().take(GAP).position(|byte| *byte == b'\n');
        end + line.unwrap_or(rest.len().min(GAP))
    }
}

/// The first digit within `reach`, where it does not stand inside a word.
pub(super) fn first_digit(text: &str, reach: Range<usize>) -> Option<usize> {
    let bytes = text.as_bytes().get(reach.clone())?;
    let at = reach.start + bytes.iter().position(u8::is_ascii_digit)?;
    (!super::scan::is_inside(text, at)).then_some(at)
}
