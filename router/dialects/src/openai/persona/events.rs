//! The events of a streamed answer, without calls of tools that the persona may not call, and with their texts
//! open to be rewritten.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::json::text::{Number, number};
use crate::json::view::{Member, members, places};
use crate::openai::chat::finish_reason;
use crate::openai::texts::{Change, changed, said, texts};
use crate::splice::json_string;

use super::Allows;
use super::calls::{Judge, Verdict, sift};
use super::named::{forbidden, names, own_names};
use super::reply::{says, stopped};

/// Members of the envelope, which an event that is made here has from the last one that came.
const ENVELOPE: [&str; 5] = ["id", "object", "created", "model", "system_fingerprint"];
/// Texts that are not the model's own.
const FIXED: [&[u8]; 7] = [b"role", b"finish_reason", b"id", b"type", b"object", b"name", b"index"];

/// One of the texts that a stream tells in pieces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The choice.
    pub choice: u64,
    /// The call of a tool in it, whose arguments it is.
    pub call: Option<u64>,
    /// The member's name.
    pub name: String,
}

/// What becomes of an event.
#[derive(Debug, Default)]
pub struct Event {
    /// Its new data; `None` where it may be passed on as it is.
    pub data: Option<Vec<u8>>,
    /// The choices that end with it.
    pub ended: Vec<u64>,
    /// Names of tools whose calls began in it and are taken out.
    pub denied: Vec<String>,
    /// Whether it told that tools are called, and tells now that the model has stopped.
    pub stopped: bool,
    /// Whether one of these choices has said nothing that may be passed on.
    pub is_empty: bool,
}

/// Reads along the events of one stream.
#[derive(Debug, Default)]
pub struct Events {
    choices: BTreeMap<u64, Choice>,
    /// The members that all events have in common, as they are written.
    envelope: String,
}

#[derive(Debug, Default)]
struct Choice {
    calls: BTreeMap<u64, Call>,
    /// Calls that are passed on.
    kept: u64,
    denied: usize,
    /// Whether the `function_call` of older clients is passed on.
    function: Option<bool>,
    said: bool,
}

#[derive(Debug, Clone)]
enum Call {
    /// It is passed on under this place.
    Kept(u64),
    /// It is not.
    Denied,
    /// Nothing has told its name yet; what came of it so far waits.
    Nameless(Vec<Vec<u8>>),
}

impl Events {
    /// Reads the data of the next event. `rewrite` is given each piece of a text and whether it is known to be the
    /// text's last one, and returns what goes on instead, where that differs.
    pub fn read(
        &mut self,
        data: &[u8],
        allows: Allows<'_>,
        rewrite: &mut dyn FnMut(&Slot, &str, Last) -> Option<String>,
    ) -> Event {
        let mut told = Event::default();
        let mut changes = Vec::new();
        for member in members(data).map_while(Result::ok).filter(|member| member.is("choices")) {
            self.remember(data);
            for place in places(member.raw).map_while(Result::ok) {
                let at = member.value.start + place.start;
                self.choice(member.raw.get(place).unwrap_or_default(), at, allows, &mut told, &mut changes);
            }
        }
        changes.sort_by_key(|(range, _): &Change| (range.start, range.end));
        let sifted = (!changes.is_empty()).then(|| changed(data, &changes));
        let rewritten = rewritten(sifted.as_deref().unwrap_or(data), &told.ended, rewrite);
        told.data = rewritten.or(sifted);
        told
    }

    /// The data of an event that tells `text` in `slot`, in the envelope of the stream.
    #[must_use]
    pub fn telling(&self, slot: &Slot, text: &str) -> Vec<u8> {
        let (choice, envelope) = (slot.choice, &self.envelope);
        let text = format!("{{{}:{}}}", json_string(&slot.name), json_string(text));
        let delta = match slot.call {
            Some(call) => format!("{{\"tool_calls\":[{{\"index\":{call},\"function\":{text}}}]}}"),
            None if slot.name == "arguments" => format!("{{\"function_call\":{text}}}"),
            None => text,
        };
        let choice = format!("{{\"index\":{choice},\"delta\":{delta},\"finish_reason\":null}}");
        format!("{{{envelope}\"choices\":[{choice}]}}").into_bytes()
    }

