//! The script that most of a text is written in, and for Latin letters whether it is English.

use atp_core::Language;

use super::kind::words;

/// So many words are looked at.
const WORDS: usize = 120;

/// The language of a text; English where nothing tells.
pub(super) fn of(text: &str) -> Language {
    let (mut latin, mut cjk, mut other, mut foreign) = (0_u32, 0_u32, 0_u32, 0_u32);
    for sign in text.chars() {
        match sign {
            'a'..='z' | 'A'..='Z' => latin += 1,
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => {
                latin += 1;
                foreign += 1;
            }
            // A Chinese or Japanese sign, a Korean syllable says about as much as three letters.
            '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' => {
                cjk += 3;
            }
            sign if !sign.is_ascii() && sign.is_alphabetic() => other += 1,
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
fn is_english(text: &str, foreign: u32) -> bool {
    let (mut english, mut others) = (0_u32, foreign.div_ceil(2));
    let mut seen = 0;
    words(text, |word| {
        english += u32::from(is_english_word(word));
        others += u32::from(is_other_word(word));
        seen += 1;
        seen < WORDS
    });
    english >= others
}

/// The commonest words of English that are none of German, French, Spanish, Italian, Portuguese or Dutch.
fn is_english_word(word: &str) -> bool {
    matches!(
        word,
        "the"
            | "and"
            | "of"
            | "to"
            | "that"
            | "it"
            | "for"
            | "with"
            | "this"
            | "you"
            | "are"
            | "be"
            | "have"
            | "from"
            | "or"
            | "by"
            | "what"
            | "how"
            | "which"
            | "please"
            | "not"
            | "my"
            | "your"
            | "can"
            | "write"
            | "their"
            | "would"
            | "there"
            | "been"
            | "is"
            | "i"
    )
}

/// The commonest words of those languages that are none of English.
fn is_other_word(word: &str) -> bool {
    is_german_or_dutch(word) || is_romance(word)
}

fn is_german_or_dutch(word: &str) -> bool {
    matches!(
        word,
        "der"
            | "die"
            | "das"
            | "und"
            | "ist"
            | "nicht"
            | "ein"
            | "eine"
            | "einen"
            | "den"
            | "dem"
            | "mit"
            | "auf"
            | "für"
            | "ich"
            | "sie"
            | "wie"
            | "zu"
            | "von"
            | "bitte"
            | "mir"
            | "im"
            | "wir"
            | "kannst"
            | "diesen"
            | "het"
            | "een"
            | "van"
            | "niet"
            | "voor"
            | "zijn"
    )
}

fn is_romance(word: &str) -> bool {
    matches!(
        word,
        "le" | "la"
            | "les"
            | "des"
            | "une"
            | "est"
            | "et"
            | "pour"
            | "dans"
            | "que"
            | "qui"
            | "vous"
            | "je"
            | "ce"
            | "cette"
            | "du"
            | "un"
            | "el"
            | "los"
            | "las"
            | "una"
            | "por"
            | "con"
            | "para"
            | "es"
            | "del"
            | "este"
            | "esta"
            | "en"
            | "il"
            | "che"
            | "di"
            | "per"
            | "sono"
            | "della"
            | "não"
            | "uma"
            | "com"
            | "os"
            | "de"
    )
}
