//! The requests that a simulated model reads. What it has no use for (sampling parameters,
//! metadata) is ignored, as real models ignore what they do not know; what would change the shape
//! of the answer and cannot be given is refused by name.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::chat::COMPLETION_TOKENS;
use super::refusal::Refusal;
use super::tokens;
use crate::dice::hash;

/// `POST /chat/completions`.
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) messages: Vec<Message>,
    #[serde(flatten)]
    pub(super) common: Common,
    pub(super) max_completion_tokens: Option<i64>,
    pub(super) logprobs: Option<bool>,
    pub(super) top_logprobs: Option<i64>,
    pub(super) tools: Option<Vec<Tool>>,
    pub(super) tool_choice: Option<Value>,
    pub(super) parallel_tool_calls: Option<bool>,
    pub(super) response_format: Option<Value>,
    pub(super) functions: Option<Value>,
    pub(super) modalities: Option<Vec<String>>,
}

/// `POST /completions`.
#[derive(Debug, Deserialize)]
pub(super) struct CompletionRequest {
    pub(super) model: Option<String>,
    pub(super) prompt: Option<Input>,
    #[serde(flatten)]
    pub(super) common: Common,
    pub(super) logprobs: Option<i64>,
    pub(super) echo: Option<bool>,
}

/// What both kinds of completion have.
#[derive(Debug, Deserialize)]
pub(super) struct Common {
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
    pub(super) max_tokens: Option<i64>,
    pub(super) n: Option<i64>,
    pub(super) stop: Option<Stop>,
    pub(super) seed: Option<i64>,
}

/// `stream_options`.
#[derive(Debug, Deserialize)]
pub(super) struct StreamOptions {
    pub(super) include_usage: Option<bool>,
}

/// `stop`: one text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Stop {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// One message of a conversation.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) content: Option<Content>,
    pub(super) name: Option<String>,
    pub(super) tool_calls: Option<Vec<PastCall>>,
    pub(super) tool_call_id: Option<String>,
}

/// A message's content: a text, or parts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    /// A text.
    Text(String),
    /// Texts, images, sounds and files.
    Parts(Vec<Part>),
}

/// One part of a content.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    /// The text, where the part is one.
    pub(super) text: Option<String>,
}

/// A tool call that an earlier answer made.
#[derive(Debug, Deserialize)]
pub(super) struct PastCall {
    pub(super) id: Option<String>,
    pub(super) function: Option<PastFunction>,
}

/// The function of an earlier call.
#[derive(Debug, Deserialize)]
pub(super) struct PastFunction {
    pub(super) name: String,
    #[serde(default)]
    pub(super) arguments: String,
}

/// A declared tool.
#[derive(Debug, Deserialize)]
pub(super) struct Tool {
    /// A function, called with JSON arguments.
    pub(super) function: Option<Function>,
    /// A custom tool, called with free text.
    pub(super) custom: Option<Custom>,
}

/// A declared function.
#[derive(Debug, Deserialize)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) parameters: Option<Value>,
}

/// A declared custom tool.
#[derive(Debug, Deserialize)]
pub(super) struct Custom {
    pub(super) name: String,
}

/// A text, several, a token list, or several: `prompt` and the `input` of embeddings.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Input {
    /// One text.
    Text(String),
    /// Token ids of one text. Before the texts, so that an empty list is an empty token list.
    Tokens(Vec<u64>),
    /// Several texts.
    Texts(Vec<String>),
    /// Token ids of several texts.
    TokenLists(Vec<Vec<u64>>),
}

/// One text or token list out of an [`Input`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece<'a> {
    /// A text.
    Text(&'a str),
    /// Token ids.
    Tokens(&'a [u64]),
}

impl Input {
    /// Its texts or token lists, in order.
    pub(super) fn pieces(&self) -> Vec<Piece<'_>> {
        match self {
            Self::Text(text) => vec![Piece::Text(text)],
            Self::Tokens(tokens) => vec![Piece::Tokens(tokens)],
            Self::Texts(texts) => texts.iter().map(|text| Piece::Text(text)).collect(),
            Self::TokenLists(lists) => lists.iter().map(|tokens| Piece::Tokens(tokens)).collect(),
        }
    }
}

impl Piece<'_> {
    /// How many tokens it has.
    pub(super) fn tokens(&self) -> u64 {
        match self {
            Self::Text(text) => tokens::count(text),
            Self::Tokens(tokens) => tokens.len() as u64,
        }
    }

    /// Its text; token ids are shown as `token17`, for a simulated model has no vocabulary.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Tokens(tokens) => tokens.iter().map(|id| format!("token{id}")).collect::<Vec<_>>().join(" ").into(),
        }
    }
}

impl Message {
    /// The texts of its content.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match &self.content {
            None => Cow::Borrowed(""),
            Some(Content::Text(text)) => Cow::Borrowed(text),
            Some(Content::Parts(parts)) => {
                parts.iter().filter_map(|part| part.text.as_deref()).collect::<Vec<_>>().join("\n").into()
            }
        }
    }

    /// Its price in tokens.
    fn tokens(&self) -> u64 {
        let parts = match &self.content {
            Some(Content::Parts(parts)) => parts.iter().filter(|part| part.text.is_none()).count() as u64,
            _ => 0,
        };
        let calls = self.tool_calls.iter().flatten().filter_map(|call| call.function.as_ref());
        let calls: u64 = calls.map(|call| tokens::count(&call.name) + tokens::count(&call.arguments)).sum();
        tokens::MESSAGE + tokens::count(&self.text()) + parts * tokens::MEDIA + calls
    }

    /// Whether it brings a tool's result.
    pub(super) fn is_result(&self) -> bool {
        matches!(self.role.as_str(), "tool" | "function")
    }
}

