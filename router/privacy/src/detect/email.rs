//! Addresses for mail: the forms of RFC 5321 that people use, letters of any script included.

use memchr::memchr_iter;

use super::Add;

/// The longest local part (RFC 5321, section 4.5.3.1.1).
const LOCAL: usize = 64;
/// The longest domain (section 4.5.3.1.2).
const DOMAIN: usize = 255;

pub(super) fn find(text: &str, add: &mut Add<'_>) {
    let mut free = 0;
    for at in memchr_iter(b'@', text.as_bytes()) {
        let Some(start) = local(text, free, at) else { continue };
        let Some(end) = domain(text, at + 1) else { continue };
        add(start..end);
        free = end;
    }
}

/// Where the local part begins that ends at `at`.
fn local(text: &str, free: usize, at: usize) -> Option<usize> {
    let before = text.get(free..at)?;
    let letters = before.char_indices().rev().take_while(|(_, letter)| is_local(*letter));
    let start = letters.last().map(|(place, _)| place)?;
    // Marks before the first letter are no part of it: quotes around an address, a dot of the sentence before.
    let local = before.get(start..)?;
    let trimmed = local.trim_start_matches(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let fits = !trimmed.is_empty() && trimmed.len() <= LOCAL && !trimmed.ends_with('.') && !trimmed.contains("..");
    fits.then(|| at - trimmed.len())
}

fn is_local(letter: char) -> bool {
    letter.is_alphanumeric() || "._%+-'&=~#!$*?^`{|}".contains(letter)
}

/// Where the domain ends that begins at `start`: labels with dots between them, the last one of letters.
fn domain(text: &str, start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let reach = rest.char_indices().find(|(_, letter)| !(letter.is_alphanumeric() || matches!(letter, '.' | '-')));
    let mut whole = rest.get(..reach.map_or(rest.len(), |(place, _)| place))?;
    loop {
        whole = whole.trim_end_matches(['.', '-']);
        let (_, last) = whole.rsplit_once('.')?;
        let label = |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        if whole.len() <= DOMAIN && whole.split('.').all(label) && is_top(last) {
            return Some(start + whole.len());
        }
        // `a@b.example.Then`: what looks like a label may be the next sentence, or a number.
        whole = whole.get(..whole.len() - last.len())?;
    }
}

fn is_top(label: &str) -> bool {
    label.chars().count() >= 2 && (label.starts_with("xn--") || label.chars().all(char::is_alphabetic))
}
