//! What a model in this process reads of a request. What would change the answer's shape and cannot be given is
//! refused by name; what only colours it is told as lost.

use serde::Deserialize;
use serde_json::Value;

use super::template::Message;
use crate::refusal::Refusal;

/// A request for a chat, or for a legacy completion.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Request {
    #[serde(default)]
    messages: Vec<Said>,
    prompt: Option<Value>,
    pub(super) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    pub(super) seed: Option<i64>,
    stop: Option<Stop>,
    n: Option<i64>,
    tools: Option<Vec<Value>>,
    functions: Option<Vec<Value>>,
    response_format: Option<Value>,
    logprobs: Option<Value>,
    echo: Option<bool>,
    frequency_penalty: Option<f64>,
    presence_penalty: Option<f64>,
    logit_bias: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Said {
    role: String,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// What cannot be read, and what cannot be done.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let request: Self = serde_json::from_slice(body)
            .map_err(|error| Refusal::unreadable("chat completion or completion", error))?;
        let is_json = |format: &Value| format.get("type").is_some_and(|kind| kind != "text");
        let asked = |list: &Option<Vec<Value>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let probable = request.logprobs.as_ref().is_some_and(|told| !matches!(told, Value::Null | Value::Bool(false)));
        let refused = [
            ("tools", asked(&request.tools)),
            ("functions", asked(&request.functions)),
            ("response_format", request.response_format.as_ref().is_some_and(is_json)),
            ("logprobs", probable),
            ("echo", request.echo == Some(true)),
            ("n", request.n.is_some_and(|n| n != 1)),
        ];
        if let Some((name, _)) = refused.into_iter().find(|(_, is_asked)| *is_asked) {
            return Err(Refusal::unsupported(name, format!("a model in the process does not do {name}; leave it out")));
        }
        for (name, value, most) in [("temperature", request.temperature, 2.0), ("top_p", request.top_p, 1.0)] {
            if let Some(value) = value.filter(|value| !(0.0..=most).contains(value)) {
                return Err(Refusal::invalid(name, format!("{name} is {value}, not between 0 and {most}")));
            }
        }
        Ok(request)
    }

    /// The conversation.
    ///
    /// # Errors
    /// None, or a part of it that is no text.
    pub(super) fn messages(&self) -> Result<Vec<Message>, Refusal> {
        if self.messages.is_empty() {
            return Err(Refusal::invalid("messages", "messages is empty; it needs at least one message"));
        }
        let text = |(at, said): (usize, &Said)| {
            let content = match &said.content {
                None => String::new(),
                Some(Content::Text(text)) => text.clone(),
                Some(Content::Parts(parts)) => {
                    let texts: Option<Vec<&str>> = parts.iter().map(|part| part.text.as_deref()).collect();
                    let param = format!("messages.{at}.content");
                    texts.ok_or_else(|| Refusal::invalid(param, "the model reads text only"))?.join("\n")
                }
            };
            // Templates know the older name.
            let role = if said.role == "developer" { "system" } else { said.role.as_str() };
            Ok(Message { role: role.to_owned(), content })
        };
        self.messages.iter().enumerate().map(text).collect()
    }

    /// The prompt of a legacy completion.
    ///
    /// # Errors
    /// None, several, or tokens.
    pub(super) fn prompt(&self) -> Result<&str, Refusal> {
        match &self.prompt {
            Some(Value::String(text)) => Ok(text),
            Some(Value::Array(list)) if list.len() == 1 && list.iter().all(Value::is_string) => {
                Ok(list.first().and_then(Value::as_str).unwrap_or_default())
            }
            _ => Err(Refusal::invalid("prompt", "prompt is to be one text")),
        }
    }

    /// The most tokens that are asked for.
    ///
    /// # Errors
    /// A number below 1.
    pub(super) fn limit(&self) -> Result<Option<u64>, Refusal> {
        let (name, asked) = match self.max_completion_tokens {
            Some(asked) => ("max_completion_tokens", Some(asked)),
            None => ("max_tokens", self.max_tokens),
        };
        match asked.map(u64::try_from) {
            None => Ok(None),
            Some(Ok(count @ 1..)) => Ok(Some(count)),
            Some(_) => Err(Refusal::invalid(name, format!("{name} is {}, below 1", asked.unwrap_or_default()))),
        }
    }

    /// 0, the likeliest token each time, unless the caller says another: small models wander.
    pub(super) fn temperature(&self) -> f64 {
        self.temperature.unwrap_or(0.0)
    }

    pub(super) fn top_p(&self) -> f64 {
        self.top_p.unwrap_or(1.0)
    }

    pub(super) fn stops(&self) -> Vec<String> {
        match &self.stop {
            None => Vec::new(),
            Some(Stop::One(stop)) => vec![stop.clone()],
            Some(Stop::Many(stops)) => stops.clone(),
        }
    }

    pub(super) fn is_stream(&self) -> bool {
        self.stream == Some(true)
    }

    pub(super) fn includes_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage) == Some(true)
    }

    /// What was asked for and has no effect.
    pub(super) fn losses(&self) -> Vec<&'static str> {
        let set = |value: Option<f64>| value.is_some_and(|value| value != 0.0);
        let biased = self.logit_bias.as_ref().and_then(Value::as_object).is_some_and(|bias| !bias.is_empty());
        let lost = [
            ("frequency_penalty", set(self.frequency_penalty)),
            ("presence_penalty", set(self.presence_penalty)),
            ("logit_bias", biased),
        ];
        lost.into_iter().filter(|(_, is_lost)| *is_lost).map(|(name, _)| name).collect()
    }
}
