//! Claims about single bodies; `crate::tests::properties` holds the general ones.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn of(body: &[u8]) -> Result<Fields, ScanError> {
    scan(&Rope::from(Bytes::copy_from_slice(body)))
}

#[test]
fn errors_name_the_place_what_was_found_and_what_was_expected() {
    let cases: [(&[u8], &str); 12] = [
        (b"", "the request body is not valid JSON: it ends at byte 0, expected `{`"),
        (
            b"[]",
            "the request body is not valid JSON: found `[` at byte 0, expected `{`: the body must be a JSON object",
        ),
        (b"{\"a\":1", "the request body is not valid JSON: it ends at byte 6, expected `,` or `}`"),
        (b"{\"a\":1,}", "the request body is not valid JSON: found `}` at byte 7, expected a key"),
        (b"{\"a\" 1}", "the request body is not valid JSON: found `1` at byte 5, expected `:`"),
        (
            b"{\"a\":01}",
            "the request body is not valid JSON: found `0` at byte 5, expected a number, true, false or null",
        ),
        (
            b"{} x",
            "the request body is not valid JSON: found `x` at byte 3, expected nothing behind the end of the object",
        ),
        (b"{\"model\":\"abc", "the request body is not valid JSON: it ends at byte 13, expected the end of a string"),
        (b"{\"model\": 7}", "`model` at byte 10 is a number, expected a string"),
        (b"{\"stream\":\"yes\"}", "`stream` at byte 10 is a string, expected true or false"),
        (b"{\"model\":\"\\ud800\"}", "`model` at byte 9 holds half of a surrogate pair, expected plain text"),
        (b"{\"n\":99999999999999999999}", "`n` at byte 5 is out of range, expected a whole number below 2^53"),
    ];
    for (body, text) in cases {
        assert_eq!(of(body).unwrap_err().to_string(), text, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn the_house_error_blames_the_caller_and_names_the_field() {
    let error = Error::from(of(b"{\"model\":null}").unwrap_err());
    assert_eq!((error.kind(), error.side()), (ErrorKind::InvalidRequest, atp_core::Side::Caller));
    assert_eq!(error.param(), Some("model"));
    assert_eq!(Error::from(of(b"{").unwrap_err()).param(), None);
}

#[test]
fn a_model_that_is_absent_is_no_error() {
    let fields = of(b"{\"messages\":[]}").unwrap();
    assert_eq!((fields.model, fields.empty, fields.open), (None, false, 1));
}

#[test]
fn escaped_names_are_names_and_nested_names_are_not() {
    let fields = of(br#" {"x":{"model":"no"},"mod\u0065l":"\u0079es \ud83d\ude00","y":["\"model\":\"no\""]}"#).unwrap();
    assert_eq!(fields.model.as_deref(), Some("yes \u{1f600}"));
    assert_eq!(fields.spans.len(), 1);
}

#[test]
fn max_completion_tokens_counts_before_max_tokens() {
    assert_eq!(of(b"{\"max_completion_tokens\":5,\"max_tokens\":9}").unwrap().max_tokens, Some(5));
    assert_eq!(of(b"{\"max_tokens\":9}").unwrap().max_tokens, Some(9));
    // What only the provider can judge passes.
    assert_eq!(of(b"{\"max_tokens\":-1,\"n\":null}").unwrap().max_tokens, None);
}

#[test]
fn a_temperature_of_zero_is_zero_however_it_is_written() {
    let greedy = |value: &str| of(format!("{{\"temperature\": {value} }}").as_bytes()).unwrap().greedy;
    for zero in ["0", "-0", "0.0", "0e9", "-0.000E-7", "0.00000000000000000000000000"] {
        assert!(greedy(zero), "{zero}");
    }
    for other in ["1", "0.1", "10", "1e-400", "0.0001e4", "\"0\"", "null", "false", "[0]"] {
        assert!(!greedy(other), "{other}");
    }
    assert!(!of(b"{}").unwrap().greedy);
    // The last one counts, as everywhere.
    assert!(!of(b"{\"temperature\":0,\"temperature\":1}").unwrap().greedy);
    assert!(of(b"{\"temperature\":1,\"temper\\u0061ture\":0.0}").unwrap().greedy);
}

#[test]
fn a_string_of_ten_mebibytes_in_pieces_costs_no_memory() {
    let mut scanner = Scanner::new();
    scanner.push(b"{\"messages\":[{\"content\":\"");
    let piece = "text with \\\"quotes\\\" and \\\\ ".repeat(600);
    for _ in 0..10 * 1024 * 1024 / piece.len() + 1 {
        scanner.push(piece.as_bytes());
    }
    scanner.push(b"\"}],\"padding\":\"");
    for _ in 0..1024 {
        scanner.push(piece.as_bytes());
    }
    assert_eq!(scanner.0.gathered_capacity(), 0, "a value that nobody wants was copied");
    scanner.push(b"\",\"model\":\"m\"}");
    assert_eq!(scanner.finish().unwrap().model.as_deref(), Some("m"));
}

#[test]
fn a_key_that_is_longer_than_any_name_is_skipped_however_it_is_cut() {
    let body = format!("{{\"{}\":1,\"model\":\"m\"}}", "model".repeat(1000));
    for cut in [1, 7, 100, 161, 5000] {
        let mut scanner = Scanner::new();
        body.as_bytes().chunks(cut).for_each(|piece| scanner.push(piece));
        assert_eq!(scanner.finish().unwrap().spans.len(), 1);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_scan_panic(body: Vec<u8>) {
        let told = of(&body);
        prop_assert!(told.is_ok() || told.unwrap_err().at <= body.len());
    }
}
