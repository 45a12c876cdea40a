//! Cutting a text into pieces that no token reaches across.
//!
//! The published regular expression, its alternatives in the order in which they are tried:
//!
//! ```text
//! 1  [^\r\n\p{L}\p{N}]? [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]* [\p{Ll}\p{Lm}\p{Lo}\p{M}]+ (?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! 2  [^\r\n\p{L}\p{N}]? [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+ [\p{Ll}\p{Lm}\p{Lo}\p{M}]* (?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! 3  \p{N}{1,3}
//! 4  ' '? [^\s\p{L}\p{N}]+ [\r\n/]*
//! 5  \s* [\r\n]+
//! 6  \s+ (?!\S)
//! 7  \s+
//! ```

use std::sync::LazyLock;

/// Classes of all characters in two stages; `data/make_tokens.py` has made it, from Unicode 14.
static CLASSES: &[u8] = include_bytes!("../../../data/classes.bin");
/// Length of the first stage.
const STAGE: usize = 0x1100;

/// The class of a character: what the expression tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Other,
    /// Lu, Lt.
    Upper,
    /// Ll.
    Lower,
    /// Lm, Lo.
    Letter,
    /// M.
    Mark,
    /// N.
    Number,
    /// White space other than a line's end.
    Space,
    /// A line feed or carriage return.
    Line,
}

impl Class {
    const fn of(number: u8) -> Self {
        match number {
            1 => Self::Upper,
            2 => Self::Lower,
            3 => Self::Letter,
            4 => Self::Mark,
            5 => Self::Number,
            6 => Self::Space,
            7 => Self::Line,
            _ => Self::Other,
        }
    }

    const fn is_space(self) -> bool {
        matches!(self, Self::Space | Self::Line)
    }

    /// What stands before the lower part of a word.
    const fn begins(self) -> bool {
        matches!(self, Self::Upper | Self::Letter | Self::Mark)
    }

    /// The lower part of a word.
    const fn goes_on(self) -> bool {
        matches!(self, Self::Lower | Self::Letter | Self::Mark)
    }

    /// What may stand in front of a word as part of its piece.
    const fn leads(self) -> bool {
        matches!(self, Self::Other | Self::Mark | Self::Space)
    }

    /// A sign: neither white space, nor letter, nor number.
    const fn is_sign(self) -> bool {
        matches!(self, Self::Other | Self::Mark)
    }
}

/// The classes of all characters, those of ASCII at hand.
#[derive(Debug)]
pub(super) struct Shape {
    ascii: [Class; 128],
}

impl Shape {
    /// Those of Unicode.
    pub(super) fn unicode() -> &'static Self {
        static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
            let mut ascii = [Class::Other; 128];
            for (code, class) in (0_u32..).zip(&mut ascii) {
                *class = looked_up(code);
            }
            Shape { ascii }
        });
        &SHAPE
    }

    /// The class of the character at an offset, and the offset behind it; `None` at the end of the text.
    pub(super) fn at(&self, text: &str, at: usize) -> Option<(Class, usize)> {
        let first = *text.as_bytes().get(at)?;
        if let Some(class) = self.ascii.get(usize::from(first)) {
            return Some((*class, at + 1));
        }
        let sign = text.get(at..)?.chars().next()?;
        Some((looked_up(u32::from(sign)), at + sign.len_utf8()))
    }

    /// The end of the longest run from `at` of classes that `is`.
    fn run(&self, text: &str, mut at: usize, is: impl Fn(Class) -> bool) -> usize {
        while let Some((class, behind)) = self.at(text, at)
            && is(class)
        {
            at = behind;
        }
        at
    }
}

fn looked_up(code: u32) -> Class {
    let block = CLASSES.get(code as usize / 256).copied().unwrap_or_default();
    let place = STAGE + usize::from(block) * 256 + code as usize % 256;
    Class::of(CLASSES.get(place).copied().unwrap_or_default())
}

