//! The primitives against a strict parser.

use proptest::prelude::*;

use super::skip::{Nested, Quoted};
use super::text::{BadText, Number, is_scalar, number, unquote};
use super::view::{elements, members};

#[test]
fn numbers_are_whole_other_or_too_large() {
    assert_eq!(number(b"12"), Number::Whole(12));
    assert_eq!(number(b"1e3"), Number::Whole(1000));
    assert_eq!(number(b"-0"), Number::Whole(0));
    assert_eq!(number(b"18446744073709551615"), Number::Whole(u64::MAX));
    assert_eq!(number(b"18446744073709551616"), Number::OutOfRange);
    assert_eq!(number(b"1e400"), Number::OutOfRange);
    assert_eq!(number(b"-3"), Number::Other);
    assert_eq!(number(b"1.5"), Number::Other);
}

#[test]
fn escapes_are_decoded_or_refused() {
    assert_eq!(unquote(br#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#).unwrap(), "a\"\\/\u{8}\u{c}\n\r\té\u{1f600}");
    for bad in [&br#""\x""#[..], br#""\u12""#, br#""\u+123""#, b"\"\n\""] {
        assert_eq!(unquote(bad), Err(BadText::Escape));
    }
    for half in [&br#""\ud800""#[..], br#""\ude00\ud83d""#, br#""\ud83dx""#, br#""\ud83d\u0041""#] {
        assert_eq!(unquote(half), Err(BadText::Surrogate));
    }
    assert_eq!(unquote(b"\"\xff\""), Err(BadText::Utf8));
}

#[test]
fn walks_stop_at_what_is_malformed() {
    for bad in ["", "1", "{", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{a:1}", "{\"a\":\"x}"] {
        assert!(members(bad.as_bytes()).any(|member| member.is_err()), "{bad}");
    }
    for bad in ["", "[", "[,]", "[1,]", "[1 2]", "{}"] {
        assert!(elements(bad.as_bytes()).any(|element| element.is_err()), "{bad}");
    }
    assert_eq!(elements(b" [ 1 , [2,3] , \"]\" ] ").map(Result::unwrap).count(), 3);
}

#[test]
fn a_long_run_without_structure_is_skipped_at_every_length() {
    for len in 0..200 {
        let text = format!("{}]x", "1".repeat(len));
        assert_eq!(Nested::new().skip(text.as_bytes(), 0), Some(len + 1));
    }
}

proptest! {
    #[test]
    fn scalars_are_what_a_parser_takes_for_scalars(text in "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?|true|false|null|nul|NaN") {
        let parsed: Result<&serde_json::value::RawValue, _> = serde_json::from_str(&text);
        prop_assert_eq!(is_scalar(text.as_bytes()), parsed.is_ok());
    }

    #[test]
    fn a_string_ends_where_its_quote_is(text: String, cut: prop::sample::Index) {
        let mut raw = serde_json::to_vec(&text).unwrap();
        let len = raw.len();
        raw.extend_from_slice(b"\\\"x");
        let cut = 1 + cut.index(len - 1);
        let mut quoted = Quoted::default();
        let end = quoted.skip(&raw[..cut], 1);
        prop_assert_eq!(end, None);
        prop_assert_eq!(quoted.skip(&raw[cut..], 0), Some(len - cut));
        prop_assert_eq!(unquote(&raw[..len]).unwrap(), text);
    }
}
