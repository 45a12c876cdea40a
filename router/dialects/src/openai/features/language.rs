//! The script that most of a text is written in, and for Latin letters whether it is English.

use atp_core::Language;

/// So many words are looked at.
const WORDS: usize = 120;

/// The commonest words of English that are none of German, French, Spanish, Italian, Portuguese or Dutch.
const ENGLISH: [&str; 31] = [
    "the", "and", "of", "to", "that", "it", "for", "with", "this", "you", "are", "be", "have", "from", "or", "by",
    "what", "how", "which", "please", "not", "my", "your", "can", "write", "their", "would", "there", "been", "is",
    "i",
];
/// The commonest words of those languages that are none of English: German and Dutch,
const GERMANIC: [&str; 31] = [
    "der", "die", "das", "und", "ist", "nicht", "ein", "eine", "einen", "den", "dem", "mit", "auf", "für", "ich",
    "sie", "wie", "zu", "von", "bitte", "mir", "im", "wir", "kannst", "diesen", "het", "een", "van", "niet", "voor",
    "zijn",
];
/// and the Romance ones.
const ROMANCE: [&str; 40] = [
    "le", "la", "les", "des", "une", "est", "et", "pour", "dans", "que", "qui", "vous", "je", "ce", "cette", "du",
    "un", "el", "los", "las", "una", "por", "con", "para", "es", "del", "este", "esta", "en", "il", "che", "di", "per",
    "sono", "della", "não", "uma", "com", "os", "de",
];

/// The language of a text; English where nothing tells.
pub(super) fn of(text: &str) -> Language {
    if text.is_ascii() {
        return if is_english(text, 0) { Language::English } else { Language::Latin };
    }
    let mut latin = text.bytes().filter(u8::is_ascii_alphabetic).count();
    let (mut cjk, mut other, mut foreign) = (0, 0, 0);
    for sign in text.chars().filter(|sign| !sign.is_ascii()) {
        match sign {
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => {
                latin += 1;
                foreign += 1;
            }
            // A Chinese or Japanese sign, a Korean syllable says about as much as three letters.
            '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' => {
                cjk += 3;
            }
            sign if sign.is_alphabetic() => other += 1,
            _ => {}
        }
    }
    if cjk > latin && cjk >= other {
        Language::Cjk
    } else if other > latin {
        Language::Other
    } else if is_english(text, foreign) {
        Language::English
    } else {
        Language::Latin
    }
}

/// Whether English words outnumber those of other languages; letters that English has not count as words.
fn is_english(text: &str, foreign: usize) -> bool {
    let (mut english, mut others, mut at) = (0, foreign.div_ceil(2), 0);
    for _ in 0..WORDS {
        let Some((word, end)) = Word::at(text, at) else { break };
        match word.tells() {
            Some(Tells::English) => english += 1,
            Some(Tells::Another) => others += 1,
            None => {}
        }
        at = end;
    }
    english >= others
}

/// What a word tells of its language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    English = 1,
    Another = 2,
}

/// A word in lower case: its first bytes in one number, so that it is looked up by one multiplication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Word {
    bytes: u64,
    len: u32,
}

impl Word {
    /// The longest word that is known, in bytes; the byte above is left for what it tells.
    const LONGEST: u32 = 7;

    /// The next word of a text from an offset on, in lower case, and where it ends.
    fn at(text: &str, at: usize) -> Option<(Self, usize)> {
        let bytes = text.as_bytes();
        let start = at + bytes.get(at..)?.iter().position(|byte| kind(*byte) != Kind::Sign)?;
        let rest = bytes.get(start..)?;
        let len = rest.iter().position(|byte| kind(*byte) != Kind::Letter).unwrap_or(rest.len());
        if rest.get(len).is_some_and(|next| kind(*next) == Kind::Beyond) {
            // A letter, or a sign like a quotation mark.
            return Self::beyond_ascii(text, start);
        }
        let mut word = Self { bytes: 0, len: len as u32 };
        if word.len <= Self::LONGEST {
            // Digits have this bit, too.
            const SMALL: u64 = u64::from_le_bytes([0x20; 8]);
            let eight = rest.first_chunk::<8>().map_or_else(|| padded(rest), |eight| u64::from_le_bytes(*eight));
            word.bytes = (eight | SMALL) & ((1 << (8 * word.len)) - 1);
        }
        Some((word, start + len))
    }