/// The top bit of each of eight bytes.
const TOPS: u64 = u64::from_le_bytes([0x80; 8]);

/// Of eight bytes, the top bits of those that are no small ASCII letter.
#[inline]
const fn not_small(eight: u64) -> u64 {
    let low = eight & !TOPS;
    // Adding these carries into a byte's top bit from `a`, and from behind `z`.
    let from_a = low + u64::from_le_bytes([0x80 - b'a'; 8]);
    let behind_z = low + u64::from_le_bytes([0x7f - b'z'; 8]);
    (eight | !from_a | behind_z) & TOPS
}

/// The end of the run of small ASCII letters from `at`, eight looked at at once.
#[inline]
fn small_letters(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let others = not_small(u64::from_le_bytes(*eight));
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    run_of(bytes, at, u8::is_ascii_lowercase)
}

/// The end of the run of ASCII capitals from `at`: short, as a rule.
#[inline]
fn capitals(bytes: &[u8], at: usize) -> usize {
    run_of(bytes, at, u8::is_ascii_uppercase)
}

fn run_of(bytes: &[u8], at: usize, is: impl Fn(&u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| is(byte)).count()
}

/// The pieces of a text, in order: together they are the text.
pub(super) struct Pieces<'a> {
    shape: &'static Shape,
    text: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(shape: &'static Shape, text: &'a str) -> Self {
        Self { shape, text, at: 0 }
    }

    /// The end of the piece that starts at `at`, where that is a word of ASCII letters: nearly every piece of
    /// most texts. Alternatives 1 and 2 come to: what may lead, capitals, small letters. `None` where others
    /// decide.
    #[inline]
    fn plain_word(&self, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let first = *bytes.get(at)?;
        let led = !first.is_ascii_alphabetic();
        if led && !self.shape.ascii.get(usize::from(first))?.leads() {
            return None;
        }
        let start = at + usize::from(led);
        let small = small_letters(bytes, start);
        let end = if small == start { small_letters(bytes, capitals(bytes, start)) } else { small };
        match bytes.get(end) {
            // A letter of another script goes on with the word; a capital behind small letters does not.
            Some(0x80..) => None,
            Some(b'\'') if end > start => Some(self.contraction(end)),
            _ => (end > start).then_some(end),
        }
    }

    /// The end of the piece that starts at `at` with this class; `second` is the offset behind its first
    /// character.
    pub(super) fn end(&self, at: usize, first: Class, second: usize) -> usize {
        let word = self.word(at, first, second);
        if let Some(end) = word {
            return end;
        }
        if first == Class::Number {
            return self.digits(at);
        }
        if let Some(end) = self.signs(at, first) {
            return end;
        }
        self.space(at, second)
    }

    /// Alternatives 1 and 2.
    fn word(&self, at: usize, first: Class, second: usize) -> Option<usize> {
        let led = first.leads().then_some(second);
        let plain = (first.begins() || first.goes_on()).then_some(at);
        let is_letter = |class: Class| class.begins() || class.goes_on();
        if plain.is_none() && !self.shape.at(self.text, second).is_some_and(|(class, _)| is_letter(class)) {
            // A comma and a space, as a rule: nothing that could lead a word.
            return None;
        }
        let starts = || led.into_iter().chain(plain);
        let end = starts().find_map(|start| self.lower(start)).or_else(|| starts().find_map(|start| self.upper(start)));
        end.map(|end| self.contraction(end))
    }

    /// The middle of alternative 1: the upper part gives back what the lower part needs.
    fn lower(&self, start: usize) -> Option<usize> {
        let mut at = start;
        // Behind the last character that may stand in both parts.
        let mut both = None;
        loop {
            match self.shape.at(self.text, at) {
                Some((class, behind)) if class.begins() => {
                    at = behind;
                    if class.goes_on() {
                        both = Some(behind);
                    }
                }
                Some((Class::Lower, behind)) => return Some(self.shape.run(self.text, behind, Class::goes_on)),
                _ => return both,
            }
        }
    }

    /// The middle of alternative 2.
    fn upper(&self, start: usize) -> Option<usize> {
        let end = self.shape.run(self.text, start, Class::begins);
        (end > start).then(|| self.shape.run(self.text, end, Class::goes_on))
    }

    /// The end of a word's piece with the contraction behind it.
    fn contraction(&self, at: usize) -> usize {
        let Some([b'\'', rest @ ..]) = self.text.as_bytes().get(at..) else { return at };
        match rest {
            [b's' | b't' | b'm' | b'd' | b'S' | b'T' | b'M' | b'D', ..] => at + 2,
            // The long s is another case of s.
            [0xc5, 0xbf, ..] => at + 3,
            [b'r' | b'R' | b'v' | b'V', b'e' | b'E', ..] | [b'l' | b'L', b'l' | b'L', ..] => at + 3,
            _ => at,
        }
    }

    /// Alternative 3.
    fn digits(&self, mut at: usize) -> usize {
        for _ in 0..3 {
            match self.shape.at(self.text, at) {
                Some((Class::Number, behind)) => at = behind,
                _ => break,
            }
        }
        at
    }

    /// Alternative 4.
    fn signs(&self, at: usize, first: Class) -> Option<usize> {
        let start = if self.text.as_bytes().get(at) == Some(&b' ') { at + 1 } else { at };
        if start == at && !first.is_sign() {
            return None;
        }
        let end = self.shape.run(self.text, start, Class::is_sign);
        if end == start {
            return None;
        }
        let rest = self.text.as_bytes().get(end..).unwrap_or_default();
        Some(end + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | b'/')).count())
    }

    /// Alternatives 5 to 7; `second` is the offset behind the first character, which is white space.
    fn space(&self, at: usize, second: usize) -> usize {
        // Behind the last line's end, and in front of the last character of the run.
        let (mut line, mut last, mut end) = (None, at, at);
        while let Some((class, behind)) = self.shape.at(self.text, end).filter(|(class, _)| class.is_space()) {
            last = end;
            end = behind;
            if class == Class::Line {
                line = Some(end);
            }
        }
        match line {
            Some(line) => line,
            None if end == self.text.len() => end.max(second),
            None if last > at => last,
            None => end.max(second),
        }
    }
}

