//! The shapes in which providers tell token counts.

use atp_core::Usage;

use crate::json::skip::{find_quote, is_space};
use crate::json::text::{Number, number};
use crate::json::view::members;

/// Reads a `usage` object. `None` where it is no object or holds no token count.
///
/// Known shapes: OpenAI's (`prompt_tokens`, `completion_tokens`, with details), the newer names
/// (`input_tokens`, `output_tokens`), `DeepSeek`'s `prompt_cache_hit_tokens`, and Anthropic's, which
/// alone does not count cached tokens as input.
pub(super) fn usage(raw: &[u8]) -> Option<Usage> {
    if let Some((told, [])) = plain(raw) {
        return told.usage();
    }
    let mut told = Told::default();
    for member in members(raw) {
        let member = member.ok()?;
        told.read(member.key, member.raw);
    }
    told.usage()
}

/// Reads a `usage` object of the shape that nearly every provider sends from the front of `rest`; `None`
/// where something else stands there.
pub(super) fn plain_usage(rest: &[u8]) -> Option<Usage> {
    plain(rest)?.0.usage()
}

/// Where in a usage object a member stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At its top.
    Top,
    /// In the details of its input.
    Input,
    /// In the details of its output.
    Output,
    /// In an object that holds no count.
    Aside,
}

/// Reads the shape that nearly every provider sends, in one walk over its bytes: whole numbers and
/// nulls, and objects of such one level deep. What was told, and what stands behind it; `None` where
/// anything else stands in it.
fn plain(raw: &[u8]) -> Option<(Told, &[u8])> {
    let mut told = Told::default();
    let mut place = Place::Top;
    let mut rest = raw.strip_prefix(b"{")?;
    loop {
        rest = match trim(rest).split_first()? {
            (b',', behind) => behind,
            (b'}', behind) if place == Place::Top => return Some((told, behind)),
            (b'}', behind) => {
                place = Place::Top;
                behind
            }
            (b'"', behind) => {
                let (key, behind) = behind.split_at_checked(find_quote(behind)?)?;
                let value = trim(trim(behind.get(1..)?).strip_prefix(b":")?);
                match value.first()? {
                    b'{' if place == Place::Top => {
                        place = details(key);
                        value.get(1..)?
                    }
                    b'n' => value.strip_prefix(b"null")?,
                    _ => told.count(place, key, value)?,
                }
            }
            _ => return None,
        };
    }
}

/// Behind white space, of which compact JSON has none: one look decides.
fn trim(rest: &[u8]) -> &[u8] {
    if rest.first().is_some_and(|byte| is_space(*byte)) { rest.trim_ascii_start() } else { rest }
}

fn details(key: &[u8]) -> Place {
    match key {
        b"prompt_tokens_details" | b"input_tokens_details" => Place::Input,
        b"completion_tokens_details" | b"output_tokens_details" => Place::Output,
        _ => Place::Aside,
    }
}

#[derive(Default)]
struct Told {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    /// Input that is not part of `input`.
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    reasoning: Option<u64>,
}

