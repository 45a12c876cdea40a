//! What the fuzz targets check. The same functions run over the corpus and over generated inputs in
//! `cargo test`, so that nothing is written twice.
//!
//! Each function takes any bytes and panics where a promise of the crate is broken.

use std::fmt;
use std::ops::Range;

use atp_core::port::Reading;
use atp_core::{Field, Fields, Operation, Report, Rope};
use atp_dialects::openai::chat::{StreamTap, TapMode};
use atp_dialects::openai::{features, length, signs};
use atp_dialects::scan::{ScanErrorKind, Scanner, scan};
use atp_dialects::splice::{Edit, json_string, splice, with_include_usage};
use atp_dialects::sse::{Decoder, Step};
use bytes::Bytes;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Cuts bytes into pieces; the sizes follow from the seed.
pub(crate) fn pieces(bytes: &[u8], seed: u8) -> Vec<Bytes> {
    let mut state = u32::from(seed) | 1;
    let mut rest = Bytes::copy_from_slice(bytes);
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let most = [1, 3, 17, 200][usize::from(seed) % 4];
        let len = 1 + (state >> 16) as usize % most;
        pieces.push(rest.split_to(len.min(rest.len())));
    }
    pieces
}

fn rope(pieces: &[Bytes]) -> Rope {
    let mut rope = Rope::new();
    pieces.iter().cloned().for_each(|piece| rope.push(piece));
    rope
}

/// The first byte seeds the cuts; the rest is the body.
pub(crate) fn scan_body(input: &[u8]) {
    let Some((seed, body)) = input.split_first() else { return };
    check_scan(body, *seed);
}

/// A scan says what a strict parser says, however the body is cut.
pub(crate) fn check_scan(body: &[u8], seed: u8) {
    let whole = scan(&Rope::from(Bytes::copy_from_slice(body)));
    let mut scanner = Scanner::new();
    pieces(body, seed).iter().for_each(|piece| scanner.push(piece));
    assert_eq!(whole, scanner.finish(), "cutting changes the result");
    let parsed = members(body);
    match (&whole, &parsed) {
        (Ok(fields), Some(members)) => compare(fields, members, body),
        (Err(error), Some(members)) => {
            let field = error.kind.field().unwrap_or_else(|| panic!("legal JSON is refused: {error}"));
            let told = members.iter().any(|member| member.key == field.name() && member.place.start == error.at);
            assert!(told, "{error}: no such member");
            assert!(is_refused(&error.kind, &body[error.at..]), "{error}");
        }
        // The scan need not be strict inside values; it must end and give spans inside the body.
        (Ok(fields), None) => {
            assert!(fields.spans.iter().all(|span| span.value.start < span.value.end && span.value.end <= body.len()));
        }
        (Err(error), None) => assert!(error.at <= body.len()),
    }
}

/// Whether the value that starts `rest` deserves the refusal.
fn is_refused(kind: &ScanErrorKind, rest: &[u8]) -> bool {
    match kind {
        ScanErrorKind::Unexpected { .. } => false,
        ScanErrorKind::WrongType { field: Field::Model, .. } => rest[0] != b'"',
        ScanErrorKind::WrongType { field, .. } => *field == Field::Stream && !matches!(rest[0], b't' | b'f' | b'n'),
        ScanErrorKind::BadText { .. } => rest[0] == b'"',
        ScanErrorKind::OutOfRange { .. } => rest[0].is_ascii_digit(),
    }
}

/// The first byte seeds the cuts; the rest is the body of a request to any operation.
pub(crate) fn features_body(input: &[u8]) {
    let Some((seed, body)) = input.split_first() else { return };
    let whole = Rope::from(Bytes::copy_from_slice(body));
    let cut = rope(&pieces(body, *seed));
    for operation in Operation::ALL {
        let told = features::of(operation, &whole, Reading::Whole);
        assert_eq!(told, features::of(operation, &cut, Reading::Whole), "cutting changes the result");
        // A character has at least a byte; a frame is smaller than the JSON of what it frames.
        assert!(told.chars <= body.len() as u64 && told.images as usize <= body.len());
    }
}

/// Any bytes are an answer, whole or a stream.
pub(crate) fn signs_body(input: &[u8]) {
    for operation in Operation::ALL {
        let told = signs::signs(operation, input);
        let text = signs::text(operation, input).unwrap_or_default();
        assert_eq!(told.chars, text.chars().count() as u64);
        assert!(told.confidence.is_none_or(|mean| (0.0..=1.0).contains(&mean)));
        let end = length::length(operation, input);
        assert!(end.is_empty() || end.ends_with(b"\n\ndata: [DONE]\n\n"));
    }
}

