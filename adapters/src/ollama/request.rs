//! From OpenAI's requests to Ollama's own: `/api/chat`, `/api/generate` and `/api/embed`.
//!
//! Fields are taken out of the request one by one; what is left at the end could not be carried
//! and is told as a loss. What would change the meaning of the answer is refused instead, and
//! another target may serve it.

use std::collections::BTreeSet;

use atp_core::{Error, ErrorKind, Retry, Side};
use serde_json::{Map, Value, json};

use super::messages;

/// A translated request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Translated {
    /// Ollama's JSON.
    pub(super) body: Value,
    /// The fields that could not be carried, sorted.
    pub(super) losses: BTreeSet<String>,
    /// Whether the answer is a stream.
    pub(super) stream: bool,
    /// Whether the stream has a usage chunk.
    pub(super) include_usage: bool,
    /// Whether embeddings are asked for in base64.
    pub(super) base64: bool,
}

impl Translated {
    /// The same, for at most so many output tokens. Ollama's own word for no limit is a negative one.
    pub(super) fn bounded(mut self, ceiling: Option<u64>) -> Self {
        if let (Some(most), Some(options)) = (ceiling, self.body.get_mut("options").and_then(Value::as_object_mut)) {
            let asked = options.get("num_predict").and_then(Value::as_u64);
            if asked.is_none_or(|asked| asked > most) {
                options.insert("num_predict".to_owned(), json!(most));
            }
        }
        self
    }
}

/// A request's fields, taken out one by one.
pub(super) struct Taken {
    rest: Map<String, Value>,
    losses: BTreeSet<String>,
}

/// Options that have the same name and meaning on both sides, beside Ollama's own that some
/// clients send in OpenAI's requests; and those of them that are whole numbers. Ollama answers a
/// value of another type with 500, as if it were its own fault.
const SAME: &[&str] =
    &["temperature", "top_p", "seed", "frequency_penalty", "presence_penalty", "top_k", "min_p", "repeat_penalty"];
const WHOLE: &[&str] = &["seed", "top_k", "max_completion_tokens", "max_tokens"];

/// A fault of the request, whoever gets it.
pub(super) fn wrong(param: &'static str, text: impl Into<String>) -> Error {
    Error::new(ErrorKind::ProviderRejected, Side::Caller, text.into()).with_param(param)
}

/// Something that Ollama cannot do and another target may.
pub(super) fn cannot(param: &'static str, text: impl Into<String>) -> Error {
    wrong(param, text).with_retry(Retry::Elsewhere)
}

impl Taken {
    /// Reads a request.
    ///
    /// # Errors
    /// A body that is no JSON object.
    pub(super) fn read(body: &[u8]) -> Result<Self, Error> {
        let rest = serde_json::from_slice(body).map_err(|error| {
            Error::new(ErrorKind::ProviderRejected, Side::Caller, format!("the body is no JSON object: {error}"))
        })?;
        Ok(Self { rest, losses: BTreeSet::new() })
    }

