//! The messages of a chat: roles, parts, images, tool calls and their results.

use serde_json::{Map, Value, json};

use super::request::{Taken, cannot, wrong};
use atp_core::Error;

/// Takes `messages` out of a request and turns them into Ollama's.
pub(super) fn translate(taken: &mut Taken) -> Result<Value, Error> {
    let Some(Value::Array(messages)) = taken.take("messages") else {
        return Err(wrong("messages", "messages is missing or not a list"));
    };
    let mut names = Vec::new();
    let mut out = Vec::with_capacity(messages.len());
    for message in messages {
        let Value::Object(message) = message else { return Err(wrong("messages", "a message is not an object")) };
        out.push(one(message, &mut names, taken)?);
    }
    Ok(Value::Array(out))
}

/// `names` holds which call had which tool's name, for the results that follow.
fn one(mut message: Map<String, Value>, names: &mut Vec<(String, String)>, taken: &mut Taken) -> Result<Value, Error> {
    let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let role = match text(message.remove("role")).as_deref() {
        Some("developer" | "system") => "system",
        Some("user") => "user",
        Some("assistant") => "assistant",
        Some("tool" | "function") => "tool",
        other => {
            let found = other.map_or_else(|| "missing".to_owned(), |role| format!("{role:?}"));
            let text = format!("a role is {found}, expected system, developer, user, assistant, tool or function");
            return Err(wrong("messages", text));
        }
    };
    let mut out = Map::new();
    out.insert("role".to_owned(), json!(role));
    let (content, images) = content(message.remove("content"))?;
    out.insert("content".to_owned(), json!(content));
    if !images.is_empty() {
        out.insert("images".to_owned(), Value::Array(images));
    }
    if let Some(thinking) = message.remove("reasoning_content").or_else(|| message.remove("reasoning")) {
        out.insert("thinking".to_owned(), thinking);
    }
    if let Some(Value::Array(calls)) = message.remove("tool_calls") {
        out.insert(
            "tool_calls".to_owned(),
            Value::Array(calls.iter().map(|one| call(one, names)).collect::<Result<_, _>>()?),
        );
    }
    if role == "tool" {
        let id = text(message.remove("tool_call_id"));
        let called = id.as_ref().and_then(|id| names.iter().rev().find(|(known, _)| known == id));
        let name = text(message.remove("name")).or_else(|| called.map(|(_, name)| name.clone()));
        out.extend(name.map(|name| ("tool_name".to_owned(), json!(name))));
        out.extend(id.map(|id| ("tool_call_id".to_owned(), json!(id))));
    }
    for (name, value) in message {
        if !value.is_null() {
            taken.lose(&format!("messages.{name}"));
        }
    }
    Ok(Value::Object(out))
}

/// The text of a content, its parts put together line by line, and the images beside it.
fn content(content: Option<Value>) -> Result<(String, Vec<Value>), Error> {
    let parts = match content {
        None | Some(Value::Null) => return Ok((String::new(), Vec::new())),
        Some(Value::String(text)) => return Ok((text, Vec::new())),
        Some(Value::Array(parts)) => parts,
        Some(other) => return Err(wrong("messages", format!("content {other} is neither text nor a list of parts"))),
    };
    let mut texts = Vec::new();
    let mut images = Vec::new();
    for part in parts {
        let text = |name: &str| part.get(name).and_then(Value::as_str).map(str::to_owned);
        match part.get("type").and_then(Value::as_str) {
            Some("text") => texts.push(text("text").unwrap_or_default()),
            Some("refusal") => texts.push(text("refusal").unwrap_or_default()),
            Some("image_url") => images.push(image(&part)?),
            other => {
                let kind = other.unwrap_or("without a type");
                return Err(cannot("messages", format!("Ollama takes text and images, not a part of type {kind}")));
            }
        }
    }
    Ok((texts.join("\n"), images))
}

/// The base64 of an image. Ollama fetches nothing, so an address cannot be carried.
fn image(part: &Value) -> Result<Value, Error> {
    let url = part.pointer("/image_url/url").or_else(|| part.get("image_url")).and_then(Value::as_str);
    let data = url.and_then(|url| url.strip_prefix("data:")).and_then(|url| url.split_once(";base64,"));
    match data {
        Some((_, data)) => Ok(json!(data)),
        None => Err(cannot("messages", "Ollama takes images as data:image/...;base64,... and fetches no address")),
    }
}

/// A tool call: Ollama has its arguments as an object.
fn call(call: &Value, names: &mut Vec<(String, String)>) -> Result<Value, Error> {
    let text = |path: &str| call.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let Some(name) = text("/function/name") else {
        return Err(cannot("messages", "Ollama knows calls of functions only"));
    };
    let arguments = text("/function/arguments").unwrap_or_default();
    let arguments: Value = match arguments.trim() {
        "" => json!({}),
        some => serde_json::from_str(some)
            .map_err(|error| wrong("messages", format!("the arguments of tool call {name} are no JSON: {error}")))?,
    };
    let mut out = json!({ "function": { "name": name, "arguments": arguments } });
    if let (Some(id), Value::Object(out)) = (text("/id"), &mut out) {
        out.insert("id".to_owned(), json!(id));
        names.push((id, name));
    }
    Ok(out)
}
