//! Counting tokens as OpenAI's `o200k_base` does, without making them.
//!
//! The text is cut into pieces (words with the space before them, up to three digits, runs of signs) by the
//! rules of the vocabulary's regular expression, written out by hand (`pieces`). Nearly every piece is a
//! token of the vocabulary, which one look into a hash table tells; what is not is merged from its bytes by
//! rank (`merge`). Crates do the same by a regular expression engine and an automaton: the fastest that was
//! tried took 120 us and more for a kilobyte, 0.3 s and 67 MB to begin with, where this takes a tenth of the
//! time and 4 MB. That it counts the same is tested by counts that such a crate has made.
//!
//! Long texts are counted in part: beyond `EXACT` bytes one window in `EVERY` stands for all, so that a
//! megabyte does not hold up its core.

mod merge;
mod pieces;
mod table;

use merge::merged;
use pieces::{Pieces, Shape};
use table::Table;

/// So many bytes of a request are counted exactly: some 16,000 tokens.
const EXACT: usize = 64 * 1024;
/// Beyond, the text is looked at in windows of so many bytes,
const WINDOW: usize = 2 * 1024;
/// of which one in so many is counted.
const EVERY: usize = 8;
/// The longest piece that is merged at once. Longer ones (there is no such word) are cut, which may add a
/// token for every cut.
const LONGEST: usize = 512;

/// Makes the tables that counting takes, in some milliseconds; else the first request that is counted does.
pub fn warm() {
    let _ = Counter::new();
}

/// Counts the texts of one request.
#[derive(Debug)]
pub(super) struct Counter {
    table: &'static Table,
    shape: &'static Shape,
    /// Bytes that are still counted exactly.
    left: usize,
}

impl Counter {
    /// In front of a request.
    pub(super) fn new() -> Self {
        Self { table: Table::o200k(), shape: Shape::unicode(), left: EXACT }
    }

    /// How many tokens a text has.
    pub(super) fn count(&mut self, text: &str) -> u64 {
        let (exact, rest) = text.split_at(floor(text, self.left.min(text.len())));
        self.left -= exact.len();
        self.exactly(exact) + self.roughly(rest)
    }

    fn exactly(&self, text: &str) -> u64 {
        let (mut pieces, mut counted) = (Pieces::new(self.shape, text), 0);
        loop {
            let start = pieces.offset();
            let rest = || text.as_bytes().get(start..).unwrap_or_default();
            let (rank, len) = if let Some((word, len)) = pieces.short() {
                (self.table.rank_of_short(word, len), len)
            } else if let Some(len) = pieces.any() {
                (self.table.rank_of_first(len, rest()), len)
            } else {
                return counted;
            };
            counted += match rank {
                Some(_) => 1,
                None => self.piece(rest().get(..len).unwrap_or_default()),
            };
        }
    }

    /// The count of one window in [`EVERY`], for all of them.
    fn roughly(&self, mut text: &str) -> u64 {
        let (mut counted, mut bytes) = (0, 0);
        let all = text.len() as u64;
        while !text.is_empty() {
            let window = text.get(..floor(text, WINDOW)).unwrap_or(text);
            counted += self.exactly(window);
            bytes += window.len() as u64;
            text = text.get(floor(text, WINDOW * EVERY)..).unwrap_or_default();
        }
        counted * all / bytes.max(1)
    }

    /// The count of a piece that is no token.
    #[cold]
    fn piece(&self, piece: &[u8]) -> u64 {
        match piece.len() {
            len @ (0 | 1) => len as u64,
            len if len <= LONGEST => merged(self.table, piece),
            _ => piece.chunks(LONGEST).map(|part| self.whole(part)).sum(),
        }
    }

    fn whole(&self, piece: &[u8]) -> u64 {
        if self.table.rank(piece).is_some() { 1 } else { self.piece(piece) }
    }
}

/// The largest offset of at most `at` that does not cut a character; all of a shorter text.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

#[cfg(test)]
mod tests;