    fn remember(&mut self, data: &[u8]) {
        if !self.envelope.is_empty() {
            return;
        }
        for member in members(data).map_while(Result::ok) {
            if let Some(name) = ENVELOPE.iter().find(|name| member.is(name)) {
                self.envelope.push_str(&format!("\"{name}\":{},", String::from_utf8_lossy(member.raw)));
            }
        }
    }

    fn choice(&mut self, raw: &[u8], at: usize, allows: Allows<'_>, told: &mut Event, changes: &mut Vec<Change>) {
        let index = index_of(raw).unwrap_or(0);
        let choice = self.choices.entry(index).or_default();
        for delta in members(raw).map_while(Result::ok).filter(|member| member.is("delta") || member.is("message")) {
            let mut judge = InPieces { choice, allows, denied: &mut told.denied };
            sift(delta.raw, at + delta.value.start, &mut judge, changes);
            choice.said |= members(delta.raw).map_while(Result::ok).any(|member| says(&member));
        }
        for reason in members(raw).map_while(Result::ok).filter(|member| member.is("finish_reason")) {
            if finish_reason(reason.raw).is_none() {
                continue;
            }
            told.ended.push(index);
            let none_left = choice.kept == 0 && choice.function != Some(true);
            let lost = choice.denied > 0 || choice.calls.values().any(|call| matches!(call, Call::Nameless(_)));
            if none_left && lost {
                let change = stopped(&reason, at);
                told.stopped |= change.is_some();
                changes.extend(change);
                told.is_empty |= !choice.said;
            }
        }
    }
}

/// Whether a piece of a text is known to be the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// More may follow.
    No,
    /// Its choice ends with this event.
    Yes,
}

fn index_of(object: &[u8]) -> Option<u64> {
    let index = members(object).map_while(Result::ok).filter(|member| member.is("index")).last()?;
    match number(index.raw) {
        Number::Whole(index) => Some(index),
        Number::Other | Number::OutOfRange => None,
    }
}

struct InPieces<'a, 'b> {
    choice: &'b mut Choice,
    allows: Allows<'a>,
    denied: &'b mut Vec<String>,
}

impl Judge for InPieces<'_, '_> {
    fn call(&mut self, place: usize, raw: &[u8]) -> Verdict {
        let own = index_of(raw);
        let index = own.unwrap_or(place as u64);
        let names = named(raw);
        let known = self.choice.calls.get(&index).cloned().unwrap_or(Call::Nameless(Vec::new()));
        let (call, verdict) = match known {
            Call::Denied => (Call::Denied, Verdict::Drop),
            // A name that comes in pieces is another one with each of them.
            Call::Kept(_) if forbidden(names.clone(), self.allows).is_some_and(|name| !name.is_empty()) => {
                (Call::Denied, Verdict::Drop)
            }
            Call::Kept(to) => (Call::Kept(to), moved(raw, own, to)),
            Call::Nameless(mut held) if names.is_empty() => {
                held.push(raw.to_vec());
                (Call::Nameless(held), Verdict::Drop)
            }
            Call::Nameless(held) => match forbidden(names, self.allows) {
                Some(name) => {
                    self.denied.push(name);
                    self.choice.denied += 1;
                    (Call::Denied, Verdict::Drop)
                }
                None => {
                    let to = self.choice.kept;
                    self.choice.kept += 1;
                    (Call::Kept(to), joined(&held, raw, own, to))
                }
            },
        };
        self.choice.calls.insert(index, call);
        verdict
    }

