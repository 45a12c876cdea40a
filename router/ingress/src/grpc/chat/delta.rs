//! One event of a stream of OpenAI's dialect as messages.

use atp_core::Error;
use atp_proto::router::v1 as pb;

use super::answer::{arguments, finish, logprobs, reasoning, role, told};
use super::garbled;
use crate::grpc::json::{Members, Writer};

/// What a stream has told of itself.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) usage: Option<pb::Usage>,
    /// What was told beside the choices last: the same need not be told again.
    aside: String,
}

/// What an event tells.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) deltas: Vec<pb::ChoiceDelta>,
    /// What stands beside the choices, where it is new.
    pub(super) aside: Option<String>,
    /// Whether it is an error, which the report tells.
    pub(super) error: bool,
}

impl Known {
    /// Reads an event's data.
    pub(super) fn read(&mut self, data: &[u8]) -> Result<Told, Error> {
        let text = std::str::from_utf8(data).map_err(|_| garbled("has an event that is not UTF-8"))?;
        let mut event = Members::read(text).ok_or_else(|| garbled("has an event that is not a JSON object"))?;
        if event.take("error").is_some() {
            return Ok(Told { error: true, ..Told::default() });
        }
        let choices = event.take("choices").unwrap_or("[]");
        let choices: Vec<Members<'_>> =
            serde_json::from_str(choices).map_err(|_| garbled("has an event whose choices are no list"))?;
        event.take("object");
        // Padding against those who measure encrypted lengths; it says nothing.
        event.take("obfuscation");
        set(&mut self.id, event.take_text("id"));
        set(&mut self.model, event.take_text("model"));
        self.created = event.take_as("created").unwrap_or(self.created);
        self.usage = told(&mut event).or_else(|| self.usage.take());
        let rest = event.rest();
        let aside = (!rest.is_empty() && rest != self.aside).then(|| rest.clone());
        self.aside = if rest.is_empty() { std::mem::take(&mut self.aside) } else { rest };
        let deltas = choices.into_iter().enumerate().map(|(place, each)| delta(place, each));
        Ok(Told { deltas: deltas.filter(says_anything).collect(), aside, error: false })
    }
}

fn set(slot: &mut String, told: Option<String>) {
    if let Some(told) = told.filter(|told| !told.is_empty()) {
        *slot = told;
    }
}

/// Whether there is more in it than its index.
fn says_anything(delta: &pb::ChoiceDelta) -> bool {
    *delta != pb::ChoiceDelta { index: delta.index, ..pb::ChoiceDelta::default() }
}

fn delta(place: usize, mut from: Members<'_>) -> pb::ChoiceDelta {
    let index = from.take_as("index").unwrap_or(place as u32);
    let (finish_reason, finish_reason_text) = finish(&mut from);
    let logprobs = logprobs(&mut from);
    let mut delta = from.take_as::<Members<'_>>("delta").unwrap_or_default();
    let calls = delta.take_as::<Vec<Members<'_>>>("tool_calls").unwrap_or_default();
    pb::ChoiceDelta {
        index,
        text: delta.take_text("content").unwrap_or_default(),
        reasoning: reasoning(&mut delta).unwrap_or_default(),
        refusal: delta.take_text("refusal").unwrap_or_default(),
        tool_calls: calls.into_iter().enumerate().map(|(place, each)| call(place, each)).collect(),
        finish_reason: finish_reason.into(),
        finish_reason_text,
        logprobs,
        role: role(&mut delta).unwrap_or(pb::Role::Unspecified).into(),
        extra_json: joined(from, delta),
    }
}

/// What is left of a choice, and below it what is left of its delta.
fn joined(choice: Members<'_>, delta: Members<'_>) -> String {
    let (choice, delta) = (choice.rest(), delta.rest());
    if delta.is_empty() {
        return choice;
    }
    let mut writer = Writer::default();
    writer.open(b'{');
    for (name, value) in Members::read(&choice).unwrap_or_default().0 {
        writer.raw(&name, value.get());
    }
    writer.raw("delta", &delta);
    writer.close(b'}');
    String::from_utf8(writer.into_bytes()).unwrap_or_default()
}

