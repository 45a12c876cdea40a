//! A whole answer, without calls of tools that the persona may not call.

use crate::json::view::{Member, members, places};
use crate::openai::chat::finish_reason;
use crate::openai::texts::{Change, changed};

use super::Allows;
use super::calls::{Judge, Verdict, sift};
use super::named::{forbidden, names, own_names};

/// What becomes of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Its new bytes; `None` where all of it may be passed on as it is.
    pub body: Option<Vec<u8>>,
    /// Names of tools that it called and may not call.
    pub denied: Vec<String>,
    /// Whether a choice told that tools are called, and tells now that the model has stopped.
    pub stopped: bool,
    /// Whether a choice of it says nothing any more.
    pub is_empty: bool,
}

/// Takes calls of tools that are not allowed out of a whole answer. A choice that ended in order to call tools, and
/// calls none any more, has just stopped.
#[must_use]
pub fn settled(reply: &[u8], allows: Allows<'_>) -> Settled {
    let (mut told, mut changes) = (Settled::default(), Vec::new());
    for choices in members(reply).map_while(Result::ok).filter(|member| member.is("choices")) {
        for place in places(choices.raw).map_while(Result::ok) {
            let at = choices.value.start + place.start;
            choice(choices.raw.get(place).unwrap_or_default(), at, allows, &mut told, &mut changes);
        }
    }
    changes.sort_by_key(|(range, _): &Change| (range.start, range.end));
    told.body = (!changes.is_empty()).then(|| changed(reply, &changes));
    told
}

struct ByName<'a, 'b> {
    allows: Allows<'a>,
    kept: usize,
    denied: &'b mut Vec<String>,
}

impl ByName<'_, '_> {
    fn judge(&mut self, names: Vec<String>) -> bool {
        match forbidden(names, self.allows) {
            None => self.kept += 1,
            Some(name) => {
                self.denied.push(name);
                return false;
            }
        }
        true
    }
}

impl Judge for ByName<'_, '_> {
    fn call(&mut self, _: usize, call: &[u8]) -> Verdict {
        if self.judge(names(call)) { Verdict::Keep } else { Verdict::Drop }
    }

    fn function(&mut self, call: &[u8]) -> bool {
        self.judge(own_names(call))
    }
}

fn choice(choice: &[u8], at: usize, allows: Allows<'_>, told: &mut Settled, changes: &mut Vec<Change>) {
    let before = told.denied.len();
    let mut judge = ByName { allows, kept: 0, denied: &mut told.denied };
    let mut said = false;
    for message in members(choice).map_while(Result::ok).filter(|member| member.is("message")) {
        sift(message.raw, at + message.value.start, &mut judge, changes);
        said |= members(message.raw).map_while(Result::ok).any(|member| says(&member));
    }
    let kept = judge.kept > 0;
    if kept || told.denied.len() == before {
        return;
    }
    told.is_empty |= !said;
    for reason in members(choice).map_while(Result::ok).filter(|member| member.is("finish_reason")) {
        let change = stopped(&reason, at);
        told.stopped |= change.is_some();
        changes.extend(change);
    }
}

/// Whether a member of a message or a delta holds something that its reader gets to see, calls apart.
pub(super) fn says(member: &Member<'_>) -> bool {
    let apart = ["role", "tool_calls", "function_call"].iter().any(|name| member.is(name));
    !apart && !matches!(member.raw, b"null" | b"\"\"" | b"[]" | b"{}" | b"false")
}

/// The reason of a choice that calls nothing any more; `at` is where the choice begins.
pub(super) fn stopped(reason: &Member<'_>, at: usize) -> Option<Change> {
    let calls = finish_reason(reason.raw) == Some(atp_core::Finish::ToolCalls);
    calls.then(|| (at + reason.value.start..at + reason.value.end, String::from("\"stop\"")))
}