    /// Takes a field; null counts as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.rest.remove(name).filter(|value| !value.is_null())
    }

    fn flag(&mut self, name: &str) -> bool {
        self.take(name).and_then(|value| value.as_bool()).unwrap_or(false)
    }

    /// Notes that a field could not be carried.
    pub(super) fn lose(&mut self, name: &str) {
        self.losses.insert(name.to_owned());
    }

    /// Takes a field that is a number.
    fn number(&mut self, name: &'static str) -> Result<Option<Value>, Error> {
        let whole = WHOLE.contains(&name);
        match self.take(name) {
            Some(value) if value.is_i64() || value.is_u64() || (value.is_number() && !whole) => Ok(Some(value)),
            Some(value) => {
                let wanted = if whole { "a whole number" } else { "a number" };
                Err(wrong(name, format!("{name} is {value}, expected {wanted}")))
            }
            None => Ok(None),
        }
    }

    /// The options that both chat and completions have.
    fn options(&mut self) -> Result<Value, Error> {
        let mut options = Map::new();
        for name in SAME {
            if let Some(value) = self.number(name)? {
                options.insert((*name).to_owned(), value);
            }
        }
        let (long, short) = (self.number("max_completion_tokens")?, self.number("max_tokens")?);
        if let Some(limit) = long.or(short) {
            options.insert("num_predict".to_owned(), limit);
        }
        match self.take("stop") {
            Some(Value::String(stop)) => options.insert("stop".to_owned(), json!([stop])),
            Some(Value::Array(stops)) if stops.iter().all(Value::is_string) => {
                options.insert("stop".to_owned(), Value::Array(stops))
            }
            Some(other) => return Err(wrong("stop", format!("stop is {other}, expected a text or a list of texts"))),
            None => None,
        };
        // A caller who knows Ollama may name its options himself; his word counts.
        if let Some(Value::Object(own)) = self.take("options") {
            options.extend(own);
        }
        Ok(Value::Object(options))
    }

    /// Ends the translation: adds what every request has, and counts what is left as lost.
    fn end(mut self, model: &str, mut body: Map<String, Value>) -> Result<Translated, Error> {
        if let Some(n) = self.take("n").filter(|n| n.as_u64() != Some(1)) {
            return Err(cannot("n", format!("n is {n}, but Ollama gives one answer to a request")));
        }
        let stream = self.flag("stream");
        let include_usage = self
            .take("stream_options")
            .and_then(|options| options.get("include_usage").and_then(Value::as_bool))
            .unwrap_or(false);
        let base64 = match self.take("encoding_format") {
            None => false,
            Some(format) => match format.as_str() {
                Some("float") => false,
                Some("base64") => true,
                _ => return Err(wrong("encoding_format", format!("{format} is neither float nor base64"))),
            },
        };
        for name in ["keep_alive", "truncate"] {
            if let Some(value) = self.take(name) {
                body.insert(name.to_owned(), value);
            }
        }
        self.take("model");
        body.insert("model".to_owned(), json!(model));
        let Self { rest, mut losses } = self;
        losses.extend(rest.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name));
        Ok(Translated { body: Value::Object(body), losses, stream, include_usage, base64 })
    }
}

/// A chat request.
///
/// # Errors
/// What cannot be read, and what Ollama cannot do.
pub(super) fn chat(body: &[u8], model: &str) -> Result<Translated, Error> {
    let mut taken = Taken::read(body)?;
    let mut out = Map::new();
    out.insert("messages".to_owned(), messages::translate(&mut taken)?);
    if let Some(tools) = tools(&mut taken)? {
        out.insert("tools".to_owned(), tools);
    }
    if let Some(format) = format(&mut taken)? {
        out.insert("format".to_owned(), format);
    }
    if let Some(think) = think(&mut taken)? {
        out.insert("think".to_owned(), think);
    }
    for name in ["logprobs", "top_logprobs"] {
        if let Some(value) = taken.take(name) {
            out.insert(name.to_owned(), value);
        }
    }
    if taken.take("modalities").is_some_and(|modalities| modalities != json!(["text"])) {
        return Err(cannot("modalities", "Ollama answers with text only"));
    }
    // A text format and a parallel call are what Ollama does anyway.
    if taken.take("parallel_tool_calls") == Some(Value::Bool(false)) {
        taken.lose("parallel_tool_calls");
    }
    out.insert("options".to_owned(), taken.options()?);
    finish_stream(taken, model, out)
}

/// A legacy completion request.
///
/// # Errors
/// What cannot be read, and what Ollama cannot do.
pub(super) fn generate(body: &[u8], model: &str) -> Result<Translated, Error> {
    let mut taken = Taken::read(body)?;
    let prompt = match taken.take("prompt") {
        Some(Value::String(prompt)) => prompt,
        Some(Value::Array(mut list)) if list.len() == 1 => match list.pop() {
            Some(Value::String(prompt)) => prompt,
            _ => return Err(cannot("prompt", "Ollama takes the prompt as text, not as tokens")),
        },
        Some(Value::Array(_)) => return Err(cannot("prompt", "Ollama takes one prompt, as text")),
        _ => return Err(wrong("prompt", "prompt is missing")),
    };
    if taken.flag("echo") {
        return Err(cannot("echo", "Ollama does not repeat the prompt"));
    }
    let mut out = Map::new();
    out.insert("prompt".to_owned(), json!(prompt));
    if let Some(suffix) = taken.take("suffix") {
        out.insert("suffix".to_owned(), suffix);
    }
    out.insert("options".to_owned(), taken.options()?);
    finish_stream(taken, model, out)
}

