//! The reading half of a tap: what each event adds to the report, and what of it is to be taken
//! out.
//!
//! Most events add a few tokens of content and nothing else. They are recognised without parsing,
//! by their likeness to the last one ([`Shape`]) or because none of the keys that matter is there
//! with a value ([`KEYS`]).

use std::ops::Range;

use atp_core::{Error, ErrorKind, Finish, Report};
use smallvec::SmallVec;

use super::TapMode;
use super::failure;
use super::keys::KEYS;
use super::shape::Shape;
use super::usage::usage;
use crate::json::skip::skip_space;
use crate::json::text::{Number, is_text, number};
use crate::json::view::{Malformed, elements, members};
use crate::splice::Removal;
use crate::sse::{Block, Event};

/// What is to be done with a block when the router's own usage is stripped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Passed on as it is.
    Keep,
    /// Taken out whole.
    Drop,
    /// Passed on without these ranges of the block.
    Cut(SmallVec<[Range<usize>; 1]>),
}

/// Choice indexes that are told apart; OpenAI allows 128 choices.
const CHOICES: u64 = 128;

#[derive(Debug)]
pub(super) struct Reader {
    report: Report,
    mode: TapMode,
    shape: Shape,
    expected: u64,
    /// One bit for each choice index that has been seen, and that has a finish reason.
    seen: u128,
    finished: u128,
}

/// What one event holds at its top level.
#[derive(Debug, Default)]
struct Told<'a> {
    usage: Option<&'a [u8]>,
    /// Where the values of `usage` stand.
    spans: SmallVec<[Range<usize>; 1]>,
    choices: Option<&'a [u8]>,
    error: Option<&'a [u8]>,
}

impl Reader {
    pub(super) fn new(mode: TapMode) -> Self {
        Self { report: Report::default(), mode, shape: Shape::new(), expected: 1, seen: 0, finished: 0 }
    }

    fn is_foreign(&self) -> bool {
        self.mode == TapMode::Foreign
    }

    pub(super) fn expect(&mut self, choices: u64) {
        self.expected = choices.clamp(1, CHOICES);
    }

    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// Reads a block that has ended.
    pub(super) fn read(&mut self, block: &Block<'_>) -> Verdict {
        let event = block.event();
        if !event.has_data() {
            return Verdict::Keep;
        }
        let data = event.data();
        if event.name == Some(b"error") {
            self.fail(failure::told(&data));
            return Verdict::Keep;
        }
        if let Some(cut) = self.shape.matches(&data) {
            return cut.map_or(Verdict::Keep, |range| Verdict::Cut(event.locate(range)));
        }
        let trimmed = data.trim_ascii();
        if trimmed.starts_with(b"[DONE]") {
            self.report.complete = self.report.failure.is_none();
            return Verdict::Keep;
        }
        if trimmed.is_empty() {
            return Verdict::Keep;
        }
        self.judge(&event, &data, trimmed).unwrap_or_else(|Malformed| {
            self.garbled(trimmed);
            Verdict::Keep
        })
    }

    /// Reads the block that the stream ended in: it may be whole but for its blank line.
    pub(super) fn read_last(&mut self, block: &Block<'_>) -> Verdict {
        let data = block.event();
        let data = data.data();
        let data = data.trim_ascii();
        let whole =
            data.starts_with(b"[DONE]") || (data.starts_with(b"{") && members(data).all(|member| member.is_ok()));
        if whole { self.read(block) } else { Verdict::Keep }
    }

    /// The stream has ended.
    pub(super) fn end(&mut self) {
        let wanted = u64::from(self.seen.count_ones()).max(self.expected);
        let finished = u64::from(self.finished.count_ones()) >= wanted;
        if self.report.failure.is_some() {
            self.report.complete = false;
        } else if self.report.complete || self.is_foreign() || finished {
            self.report.complete = true;
        } else {
            let text = "the provider's stream ended before its answer did";
            self.fail(Error::provider(ErrorKind::ProviderCut, text));
        }
    }

