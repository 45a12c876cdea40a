//! Placeholders and what stands behind them, for one exchange.

use std::collections::BTreeSet;
use std::fmt;

use crate::class::Class;
use crate::detect::Finding;

/// What was taken out of a request. The same value has the same placeholder wherever it stands, and numbers are
/// given in the order in which values come: a conversation that is sent again gets the same ones again.
#[derive(Clone, Default)]
pub struct Vault {
    entries: Vec<Entry>,
    /// Placeholders that stand in the caller's own text, and mean nothing but themselves.
    taken: BTreeSet<String>,
}

#[derive(Clone)]
struct Entry {
    class: Class,
    value: String,
    placeholder: String,
}

/// The largest number that is looked for when a caller's own text is searched for placeholders.
const DIGITS: usize = 9;
/// No placeholder has more bytes.
const LONGEST: usize = 32;

impl Vault {
    /// Keeps placeholders that stand in `text` already from being given. All texts of a request are told before the
    /// first one is masked.
    pub fn reserve(&mut self, text: &str) {
        for (at, _) in text.match_indices('[') {
            if let Some(placeholder) = text.get(at..).and_then(placeholder_at) {
                self.taken.insert(placeholder.to_owned());
            }
        }
    }

    /// The text with a placeholder for each finding, which must be in order and without overlap.
    #[must_use]
    pub fn mask(&mut self, text: &str, findings: &[Finding]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for finding in findings {
            let value = text.get(finding.range.clone()).unwrap_or_default();
            out.push_str(text.get(at..finding.range.start).unwrap_or_default());
            out.push_str(self.placeholder(finding.class, value));
            at = finding.range.end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        out
    }

    fn placeholder(&mut self, class: Class, value: &str) -> &str {
        let known = self.entries.iter().position(|entry| entry.class == class && entry.value == value);
        let place = known.unwrap_or_else(|| {
            let placeholder = self.next(class);
            self.entries.push(Entry { class, value: value.to_owned(), placeholder });
            self.entries.len() - 1
        });
        self.entries.get(place).map_or("", |entry| &entry.placeholder)
    }

    fn next(&self, class: Class) -> String {
        let mut number = 1 + self.entries.iter().filter(|entry| entry.class == class).count();
        loop {
            let placeholder = format!("[{}_{number}]", class.word());
            let given = self.entries.iter().any(|entry| entry.placeholder == placeholder);
            if !given && !self.taken.contains(&placeholder) {
                return placeholder;
            }
            number += 1;
        }
    }

    /// Whether nothing was taken out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many values of a class were taken out.
    #[must_use]
    pub fn count(&self, class: Class) -> usize {
        self.entries.iter().filter(|entry| entry.class == class).count()
    }

    /// The text with every value back in its place; `None` where it holds no placeholder.
    #[must_use]
    pub fn restore(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, entry)) = self.first_in(rest) {
            out.push_str(rest.get(..before).unwrap_or_default());
            out.push_str(&entry.value);
            rest = rest.get(before + entry.placeholder.len()..).unwrap_or_default();
        }
        if rest.len() == text.len() {
            return None;
        }
        out.push_str(rest);
        Some(out)
    }

    /// How many bytes at the end of `text` may be the beginning of a placeholder that goes on in what follows.
    #[must_use]
    pub fn unfinished(&self, text: &str) -> usize {
        // A placeholder has one opening bracket, so that only the last one can begin an unfinished one.
        let Some(at) = text.rfind('[') else { return 0 };
        let tail = text.get(at..).unwrap_or_default();
        let begins = |entry: &Entry| entry.placeholder.len() > tail.len() && entry.placeholder.starts_with(tail);
        if self.entries.iter().any(begins) { tail.len() } else { 0 }
    }

    fn first_in(&self, text: &str) -> Option<(usize, &Entry)> {
        text.match_indices('[').find_map(|(at, _)| {
            let placeholder = text.get(at..).and_then(placeholder_at)?;
            self.entries.iter().find(|entry| entry.placeholder == placeholder).map(|entry| (at, entry))
        })
    }
}

impl fmt::Debug for Vault {
    /// Counts only: what is in it is what may not be shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} values)", self.entries.len())
    }
}

/// What has the form of a placeholder at the start of a text: `[WORD_7]`.
fn placeholder_at(text: &str) -> Option<&str> {
    let end = text.bytes().take(LONGEST).position(|byte| byte == b']')?;
    let whole = text.get(..=end)?;
    let (word, number) = whole.strip_prefix('[')?.strip_suffix(']')?.rsplit_once('_')?;
    let digits = (1..=DIGITS).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    (digits && Class::ALL.iter().any(|class| class.word() == word)).then_some(whole)
}
