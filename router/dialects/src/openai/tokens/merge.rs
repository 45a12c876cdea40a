//! Byte pair encoding of one piece: of all neighbours whose bytes together are a token, those of the lowest
//! rank become one, until there are none (Sennrich, Haddow, Birch, ACL 2016; ranks as in `tiktoken`).

use smallvec::SmallVec;

use super::table::Table;

/// No token.
const NONE: u32 = u32::MAX;

/// A part of the piece: where it starts, and the rank that it would have together with the next one.
#[derive(Clone, Copy)]
struct Part {
    start: u32,
    rank: u32,
}

/// How many tokens a piece of more than one byte becomes. Takes time by the square of its length: pieces are
/// short.
pub(super) fn merged(table: &Table, piece: &[u8]) -> u64 {
    let mut parts: SmallVec<[Part; 64]> = (0..=piece.len() as u32).map(|start| Part { start, rank: NONE }).collect();
    for place in 0..piece.len().saturating_sub(1) {
        rate(table, piece, &mut parts, place);
    }
    while let Some(lowest) = lowest(&parts) {
        parts.remove(lowest + 1);
        rate(table, piece, &mut parts, lowest);
        if let Some(before) = lowest.checked_sub(1) {
            rate(table, piece, &mut parts, before);
        }
    }
    // The last one marks the end.
    parts.len() as u64 - 1
}

/// Finds the rank of a part together with the next one.
fn rate(table: &Table, piece: &[u8], parts: &mut [Part], place: usize) {
    let end = parts.get(place + 2).map(|part| part.start as usize);
    let Some(part) = parts.get_mut(place) else { return };
    let pair = end.and_then(|end| piece.get(part.start as usize..end));
    part.rank = pair.and_then(|pair| table.rank(pair)).unwrap_or(NONE);
}

/// The first part of the pair of the lowest rank; of equal ones the first pair.
fn lowest(parts: &[Part]) -> Option<usize> {
    let mut best = (NONE, None);
    for (place, part) in parts.iter().enumerate() {
        if part.rank < best.0 {
            best = (part.rank, Some(place));
        }
    }
    best.1
}
