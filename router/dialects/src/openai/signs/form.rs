//! The form of a text: JSON, fences.

use memchr::memmem;
use serde::de::IgnoredAny;

/// A line that opens or closes a block of code.
const FENCE: &str = "```";

/// Whether a text is whole JSON; `None` where it does not look like any. A text that is one fence is looked
/// into. What begins as an object or an array of things looks like JSON; a number or a word in quotes does not:
/// prose may be that.
pub(super) fn json(text: &str) -> Option<bool> {
    let inner = unfenced(text.trim());
    let mut signs = inner.chars().filter(|sign| !sign.is_whitespace());
    let looks = match (signs.next(), signs.next()) {
        (Some('{'), Some('"' | '}') | None) | (Some('['), Some('{' | '[' | '"' | ']') | None) => true,
        // "[1] Smith et al." is no JSON; "[1, 2]" is.
        (Some('['), Some('0'..='9' | '-')) => inner.ends_with(']'),
        _ => false,
    };
    looks.then(|| serde_json::from_str::<IgnoredAny>(inner).is_ok())
}

/// Whether every fence that is opened is closed: their lines are even in number.
pub(super) fn fences_closed(text: &str) -> bool {
    // Few answers have one, and one search is cheaper than a look at each line.
    if memmem::find(text.as_bytes(), FENCE.as_bytes()).is_none() {
        return true;
    }
    text.lines().filter(|line| line.trim_start().starts_with(FENCE)).count() % 2 == 0
}

/// What stands in a text that is one fence of JSON, or has such a fence alone; else the text.
fn unfenced(text: &str) -> &str {
    let Some((name, rest)) = text.strip_prefix(FENCE).and_then(|rest| rest.split_once('\n')) else { return text };
    let named = matches!(name.trim(), "" | "json" | "JSON");
    match rest.strip_suffix(FENCE) {
        Some(inner) if named => inner.trim(),
        // It was never closed: the JSON in it may be whole all the same.
        None if named && !rest.contains(FENCE) => rest.trim(),
        _ => text,
    }
}
