//! Reading a whole reply that is not a stream.

use std::ops::Range;

use atp_core::{Operation, Report, Rope};

use super::failure;
use super::glance;
use super::reader::finish_reason;
use super::usage::usage;
use crate::json::machine::{Machine, Sink};
use crate::json::text::is_text;
use crate::json::view::{elements, members};
use crate::scan::ScanError;

/// Reads usage, finish reason and an error told inside a success from a whole JSON reply, in one
/// scan and without parsing what is not needed.
///
/// A reply that is not a JSON object is a failure, except where the operation's replies need not be
/// JSON ([`Operation::Audio`], [`Operation::Raw`]).
#[must_use]
pub fn read_reply(operation: Operation, body: &Rope) -> Report {
    if let (Operation::Chat | Operation::Completions, [whole]) = (operation, body.parts())
        && let Some(report) = glance::read(whole)
    {
        return report;
    }
    let mut machine = Machine::new(Reply::default());
    for part in body.parts() {
        machine.push(part);
    }
    match machine.finish() {
        Ok(reply) => reply.finish(body),
        Err(_) if matches!(operation, Operation::Audio | Operation::Raw) => {
            Report { complete: true, content: !body.is_empty(), ..Report::default() }
        }
        Err(error) => {
            let start = body.parts().first().map(AsRef::as_ref).unwrap_or_default();
            Report { failure: Some(failure::garbled(start).with_cause(error)), ..Report::default() }
        }
    }
}

#[derive(Default)]
struct Reply {
    report: Report,
    /// The reply itself is an error object, with its members at the top.
    is_error: bool,
}

#[derive(Clone, Copy)]
enum Name {
    Usage,
    Choices,
    Error,
    Kind,
    Groq,
}

impl Sink for Reply {
    type Name = Name;

    fn wants(&self, key: &[u8]) -> Option<Name> {
        Some(match key {
            b"\"usage\"" => Name::Usage,
            b"\"choices\"" => Name::Choices,
            b"\"error\"" => Name::Error,
            b"\"object\"" | b"\"type\"" => Name::Kind,
            b"\"x_groq\"" => Name::Groq,
            _ => return None,
        })
    }

    fn member(&mut self, name: Name, _: Range<usize>, raw: &[u8]) -> Result<(), ScanError> {
        match name {
            Name::Usage => self.report.usage = usage(raw),
            Name::Choices => self.choices(raw),
            Name::Error if matches!(raw, b"null" | b"false" | b"\"\"" | b"{}") => {}
            Name::Error => self.report.failure = Some(failure::told(raw)),
            Name::Kind => self.is_error |= is_text(raw, "error"),
            Name::Groq => {
                let inner = members(raw).map_while(Result::ok).find(|member| member.is("usage"));
                let told = inner.and_then(|member| usage(member.raw));
                self.report.usage = self.report.usage.or(told);
            }
        }
        Ok(())
    }
}

impl Reply {
    fn choices(&mut self, raw: &[u8]) {
        for choice in elements(raw).map_while(Result::ok) {
            for member in members(choice).map_while(Result::ok) {
                match member.key {
                    b"\"finish_reason\"" => self.report.finish = finish_reason(member.raw).or(self.report.finish),
                    b"\"error\"" if member.raw.starts_with(b"{") => {
                        self.report.failure.get_or_insert_with(|| failure::told(member.raw));
                    }
                    _ => {}
                }
            }
        }
    }

    fn finish(mut self, body: &Rope) -> Report {
        if self.is_error && self.report.failure.is_none() {
            self.report.failure = Some(failure::told(&body.to_bytes()));
        }
        self.report.complete = self.report.failure.is_none();
        self.report.content = self.report.complete;
        self.report
    }
}
