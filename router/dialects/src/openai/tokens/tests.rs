//! Claims about counts. The expected ones were made by `bpe-openai` 0.3.2 (GitHub, MIT licence), which is
//! tested against OpenAI's own `tiktoken`.

mod vectors;

use proptest::prelude::*;

use super::*;

fn count(text: &str) -> u64 {
    Counter::new().count(text)
}

fn pieces(text: &str) -> Vec<&str> {
    let (mut all, mut at) = (Vec::new(), 0);
    let mut pieces = Pieces::new(Shape::unicode(), text);
    loop {
        let short = pieces.short();
        let Some(len) = short.map(|(_, len)| len).or_else(|| pieces.any()) else { return all };
        let piece = &text[at..at + len];
        if let Some((word, len)) = short {
            assert_eq!(&word.to_le_bytes()[..len], piece.as_bytes());
            assert_eq!(word >> (8 * len), 0);
        }
        all.push(piece);
        at += len;
    }
}

#[test]
fn counts_are_those_of_the_published_tokenizer() {
    for (text, expected) in vectors::VECTORS {
        assert_eq!(count(text), *expected, "{text:?}");
    }
}

#[test]
fn a_long_text_is_counted_in_part_and_hardly_off() {
    let texts: Vec<&str> = vectors::VECTORS.iter().map(|(text, _)| *text).collect();
    let long = texts.join("\n").repeat(500);
    let whole = Counter { left: usize::MAX, ..Counter::new() }.count(&long);
    let partly = count(&long);
    assert!(long.len() > 8 * EXACT && partly != whole, "{}", long.len());
    assert!((partly as f64 / whole as f64 - 1.0).abs() < 0.03, "{partly} {whole}");
}

#[test]
fn what_is_exact_is_shared_by_the_texts_of_a_request() {
    let mut counter = Counter::new();
    let text = "word ".repeat(EXACT / 5);
    let first = counter.count(&text);
    assert!(counter.left < 5);
    assert!(counter.count(&text).abs_diff(first) < first / 50);
}

#[test]
fn a_piece_without_an_end_takes_no_time_without_an_end() {
    // One piece of 60 kB: longer ones are counted in part.
    let long = "abcdefghijklmnopqrstuvwxyzqj".repeat(2_200);
    let tokens = count(&long);
    assert!(tokens > 1_000 && tokens < 40_000, "{tokens}");
    assert!(count(&"ä".repeat(1_000_000)) > 10_000);
}

proptest! {
    #[test]
    fn words_of_ascii_letters_end_where_the_rules_say(text in "[a-cX-Z '’.,0-9\n\\-éÀ漢\u{301}]{0,40}") {
        let shape = Shape::unicode();
        let quick = pieces(&text);
        let (mut slow, mut at) = (Vec::new(), 0);
        while let Some((first, second)) = shape.at(&text, at) {
            let end = Pieces::new(shape, &text).end(at, first, second);
            slow.push(&text[at..end]);
            at = end;
        }
        prop_assert_eq!(quick, slow);
    }

    #[test]
    fn pieces_are_the_text_and_every_piece_counts(text: String) {
        let pieces = pieces(&text);
        prop_assert_eq!(pieces.concat(), text.clone());
        prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
        prop_assert!(count(&text) >= pieces.len() as u64 && count(&text) <= text.len() as u64);
    }
}
