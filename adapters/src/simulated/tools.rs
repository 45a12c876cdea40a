//! Which of the declared tools an answer calls, and with what.
//!
//! With `tool_choice` at `auto`, a tool is called where the user's last message names it: its whole
//! name (`get_weather`, `get weather`), or every telling word of its name (`weather`). Several named
//! tools are called in parallel unless the request forbids it. After a tool's result the answer is
//! text, unless the request still demands a call.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::request::{ChatRequest, Message, Tool};
use super::schema;
use super::words::Words;
use crate::dice::{Dice, hash};

/// One tool call of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON for a function, free text for a custom tool.
    pub(super) arguments: String,
    /// Whether the tool is a custom one.
    pub(super) custom: bool,
}

/// What `tool_choice` says.
enum Choice {
    /// No tool.
    None,
    /// Whatever the prompt asks for.
    Auto,
    /// At least one.
    Required,
    /// These, by `allowed_tools` or by name; whether one must be called.
    Only(Vec<String>, bool),
}

/// Words in tool names that say what is done, not with what.
const ACTIONS: &[&str] = &[
    "add", "and", "call", "create", "delete", "do", "fetch", "find", "for", "from", "get", "list", "lookup", "make",
    "new", "query", "read", "run", "search", "send", "set", "show", "the", "tool", "update", "use", "with", "write",
];

/// The tools that this request makes the model call; none where the answer is text.
pub(super) fn chosen<'a>(request: &'a ChatRequest, prompt: &str) -> Result<Vec<&'a Tool>, Refusal> {
    let tools = request.tools.as_deref().unwrap_or_default();
    if let Some(at) = tools.iter().position(|tool| tool.name().is_empty()) {
        let text = "the tool has neither function.name nor custom.name";
        return Err(Refusal::invalid(format!("tools.{at}"), text));
    }
    let choice = choice(request.tool_choice.as_ref())?;
    let answered = request.messages.last().is_some_and(Message::is_result);
    let (among, must): (Vec<&Tool>, bool) = match &choice {
        Choice::None => return Ok(Vec::new()),
        Choice::Auto => (tools.iter().collect(), false),
        Choice::Required => (tools.iter().collect(), true),
        Choice::Only(names, must) => {
            let known =
                |name: &String| tools.iter().find(|tool| tool.name() == name).ok_or_else(|| unknown(name, tools));
            (names.iter().map(known).collect::<Result<_, _>>()?, *must)
        }
    };
    if must && among.is_empty() {
        return Err(Refusal::invalid("tool_choice", "tool_choice demands a call, but tools declares none"));
    }
    if answered && !must {
        return Ok(Vec::new());
    }
    let asked = spoken(prompt);
    let mut called: Vec<&Tool> = among.iter().copied().filter(|tool| is_named(tool.name(), &asked)).collect();
    if called.is_empty() && must {
        called.extend(among.first());
    }
    if request.parallel_tool_calls == Some(false) {
        called.truncate(1);
    }
    Ok(called)
}

/// Calls a tool with arguments that are valid for its parameters.
pub(super) fn call(tool: &Tool, words: &Words, dice: &Dice, index: usize) -> Result<Call, Refusal> {
    let mut own = Dice::new(&[dice.clone().roll(), hash(tool.name().as_bytes()), index as u64]);
    let id = format!("call_{:016x}{:08x}", own.roll(), own.roll() >> 32);
    let (arguments, custom) = match &tool.function {
        None => (words.keys.join(" "), true),
        Some(function) => {
            let none = json!({ "type": "object" });
            let parameters = function.parameters.as_ref().filter(|schema| !schema.is_null()).unwrap_or(&none);
            let value = schema::instance(parameters, words, own).map_err(|problem| {
                let text = format!("the parameters of tool `{}` cannot be filled: {problem}", function.name);
                Refusal::unsupported("tools", text)
            })?;
            (value.to_string(), false)
        }
    };
    Ok(Call { id, name: tool.name().to_owned(), arguments, custom })
}

fn choice(value: Option<&Value>) -> Result<Choice, Refusal> {
    let wrong = |value: &Value| {
        let text =
            format!("tool_choice is {value}, which is none of none, auto, required, a named tool or allowed_tools");
        Refusal::invalid("tool_choice", text)
    };
    let value = match value {
        None | Some(Value::Null) => return Ok(Choice::Auto),
        Some(value) => value,
    };
    match value.as_str() {
        Some("auto") => return Ok(Choice::Auto),
        Some("none") => return Ok(Choice::None),
        Some("required") => return Ok(Choice::Required),
        _ => {}
    }
    let name_of = |tool: &Value| {
        ["/function/name", "/custom/name"].iter().find_map(|path| tool.pointer(path)?.as_str().map(str::to_owned))
    };
    match value.get("type").and_then(Value::as_str) {
        Some("function" | "custom") => Ok(Choice::Only(vec![name_of(value).ok_or_else(|| wrong(value))?], true)),
        Some("allowed_tools") => {
            let allowed = value.get("allowed_tools").unwrap_or(value);
            let must = allowed.get("mode").and_then(Value::as_str) == Some("required");
            let tools = allowed.get("tools").and_then(Value::as_array).ok_or_else(|| wrong(value))?;
            let names: Option<Vec<String>> = tools.iter().map(name_of).collect();
            Ok(Choice::Only(names.ok_or_else(|| wrong(value))?, must))
        }
        _ => Err(wrong(value)),
    }
}

fn unknown(name: &str, tools: &[Tool]) -> Refusal {
    let declared = tools.iter().map(Tool::name).collect::<Vec<_>>().join(", ");
    Refusal::invalid("tool_choice", format!("tool_choice names `{name}`, but tools declares only: {declared}"))
}

/// A text in lower-case words with single spaces, one before and one behind: ` get weather `.
fn spoken(text: &str) -> String {
    let mut out = String::from(" ");
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        out.push_str(&word.to_lowercase());
        out.push(' ');
    }
    out
}

/// Whether a spoken text names a tool. `getWeather` counts as `get weather`.
fn is_named(name: &str, asked: &str) -> bool {
    let mut parted = String::new();
    let mut after_small = false;
    for c in name.chars() {
        if after_small && c.is_uppercase() {
            parted.push(' ');
        }
        after_small = c.is_lowercase();
        parted.push(c);
    }
    let whole = spoken(&parted);
    let telling: Vec<&str> =
        whole.split_whitespace().filter(|word| word.len() > 2 && !ACTIONS.contains(word)).collect();
    let has = |word: &&str| asked.contains(&format!(" {word} "));
    !whole.trim().is_empty()
        && (asked.contains(&whole) || asked.contains(&spoken(name)) || (!telling.is_empty() && telling.iter().all(has)))
}

#[cfg(test)]
mod tests;