fn call(place: usize, mut from: Members<'_>) -> pb::ToolCallDelta {
    let mut function = from.take_as::<Members<'_>>("function").unwrap_or_default();
    let (name, arguments) = (function.take_text("name").unwrap_or_default(), arguments(&mut function));
    let index = from.take_as("index").unwrap_or(place as u32);
    let id = from.take_text("id").unwrap_or_default();
    if from.0.iter().any(|(name, value)| name == "type" && value.get() == r#""function""#) {
        from.take("type");
    }
    let mut extra_json = from.rest();
    let function = function.rest();
    if !function.is_empty() {
        extra_json = joined_below(&extra_json, "function", &function);
    }
    pb::ToolCallDelta { index, id, name, arguments, extra_json }
}

fn joined_below(object: &str, name: &str, value: &str) -> String {
    let mut writer = Writer::default();
    writer.open(b'{');
    for (name, value) in Members::read(object).unwrap_or_default().0 {
        writer.raw(&name, value.get());
    }
    writer.raw(name, value);
    writer.close(b'}');
    String::from_utf8(writer.into_bytes()).unwrap_or_default()
}

/// A whole answer as the deltas of a stream, where a provider gave one although a stream was asked for.
pub(super) fn of_whole(choice: pb::Choice) -> pb::ChoiceDelta {
    let message = choice.message.unwrap_or_default();
    let mut rest = choice.extra_json;
    if !message.extra_json.is_empty() {
        rest = joined_below(&rest, "delta", &message.extra_json);
    }
    let texts = message.parts.iter().filter_map(|part| match &part.kind {
        Some(pb::part::Kind::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    let calls = message.tool_calls.iter().enumerate().map(|(place, each)| {
        let (function, extra_json) = match &each.kind {
            Some(pb::tool_call::Kind::Function(function)) => (function.clone(), each.extra_json.clone()),
            Some(pb::tool_call::Kind::OtherJson(json)) => (pb::FunctionCall::default(), json.clone()),
            None => (pb::FunctionCall::default(), String::new()),
        };
        let (id, index) = (each.id.clone(), place as u32);
        pb::ToolCallDelta { index, id, name: function.name, arguments: function.arguments, extra_json }
    });
    pb::ChoiceDelta {
        index: choice.index,
        text: message.text.clone().unwrap_or_else(|| texts.collect()),
        reasoning: message.reasoning.clone().unwrap_or_default(),
        refusal: message.refusal.clone().unwrap_or_default(),
        tool_calls: calls.collect(),
        finish_reason: choice.finish_reason,
        finish_reason_text: choice.finish_reason_text,
        logprobs: choice.logprobs,
        role: message.role,
        extra_json: rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_choices_and_what_is_new_beside_them() {
        let mut known = Known::default();
        let first = known
            .read(br#"{"id":"c","created":5,"model":"m","object":"x","system_fingerprint":"f","obfuscation":"a","choices":[{"index":1,"delta":{"role":"assistant","content":""}}]}"#)
            .unwrap();
        assert_eq!(
            (known.id.as_str(), known.created, first.aside.as_deref()),
            ("c", 5, Some(r#"{"system_fingerprint":"f"}"#))
        );
        assert_eq!((first.deltas[0].index, first.deltas[0].role()), (1, pb::Role::Assistant));
        let again = br#"{"id":"c","system_fingerprint":"f","choices":[{"index":0,"delta":{"content":"hi","audio":{"id":"a"}},"finish_reason":null,"x":[1]},{"index":1,"delta":{}}]}"#;
        let told = known.read(again).unwrap();
        assert_eq!((told.aside, told.deltas.len()), (None, 1));
        assert_eq!(
            (told.deltas[0].text.as_str(), told.deltas[0].extra_json.as_str()),
            ("hi", r#"{"x":[1],"delta":{"audio":{"id":"a"}}}"#)
        );
        let last = known.read(br#"{"choices":[],"usage":{"prompt_tokens":1}}"#).unwrap();
        assert_eq!((last, known.usage.unwrap().provider_json.as_str()), (Told::default(), r#"{"prompt_tokens":1}"#));
    }

    #[test]
    fn pieces_of_a_call_keep_their_index() {
        let mut known = Known::default();
        let told = known
            .read(br#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":2,"id":"t","type":"function","function":{"name":"f","arguments":"{"},"sig":"s"}]}}]}"#)
            .unwrap();
        let call = &told.deltas[0].tool_calls[0];
        assert_eq!(
            (call.index, call.name.as_str(), call.arguments.as_str(), call.extra_json.as_str()),
            (2, "f", "{", r#"{"sig":"s"}"#)
        );
        assert!(known.read(br#"{"error":{"message":"no"}}"#).unwrap().error);
        assert!(known.read(b"[]").is_err() && known.read(b"\xff\xfe").is_err());
    }
}