impl ChatRequest {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let request: Self =
            serde_json::from_slice(body).map_err(|error| Refusal::unreadable("chat completion", error))?;
        if request.messages.is_empty() {
            return Err(Refusal::invalid("messages", "messages is empty; it needs at least one message"));
        }
        const ROLES: [&str; 6] = ["developer", "system", "user", "assistant", "tool", "function"];
        if let Some((at, message)) =
            request.messages.iter().enumerate().find(|(_, message)| !ROLES.contains(&message.role.as_str()))
        {
            let text = format!("role `{}` is none of {}", message.role, ROLES.join(", "));
            return Err(Refusal::invalid(format!("messages.{at}.role"), text));
        }
        if request.functions.is_some() {
            let text = "functions is deprecated and not simulated; declare the functions in tools";
            return Err(Refusal::unsupported("functions", text));
        }
        if request.modalities.iter().flatten().any(|modality| modality != "text") {
            return Err(Refusal::unsupported("modalities", "simulated models answer with text only"));
        }
        Ok(request)
    }

    /// The text that the answer is about: the last thing that the user said.
    pub(super) fn prompt(&self) -> Cow<'_, str> {
        let user = self.messages.iter().rev().find(|message| message.role == "user");
        user.or_else(|| self.messages.last()).map(Message::text).unwrap_or_default()
    }

    /// The results of tools that came after the last answer, each with its tool's name.
    pub(super) fn results(&self) -> Vec<(String, String)> {
        let count = self.messages.iter().rev().take_while(|message| message.is_result()).count();
        let fresh = self.messages.len() - count;
        let calls: Vec<&PastCall> =
            self.messages.iter().flat_map(|message| message.tool_calls.iter().flatten()).collect();
        let name = |message: &Message| {
            let call = calls.iter().rev().find(|call| call.id.is_some() && call.id == message.tool_call_id);
            let function = call.and_then(|call| call.function.as_ref()).map(|function| function.name.clone());
            message.name.clone().or(function).unwrap_or_else(|| "it".to_owned())
        };
        self.messages.iter().skip(fresh).map(|message| (name(message), message.text().into_owned())).collect()
    }

    /// What the prompt costs in tokens, declared tools included.
    pub(super) fn prompt_tokens(&self) -> u64 {
        let tools: u64 = self.tools.iter().flatten().map(Tool::tokens).sum();
        self.messages.iter().map(Message::tokens).sum::<u64>() + tools + tokens::OPENING
    }

    /// A hash of the conversation, for dice that depend on it.
    pub(super) fn fingerprint(&self) -> u64 {
        self.messages.iter().fold(0, |seen: u64, message| {
            let id = message.tool_call_id.as_deref().unwrap_or_default();
            hash(format!("{seen:x}\0{}\0{}\0{id}", message.role, message.text()).as_bytes())
        })
    }
}

impl Tool {
    /// Its name; empty for a kind of tool that is not known.
    pub(super) fn name(&self) -> &str {
        let function = self.function.as_ref().map(|function| function.name.as_str());
        function.or(self.custom.as_ref().map(|custom| custom.name.as_str())).unwrap_or_default()
    }

    fn tokens(&self) -> u64 {
        let schema = self.function.as_ref().and_then(|function| function.parameters.as_ref());
        tokens::MESSAGE + tokens::count(self.name()) + schema.map_or(0, |schema| tokens::count(&schema.to_string()))
    }
}

impl CompletionRequest {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|error| Refusal::unreadable("completion", error))
    }
}

impl Common {
    /// How many answers are asked for.
    pub(super) fn n(&self) -> Result<u64, Refusal> {
        let n = self.n.unwrap_or(1);
        match u64::try_from(n) {
            Ok(n @ 1..=128) => Ok(n),
            _ => Err(Refusal::invalid("n", format!("n is {n}, not between 1 and 128"))),
        }
    }

    /// The texts that end an answer.
    pub(super) fn stops(&self) -> &[String] {
        match &self.stop {
            None => &[],
            Some(Stop::One(stop)) => std::slice::from_ref(stop),
            Some(Stop::Many(stops)) => stops,
        }
    }

    /// Whether a stream tells its usage.
    pub(super) fn include_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false)
    }

    /// Whether the answer is a stream.
    pub(super) fn stream(&self) -> bool {
        self.stream.unwrap_or(false)
    }
}

impl ChatRequest {
    /// Lowers the tokens that an answer may have to what is paid for. What is refused stays as it is.
    pub(super) fn bound(&mut self, most: u64) {
        let asked = match (self.max_completion_tokens, self.common.max_tokens) {
            (None, Some(_)) => &mut self.common.max_tokens,
            _ => &mut self.max_completion_tokens,
        };
        *asked = Some(asked.map_or(signed(most), |asked| asked.min(signed(most))));
    }
}

impl CompletionRequest {
    /// The same; without a number the answer has few tokens anyway.
    pub(super) fn bound(&mut self, most: u64) {
        let asked = self.common.max_tokens.unwrap_or(signed(COMPLETION_TOKENS));
        self.common.max_tokens = Some(asked.min(signed(most)));
    }
}

fn signed(most: u64) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// A count of tokens that must be at least one where it is given.
pub(super) fn at_least_one(name: &'static str, value: Option<i64>) -> Result<Option<u64>, Refusal> {
    match value.map(u64::try_from) {
        None => Ok(None),
        Some(Ok(count @ 1..)) => Ok(Some(count)),
        Some(_) => Err(Refusal::invalid(name, format!("{name} is {}, below 1", value.unwrap_or_default()))),
    }
}