/// An embeddings request.
///
/// # Errors
/// What cannot be read, and what Ollama cannot do.
pub(super) fn embed(body: &[u8], model: &str) -> Result<Translated, Error> {
    let mut taken = Taken::read(body)?;
    let input = taken.take("input").ok_or_else(|| wrong("input", "input is missing"))?;
    let is_text = match &input {
        Value::String(_) => true,
        Value::Array(list) => list.iter().all(Value::is_string) && !list.is_empty(),
        _ => false,
    };
    if !is_text {
        return Err(cannot("input", "Ollama takes a text or a list of texts, not tokens"));
    }
    let mut out = Map::new();
    out.insert("input".to_owned(), input);
    for name in ["dimensions", "options"] {
        if let Some(value) = taken.take(name) {
            out.insert(name.to_owned(), value);
        }
    }
    taken.end(model, out)
}

/// Ollama streams unless told otherwise, so `stream` is always said.
fn finish_stream(taken: Taken, model: &str, out: Map<String, Value>) -> Result<Translated, Error> {
    let mut translated = taken.end(model, out)?;
    if let Value::Object(body) = &mut translated.body {
        body.insert("stream".to_owned(), json!(translated.stream));
    }
    Ok(translated)
}

/// The tools, without those that `tool_choice` rules out. Ollama has no `tool_choice`: that a tool
/// *must* be called cannot be carried.
fn tools(taken: &mut Taken) -> Result<Option<Value>, Error> {
    let choice = taken.take("tool_choice");
    let Some(tools) = taken.take("tools") else { return Ok(None) };
    let Value::Array(mut tools) = tools else { return Err(wrong("tools", "tools is not a list")) };
    if let Some(other) = tools.iter().find(|tool| tool.get("type").and_then(Value::as_str) != Some("function")) {
        let kind = other.get("type").cloned().unwrap_or_default();
        return Err(cannot("tools", format!("Ollama knows tools of type function, not {kind}")));
    }
    let choice = choice.unwrap_or_default();
    match (choice.as_str(), choice.pointer("/function/name").and_then(Value::as_str)) {
        (Some("none"), _) => return Ok(None),
        (Some("auto"), _) | (None, None) if !choice.is_object() => {}
        (_, Some(name)) => {
            tools.retain(|tool| tool.pointer("/function/name").and_then(Value::as_str) == Some(name));
            taken.lose("tool_choice");
        }
        _ => taken.lose("tool_choice"),
    }
    Ok(Some(Value::Array(tools)))
}

fn format(taken: &mut Taken) -> Result<Option<Value>, Error> {
    let Some(format) = taken.take("response_format") else { return Ok(None) };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(json!("json"))),
        Some("json_schema") => format
            .pointer("/json_schema/schema")
            .cloned()
            .map(Some)
            .ok_or_else(|| wrong("response_format", "response_format.json_schema.schema is missing")),
        _ => Err(wrong("response_format", format!("{format} is none of text, json_object and json_schema"))),
    }
}

/// OpenAI's efforts on Ollama's scale. A caller may also send Ollama's own `think`.
fn think(taken: &mut Taken) -> Result<Option<Value>, Error> {
    let own = taken.take("think");
    let Some(effort) = taken.take("reasoning_effort") else { return Ok(own) };
    let level = match effort.as_str() {
        Some("none") => json!(false),
        Some("minimal" | "low") => json!("low"),
        Some("medium") => json!("medium"),
        Some("high" | "xhigh" | "max") => json!("high"),
        _ => return Err(wrong("reasoning_effort", format!("{effort} is no effort that is known"))),
    };
    Ok(own.or(Some(level)))
}
