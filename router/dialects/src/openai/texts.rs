//! Every text of a JSON body, wherever it stands, and the body with some of them changed.
//!
//! One pass over the bytes, without a tree and without recursion: a string is a member's name where a colon follows
//! it, and a text everywhere else. Names and numbers are not texts.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use crate::json::skip::{Quoted, skip_space};
use crate::json::text::{BadText, unquote};
use crate::splice::json_string;

/// Longer strings of the base64 alphabet alone are contents of files: nothing in them can be read as text.
const ENCODED: usize = 256;
/// Within so many bytes a data URL tells how it is encoded.
const URL_HEAD: usize = 128;

/// A text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    /// Where its literal stands, quotes included.
    pub place: Range<usize>,
    /// What it says.
    pub text: Cow<'a, str>,
    /// The name of the member whose value it is, as it is written between its quotes; `None` in a list.
    pub(crate) name: Option<&'a [u8]>,
}

/// Why the texts of a body cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable {
    /// Where the string begins that is none.
    pub at: usize,
}

/// The texts of a JSON value, in their order. Contents of files in base64 are left out.
///
/// # Errors
///
/// The first string that does not end, or is no text: half of a surrogate pair, an escape that JSON does not know.
pub fn texts(json: &[u8]) -> Result<Vec<Text<'_>>, Unreadable> {
    let mut found = Vec::new();
    let (mut at, mut name) = (0, None);
    while let Some(start) = memchr(b'"', json.get(at..).unwrap_or_default()).map(|next| at + next) {
        let unreadable = Unreadable { at: start };
        let end = Quoted::default().skip(json, start + 1).ok_or(unreadable)?;
        let raw = json.get(start..end).unwrap_or_default();
        let follows = skip_space(json, end);
        if json.get(follows) == Some(&b':') {
            name = raw.get(1..raw.len().saturating_sub(1));
            at = follows + 1;
            // A list or an object has texts of its own, whose name this is not.
            if json.get(skip_space(json, at)) != Some(&b'"') {
                name = None;
            }
            continue;
        }
        at = end;
        let name = name.take();
        if is_file(raw) {
            continue;
        }
        let text = unquote(raw).map_err(|_: BadText| unreadable)?;
        found.push(Text { place: start..end, text, name });
    }
    Ok(found)
}

/// Whether a literal is the content of a file.
fn is_file(raw: &[u8]) -> bool {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    let head = inner.get(..URL_HEAD.min(inner.len())).unwrap_or_default();
    let url = head.starts_with(b"data:") && memchr::memmem::find(head, b";base64,").is_some();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\');
    url || inner.len() >= ENCODED && inner.iter().all(plain) && !inner.iter().all(u8::is_ascii_digit)
}

/// What stands in the place of which bytes.
pub type Change = (Range<usize>, String);

/// The change that makes `text` of the text at `place`.
#[must_use]
pub fn said(place: Range<usize>, text: &str) -> Change {
    (place, json_string(text))
}

/// The bytes with changes made, which are in order and without overlap.
#[must_use]
pub fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let more: usize = changes.iter().map(|(_, new)| new.len()).sum();
    let mut out = Vec::with_capacity(bytes.len() + more);
    let mut at = 0;
    for (range, new) in changes {
        out.extend_from_slice(bytes.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(new.as_bytes());
        at = range.end;
    }
    out.extend_from_slice(bytes.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Vec<(String, Option<String>)> {
        let own = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        texts(json.as_bytes()).unwrap().into_iter().map(|text| (text.text.into_owned(), text.name.map(own))).collect()
    }

    #[test]
    fn every_text_is_found_and_no_name() {
        let json = r#"{ "a" : "x", "b":["y", "z\u0040", {"c": "\"q\"" , "d":1}], "e":{"f":[]}, "g" :true,"h":""}"#;
        let named = |name: &str| Some(name.to_owned());
        let wanted = [("x", named("a")), ("y", None), ("z@", None), ("\"q\"", named("c")), ("", named("h"))];
        assert_eq!(read(json), wanted.map(|(text, name)| (text.to_owned(), name)));
        assert_eq!(read("\"alone\""), [("alone".to_owned(), None)]);
    }

    #[test]
    fn files_are_no_texts_and_digits_are_no_files() {
        let long = "QUJD".repeat(64);
        assert_eq!(read(&format!(r#"["data:image/png;base64,QUJD", "{long}", "x"]"#)), [("x".to_owned(), None)]);
        assert_eq!(read(&format!(r#"["{}", "{long} ", "data:x"]"#, "4".repeat(300))).len(), 3);
    }

    #[test]
    fn what_is_no_text_is_told_by_its_place() {
        for (json, at) in [(r#"["a", "\ud83d"]"#, 6), (r#"["\x"]"#, 1), (r#"["a"#, 1)] {
            assert_eq!(texts(json.as_bytes()), Err(Unreadable { at }), "{json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_changed_text_reads_back_and_all_else_stays(value: [String; 3], new: String) {
            let json = serde_json::json!({ "a": value[0], "b": [value[1], { "c": value[2] }], "d": 7 }).to_string();
            let found = texts(json.as_bytes()).unwrap();
            proptest::prop_assert_eq!(found.len(), 3);
            let out = changed(json.as_bytes(), &[said(found[1].place.clone(), &new)]);
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            proptest::prop_assert_eq!(read, serde_json::json!({ "a": value[0], "b": [new, { "c": value[2] }], "d": 7 }));
        }
    }
}