/// What a scan must have found in a legal body.
fn compare(fields: &Fields, members: &[Member], body: &[u8]) {
    let known = |name: &str| Field::ALL.into_iter().find(|field| field.name() == name);
    let spans: Vec<_> = members.iter().filter_map(|m| known(&m.key).map(|field| (field, m.place.clone()))).collect();
    let found: Vec<_> = fields.spans.iter().map(|span| (span.field, span.value.clone())).collect();
    assert_eq!(found, spans);
    let last = |name: &str| members.iter().rev().find(|member| member.key == name).map(|member| &member.value);
    assert_eq!(fields.model.as_deref(), last("model").and_then(Value::as_str));
    assert_eq!(fields.stream, last("stream").and_then(Value::as_bool));
    assert_eq!(fields.user.as_deref(), last("user").and_then(Value::as_str));
    let options = last("stream_options").and_then(|options| options.get("include_usage"));
    assert_eq!(fields.include_usage, options.and_then(Value::as_bool));
    let count = |name: &str| last(name).and_then(whole_number);
    assert_eq!(fields.n, count("n"));
    // A number that is only too small for a float is no zero.
    let heat = last("temperature").and_then(Value::as_f64);
    assert!(if fields.greedy { heat == Some(0.0) } else { last("temperature").and_then(Value::as_i64) != Some(0) });
    assert_eq!(fields.max_tokens, count("max_completion_tokens").or(count("max_tokens")));
    assert_eq!(body[fields.open - 1], b'{');
    assert_eq!(fields.empty, members.is_empty());
}

fn whole_number(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|float| *float >= 0.0 && float.fract() == 0.0).map(|float| float as u64);
    value.as_u64().or_else(float)
}

/// One member as a strict parser sees it.
pub(crate) struct Member {
    key: String,
    place: Range<usize>,
    raw: String,
    value: Value,
}

/// The members of a body in order, duplicates included; `None` where it is not a JSON object.
pub(crate) fn members(body: &[u8]) -> Option<Vec<Member>> {
    struct Members<'a>(&'a [u8]);
    impl<'de> Visitor<'de> for Members<'de> {
        type Value = Vec<Member>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Member>, A::Error> {
            let mut members = Vec::new();
            while let Some((key, raw)) = map.next_entry::<String, &RawValue>()? {
                let start = raw.get().as_ptr() as usize - self.0.as_ptr() as usize;
                // A number beyond every float is legal, and a value that the parser cannot hold.
                let value = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
                members.push(Member { key, place: start..start + raw.get().len(), raw: raw.get().to_owned(), value });
            }
            Ok(members)
        }
    }
    let mut parser = serde_json::Deserializer::from_slice(body);
    let members = parser.deserialize_map(Members(body)).ok()?;
    parser.end().ok()?;
    Some(members)
}

/// The first byte seeds the cuts, the second chooses edits; the rest is the body.
pub(crate) fn splice_body(input: &[u8]) {
    let [seed, choice, body @ ..] = input else { return };
    check_splice(body, *seed, *choice);
}

/// To splice and then parse gives what parsing and then editing gives; without edits every byte
/// stays.
pub(crate) fn check_splice(body: &[u8], seed: u8, choice: u8) {
    let rope = rope(&pieces(body, seed));
    let Ok(fields) = scan(&rope) else { return };
    assert_eq!(splice(&rope, &fields, &[]).to_bytes(), body);
    let model = json_string("vendor/größe \"x\"\\\n");
    let options = with_include_usage(&rope, &fields);
    let all = [
        (0, Edit::Set(Field::Model, &model)),
        (1, Edit::Set(Field::StreamOptions, &options)),
        (2, Edit::Remove(Field::User)),
        (3, Edit::Set(Field::N, "1")),
        (3, Edit::Rename(Field::Seed, "\"random_seed\"")),
        (4, Edit::Remove(Field::MaxTokens)),
        (4, Edit::Rename(Field::MaxCompletionTokens, "\"max_tokens\"")),
        (5, Edit::Remove(Field::Stream)),
        (6, Edit::Set(Field::MaxTokens, "7")),
        (7, Edit::Remove(Field::Model)),
    ];
    let edits: Vec<Edit<'_>> =
        all.into_iter().filter(|(bit, _)| choice >> bit & 1 == 1).map(|(_, edit)| edit).collect();
    let spliced = splice(&rope, &fields, &edits);
    let Some(before) = members(body) else { return };
    let bytes = spliced.to_bytes();
    let after = members(&bytes).unwrap_or_else(|| panic!("not JSON any more: {:?}", String::from_utf8_lossy(&bytes)));
    let after: Vec<_> = after.into_iter().map(|member| (member.key, member.raw)).collect();
    assert_eq!(after, edited(before, &edits));
    let again = scan(&spliced).map(|fields| fields.include_usage);
    if choice & 2 != 0 {
        assert_eq!(again, Ok(Some(true)));
        check_options(&body[fields.last(Field::StreamOptions).map_or(0..0, |span| span.value.clone())], &options);
    }
}