impl Told {
    /// Takes a whole number from the front of `value`; what stands behind it.
    fn count<'a>(&mut self, place: Place, key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
        let (mut number, mut digits, mut behind) = (0u64, 0, value);
        while let Some((digit @ b'0'..=b'9', next)) = behind.split_first() {
            // Eighteen digits fit; a number of more is left to the scan.
            if digits == 18 {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
            (digits, behind) = (digits + 1, next);
        }
        if digits == 0 || matches!(behind.first(), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        let slot = match (place, key) {
            (Place::Top, b"prompt_tokens" | b"input_tokens") => &mut self.input,
            (Place::Top, b"completion_tokens" | b"output_tokens") => &mut self.output,
            (Place::Top, b"total_tokens") => &mut self.total,
            (Place::Top, b"prompt_cache_hit_tokens") | (Place::Input, b"cached_tokens") => &mut self.cached,
            (Place::Top, b"cache_read_input_tokens") => &mut self.cache_read,
            (Place::Top, b"cache_creation_input_tokens") => &mut self.cache_write,
            (Place::Output, b"reasoning_tokens") => &mut self.reasoning,
            _ => return Some(behind),
        };
        *slot = Some(slot.unwrap_or(0).max(number));
        Some(behind)
    }

    fn read(&mut self, key: &[u8], raw: &[u8]) {
        let slot = match key {
            b"\"prompt_tokens\"" | b"\"input_tokens\"" => &mut self.input,
            b"\"completion_tokens\"" | b"\"output_tokens\"" => &mut self.output,
            b"\"total_tokens\"" => &mut self.total,
            b"\"prompt_cache_hit_tokens\"" => &mut self.cached,
            b"\"cache_read_input_tokens\"" => &mut self.cache_read,
            b"\"cache_creation_input_tokens\"" => &mut self.cache_write,
            b"\"prompt_tokens_details\"" | b"\"input_tokens_details\"" => {
                return detail(raw, b"\"cached_tokens\"", &mut self.cached);
            }
            b"\"completion_tokens_details\"" | b"\"output_tokens_details\"" => {
                return detail(raw, b"\"reasoning_tokens\"", &mut self.reasoning);
            }
            _ => return,
        };
        if let Number::Whole(value) = number(raw) {
            // A reply that holds both names of a count may have a zero under the one it does not use.
            *slot = Some(slot.unwrap_or(0).max(value));
        }
    }

    fn usage(self) -> Option<Usage> {
        let output = self.output.unwrap_or(0);
        let input = match (self.input, self.total) {
            (Some(input), _) => input,
            (None, Some(total)) => total.saturating_sub(output),
            (None, None) => {
                self.output?;
                0
            }
        };
        // Where Anthropic's names stand the cached parts come on top.
        let (read, written) = (self.cache_read.unwrap_or(0), self.cache_write.unwrap_or(0));
        Some(Usage {
            input: input.saturating_add(read).saturating_add(written),
            output,
            cached_input: self.cached.unwrap_or(read),
            reasoning: self.reasoning.unwrap_or(0),
        })
    }
}

fn detail(raw: &[u8], name: &[u8], slot: &mut Option<u64>) {
    if !raw.starts_with(b"{") {
        return;
    }
    for member in members(raw).map_while(Result::ok) {
        if member.key == name
            && let Number::Whole(value) = number(member.raw)
        {
            *slot = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_walk_reads_what_the_members_tell() {
        let shapes: [&[u8]; 5] = [
            br#"{"prompt_tokens":250,"completion_tokens":128,"total_tokens":378,"prompt_tokens_details":{"cached_tokens":100,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":7}}"#,
            br#"{ "input_tokens" : 3 , "output_tokens" : 4 , "input_tokens_details" : { "cached_tokens" : 1 } }"#,
            br#"{"prompt_tokens":9,"prompt_cache_hit_tokens":8,"prompt_tokens_details":null,"completion_tokens":0}"#,
            br#"{"input_tokens":1,"cache_read_input_tokens":2,"cache_creation_input_tokens":3,"output_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":3}}"#,
            br#"{"total_tokens":12}"#,
        ];
        for raw in shapes {
            let mut told = Told::default();
            for member in members(raw) {
                let member = member.unwrap();
                told.read(member.key, member.raw);
            }
            assert_eq!(plain(raw).unwrap().0.usage(), told.usage(), "{}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_members() {
        let shapes: [&[u8]; 7] = [
            br#"{"cost":0.1}"#,
            br#"{"a":"b"}"#,
            br#"{"a":[1]}"#,
            br#"{"a":{"b":{"c":1}}}"#,
            b"{",
            b"{}x",
            br#"{"a":1e3}"#,
        ];
        for raw in shapes {
            assert!(!matches!(plain(raw), Some((_, []))), "{}", String::from_utf8_lossy(raw));
        }
    }
}
