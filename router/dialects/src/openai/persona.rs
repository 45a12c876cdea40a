//! What a persona changes in a chat: its own prompt first in the request, its own tools alone in request and answer.
//!
//! Spans are spliced, the rest of the bytes stay. Where a name stands twice in an object, every occurrence is minded:
//! parsers differ in which one counts.

mod calls;
mod events;
mod named;
mod prompt;
mod reply;
#[cfg(test)]
mod tests;
mod tools;

pub use events::{Event, Events, Last, Slot};
pub use reply::{Settled, settled};

use crate::json::view::members;
use crate::openai::texts::{Change, changed};

/// Which tools may be offered and called, by name.
pub type Allows<'a> = &'a dyn Fn(&str) -> bool;

/// Why a request cannot be made a persona's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It has no list of messages.
    Messages,
    /// What should be a list is none; the member's name.
    NoList(&'static str),
    /// It forces a tool that is not allowed: the member that does, and the tool's name.
    Forced(&'static str, String),
    /// It wants some tool to be called, and offers none that is allowed.
    NoneLeft,
}

/// A chat request with `prompt` first and with only those tools that `allows` allows.
///
/// The prompt becomes the beginning of the caller's own system (or developer) message, with an empty line between
/// them, where that is the first message; otherwise a system message of its own in front of all others.
///
/// # Errors
///
/// See [`Refusal`].
pub fn fitted(body: &[u8], prompt: &str, allows: Allows<'_>) -> Result<Vec<u8>, Refusal> {
    let mut changes: Vec<Change> = Vec::new();
    let mut found = false;
    for member in members(body).map_while(Result::ok).filter(|member| member.is("messages")) {
        found = true;
        prompt::put_first(member.raw, member.value.start, prompt, &mut changes).ok_or(Refusal::Messages)?;
    }
    if !found {
        return Err(Refusal::Messages);
    }
    tools::offer(body, allows, &mut changes)?;
    changes.sort_by_key(|(range, _)| (range.start, range.end));
    Ok(changed(body, &changes))
}
