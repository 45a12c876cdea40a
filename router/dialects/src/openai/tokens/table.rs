//! The vocabulary as a hash table from a token's bytes to its rank.

use std::sync::LazyLock;

/// Every token in the order of its rank, each as a byte of length and its bytes: OpenAI's `o200k_base`, under
/// the MIT licence of <https://github.com/openai/tiktoken>. `data/make_tokens.py` has made it.
static VOCABULARY: &[u8] = include_bytes!("../../../data/o200k.bin");

/// Slots of the table: two and a half for a token, so that most looks find at once.
const SLOTS: usize = 1 << 19;
/// A rank has so many bits; above it in a slot stands the upper part of the hash.
const RANK_BITS: u32 = 18;
const RANK_MASK: u64 = (1 << RANK_BITS) - 1;

/// The vocabulary. A slot holds one more than the rank (0 is a free slot) and 46 bits of the token's hash. The
/// bytes themselves are not compared: of 2^46 pieces that are no token, one would be taken for one, and what is
/// made of it is a count that is off by one.
#[derive(Debug)]
pub(super) struct Table {
    slots: Box<[u64; SLOTS]>,
}

impl Table {
    /// The one table; made at the first call, in some milliseconds.
    pub(super) fn o200k() -> &'static Self {
        static TABLE: LazyLock<Table> = LazyLock::new(|| Table::of(VOCABULARY));
        &TABLE
    }

    fn of(mut vocabulary: &[u8]) -> Self {
        let mut slots = zeroes();
        let mut rank = 0;
        while let Some((token, rest)) =
            vocabulary.split_first().and_then(|(len, rest)| rest.split_at_checked(usize::from(*len)))
        {
            let hash = hash(token);
            let slot = probe(hash).find(|slot| slots.get(*slot) == Some(&0));
            if let Some(free) = slot.and_then(|slot| slots.get_mut(slot)) {
                *free = (hash & !RANK_MASK) | (rank + 1);
            }
            (vocabulary, rank) = (rest, rank + 1);
        }
        Self { slots }
    }

    /// The rank of a token; `None` where these bytes are none.
    pub(super) fn rank(&self, bytes: &[u8]) -> Option<u32> {
        self.found(hash(bytes))
    }

    /// The rank of the token that the first `len` bytes of a text are.
    #[inline]
    pub(super) fn rank_of_first(&self, len: usize, text: &[u8]) -> Option<u32> {
        match (text.first_chunk::<8>(), MASKS.get(len)) {
            // Most tokens: taken by one load, with what stands behind them.
            (Some(eight), Some(mask)) => self.rank_of_short(u64::from_le_bytes(*eight) & mask, len),
            _ => self.rank(text.get(..len)?),
        }
    }

    /// The rank of a token of at most eight bytes, given as one number with zeroes behind them.
    #[inline]
    pub(super) fn rank_of_short(&self, word: u64, len: usize) -> Option<u32> {
        self.found(mixed(word, len))
    }

    #[inline]
    fn found(&self, hash: u64) -> Option<u32> {
        for slot in probe(hash) {
            match self.slots.get(slot) {
                None | Some(0) => return None,
                Some(found) if (found ^ hash) & !RANK_MASK == 0 => return Some((found & RANK_MASK) as u32 - 1),
                Some(_) => {}
            }
        }
        None
    }
}

/// Free slots, made where they stay: as a value they would pass over the stack.
fn zeroes() -> Box<[u64; SLOTS]> {
    match vec![0; SLOTS].into_boxed_slice().try_into() {
        Ok(slots) => slots,
        Err(_) => Box::new([0; SLOTS]),
    }
}

/// The slots that a hash is looked for in: from its own on, all of them once.
#[inline]
fn probe(hash: u64) -> impl Iterator<Item = usize> {
    let first = hash as usize;
    (0..SLOTS).map(move |step| (first + step) % SLOTS)
}

/// What leaves the first so many of eight bytes.
const MASKS: [u64; 9] =
    [0, 0xff, 0xffff, 0x00ff_ffff, 0xffff_ffff, 0xff_ffff_ffff, 0xffff_ffff_ffff, 0x00ff_ffff_ffff_ffff, u64::MAX];

/// A hash of few bytes: eight at a time multiplied and folded, as in wyhash (Wang Yi, public domain). The last
/// eight may overlap those before them, so that no byte is read by itself; the length tells such texts apart,
/// and short ones from those that end in zeroes.
fn hash(bytes: &[u8]) -> u64 {
    let Some(last) = bytes.last_chunk::<8>() else {
        return mixed(bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), bytes.len());
    };
    let before = bytes.get(..bytes.len() - 1).unwrap_or_default().as_chunks::<8>().0;
    let state = before.iter().fold(0, |state, block| fold(state ^ u64::from_le_bytes(*block), FIRST));
    mixed(state ^ u64::from_le_bytes(*last), bytes.len())
}

const FIRST: u64 = 0xa076_1d64_78bd_642f;
const SECOND: u64 = 0xe703_7ed1_a0b4_28db;

/// The end of a hash: what is left of the bytes, and how many there are.
#[inline]
const fn mixed(word: u64, len: usize) -> u64 {
    // Multiplied, or the length would stand where the first byte does.
    let len = (len as u64 + 1).wrapping_mul(SECOND);
    fold(fold(word ^ len, FIRST) ^ SECOND, FIRST)
}

#[inline]
const fn fold(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_has_its_rank_and_nothing_else_has_one() {
        let table = Table::o200k();
        let mut rest = VOCABULARY;
        let mut rank = 0;
        while let Some((len, more)) = rest.split_first() {
            let (token, more) = more.split_at(usize::from(*len));
            assert_eq!(table.rank(token), Some(rank), "{token:?}");
            let text = [token, b" and more"].concat();
            assert_eq!(table.rank_of_first(token.len(), &text), Some(rank), "{token:?}");
            (rest, rank) = (more, rank + 1);
        }
        // What OpenAI publishes: 199,998 tokens; " hello" has this rank there.
        assert_eq!((rank, table.rank(b" hello")), (199_998, Some(40_617)));
        for piece in [&b"zqxjkvbz"[..], b" Donaudampfschiff", b"", &[0xff; 40]] {
            assert_eq!(table.rank(piece), None);
        }
    }
}