/// A piece of at most seven bytes that is a plain word: its bytes in one number, zeroes behind them, and how
/// many they are.
pub(super) type Short = (u64, usize);

impl Pieces<'_> {
    /// Where the next piece starts.
    pub(super) const fn offset(&self) -> usize {
        self.at
    }

    /// The next piece, where it is a space or a capital and small letters, all within seven bytes: most are, and
    /// one load tells the end and the bytes.
    #[inline]
    pub(super) fn short(&mut self) -> Option<Short> {
        let eight = u64::from_le_bytes(*self.text.as_bytes().get(self.at..)?.first_chunk::<8>()?);
        let others = not_small(eight);
        let (first, behind) = (eight as u8, others & !0xff);
        let end = behind.trailing_zeros() & !7;
        let led = others & 0x80 != 0;
        if behind == 0 || (led && (end == 8 || !(first == b' ' || first.is_ascii_uppercase()))) {
            return None;
        }
        let next = (eight >> end) as u8;
        if !next.is_ascii() || next == b'\'' {
            return None;
        }
        let len = end as usize / 8;
        self.at += len;
        Some((eight & ((1 << end) - 1), len))
    }

    /// The length of the next piece in bytes, by the rules for all of them.
    #[inline]
    pub(super) fn any(&mut self) -> Option<usize> {
        let start = self.at;
        self.at = match self.plain_word(start) {
            Some(end) => end,
            None => {
                let (first, second) = self.shape.at(self.text, start)?;
                self.end(start, first, second)
            }
        };
        Some(self.at - start)
    }
}
