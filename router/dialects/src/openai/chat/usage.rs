//! The shapes in which providers tell token counts.

use atp_core::Usage;

use crate::json::text::{Number, number};
use crate::json::view::members;

/// Reads a `usage` object. `None` where it is no object or holds no token count.
///
/// Known shapes: OpenAI's (`prompt_tokens`, `completion_tokens`, with details), the newer names
/// (`input_tokens`, `output_tokens`), `DeepSeek`'s `prompt_cache_hit_tokens`, and Anthropic's, which
/// alone does not count cached tokens as input.
pub(super) fn usage(raw: &[u8]) -> Option<Usage> {
    let mut told = Told::default();
    for member in members(raw) {
        let member = member.ok()?;
        told.read(member.key, member.raw);
    }
    told.usage()
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