    fn function(&mut self, raw: &[u8]) -> bool {
        let names = own_names(raw);
        let may = self.choice.function.is_none_or(|may| may)
            && match forbidden(names, self.allows) {
                None => true,
                Some(name) if name.is_empty() => self.choice.function == Some(true),
                Some(name) => {
                    self.denied.push(name);
                    false
                }
            };
        self.choice.denied += usize::from(!may && self.choice.function != Some(false));
        self.choice.function = Some(may);
        may
    }
}

/// The names that a piece of a call tells; none where there is none, or an empty one.
fn named(raw: &[u8]) -> Vec<String> {
    let mut names = names(raw);
    names.retain(|name| !name.is_empty());
    names
}

/// A call at another place of its list.
fn moved(raw: &[u8], own: Option<u64>, to: u64) -> Verdict {
    if own.is_none_or(|own| own == to) { Verdict::Keep } else { Verdict::KeepAs(at_place(raw, to)) }
}

fn at_place(raw: &[u8], to: u64) -> Vec<u8> {
    let places = members(raw).map_while(Result::ok).filter(|member| member.is("index"));
    let changes: Vec<Change> = places.map(|index| (index.value, to.to_string())).collect();
    changed(raw, &changes)
}

/// What was held of a call before its name came, and the piece with the name.
fn joined(held: &[Vec<u8>], raw: &[u8], own: Option<u64>, to: u64) -> Verdict {
    if held.is_empty() {
        return moved(raw, own, to);
    }
    let mut pieces: Vec<Vec<u8>> = held.iter().map(|held| at_place(held, to)).collect();
    pieces.push(at_place(raw, to));
    Verdict::KeepAs(pieces.join(&b','))
}

/// The event with its texts rewritten; `None` where none differs, or one of them cannot be read.
fn rewritten(
    data: &[u8],
    ended: &[u64],
    rewrite: &mut dyn FnMut(&Slot, &str, Last) -> Option<String>,
) -> Option<Vec<u8>> {
    let mut changes: Vec<Change> = Vec::new();
    for member in members(data).map_while(Result::ok).filter(|member| member.is("choices")) {
        for place in places(member.raw).map_while(Result::ok) {
            let raw = member.raw.get(place.clone()).unwrap_or_default();
            let choice = index_of(raw).unwrap_or(0);
            let last = if ended.contains(&choice) { Last::Yes } else { Last::No };
            let parts = Parts::of(raw);
            for text in texts(raw).ok()? {
                let Some(name) = text.name.or(Some(b"text")).filter(|name| !FIXED.contains(name)) else { continue };
                if parts.probabilities.as_ref().is_some_and(|range| range.contains(&text.place.start)) {
                    continue;
                }
                let call = parts.calls.iter().find(|(range, _)| range.contains(&text.place.start));
                let name = String::from_utf8_lossy(name).into_owned();
                let slot = Slot { choice, call: call.map(|(_, index)| *index), name };
                if let Some(new) = rewrite(&slot, &text.text, last) {
                    let at = member.value.start + place.start;
                    changes.push(said(at + text.place.start..at + text.place.end, &new));
                }
            }
        }
    }
    (!changes.is_empty()).then(|| changed(data, &changes))
}

/// Where calls of tools, and probabilities, stand in a choice.
#[derive(Default)]
struct Parts {
    calls: Vec<(Range<usize>, u64)>,
    probabilities: Option<Range<usize>>,
}

impl Parts {
    fn of(choice: &[u8]) -> Self {
        let mut parts = Self::default();
        for member in members(choice).map_while(Result::ok) {
            if member.is("logprobs") {
                parts.probabilities = Some(member.value);
            } else if member.is("delta") {
                for calls in members(member.raw).map_while(Result::ok).filter(|member| member.is("tool_calls")) {
                    parts.calls(&calls, member.value.start + calls.value.start);
                }
            }
        }
        parts
    }

    fn calls(&mut self, calls: &Member<'_>, at: usize) {
        for (position, place) in places(calls.raw).map_while(Result::ok).enumerate() {
            let index = calls.raw.get(place.clone()).and_then(index_of).unwrap_or(position as u64);
            self.calls.push((at + place.start..at + place.end, index));
        }
    }
}