    /// The same for a word that may hold other letters, by Unicode's tables.
    fn beyond_ascii(text: &str, start: usize) -> Option<(Self, usize)> {
        let rest = text.get(start..)?;
        let begin = rest.find(char::is_alphanumeric)?;
        let word = rest.get(begin..)?;
        let word = word.split(|sign: char| !sign.is_alphanumeric()).next()?;
        let mut packed = Self::default();
        for small in word.chars().flat_map(char::to_lowercase) {
            small.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| packed.push(byte));
        }
        Some((packed, start + begin + word.len()))
    }

    const fn push(&mut self, byte: u8) {
        if self.len < Self::LONGEST {
            self.bytes |= (byte as u64) << (8 * self.len);
        }
        self.len += 1;
    }

    const fn of(word: &str) -> Self {
        let (mut packed, mut rest) = (Self { bytes: 0, len: 0 }, word.as_bytes());
        while let [byte, more @ ..] = rest {
            packed.push(*byte);
            rest = more;
        }
        assert!(packed.len <= Self::LONGEST, "the word is longer than any that is looked up");
        packed
    }

    /// Where the table has the word, or the one in front of it.
    const fn slot(self) -> usize {
        (self.bytes.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOT_BITS)) as usize
    }

    fn tells(self) -> Option<Tells> {
        if self.len > Self::LONGEST {
            return None;
        }
        for step in 0..SLOTS {
            let found = *KNOWN.get((self.slot() + step) % SLOTS)?;
            if found == 0 {
                return None;
            }
            if found & WORD_MASK == self.bytes {
                return Some(if found >> WORD_BITS == Tells::English as u64 { Tells::English } else { Tells::Another });
            }
        }
        None
    }
}

/// What a byte is, for the ends of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sign,
    /// An ASCII letter or digit.
    Letter,
    /// Part of a character that is not ASCII.
    Beyond,
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
const fn kind(byte: u8) -> Kind {
    const KINDS: [Kind; 256] = {
        let mut kinds = [Kind::Sign; 256];
        let mut byte = 0;
        while byte < 256 {
            if (byte as u8).is_ascii_alphanumeric() {
                kinds[byte] = Kind::Letter;
            } else if byte >= 0x80 {
                kinds[byte] = Kind::Beyond;
            }
            byte += 1;
        }
        kinds
    };
    KINDS[byte as usize]
}

/// Less than eight bytes, and zeroes behind them.
fn padded(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |packed, byte| packed << 8 | u64::from(*byte))
}

const SLOT_BITS: u32 = 9;
const SLOTS: usize = 1 << SLOT_BITS;
const WORD_BITS: u32 = 8 * Word::LONGEST;
const WORD_MASK: u64 = (1 << WORD_BITS) - 1;

/// The known words by their hash, each with what it tells above its bytes; 0 is a free slot.
static KNOWN: [u64; SLOTS] = {
    let table = enter([0; SLOTS], &ENGLISH, Tells::English);
    let table = enter(table, &GERMANIC, Tells::Another);
    enter(table, &ROMANCE, Tells::Another)
};

#[expect(clippy::indexing_slicing, reason = "at compile time; a remainder of SLOTS is below it")]
const fn enter(mut table: [u64; SLOTS], mut words: &[&str], tells: Tells) -> [u64; SLOTS] {
    while let [word, rest @ ..] = words {
        let word = Word::of(word);
        let mut slot = word.slot();
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = word.bytes | (tells as u64) << WORD_BITS;
        words = rest;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_script() {
        let text = "„Für“ THE x9, l'été\u{301}-NICHT and-über2und Straße ends";
        let (mut words, mut at) = (Vec::new(), 0);
        while let Some((word, end)) = Word::at(text, at) {
            words.push(word);
            at = end;
        }
        let expected = ["für", "the", "x9", "l", "été", "nicht", "and"].map(Word::of);
        assert_eq!(words[..7], expected);
        assert_eq!(words[7].len, "über2und".len() as u32);
        assert_eq!((words[8].len, words[9], words.len()), ("straße".len() as u32, Word::of("ends"), 10));
    }

    #[test]
    fn every_known_word_tells_its_language_and_others_tell_nothing() {
        for (words, tells) in [(&ENGLISH[..], Tells::English), (&GERMANIC, Tells::Another), (&ROMANCE, Tells::Another)]
        {
            for word in words {
                assert_eq!(Word::of(word).tells(), Some(tells), "{word}");
            }
        }
        for word in ["captain", "thex", "th", "a", "0"] {
            assert_eq!(Word::of(word).tells(), None, "{word}");
        }
    }
}