    fn judge(&mut self, event: &Event<'_>, data: &[u8], trimmed: &[u8]) -> Result<Verdict, Malformed> {
        if !(trimmed.starts_with(b"{") && trimmed.ends_with(b"}")) {
            return Err(Malformed);
        }
        let keys = &*KEYS;
        let usage = keys.usage.find(data);
        let error = keys.error.stands_in(data);
        let finish = keys.finish.find(data).value;
        let content = !self.report.content && !self.is_foreign();
        if !(usage.value || error || finish || content) {
            let strips = usage.nulls > 0 && self.mode == TapMode::StripUsage;
            let verdict = if strips { strip_nulls(event, data, usage.nulls) } else { Verdict::Keep };
            self.learn(event, data, &verdict);
            return Ok(verdict);
        }
        let told = self.look(data)?;
        Ok(if self.mode == TapMode::StripUsage { verdict(event, data, &told) } else { Verdict::Keep })
    }

    /// An event has turned out to say nothing new.
    fn learn(&mut self, event: &Event<'_>, data: &[u8], verdict: &Verdict) {
        let cut = match verdict {
            Verdict::Keep => None,
            Verdict::Cut(ranges) => match (ranges.as_slice(), event.locate(0..data.len()).as_slice()) {
                // One data line: offsets in the block and in the data differ by its start.
                ([cut], [line]) => Some(cut.start - line.start..cut.end - line.start),
                _ => return,
            },
            Verdict::Drop => return,
        };
        if self.report.content {
            self.shape.learn(data, cut);
        }
    }

    /// Parses an event as far as it concerns the report.
    fn look<'a>(&mut self, data: &'a [u8]) -> Result<Told<'a>, Malformed> {
        let told = top(data)?;
        if let Some(error) = told.error {
            self.fail(failure::told(error));
        }
        if let Some(told) = told.usage.and_then(usage) {
            self.report.usage = Some(told);
        }
        if let Some(choices) = told.choices.filter(|raw| raw.starts_with(b"[")) {
            for choice in elements(choices) {
                let choice = choice?;
                if choice.starts_with(b"{") {
                    self.choice(choice)?;
                }
            }
        }
        Ok(told)
    }

    fn choice(&mut self, choice: &[u8]) -> Result<(), Malformed> {
        let mut index = 0;
        let mut finish = None;
        for member in members(choice) {
            let member = member?;
            match member.key {
                b"\"index\"" => {
                    if let Number::Whole(value) = number(member.raw) {
                        index = value.min(CHOICES - 1);
                    }
                }
                b"\"delta\"" | b"\"message\"" if member.raw.starts_with(b"{") => self.delta(member.raw)?,
                b"\"text\"" => self.report.content |= is_filled(member.raw),
                b"\"finish_reason\"" => finish = finish_reason(member.raw).or(finish),
                b"\"error\"" if member.raw.starts_with(b"{") => self.fail(failure::told(member.raw)),
                _ => {}
            }
        }
        let bit = 1 << index;
        self.seen |= bit;
        if finish.is_some() {
            self.finished |= bit;
            self.report.finish = finish;
        }
        Ok(())
    }

    fn delta(&mut self, delta: &[u8]) -> Result<(), Malformed> {
        for member in members(delta) {
            let member = member?;
            self.report.content |= is_content(member.key) && is_filled(member.raw);
        }
        Ok(())
    }

    /// The first failure counts: what follows it is its consequence.
    fn fail(&mut self, error: Error) {
        self.report.complete = false;
        self.report.failure.get_or_insert(error);
    }

    fn garbled(&mut self, data: &[u8]) {
        if !self.is_foreign() {
            self.fail(failure::garbled(data));
        }
    }
}

