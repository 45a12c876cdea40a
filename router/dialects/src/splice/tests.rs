//! Claims about single bodies; `crate::tests::properties` holds the general ones.

use super::*;
use crate::scan::scan;

fn edited(body: &str, edits: &[Edit<'_>]) -> String {
    let rope = Rope::from(Bytes::copy_from_slice(body.as_bytes()));
    let fields = scan(&rope).unwrap();
    String::from_utf8(splice(&rope, &fields, edits).to_bytes().to_vec()).unwrap()
}

#[test]
fn without_edits_the_memory_is_the_same() {
    let body = Bytes::from_static(b"{\"model\":\"m\"}");
    let rope = Rope::from(body.clone());
    let same = splice(&rope, &scan(&rope).unwrap(), &[]);
    assert_eq!(same.to_bytes().as_ptr(), body.as_ptr());
}

#[test]
fn what_stays_is_shared_and_only_the_new_value_is_new() {
    let body = Bytes::from_static(b"{\"a\":[1, 2],\"model\":\"m\",\"b\":3}");
    let rope = Rope::from(body.clone());
    let spliced = splice(&rope, &scan(&rope).unwrap(), &[Edit::Set(Field::Model, "\"x\"")]);
    let [before, value, after] = spliced.parts() else { panic!("{spliced:?}") };
    assert_eq!((before.as_ptr(), &value[..]), (body.as_ptr(), &b"\"x\""[..]));
    assert_eq!(after.as_ptr(), body[body.len() - after.len()..].as_ptr());
}

#[test]
fn every_occurrence_is_replaced() {
    let body = r#"{"model":"a","x":{"model":"b"},"mod\u0065l" : "c"}"#;
    assert_eq!(
        edited(body, &[Edit::Set(Field::Model, "\"z\"")]),
        r#"{"model":"z","x":{"model":"b"},"mod\u0065l" : "z"}"#
    );
}

#[test]
fn new_members_stand_right_behind_the_brace() {
    let edits = [Edit::Set(Field::Model, "\"m\""), Edit::Set(Field::N, "2")];
    assert_eq!(edited("{}", &edits), r#"{"model":"m","n":2}"#);
    assert_eq!(edited(" { \"a\":1}", &edits), " {\"model\":\"m\",\"n\":2, \"a\":1}");
    assert_eq!(edited("{\"user\":\"u\"}", &[edits[0], Edit::Remove(Field::User)]), r#"{"model":"m"}"#);
}

#[test]
fn a_member_goes_with_its_comma() {
    let remove = [Edit::Remove(Field::User)];
    assert_eq!(edited(r#"{"user":"u"}"#, &remove), "{}");
    assert_eq!(edited(r#"{ "user" : "u" , "a":1}"#, &remove), r#"{ "a":1}"#);
    assert_eq!(edited(r#"{"a":1 , "user":"u" }"#, &remove), r#"{"a":1 }"#);
    assert_eq!(edited(r#"{"a":1,"user":1,"user":2,"b":2}"#, &remove), r#"{"a":1,"b":2}"#);
    assert_eq!(edited(r#"{"user":1,"user":2}"#, &remove), "{}");
    assert_eq!(edited(r#"{"us\u0065r":1,"b":{"user":2}}"#, &remove), r#"{"b":{"user":2}}"#);
}

#[test]
fn a_renamed_member_keeps_its_value_and_its_place() {
    let rename = [Edit::Rename(Field::Seed, "\"random_seed\"")];
    assert_eq!(edited(r#"{"seed":7}"#, &rename), r#"{"random_seed":7}"#);
    assert_eq!(
        edited(r#"{ "a":1, "s\u0065ed" : 7 ,"x":{"seed":1}}"#, &rename),
        r#"{ "a":1, "random_seed" : 7 ,"x":{"seed":1}}"#
    );
    assert_eq!(edited(r#"{"a":1}"#, &rename), r#"{"a":1}"#);
    let name = Edit::Rename(Field::MaxCompletionTokens, "\"max_tokens\"");
    let both = [Edit::Remove(Field::MaxTokens), name, Edit::Set(Field::N, "2")];
    let body = r#"{"max_tokens":5, "max_completion_tokens":7,"max_tokens":6}"#;
    assert_eq!(edited(body, &both), r#"{"n":2,"max_tokens":7}"#);
}

#[test]
fn the_last_edit_of_a_field_counts() {
    let edits = [Edit::Remove(Field::Model), Edit::Set(Field::Model, "\"a\""), Edit::Set(Field::Model, "\"b\"")];
    assert_eq!(edited("{\"n\":1}", &edits), r#"{"model":"b","n":1}"#);
}

#[test]
fn asking_for_usage_keeps_the_other_options() {
    let options = |body: &str| {
        let rope = Rope::from(Bytes::copy_from_slice(body.as_bytes()));
        with_include_usage(&rope, &scan(&rope).unwrap())
    };
    assert_eq!(options("{}"), r#"{"include_usage":true}"#);
    assert_eq!(options(r#"{"stream_options":null}"#), r#"{"include_usage":true}"#);
    let body = r#"{"stream_options":{"include_obfuscation" : false, "include_usage":false, "x":[1, 2]}}"#;
    assert_eq!(options(body), r#"{"include_usage":true,"include_obfuscation":false,"x":[1, 2]}"#);
}

#[test]
fn any_text_becomes_a_string_that_parses_back() {
    let text: String = (0..0x300).filter_map(char::from_u32).chain(['"', '\\', '\u{1f600}', '\u{2028}']).collect();
    assert_eq!(serde_json::from_str::<String>(&json_string(&text)).unwrap(), text);
}
