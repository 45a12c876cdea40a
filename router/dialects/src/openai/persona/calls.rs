//! Calls of tools in a message, or in a piece of one: those that may be passed on, and the rest.

use std::ops::Range;

use crate::json::skip::skip_space;
use crate::json::view::{members, places};
use crate::openai::texts::Change;
use crate::splice::Removal;

/// What becomes of a call.
pub(super) enum Verdict {
    /// It stays as it is.
    Keep,
    /// It stays in another form.
    KeepAs(Vec<u8>),
    /// It goes.
    Drop,
}

/// Who judges calls.
pub(super) trait Judge {
    /// A call of `tool_calls`, and its place in that list.
    fn call(&mut self, place: usize, call: &[u8]) -> Verdict;
    /// The `function_call` of older clients; whether it stays.
    fn function(&mut self, call: &[u8]) -> bool;
}

/// Judges the calls in `holder`, a message or a delta that begins at `at`.
pub(super) fn sift(holder: &[u8], at: usize, judge: &mut dyn Judge, changes: &mut Vec<Change>) {
    let mut removal = Removal::default();
    let mut remove = |value: Range<usize>, changes: &mut Vec<Change>| {
        let range = removal.range(&|at| holder.get(at).copied(), value);
        changes.push((at + range.start..at + range.end, String::new()));
    };
    for member in members(holder).map_while(Result::ok) {
        if member.is("function_call") && member.raw.starts_with(b"{") {
            if !judge.function(member.raw) {
                remove(member.value, changes);
            }
        } else if member.is("tool_calls") && member.raw.starts_with(b"[") {
            match list(member.raw, judge) {
                None => {}
                Some(kept) if kept.is_empty() => remove(member.value, changes),
                Some(kept) => {
                    let kept = kept.join(&b',');
                    let list = format!("[{}]", String::from_utf8_lossy(&kept));
                    changes.push((at + member.value.start..at + member.value.end, list));
                }
            }
        }
    }
}

/// The calls that stay; `None` where all of them do, as they are.
fn list(calls: &[u8], judge: &mut dyn Judge) -> Option<Vec<Vec<u8>>> {
    let (mut kept, mut changed) = (Vec::new(), false);
    let mut end = 1;
    for (place, range) in places(calls).map_while(Result::ok).enumerate() {
        end = range.end;
        let call = calls.get(range).unwrap_or_default();
        match judge.call(place, call) {
            Verdict::Keep => kept.push(call.to_vec()),
            Verdict::KeepAs(call) => {
                changed = true;
                kept.push(call);
            }
            Verdict::Drop => changed = true,
        }
    }
    // What cannot be read to its end is not passed on: nobody knows what it calls.
    changed |= calls.get(skip_space(calls, end)) != Some(&b']');
    changed.then_some(kept)
}
