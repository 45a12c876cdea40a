//! From a chat or legacy completion request to the answer's content.

use atp_core::RequestId;
use serde_json::{Map, Value, json};

use super::config::SimulatedModel;
use super::generation::{Choice, Generation, Probabilities};
use super::refusal::Refusal;
use super::request::{ChatRequest, CompletionRequest, Input, Piece, at_least_one};
use super::slip::{self, Slip};
use super::text::{self, Brief};
use super::words::Words;
use super::{schema, tokens, tools};
use crate::dice::{Dice, hash};

/// OpenAI's default length of a legacy completion.
pub(super) const COMPLETION_TOKENS: u64 = 16;

/// A model and what its content depends on beside the request.
pub(super) struct Author<'a> {
    /// The provider's seed.
    pub(super) seed: u64,
    /// The model's name.
    pub(super) name: &'a str,
    /// The model.
    pub(super) model: &'a SimulatedModel,
    /// How this answer misses its task, where it does.
    pub(super) slip: Option<Slip>,
    /// Names the answer.
    pub(super) id: RequestId,
}

/// What the choices of one answer share.
struct Task<'a> {
    words: &'a Words,
    results: &'a [(String, String)],
    format: Format<'a>,
    stops: &'a [String],
    limit: u64,
}

/// What `response_format` asks for.
#[derive(Clone, Copy)]
enum Format<'a> {
    /// Prose.
    Text,
    /// Any JSON object.
    Object,
    /// What fits a schema.
    Schema(&'a Value),
}

