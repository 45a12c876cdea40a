//! Places in the file, and what an error may show of it.

use super::mask::{is_shown, looks_secret, mask, mask_line, mask_words};
use super::*;

fn parse(text: &str) -> Document {
    Document::parse(text.as_bytes()).unwrap_or_else(|unreadable| panic!("{unreadable:?}"))
}

fn place(document: &Document, path: &FieldPath) -> (usize, usize) {
    let mark = document.mark(path);
    (mark.line, mark.column)
}

#[test]
fn every_value_and_every_name_has_its_place() {
    let document = parse("a: 1\nb:\n  - x\n  - { c: \"y z\", \"d e\": [ 1, 2 ] }\n");
    assert_eq!(place(&document, &FieldPath::of(&["a"])), (1, 4));
    let item = FieldPath::of(&["b"]).index(1);
    assert_eq!(place(&document, &item), (4, 5));
    assert_eq!(place(&document, &item.key("c")), (4, 10));
    assert_eq!(document.mark(&item.key("c")).chars, 5, "the quotes belong to it");
    assert_eq!(place(&document, &item.key("d e").index(1)), (4, 29));
    let name = document.key_mark(&item.key("d e"));
    assert_eq!((name.line, name.column, name.chars), (4, 17, 5));
}

#[test]
fn what_is_not_there_has_the_place_of_what_holds_it() {
    let document = parse("a: { b: 1 }\n");
    assert_eq!(place(&document, &FieldPath::of(&["a", "x", "y"])), (1, 4));
    assert_eq!(document.found(&FieldPath::of(&["a", "x"])), None);
}

#[test]
fn an_alias_has_the_place_of_its_definition() {
    let document = parse("a: &x { n: 1 }\nb: *x\nc: { <<: *x }\n");
    assert_eq!(place(&document, &FieldPath::of(&["b", "n"])), (1, 12));
    assert_eq!(place(&document, &FieldPath::of(&["c", "n"])), (1, 12));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let document = parse("\u{feff}a: 1\r\nb: 2\r\n");
    assert_eq!(place(&document, &FieldPath::of(&["a"])), (1, 4));
    assert_eq!(place(&document, &FieldPath::of(&["b"])), (2, 4));
    assert_eq!(document.line(2), Some("b: *"));
}

#[test]
fn words_that_other_parsers_take_for_flags_are_text() {
    let document = parse("a: on\nb: no\nc: true\nd: 0x10\ne: 1_000\nf: 012\n");
    let kind = |name: &str| document.root.child(&Segment::Key(name.to_owned())).map(|node| node.value.type_name());
    assert_eq!((kind("a"), kind("b"), kind("c")), (Some("text"), Some("text"), Some("true or false")));
}

#[test]
fn only_harmless_fields_are_shown() {
    let shown = |keys: &[&str]| is_shown(&FieldPath::of(keys));
    assert!(shown(&["listen"]) && shown(&["providers", "up", "base_url"]) && shown(&["tls", "key"]));
    assert!(shown(&["providers", "up", "api_key", "env"]) && shown(&["models", "m", "timeouts", "idle"]));
    assert!(!shown(&["providers", "up", "api_key"]) && !shown(&["providers", "up", "api_kye"]));
    assert!(!shown(&["providers", "up", "headers", "kind"]) && !shown(&["keys", "key"]) && !shown(&["keys"]));
    assert!(!shown(&["providers", "up"]), "what stands in place of a provider may be its key");
}

#[test]
fn secrets_become_stars_of_the_same_width() {
    let text = "keys:\n  - { name: app, key: \"hun\u{fc}ter2\" } # was: old\nbase_url: http://a:b@host/v1\nkind: sk-0123456789\n";
    let masked = mask(text, &parse(text).root);
    assert_eq!(masked.chars().count(), text.chars().count());
    assert_eq!(
        masked,
        "keys:\n  - { name: app, key: ********** } # **** ***\nbase_url: http://***@host/v1\nkind: *************\n"
    );
}

#[test]
fn a_line_of_a_broken_file_shows_only_harmless_values() {
    for (line, shown) in [
        (
            "  up: { kind: openai, api_key: \"abc def\", base_url: [ }",
            "  up: { kind: openai, api_key: \"*** ***\", base_url: [ }",
        ),
        ("keys: [ abc, def ]", "keys: [ ***, *** ]"),
        ("   - abcdef", "   - ******"),
        ("\"api_key\": abc", "\"api_key\": ***"),
        ("listen: 127.0.0.1:7443 # abc", "listen: 127.0.0.1:7443 # ***"),
        ("whatever: abc", "whatever: ***"),
    ] {
        assert_eq!(mask_line(line), shown);
    }
}

#[test]
fn a_credential_is_known_by_its_look() {
    for secret in ["sk-proj-abc", "gsk_0123456789", "AIzaSyA-1234567", "a1b2c3d4e5f6a7b8c9d0e1f2"] {
        assert!(looks_secret(secret), "{secret}");
    }
    for word in [
        "sk-",
        "openai",
        "claude-sonnet-4-20250514",
        "127.0.0.1",
        "/var/lib/atp/usage-20250101.db",
        "idle_connection_timeout",
    ] {
        assert!(!looks_secret(word), "{word}");
    }
    assert_eq!(mask_words("http://u:p@h/x and https://h"), "http://***@h/x and https://h");
}
