//! The plain case of a whole reply: one finish reason, one usage object, no error.
//!
//! A scan of all members costs more than everything else that is done with a short reply, and three
//! searches tell the same. They rest on what a JSON string cannot hold: a quote inside one is
//! escaped, so `"usage"` with both its quotes bare is a token, never a part of a text. Whatever is
//! not plain (a name that stands twice or not at all, an error, a value in an odd place) is left to
//! the scan.

use std::sync::LazyLock;

use atp_core::Report;
use memchr::memmem::Finder;

use super::reader::finish_reason;
use super::usage::{plain_usage, usage};
use crate::json::skip::{Nested, Quoted, skip_space};

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));

/// Reads a plain reply; `None` where it is not plain.
pub(super) fn read(body: &[u8]) -> Option<Report> {
    let whole = body.trim_ascii();
    if whole.first() != Some(&b'{') || whole.last() != Some(&b'}') || ERROR.find(whole).is_some() {
        return None;
    }
    let usage_value = value(whole, &USAGE)?;
    let told = plain_usage(usage_value).or_else(|| usage(object(usage_value)?))?;
    let finish = finish_reason(text(value(whole, &FINISH)?)?)?;
    Some(Report { usage: Some(told), finish: Some(finish), content: true, complete: true, failure: None })
}

/// What stands behind the one key of this name, from its first byte on.
fn value<'a>(body: &'a [u8], name: &Finder<'_>) -> Option<&'a [u8]> {
    let at = name.find(body)? + name.needle().len();
    let rest = body.get(at..)?;
    if name.find(rest).is_some() {
        return None;
    }
    let colon = skip_space(rest, 0);
    (rest.get(colon) == Some(&b':')).then_some(())?;
    rest.get(skip_space(rest, colon + 1)..)
}

fn object(value: &[u8]) -> Option<&[u8]> {
    (value.first() == Some(&b'{')).then_some(())?;
    value.get(..Nested::new().skip(value, 1)?)
}

fn text(value: &[u8]) -> Option<&[u8]> {
    (value.first() == Some(&b'"')).then_some(())?;
    value.get(..Quoted::default().skip(value, 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use atp_core::Finish;

    fn plain(usage: &str, finish: &str, content: &str) -> String {
        format!(r#"{{"choices":[{{"message":{{"content":{content}}},"finish_reason":{finish}}}],"usage":{usage}}}"#)
    }

    const TOLD: &str = r#"{"prompt_tokens":3,"completion_tokens":2}"#;

    #[test]
    fn a_plain_reply_is_read_at_a_glance() {
        let report = read(plain(TOLD, "\"stop\"", "\"hi\"").as_bytes()).unwrap();
        assert_eq!((report.usage.unwrap().total(), report.finish), (5, Some(Finish::Stop)));
    }

    #[test]
    fn a_text_that_talks_about_usage_and_errors_is_a_text() {
        let content =
            r#""\\"usage\\": {\\"prompt_tokens\\": 9}, \\"error\\": 1, \\"finish_reason\\": 2""#.replace("\\\\", "\\");
        let report = read(plain(TOLD, "\"length\"", &content).as_bytes()).unwrap();
        assert_eq!((report.usage.unwrap().total(), report.finish), (5, Some(Finish::Length)));
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_scan() {
        let twice = plain(TOLD, "\"stop\"", r#""x","usage":{"prompt_tokens":1}"#);
        let value = plain(TOLD, "\"stop\"", "\"usage\"");
        let error = plain(TOLD, "\"stop\"", r#""x","error":{}"#);
        for body in [twice, value, error, plain("null", "\"stop\"", "\"\""), plain(TOLD, "null", "\"\"")] {
            assert!(read(body.as_bytes()).is_none(), "{body}");
        }
    }
}
