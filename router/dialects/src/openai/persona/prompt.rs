//! The persona's prompt in front of all that the caller says.

use crate::json::skip::skip_space;
use crate::json::text::is_text;
use crate::json::view::{elements, members};
use crate::openai::texts::Change;
use crate::splice::json_string;

/// Puts `prompt` first in `messages`, a list that begins at `at` of the body. `None` where it is no list.
pub(super) fn put_first(messages: &[u8], at: usize, prompt: &str, changes: &mut Vec<Change>) -> Option<()> {
    if messages.first() != Some(&b'[') {
        return None;
    }
    let inside = skip_space(messages, 1);
    let first = elements(messages).next();
    let Some(first) = first else {
        changes.push((at + 1..at + 1, format!("{{\"role\":\"system\",\"content\":{}}}", json_string(prompt))));
        return Some(());
    };
    let before = changes.len();
    extend(first.ok()?, at + inside, prompt, changes);
    if changes.len() == before {
        let message = format!("{{\"role\":\"system\",\"content\":{}}},", json_string(prompt));
        changes.push((at + 1..at + 1, message));
    }
    Some(())
}

/// Puts the prompt at the beginning of a message that begins at `at`, where it is one that instructs.
fn extend(message: &[u8], at: usize, prompt: &str, changes: &mut Vec<Change>) {
    let of = |name: &'static str| members(message).map_while(Result::ok).filter(move |member| member.is(name));
    let instructs = |raw: &[u8]| is_text(raw, "system") || is_text(raw, "developer");
    if of("role").count() == 0 || !of("role").all(|role| instructs(role.raw)) {
        return;
    }
    for content in of("content") {
        let start = at + content.value.start;
        match content.raw.first() {
            Some(b'"') => {
                let quoted = json_string(&format!("{prompt}\n\n"));
                let open = quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned();
                changes.push((start + 1..start + 1, open));
            }
            Some(b'[') => {
                let comma = if elements(content.raw).next().is_some() { "," } else { "" };
                let part = format!("{{\"type\":\"text\",\"text\":{}}}{comma}", json_string(prompt));
                changes.push((start + 1..start + 1, part));
            }
            _ => {}
        }
    }
}
