//! The tools of a request: what is offered, and what is forced.

use std::ops::Range;

use crate::json::text::is_text;
use crate::json::view::{Member, elements, members};
use crate::openai::texts::Change;
use crate::splice::Removal;

use super::named::{forbidden, names, own_names};
use super::{Allows, Refusal};

/// The name under which the search of `web_search_options` is allowed.
const SEARCH: &str = "web_search";

/// How the names of a tool are read.
type Names = fn(&[u8]) -> Vec<String>;

/// What becomes of a list of tools.
enum Left {
    All,
    Some(String),
    None,
}

/// Takes out of a request what may not be offered.
pub(super) fn offer(body: &[u8], allows: Allows<'_>, changes: &mut Vec<Change>) -> Result<(), Refusal> {
    let all = || members(body).map_while(Result::ok);
    let mut gone: Vec<&str> = Vec::new();
    for member in all() {
        if member.is("tool_choice") {
            choice(&member, allows)?;
        } else if member.is("function_call") && member.raw.starts_with(b"{") {
            refuse("function_call", own_names(member.raw), allows)?;
        } else if member.is("web_search_options") && member.raw != b"null" && !allows(SEARCH) {
            gone.push("web_search_options");
        }
        let (name, of): (_, Names) = if member.is("tools") {
            ("tools", names)
        } else if member.is("functions") {
            ("functions", own_names)
        } else {
            continue;
        };
        match left(&member, name, of, allows)? {
            Left::All => {}
            Left::Some(list) => changes.push((member.value, list)),
            Left::None => {
                gone.extend(if name == "tools" {
                    ["tools", "tool_choice", "parallel_tool_calls"].as_slice()
                } else {
                    ["functions", "function_call"].as_slice()
                });
            }
        }
    }
    if gone.contains(&"tools") && all().any(|member| member.is("tool_choice") && is_text(member.raw, "required")) {
        return Err(Refusal::NoneLeft);
    }
    let mut removal = Removal::default();
    let byte = |at: usize| body.get(at).copied();
    let removed: Vec<Range<usize>> = all()
        .filter(|member| gone.iter().any(|name| member.is(name)))
        .map(|member| removal.range(&byte, member.value))
        .collect();
    changes.retain(|(range, _)| !removed.iter().any(|gone| gone.start <= range.start && range.end <= gone.end));
    changes.extend(removed.into_iter().map(|range| (range, String::new())));
    Ok(())
}

fn left(list: &Member<'_>, name: &'static str, names: Names, allows: Allows<'_>) -> Result<Left, Refusal> {
    match list.raw.first() {
        Some(b'[') => {}
        Some(b'n') => return Ok(Left::All),
        _ => return Err(Refusal::NoList(name)),
    }
    let tools: Vec<&[u8]> = elements(list.raw).collect::<Result<_, _>>().map_err(|_| Refusal::NoList(name))?;
    let kept: Vec<&str> = (tools.iter().copied())
        .filter(|tool| forbidden(names(tool), allows).is_none())
        .filter_map(|tool| std::str::from_utf8(tool).ok())
        .collect();
    Ok(match kept.len() {
        count if count == tools.len() => Left::All,
        0 => Left::None,
        _ => Left::Some(format!("[{}]", kept.join(","))),
    })
}

/// A choice by name, or of several by their names.
fn choice(choice: &Member<'_>, allows: Allows<'_>) -> Result<(), Refusal> {
    if !choice.raw.starts_with(b"{") {
        return Ok(());
    }
    let several = members(choice.raw).map_while(Result::ok).filter(|member| member.is("allowed_tools"));
    let mut named = false;
    for member in several {
        named = true;
        for tools in members(member.raw).map_while(Result::ok).filter(|member| member.is("tools")) {
            for tool in elements(tools.raw).map_while(Result::ok) {
                refuse("tool_choice", names(tool), allows)?;
            }
        }
    }
    if named { Ok(()) } else { refuse("tool_choice", names(choice.raw), allows) }
}

fn refuse(member: &'static str, names: Vec<String>, allows: Allows<'_>) -> Result<(), Refusal> {
    match forbidden(names, allows) {
        Some(name) => Err(Refusal::Forced(member, name)),
        None => Ok(()),
    }
}