/// The new `stream_options` hold all other members of the old.
fn check_options(old: &[u8], new: &str) {
    let others = |text: &[u8]| -> Vec<(String, String)> {
        let all = members(text).unwrap_or_default().into_iter();
        all.filter(|member| member.key != "include_usage").map(|member| (member.key, member.raw)).collect()
    };
    assert_eq!(others(old), others(new.as_bytes()));
}

fn edited(members: Vec<Member>, edits: &[Edit<'_>]) -> Vec<(String, String)> {
    let field = |edit: &Edit<'_>| match edit {
        Edit::Set(field, _) | Edit::Remove(field) | Edit::Rename(field, _) => *field,
    };
    let edit_of = |name: &str| edits.iter().rev().find(|edit| field(edit).name() == name);
    let mut result = Vec::new();
    for known in edits.iter().enumerate().filter(|(i, e)| !edits[i + 1..].iter().any(|later| field(later) == field(e)))
    {
        if let Edit::Set(field, value) = known.1
            && !members.iter().any(|member| member.key == field.name())
        {
            result.push((field.name().to_owned(), (*value).to_owned()));
        }
    }
    for member in members {
        match edit_of(&member.key) {
            Some(Edit::Set(_, value)) => result.push((member.key, (*value).to_owned())),
            Some(Edit::Remove(_)) => {}
            Some(Edit::Rename(_, key)) => result.push((key.trim_matches('"').to_owned(), member.raw)),
            None => result.push((member.key, member.raw)),
        }
    }
    result
}

/// The first byte seeds the cuts; the rest is the stream.
pub(crate) fn sse_body(input: &[u8]) {
    let Some((seed, stream)) = input.split_first() else { return };
    check_sse(stream, *seed);
}

/// The decoder sees what a plain reading of the standard sees; a tap's report and output do not
/// depend on how the stream is cut; observing changes no byte; stripping takes out usage only.
pub(crate) fn check_sse(stream: &[u8], seed: u8) {
    let whole = [Bytes::copy_from_slice(stream)];
    let cut = pieces(stream, seed);
    let events = decode(&whole);
    assert_eq!(events, decode(&cut), "cutting changes the events");
    assert_eq!(events, plain_events(stream));
    check_sum(stream);
    for mode in [TapMode::Observe, TapMode::StripUsage, TapMode::Foreign] {
        let (once, told) = tap(&whole, mode);
        let (often, told_often) = tap(&cut, mode);
        assert_eq!(text(&told), text(&told_often), "cutting changes the report");
        assert_eq!(once, often, "cutting changes the output");
        match mode {
            TapMode::StripUsage => check_stripped(&events, &once),
            TapMode::Observe | TapMode::Foreign => assert_eq!(once, stream),
        }
    }
}

/// What a tap remembers of earlier events does not change what it reads in later ones: the report
/// of a stream is the sum of the reports of its events alone.
fn check_sum(stream: &[u8]) {
    let ended = [stream, b"\n\n\n"].concat();
    let whole = unfinished(&ended);
    let mut sum = Report::default();
    for (name, data) in plain_events(&ended) {
        let Some(data) = data else { continue };
        // Once there is content a tap looks less closely.
        let mut alone = if sum.content { CONTENT.to_vec() } else { Vec::new() };
        if let Some(name) = name {
            alone.extend_from_slice(&[b"event: ", &name[..], b"\n"].concat());
        }
        for line in data.split(|byte| *byte == b'\n') {
            alone.extend_from_slice(&[b"data: ", line, b"\n"].concat());
        }
        alone.push(b'\n');
        let told = unfinished(&alone);
        sum.usage = told.usage.or(sum.usage);
        sum.finish = told.finish.or(sum.finish);
        sum.content |= told.content;
        sum.complete = (sum.complete || told.complete) && sum.failure.is_none() && told.failure.is_none();
        sum.failure = sum.failure.or(told.failure);
    }
    assert_eq!(text(&whole), text(&sum));
}

/// An event with content and nothing else.
const CONTENT: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";

