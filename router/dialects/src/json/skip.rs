//! Finding the end of strings and of nested values, resumable at any byte.

use memchr::memchr;

/// Whether `byte` is white space between JSON tokens (RFC 8259, section 2).
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The offset of the first byte at or behind `at` that is not white space; the length if none is.
pub(crate) fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    // Compact JSON has no white space at all: the first look decides.
    rest.iter().position(|byte| !is_space(*byte)).map_or(bytes.len(), |found| at + found)
}

/// A string of which the opening quote has been read.
///
/// Only quotes are searched for, not backslashes: prompts are full of `\n` and seldom hold `\"`. A
/// quote ends the string where an even number of backslashes stands before it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quoted {
    /// The bytes read so far end in a backslash that escapes the next byte.
    escape: bool,
}

impl Quoted {
    /// Reads on from `at`. The offset just behind the closing quote, or `None` where the bytes end
    /// inside the string.
    pub(crate) fn skip(&mut self, bytes: &[u8], mut at: usize) -> Option<usize> {
        if self.escape {
            bytes.get(at)?;
            self.escape = false;
            at += 1;
        }
        // Backslashes before this offset have been accounted for.
        let from = at;
        loop {
            let Some(found) = bytes.get(at..).and_then(find_quote) else {
                self.escape = odd_backslashes(bytes.get(from..)?);
                return None;
            };
            let quote = at + found;
            if !odd_backslashes(bytes.get(from..quote)?) {
                return Some(quote + 1);
            }
            at = quote + 1;
        }
    }
}

/// Whether the bytes end in an odd number of backslashes, the last of which escapes what follows.
fn odd_backslashes(bytes: &[u8]) -> bool {
    bytes.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The offset of the first quote. Keys and short values end within two words, where a search that
/// is prepared for long runs takes longer to begin than to find.
pub(crate) fn find_quote(bytes: &[u8]) -> Option<usize> {
    let Some((words, rest)) = bytes.split_first_chunk::<16>() else {
        return bytes.iter().position(|byte| *byte == b'"');
    };
    let found = zero_bytes(u128::from_le_bytes(*words) ^ repeat(b'"'));
    if found != 0 {
        return Some(found.trailing_zeros() as usize / 8);
    }
    memchr(b'"', rest).map(|found| found + words.len())
}

const fn repeat(byte: u8) -> u128 {
    u128::from_le_bytes([byte; 16])
}

/// Sets the top bit of every zero byte; above the lowest of them also of some that are not zero.
const fn zero_bytes(word: u128) -> u128 {
    word.wrapping_sub(repeat(1)) & !word & repeat(0x80)
}

/// An array or object of which the opening bracket has been read. Brackets are counted, not
/// matched by kind: that finds the end of every legal value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nested {
    depth: usize,
    quoted: Option<Quoted>,
}

impl Nested {
    /// Just behind an opening bracket.
    pub(crate) const fn new() -> Self {
        Self { depth: 1, quoted: None }
    }

    /// Reads on from `at`. The offset just behind the bracket that closes the value, or `None`
    /// where the bytes end before it.
    pub(crate) fn skip(&mut self, bytes: &[u8], mut at: usize) -> Option<usize> {
        loop {
            if let Some(quoted) = &mut self.quoted {
                at = quoted.skip(bytes, at)?;
                self.quoted = None;
            }
            at += find_structure(bytes.get(at..)?)?;
            match bytes.get(at)? {
                b'"' => self.quoted = Some(Quoted::default()),
                b'{' | b'[' => self.depth += 1,
                _ => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
            }
            at += 1;
        }
    }
}

/// Whether `byte` opens a string or opens or closes a nested value.
const fn is_structure(byte: u8) -> bool {
    // `[` and `{`, and `]` and `}`, differ in one bit only.
    byte == b'"' || matches!(byte & !0x20, b'[' | b']')
}

/// How many bytes are looked at together once the next few held no structure. Compilers turn the
/// test of such a block into vector instructions.
const BLOCK: usize = 32;

/// The offset of the first quote or bracket. In most bodies it is one of the next few bytes; long
/// runs without one are arrays of numbers.
fn find_structure(bytes: &[u8]) -> Option<usize> {
    let near = bytes.get(..BLOCK.min(bytes.len()))?;
    if let Some(found) = near.iter().position(|byte| is_structure(*byte)) {
        return Some(found);
    }
    let far = bytes.get(near.len()..)?;
    let plain = far
        .chunks_exact(BLOCK)
        .take_while(|block| !block.iter().fold(false, |any, byte| any | is_structure(*byte)))
        .count();
    let from = near.len() + plain * BLOCK;
    let rest = bytes.get(from..)?;
    rest.iter().position(|byte| is_structure(*byte)).map(|found| from + found)
}
