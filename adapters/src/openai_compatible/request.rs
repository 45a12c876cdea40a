//! The caller's request made fit for the provider: what is spliced, which headers go.

use std::borrow::Cow;

use atp_core::port::Try;
use atp_core::{Continuity, Error, Exchange, Field, Fields, Operation, Payload, Retry, Rope};
use atp_dialects::openai::chat::{StreamTap, TapMode, continued};
use atp_dialects::splice::{Edit, json_string, splice, with_include_usage};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use smallvec::SmallVec;

use super::quirks::Quirks;
use crate::going_on::impossible;

/// Splices what has to change. Most often nothing does, and the caller's bytes are shared. Tells
/// how the answer is to be read: whether a usage chunk in it is the router's own wish.
pub(super) fn prepare<'a>(attempt: Try<'a>, quirks: &'a Quirks) -> Result<(Payload, Reading<'a>), Error> {
    let (exchange, continuity) = (attempt.exchange, attempt.continuity);
    let mut fields = Cow::Borrowed(&exchange.fields);
    let other_name = fields.model.as_deref().is_some_and(|asked| asked != attempt.model);
    let most = attempt.ceiling.map(|most| (most, most.to_string()));
    Ok(match attempt.payload {
        Payload::Rope(mut rope) => {
            if let Continuity::Continue(resume) = continuity {
                let longer = continued(&rope, resume, quirks.prefill).filter(|_| exchange.operation == Operation::Chat);
                let (body, found) = longer.ok_or_else(cannot_go_on)?;
                (rope, fields) = (body, Cow::Owned(found));
            }
            let fields = &*fields;
            let model = other_name.then(|| literal(&exchange.headers, attempt.model));
            let wants_usage = matches!(exchange.operation, Operation::Chat | Operation::Completions)
                && exchange.stream
                && quirks.stream_options
                && fields.include_usage != Some(true);
            let options = wants_usage.then(|| with_include_usage(&rope, fields));
            let mut edits = edits(model.as_deref(), options.as_deref());
            if exchange.operation != Operation::Raw {
                quirks.edits(fields, &mut edits);
            }
            if let (Operation::Chat | Operation::Completions, Some((most, text))) = (exchange.operation, &most) {
                quirks.limit(exchange.operation, fields, (*most, text), &mut edits);
            }
            let reading = Reading { continuity, ..Reading::of(exchange, wants_usage, quirks) };
            (Payload::Rope(edited(rope, fields, &edits)), reading)
        }
        Payload::Once { head, rest } => {
            let model = other_name.then(|| literal(&exchange.headers, attempt.model));
            let head = edited(head, &fields, &edits(model.as_deref(), None));
            (Payload::Once { head, rest }, Reading::of(exchange, false, quirks))
        }
    })
}

fn cannot_go_on() -> Error {
    impossible("the answer that broke off is one that cannot be gone on with", Retry::Never)
}

/// How a stream that answers an exchange is read along. The tap itself is made where there is a stream.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    mode: TapMode,
    exchange: &'a Exchange,
    continuity: Continuity<'a>,
    quirks: &'a Quirks,
}

impl<'a> Reading<'a> {
    fn of(exchange: &'a Exchange, strip_usage: bool, quirks: &'a Quirks) -> Self {
        let completion = matches!(exchange.operation, Operation::Chat | Operation::Completions);
        let mode = match (completion, strip_usage) {
            (false, _) => TapMode::Foreign,
            (true, false) => TapMode::Observe,
            (true, true) => TapMode::StripUsage,
        };
        Self { mode, exchange, continuity: Continuity::None, quirks }
    }

    pub(super) fn tap(self) -> StreamTap {
        let tap = StreamTap::new(self.mode).expecting(self.exchange.fields.n.unwrap_or(1));
        match self.continuity {
            // A stream that may be gone on with, or goes on with another.
            Continuity::Remember if self.exchange.operation == Operation::Chat && self.exchange.stream => {
                tap.remembering()
            }
            Continuity::Continue(resume) => tap.going_on(resume, self.quirks.echo),
            Continuity::None | Continuity::Remember => tap,
        }
    }
}

/// The model's name as it stands in a body of this content type: bare in a form, quoted in JSON.
fn literal(headers: &HeaderMap, model: &str) -> String {
    let form = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"multipart/"));
    if form { model.to_owned() } else { json_string(model) }
}

/// What is to be changed in one request.
pub(super) type Edits<'a> = SmallVec<[Edit<'a>; 2]>;

fn edits<'a>(model: Option<&'a str>, options: Option<&'a str>) -> Edits<'a> {
    let mut edits = Edits::new();
    edits.extend(model.map(|model| Edit::Set(Field::Model, model)));
    edits.extend(options.map(|options| Edit::Set(Field::StreamOptions, options)));
    edits
}

fn edited(rope: Rope, fields: &Fields, edits: &[Edit<'_>]) -> Rope {
    if edits.is_empty() { rope } else { splice(&rope, fields, edits) }
}
