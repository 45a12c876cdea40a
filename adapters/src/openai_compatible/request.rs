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
pub(super) fn prepare(attempt: Try<'_>, quirks: &Quirks) -> Result<(Payload, StreamTap), Error> {
    let (exchange, continuity) = (attempt.exchange, attempt.continuity);
    let mut fields = Cow::Borrowed(&exchange.fields);
    let other_name = fields.model.as_deref().is_some_and(|asked| asked != attempt.model);
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
            (
                Payload::Rope(edited(rope, fields, &edits)),
                connected(tap(exchange, wants_usage), exchange, continuity, quirks),
            )
        }
        Payload::Once { head, rest } => {
            let model = other_name.then(|| literal(&exchange.headers, attempt.model));
            let head = edited(head, &fields, &edits(model.as_deref(), None));
            (Payload::Once { head, rest }, tap(exchange, false))
        }
    })
}

/// The tap of a stream that may be gone on with, or goes on with another.
fn connected(tap: StreamTap, exchange: &Exchange, continuity: Continuity<'_>, quirks: &Quirks) -> StreamTap {
    match continuity {
        Continuity::Remember if exchange.operation == Operation::Chat && exchange.stream => tap.remembering(),
        Continuity::Continue(resume) => tap.going_on(resume, quirks.echo),
        Continuity::None | Continuity::Remember => tap,
    }
}

fn cannot_go_on() -> Error {
    impossible("the answer that broke off is one that cannot be gone on with", Retry::Never)
}

/// How a stream that answers this exchange is read along.
fn tap(exchange: &Exchange, strip_usage: bool) -> StreamTap {
    let completion = matches!(exchange.operation, Operation::Chat | Operation::Completions);
    let mode = match (completion, strip_usage) {
        (false, _) => TapMode::Foreign,
        (true, false) => TapMode::Observe,
        (true, true) => TapMode::StripUsage,
    };
    StreamTap::new(mode).expecting(exchange.fields.n.unwrap_or(1))
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

/// The caller's headers with the provider's own over them.
pub(super) fn headers(caller: &HeaderMap, fixed: &HeaderMap) -> HeaderMap {
    // A clone keeps the places that were computed when the map was made; only ours are computed.
    let mut headers = caller.clone();
    for (name, value) in fixed {
        headers.insert(name.clone(), value.clone());
    }
    headers
}