impl Author<'_> {
    /// Answers a chat request.
    pub(super) fn chat(&self, request: &ChatRequest) -> Result<Generation, Refusal> {
        let count = request.common.n()?;
        let asked = at_least_one("max_completion_tokens", request.max_completion_tokens)?
            .or(at_least_one("max_tokens", request.common.max_tokens)?);
        let logprobs = chat_logprobs(request)?;
        let prompt = request.prompt();
        let prompt_tokens = request.prompt_tokens();
        let limit = self.room(prompt_tokens, asked)?;
        let words = Words::of(&prompt);
        let called = tools::chosen(request, &prompt)?;
        let results = request.results();
        let task = Task {
            words: &words,
            results: &results,
            format: format(request.response_format.as_ref())?,
            stops: request.common.stops(),
            limit,
        };
        let fingerprint = request.fingerprint();
        let mut choices = Vec::new();
        for index in 0..count {
            let mut dice = self.dice(fingerprint, request.common.seed, index);
            if called.is_empty() {
                choices.push(self.content(&task, &mut dice)?);
                continue;
            }
            let calls: Result<Vec<_>, _> =
                called.iter().enumerate().map(|(at, tool)| tools::call(tool, &words, &dice, at)).collect();
            choices.push(Choice::calls(calls?, limit));
        }
        Ok(self.generation("chatcmpl", choices, prompt_tokens, logprobs))
    }

    /// Answers a legacy completion request: `n` choices for each prompt, in the prompts' order.
    pub(super) fn completion(&self, request: &CompletionRequest) -> Result<Generation, Refusal> {
        let count = request.common.n()?;
        let asked = at_least_one("max_tokens", request.common.max_tokens)?.unwrap_or(COMPLETION_TOKENS);
        let logprobs = request.logprobs.map(|most| alternatives("logprobs", most, 5)).transpose()?;
        if request.echo == Some(true) {
            return Err(Refusal::unsupported(
                "echo",
                "echo is not simulated; put the prompt before the answer yourself",
            ));
        }
        let pieces = request.prompt.as_ref().map(Input::pieces).unwrap_or_default();
        if pieces.is_empty() {
            return Err(Refusal::invalid("prompt", "prompt is missing or empty; it needs at least one text"));
        }
        let mut choices = Vec::new();
        for piece in &pieces {
            let limit = self.room(piece.tokens(), Some(asked))?;
            let prompt = piece.text();
            let words = Words::of(&prompt);
            let task = Task { words: &words, results: &[], format: Format::Text, stops: request.common.stops(), limit };
            for index in 0..count {
                let mut dice = self.dice(hash(prompt.as_bytes()), request.common.seed, index);
                choices.push(self.content(&task, &mut dice)?);
            }
        }
        Ok(self.generation("cmpl", choices, pieces.iter().map(Piece::tokens).sum(), logprobs))
    }

    /// How many tokens the answer may have.
    fn room(&self, prompt: u64, asked: Option<u64>) -> Result<u64, Refusal> {
        let window = self.model.context_tokens;
        let least = asked.unwrap_or(1);
        if prompt.saturating_add(least) > window {
            return Err(Refusal::context(window, prompt, least));
        }
        Ok(asked.unwrap_or(window - prompt))
    }

    fn dice(&self, content: u64, request_seed: Option<i64>, choice: u64) -> Dice {
        let own = request_seed.map_or(0, |seed| hash(&seed.to_le_bytes()));
        Dice::new(&[self.seed, hash(self.name.as_bytes()), content, own, choice])
    }

    fn content(&self, task: &Task<'_>, dice: &mut Dice) -> Result<Choice, Refusal> {
        let text = match task.format {
            _ if self.slip == Some(Slip::Decline) => slip::DECLINED.to_owned(),
            Format::Text => {
                let length = self.model.output_tokens.draw(dice).round().max(1.0) as u64;
                let (model, quality, words, results) = (self.name, self.model.quality, task.words, task.results);
                // No longer than can be given, so that no time is spent on what is cut off.
                let length = length.min(task.limit.saturating_add(tokens::MESSAGE));
                text::write(&Brief { model, quality, words, results, length }, dice)
            }
            Format::Object => self.object(task).to_string(),
            Format::Schema(schema) => schema::instance(schema, task.words, dice.clone())
                .map_err(|problem| {
                    let text = format!("response_format.json_schema.schema cannot be filled: {problem}");
                    Refusal::unsupported("response_format", text)
                })?
                .to_string(),
        };
        let breaks = self.slip == Some(Slip::BreakJson) && !matches!(task.format, Format::Text);
        let text = if breaks { slip::broken(&text) } else { text };
        Ok(Choice::text(text, task.stops, task.limit))
    }

    /// A JSON object that says what it is and what it is about.
    fn object(&self, task: &Task<'_>) -> Value {
        let mut object = Map::new();
        object.insert("model".to_owned(), json!(self.name));
        object.insert("simulated".to_owned(), json!(true));
        object.insert("keywords".to_owned(), json!(task.words.keys));
        if !task.results.is_empty() {
            let results: Map<String, Value> =
                task.results.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
            object.insert("results".to_owned(), Value::Object(results));
        }
        Value::Object(object)
    }

    fn generation(
        &self,
        prefix: &str,
        choices: Vec<Choice>,
        prompt_tokens: u64,
        logprobs: Option<usize>,
    ) -> Generation {
        let hex = self.id.to_string();
        Generation {
            id: format!("{prefix}-{}", hex.trim_start_matches("req_")),
            created: self.id.unix_millis() / 1000,
            model: self.name.to_owned(),
            choices,
            prompt_tokens,
            logprobs: logprobs.map(|top| Probabilities { top, mean: self.model.confidence }),
        }
    }
}

fn chat_logprobs(request: &ChatRequest) -> Result<Option<usize>, Refusal> {
    match (request.logprobs, request.top_logprobs) {
        (Some(true), most) => alternatives("top_logprobs", most.unwrap_or(0), 20).map(Some),
        (_, None) => Ok(None),
        (_, Some(_)) => Err(Refusal::invalid("top_logprobs", "top_logprobs needs logprobs to be true")),
    }
}

fn alternatives(param: &'static str, found: i64, most: usize) -> Result<usize, Refusal> {
    match usize::try_from(found) {
        Ok(count) if count <= most => Ok(count),
        _ => Err(Refusal::invalid(param, format!("{param} is {found}, not between 0 and {most}"))),
    }
}

fn format(value: Option<&Value>) -> Result<Format<'_>, Refusal> {
    let value = match value {
        None | Some(Value::Null) => return Ok(Format::Text),
        Some(value) => value,
    };
    match value.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Object),
        Some("json_schema") => value
            .pointer("/json_schema/schema")
            .map(Format::Schema)
            .ok_or_else(|| Refusal::invalid("response_format", "response_format.json_schema.schema is missing")),
        _ => {
            let text = format!("response_format is {value}; its type must be text, json_object or json_schema");
            Err(Refusal::invalid("response_format", text))
        }
    }
}