/// The report of a stream that goes on.
fn unfinished(stream: &[u8]) -> Report {
    let mut tap = StreamTap::new(TapMode::Observe);
    tap.feed(Bytes::copy_from_slice(stream), &mut Vec::new());
    tap.report().clone()
}

/// Feeds a stream to a tap; the bytes that came out, and the report.
pub(crate) fn tap(chunks: &[Bytes], mode: TapMode) -> (Vec<u8>, Report) {
    let mut tap = StreamTap::new(mode);
    let mut out = Vec::new();
    chunks.iter().cloned().for_each(|chunk| tap.feed(chunk, &mut out));
    tap.finish(&mut out);
    (out.concat(), tap.report().clone())
}

/// A report as text that two reports can be compared by.
pub(crate) fn text(report: &Report) -> String {
    format!("{report:?}")
}

/// An event: its name and its data.
type Told = (Option<Vec<u8>>, Option<Vec<u8>>);

fn decode(chunks: &[Bytes]) -> Vec<Told> {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    let told = |event: &atp_dialects::sse::Event<'_>| {
        (event.name.map(<[u8]>::to_vec), event.has_data().then(|| event.data().into_owned()))
    };
    for chunk in chunks {
        let mut at = 0;
        while let Step::Block(block) = decoder.next(chunk, at) {
            at = block.end;
            events.push(told(&block.event()));
        }
    }
    events.extend(decoder.finish().map(|block| told(&block.event())));
    events.retain(|event| *event != (None, None));
    events
}

/// The events of a stream by a plain reading of the standard, with the unfinished one at the end.
fn plain_events(stream: &[u8]) -> Vec<Told> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut events = Vec::new();
    let mut event: Told = (None, None);
    for line in plain_lines(stream).chain([Vec::new()]) {
        if line.is_empty() {
            events.push(std::mem::take(&mut event));
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"event" => event.0 = Some(value.to_vec()),
            b"data" => match &mut event.1 {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                none => *none = Some(value.to_vec()),
            },
            _ => {}
        }
    }
    events.retain(|event| *event != (None, None));
    events
}

fn plain_lines(stream: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut lines = vec![Vec::new()];
    let mut bytes = stream.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if(|next| **next == b'\n');
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            byte => lines.last_mut().unwrap().push(*byte),
        }
    }
    lines.into_iter()
}

/// The events that are left are the old ones without usage-only events and `usage` members.
fn check_stripped(events: &[Told], output: &[u8]) {
    let after = plain_events(output);
    let parsed = |event: &Told| event.1.as_deref().and_then(members);
    // What is not JSON, or names `usage` with escapes, is not judged here.
    let is_plain = |event: &Told| match parsed(event) {
        Some(members) => {
            let data = event.1.as_deref().unwrap_or_default();
            !members.iter().any(|member| member.key == "usage") || memchr::memmem::find(data, b"\\u").is_none()
        }
        None => !names_usage(event),
    };
    if !events.iter().all(is_plain) {
        return;
    }
    let mut expected = Vec::new();
    for event in events {
        match parsed(event) {
            Some(mut members) if event.0.as_deref() != Some(b"error") && !tells_error(&members) => {
                let last = |name: &str| members.iter().rev().find(|member| member.key == name);
                let no_choice = last("choices").is_some_and(|choices| choices.value == Value::Array(Vec::new()));
                if no_choice && last("usage").is_some_and(|usage| usage.value.is_object()) {
                    continue;
                }
                members.retain(|member| member.key != "usage");
                expected.push((event.0.clone(), Ok(pairs(members))));
            }
            Some(members) => expected.push((event.0.clone(), Ok(pairs(members)))),
            None => expected.push((event.0.clone(), Err(event.1.clone()))),
        }
    }
    let told = |event: Told| {
        let data = parsed(&event).map(pairs).ok_or(event.1);
        (event.0, data)
    };
    assert_eq!(after.into_iter().map(told).collect::<Vec<_>>(), expected);
}

fn names_usage(event: &Told) -> bool {
    let data = event.1.as_deref().unwrap_or_default();
    memchr::memmem::find(data, b"\"usage\"").is_some()
}

fn tells_error(members: &[Member]) -> bool {
    let filled = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    members.iter().any(|member| match member.key.as_str() {
        "error" => filled(&member.value),
        "object" | "type" => member.value == "error",
        "x_groq" | "response" | "message" => member.value.get("error").is_some_and(filled),
        _ => false,
    })
}

fn pairs(members: Vec<Member>) -> Vec<(String, String)> {
    members.into_iter().map(|member| (member.key, member.raw)).collect()
}
