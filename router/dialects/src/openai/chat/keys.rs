//! Finding the keys that matter in an event without parsing it.
//!
//! A key is found by its quotes: inside a JSON string every quote has a backslash before it, so
//! that a quoted name without one is a token.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::json::skip::is_space;

/// The keys that matter, prepared for searching.
pub(super) struct Keys {
    pub(super) usage: Key,
    pub(super) error: Key,
    pub(super) finish: Key,
}

pub(super) static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    usage: Key::new("\"usage\""),
    error: Key::new("\"error\""),
    finish: Key::new("\"finish_reason\""),
});

pub(super) struct Key {
    finder: Finder<'static>,
    len: usize,
}

/// With which values a key stands in an event, at any depth.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// How often with null.
    pub(super) nulls: usize,
    /// Whether with anything else.
    pub(super) value: bool,
}

impl Key {
    fn new(quoted: &'static str) -> Self {
        Self { finder: Finder::new(quoted), len: quoted.len() }
    }

    pub(super) fn find(&self, data: &[u8]) -> Seen {
        let mut seen = Seen::default();
        let mut from = 0;
        while let Some(at) = self.next(data, from) {
            from = at + self.len;
            match value_behind(data, from) {
                Some(b'n') => seen.nulls += 1,
                Some(_) => seen.value = true,
                None => {}
            }
        }
        seen
    }

    /// Whether the name stands as a key with a value other than null and false, or as a value:
    /// some servers tell errors as `"object":"error"`.
    pub(super) fn stands_in(&self, data: &[u8]) -> bool {
        let mut from = 0;
        while let Some(at) = self.next(data, from) {
            from = at + self.len;
            if !matches!(value_behind(data, from), Some(b'n' | b'f')) {
                return true;
            }
        }
        false
    }

    /// The next place from `at` on where the name stands as a token of its own.
    fn next(&self, data: &[u8], mut at: usize) -> Option<usize> {
        loop {
            at += self.finder.find(data.get(at..)?)?;
            if at.checked_sub(1).and_then(|before| data.get(before)) != Some(&b'\\') {
                return Some(at);
            }
            at += 1;
        }
    }
}

/// The first byte of the value behind a key that ends at `at`; `None` where no colon follows.
fn value_behind(data: &[u8], at: usize) -> Option<u8> {
    let rest = data.get(at..)?;
    let mut bytes = rest.iter().filter(|byte| !is_space(**byte));
    (bytes.next() == Some(&b':')).then(|| bytes.next().copied()).flatten()
}
