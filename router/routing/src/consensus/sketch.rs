//! What an answer says, in a few numbers.

use std::collections::BTreeSet;

/// How many places words are hashed into.
pub const DIMS: usize = 128;

/// A hashed bag of words of length one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sketch {
    places: Box<[f32; DIMS]>,
    /// Whether there was no word at all: such texts agree with each other and with nothing else.
    empty: bool,
}

impl Sketch {
    /// The sketch of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut places = Box::new([0.0_f32; DIMS]);
        let mut buffer = String::new();
        let mut empty = true;
        words(text, &mut buffer, |word| {
            empty = false;
            // The remainder is below the number of places.
            if let Some(place) = places.get_mut((fnv1a(word) % DIMS as u64) as usize) {
                *place += 1.0;
            }
        });
        let length = places.iter().map(|place| place * place).sum::<f32>().sqrt();
        if length > 0.0 {
            for place in places.iter_mut() {
                *place /= length;
            }
        }
        Self { places, empty }
    }

    /// The cosine of the angle between two, from 0 to 1.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f64 {
        if self.empty && other.empty {
            return 1.0;
        }
        let product: f32 = self.places.iter().zip(other.places.iter()).map(|(left, right)| left * right).sum();
        f64::from(product).clamp(0.0, 1.0)
    }
}

/// The share of words that all texts have in common, of the words that any of them has: the size of the
/// intersection over that of the union (Jaccard 1912). 1 for fewer than two texts, and where none has a word.
#[must_use]
pub fn jaccard(texts: &[&str]) -> f64 {
    let mut buffer = String::new();
    let mut sets = texts.iter().map(|text| {
        let mut set = BTreeSet::new();
        words(text, &mut buffer, |word| {
            set.insert(word.to_owned());
        });
        set
    });
    let Some(mut common) = sets.next() else { return 1.0 };
    let mut any = common.clone();
    for mut set in sets {
        common.retain(|word| set.contains(word));
        any.append(&mut set);
    }
    if any.is_empty() { 1.0 } else { common.len() as f64 / any.len() as f64 }
}

/// Calls `each` with every word in lower case: letters and digits that stand together; of scripts without
/// spaces every sign.
fn words(text: &str, buffer: &mut String, mut each: impl FnMut(&str)) {
    let mut end = |buffer: &mut String| {
        if !buffer.is_empty() {
            each(buffer);
            buffer.clear();
        }
    };
    for sign in text.chars() {
        if !sign.is_alphanumeric() {
            end(buffer);
        } else if is_unspaced(sign) {
            end(buffer);
            buffer.push(sign);
            end(buffer);
        } else {
            buffer.extend(sign.to_lowercase());
        }
    }
    end(buffer);
}

/// Whether a script writes words without spaces: Thai, Lao, Khmer, Burmese; kana, Chinese signs.
const fn is_unspaced(sign: char) -> bool {
    matches!(sign, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// FNV-1a in 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv).
fn fnv1a(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_has_its_published_values() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn order_case_and_signs_do_not_matter() {
        let left = Sketch::of("The sky is blue, mostly.");
        assert!(left.cosine(&Sketch::of("mostly blue: THE SKY is")) > 0.999);
        assert!(left.cosine(&Sketch::of("Le ciel est bleu")) < 0.5);
        assert_eq!(Sketch::of(" .").cosine(&Sketch::of("")), 1.0);
        assert_eq!(Sketch::of("").cosine(&left), 0.0);
    }

    #[test]
    fn scripts_without_spaces_are_compared_sign_by_sign() {
        let cosine = Sketch::of("天空是蓝色的").cosine(&Sketch::of("天空是蓝的"));
        assert!(cosine > 0.85 && cosine < 1.0, "{cosine}");
    }

    #[test]
    fn jaccard_is_intersection_over_union_of_all() {
        assert_eq!(jaccard(&["a b c", "B c d"]), 0.5);
        assert_eq!(jaccard(&["a b c", "b c d", "c"]), 0.25);
        assert_eq!((jaccard(&[]), jaccard(&["x"]), jaccard(&["", "."])), (1.0, 1.0, 1.0));
    }
}
