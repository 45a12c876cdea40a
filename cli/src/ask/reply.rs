//! What has been learned of an answer: its text, and what the headers and events tell beside it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::router::{ErrorObject, of_event};

/// What the router says that an answer costs, in dollars: a header, or a trailer behind a stream.
const COST: &str = "x-atp-cost-usd";

/// An answer, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) text: String,
    /// The model that answered, by the provider's name for it; else the one that was asked for.
    pub(super) model: String,
    /// The name that was asked for, where the router chose the model behind it.
    pub(super) asked: Option<String>,
    /// The router's name of the model that it chose.
    pub(super) chosen: Option<String>,
    /// The id of that choice.
    pub(super) plan: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) attempts: Option<u64>,
    pub(super) usage: Option<Usage>,
    /// Dollars, where the router or the provider tells them.
    pub(super) cost: Option<f64>,
    pub(super) finish: Option<String>,
    /// From the request to the first words, reasoning included; unknown for an answer in one piece.
    pub(super) first_token: Option<Duration>,
    /// From the request to the end.
    pub(super) total: Duration,
}

/// Tokens, as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Usage {
    #[serde(rename = "prompt_tokens", default)]
    pub(super) input: u64,
    #[serde(rename = "completion_tokens", default)]
    pub(super) output: u64,
    /// Dollars; some providers (OpenRouter) tell them here.
    #[serde(default)]
    cost: Option<f64>,
}

/// What one event brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A part of the answer.
    Text(String),
    /// A part of what the model thinks before it answers.
    Thought,
    /// Nothing to show.
    Other,
    /// The stream's proper end.
    Done,
}

/// A chunk of a stream, or a whole answer: they differ in the name of one field.
#[derive(Deserialize)]
struct Completion {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "message")]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<Value>,
    refusal: Option<String>,
    #[serde(alias = "reasoning_content")]
    reasoning: Option<Value>,
}

impl Reply {
    /// Reads what the headers tell.
    pub(super) fn new<'a>(asked: &str, header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let owned = |name: &str| header(name).map(str::to_owned);
        Self {
            model: owned("x-atp-model").unwrap_or_else(|| asked.to_owned()),
            asked: header("x-atp-chosen-model").map(|_| asked.to_owned()),
            chosen: owned("x-atp-chosen-model"),
            plan: owned("x-atp-plan"),
            provider: owned("x-atp-provider"),
            request_id: owned("x-request-id"),
            attempts: header("x-atp-attempts").and_then(|text| text.parse().ok()),
            cost: header(COST).and_then(|text| text.parse().ok()),
            ..Self::default()
        }
    }

    /// Reads what is told behind the answer. The router's price counts, also beside the provider's.
    pub(super) fn take_trailers(&mut self, trailer: impl FnOnce(&str) -> Option<String>) {
        self.cost = trailer(COST).and_then(|text| text.parse().ok()).or(self.cost);
    }

    /// Reads the data of one event that arrived `elapsed` after the request.
    pub(super) fn take_event(&mut self, data: &str, elapsed: Duration) -> Result<Event, Failure> {
        if data.trim() == "[DONE]" {
            return Ok(Event::Done);
        }
        let chunk: Completion = serde_json::from_str(data)
            .map_err(|error| Failure::new(format!("the stream holds an event that is no chunk of a chat: {error}")))?;
        let event = self.take(chunk)?;
        if event != Event::Other && self.first_token.is_none() {
            self.first_token = Some(elapsed);
        }
        Ok(event)
    }

    /// Reads an answer in one piece and returns its text.
    pub(super) fn take_whole(&mut self, body: &Value) -> Result<String, Failure> {
        let whole = Completion::deserialize(body)
            .map_err(|error| Failure::new(format!("the answer is no chat completion: {error}")))?;
        if whole.choices.is_none() && whole.error.is_none() {
            return Err(Failure::new("the answer is no chat completion: it has no `choices`"));
        }
        Ok(match self.take(whole)? {
            Event::Text(text) => text,
            Event::Thought | Event::Other | Event::Done => String::new(),
        })
    }

    fn take(&mut self, completion: Completion) -> Result<Event, Failure> {
        if let Some(error) = completion.error {
            return Err(of_event(&error));
        }
        if let Some(usage) = completion.usage {
            self.cost = self.cost.or(usage.cost);
            self.usage = Some(usage);
        }
        let Some(choice) = completion.choices.and_then(|choices| choices.into_iter().next()) else {
            return Ok(Event::Other);
        };
        self.finish = choice.finish_reason.or(self.finish.take());
        let delta = choice.delta.unwrap_or_default();
        let mut text = delta.content.as_ref().map(plain).unwrap_or_default();
        text.push_str(delta.refusal.as_deref().unwrap_or_default());
        self.text.push_str(&text);
        let thought = delta.reasoning.is_some_and(|reasoning| !plain(&reasoning).is_empty());
        Ok(match (text.is_empty(), thought) {
            (false, _) => Event::Text(text),
            (true, true) => Event::Thought,
            (true, false) => Event::Other,
        })
    }

    /// For programs; what is not known is null.
    pub(super) fn json(&self) -> Value {
        let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        json!({
            "answer": self.text,
            "model": self.model,
            "chosen_model": self.chosen,
            "plan": self.plan,
            "provider": self.provider,
            "finish_reason": self.finish,
            "input_tokens": self.usage.map(|usage| usage.input),
            "output_tokens": self.usage.map(|usage| usage.output),
            "cost_usd": self.cost,
            "time_to_first_token_ms": self.first_token.map(millis),
            "total_ms": millis(self.total),
            "attempts": self.attempts,
            "request_id": self.request_id,
        })
    }
}

/// The text of a content, which is text itself or a list of parts.
fn plain(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