/// Reads the top level of an event, and what some providers put one level below it.
fn top(data: &[u8]) -> Result<Told<'_>, Malformed> {
    let mut told = Told::default();
    for member in members(data) {
        let member = member?;
        match member.key {
            b"\"usage\"" => {
                told.spans.push(member.value);
                told.usage = member.raw.starts_with(b"{").then_some(member.raw).or(told.usage);
            }
            b"\"choices\"" => told.choices = Some(member.raw),
            b"\"error\"" if is_filled(member.raw) => told.error = Some(member.raw),
            b"\"object\"" | b"\"type\"" if is_text(member.raw, "error") => told.error = told.error.or(Some(data)),
            // Groq's place for usage and errors; the Responses API's and Anthropic's for usage.
            b"\"x_groq\"" | b"\"response\"" | b"\"message\"" if member.raw.starts_with(b"{") => {
                told.below(member.raw)?;
            }
            _ => {}
        }
    }
    Ok(told)
}

impl<'a> Told<'a> {
    fn below(&mut self, object: &'a [u8]) -> Result<(), Malformed> {
        for member in members(object) {
            let member = member?;
            match member.key {
                b"\"usage\"" if member.raw.starts_with(b"{") => self.usage = self.usage.or(Some(member.raw)),
                b"\"error\"" if is_filled(member.raw) => self.error = self.error.or(Some(member.raw)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn verdict(event: &Event<'_>, data: &[u8], told: &Told<'_>) -> Verdict {
    if told.error.is_some() || told.spans.is_empty() {
        return Verdict::Keep;
    }
    let no_choice = told.choices.is_some_and(|raw| elements(raw).next().is_none());
    if no_choice && told.spans.last().is_some_and(|last| data.get(last.start) == Some(&b'{')) {
        return Verdict::Drop;
    }
    let mut removal = Removal::default();
    let byte = |at: usize| data.get(at).copied();
    let ranges = told.spans.iter().map(|span| removal.range(&byte, span.clone()));
    Verdict::Cut(ranges.flat_map(|range| event.locate(range)).collect())
}

/// Takes `"usage":null` out of an event that says nothing else of interest.
fn strip_nulls(event: &Event<'_>, data: &[u8], nulls: usize) -> Verdict {
    const LAST: &[u8] = b",\"usage\":null}";
    if nulls == 1 && data.ends_with(LAST) {
        let range = data.len() - LAST.len()..data.len() - 1;
        return Verdict::Cut(event.locate(range));
    }
    // What is malformed here was passed on so far and is passed on now.
    top(data).map_or(Verdict::Keep, |told| verdict(event, data, &told))
}

fn is_content(key: &[u8]) -> bool {
    matches!(
        key,
        b"\"content\""
            | b"\"reasoning\""
            | b"\"reasoning_content\""
            | b"\"reasoning_details\""
            | b"\"tool_calls\""
            | b"\"function_call\""
            | b"\"refusal\""
            | b"\"audio\""
            | b"\"images\""
    )
}

/// Whether a value says anything: not null, not false, not an empty string, array or object.
pub(super) fn is_filled(raw: &[u8]) -> bool {
    match raw {
        b"null" | b"false" | b"\"\"" => false,
        [b'[' | b'{', rest @ ..] => !matches!(rest.get(skip_space(rest, 0)), None | Some(b']' | b'}')),
        _ => true,
    }
}

pub(in crate::openai) fn finish_reason(raw: &[u8]) -> Option<Finish> {
    Some(match raw {
        b"null" | b"\"\"" => return None,
        b"\"stop\"" | b"\"eos\"" | b"\"end_turn\"" | b"\"stop_sequence\"" => Finish::Stop,
        b"\"length\"" | b"\"max_tokens\"" | b"\"model_length\"" => Finish::Length,
        b"\"tool_calls\"" | b"\"function_call\"" | b"\"tool_use\"" => Finish::ToolCalls,
        b"\"content_filter\"" => Finish::ContentFilter,
        _ => Finish::Other,
    })
}
