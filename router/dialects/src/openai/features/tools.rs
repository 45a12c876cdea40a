//! How many tokens the definitions of tools take.
//!
//! OpenAI does not show a model the JSON, but a rendering of its own. The numbers are those of its cookbook
//! ("How to count tokens with Tiktoken", for gpt-4o): 7 for a function, 3 for its properties and for each of
//! them, 3 for an item of an enumeration less 3 for the enumeration, 12 for them all.

use super::body::decoded;
use crate::json::view::{elements, members};
use crate::openai::tokens::Counter;

const FUNCTION: u64 = 7;
const PROPERTIES: u64 = 3;
const ALL: u64 = 12;
/// How deep objects within properties are counted.
const DEPTH: u8 = 5;

/// How many tools a list defines, and the tokens that they take.
pub(super) fn count(list: &[u8], counter: &mut Counter) -> (u32, u64) {
    let (mut tools, mut tokens) = (0_u32, 0);
    for tool in elements(list).map_while(Result::ok) {
        tools = tools.saturating_add(1);
        // `functions` hold what `tools` wrap.
        let wrapped = members(tool).map_while(Result::ok).find(|member| member.is("function"));
        tokens += FUNCTION + function(wrapped.map_or(tool, |member| member.raw), counter);
    }
    (tools, if tools > 0 { tokens + ALL } else { 0 })
}

fn function(raw: &[u8], counter: &mut Counter) -> u64 {
    let mut tokens = 0;
    for member in members(raw).map_while(Result::ok) {
        if member.is("name") || member.is("description") {
            tokens += string(member.raw, counter);
        } else if member.is("parameters") {
            tokens += schema(member.raw, counter, 0);
        }
    }
    tokens
}

/// An object's properties, or those of an array's items.
fn schema(raw: &[u8], counter: &mut Counter, depth: u8) -> u64 {
    if depth > DEPTH {
        return 0;
    }
    let mut tokens = 0;
    for member in members(raw).map_while(Result::ok) {
        if member.is("properties") {
            tokens += PROPERTIES;
            for property in members(member.raw).map_while(Result::ok) {
                tokens += PROPERTIES + string(property.key, counter) + self::property(property.raw, counter, depth + 1);
            }
        } else if member.is("items") {
            tokens += property(member.raw, counter, depth + 1);
        }
    }
    tokens
}

fn property(raw: &[u8], counter: &mut Counter, depth: u8) -> u64 {
    let mut tokens = schema(raw, counter, depth);
    for member in members(raw).map_while(Result::ok) {
        if member.is("type") || member.is("description") {
            tokens += string(member.raw, counter);
        } else if member.is("enum") {
            let items = elements(member.raw).map_while(Result::ok);
            tokens += items.map(|item| PROPERTIES + string(item, counter)).sum::<u64>().saturating_sub(PROPERTIES);
        }
    }
    tokens
}

fn string(raw: &[u8], counter: &mut Counter) -> u64 {
    if raw.starts_with(b"\"") { counter.count(&decoded(raw)) } else { 0 }
}
