//! What tools and calls of tools are called.

use crate::json::text::{is_text, unquote};
use crate::json::view::members;

use super::Allows;

/// Names that a tool, a choice of one or a call of one has. One that stands for something without a name of its own
/// (a search, an interpreter) is called what its `type` says.
pub(super) fn names(tool: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for member in members(tool).map_while(Result::ok) {
        if member.is("function") || member.is("custom") {
            names.extend(own_names(member.raw));
        } else if member.is("type") && !is_text(member.raw, "function") && !is_text(member.raw, "custom") {
            names.extend(unquote(member.raw).ok().map(std::borrow::Cow::into_owned));
        }
    }
    names
}

/// Every `name` of an object itself.
pub(super) fn own_names(object: &[u8]) -> Vec<String> {
    let named =
        members(object).map_while(Result::ok).filter(|member| member.is("name") && member.raw.starts_with(b"\""));
    named.filter_map(|member| unquote(member.raw).ok().map(std::borrow::Cow::into_owned)).collect()
}

/// The first name that is not allowed; an empty one where there is none at all.
pub(super) fn forbidden(names: Vec<String>, allows: Allows<'_>) -> Option<String> {
    if names.is_empty() {
        return Some(String::new());
    }
    names.into_iter().find(|name| !allows(name))
}
