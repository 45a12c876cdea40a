//! What the router's own endpoints are asked.

mod hints;
#[cfg(test)]
mod tests;
mod told;

use std::sync::Arc;
use std::time::Duration;

use atp_core::{Error, ErrorKind, Hints, MicroUsd, Qos, Quality};
use serde_json::Value;

use super::value::{Object, missing, wrong};

pub use hints::{Hint, is_hint};
pub use told::{Told, feedback, observation};

/// The longest prompt, in characters.
pub const PROMPT_LONGEST: usize = 100_000;
/// The ceiling of an ask that names none, for models whose price is known.
pub const USUAL_COST: MicroUsd = MicroUsd(50_000);
/// The latency of an ask that names none.
pub const USUAL_LATENCY: Duration = Duration::from_millis(2_000);
/// The model of an ask that names none.
pub const USUAL_MODEL: &str = "auto";

/// The longest name of a session, a conversation or a turn, in characters.
const NAME_LONGEST: usize = 100;
/// The longest name of a tenant, or of a kind of work.
const LABEL_LONGEST: usize = 50;
/// The most references to a context, and the longest of them.
const REFERENCES: (usize, usize) = (50, 200);
/// The longest name of a model.
const MODEL_LONGEST: usize = 256;
/// The most output tokens that can be asked for: more than any model gives.
const TOKENS_MOST: u64 = 10_000_000;

/// What an entrance to memory promises; the router has no memory yet and takes every level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// What was written is seen some time later.
    #[default]
    Eventual,
    /// Who has written sees it.
    ReadYourWrites,
    /// Everybody sees it.
    Strong,
}

impl Consistency {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "EVENTUAL" => Some(Self::Eventual),
            "READ_YOUR_WRITES" | "RYW" => Some(Self::ReadYourWrites),
            "STRONG" => Some(Self::Strong),
            _ => None,
        }
    }
}

/// `POST /v1/ask`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ask {
    /// What is asked.
    pub prompt: String,
    /// Instructions that come before it.
    pub system: Option<String>,
    /// The model or route; [`USUAL_MODEL`] where none is named.
    pub model: Option<String>,
    /// The most output tokens.
    pub max_tokens: Option<u64>,
    /// Whether the answer comes in pieces.
    pub stream: Option<bool>,
    /// How good the answer has to be.
    pub quality: Option<Quality>,
    /// The most that it may cost.
    pub max_cost: Option<MicroUsd>,
    /// How long it may take.
    pub latency_slo: Option<Duration>,
    /// The kind of work, in the caller's word.
    pub task: Option<String>,
    /// Whose turn it is: the session, else the conversation.
    pub session: Option<String>,
    /// Whom the caller takes himself for.
    pub tenant: Option<String>,
    /// What memory is to promise.
    pub consistency: Consistency,
    /// What was accepted and has no effect, in sentences for the caller.
    pub notes: Vec<String>,
}

/// What `/v1/plan` is asked: as an ask, or as a chat of OpenAI's dialect.
#[derive(Debug)]
pub enum Asked {
    /// An ask.
    Ask(Box<Ask>),
    /// A body with `messages`, as it came.
    Chat,
}

impl Asked {
    /// Reads the body of `/v1/plan`.
    ///
    /// # Errors
    ///
    /// As [`Ask::read`].
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let object = Object::read(body)?;
        if object.has("messages") {
            Ok(Self::Chat)
        } else {
            Ask::of(object, "/v1/plan").map(|ask| Self::Ask(Box::new(ask)))
        }
    }
}

impl Ask {
    /// Reads the body of `/v1/ask`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] where it is no JSON object, [`ErrorKind::PromptTooLarge`] for a prompt of more
    /// than [`PROMPT_LONGEST`] characters, [`ErrorKind::Validation`] for any other value that is not allowed.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        Self::of(Object::read(body)?, "/v1/ask")
    }

    fn of(mut object: Object, endpoint: &str) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let mut ask = Self {
            prompt: prompt(&mut object)?,
            system: object.text("system", 1..=PROMPT_LONGEST)?,
            model: object.text("model", 1..=MODEL_LONGEST)?,
            max_tokens: object.whole("max_tokens", 1..=TOKENS_MOST)?,
            stream: object.flag("stream")?,
            quality: object.named("quality", Quality::parse, "fast, balanced or high")?,
            max_cost: object.dollars("max_cost_usd", 0.001..=10.0)?,
            latency_slo: object.whole("latency_slo_ms", 100..=30_000)?.map(Duration::from_millis),
            task: object.text("task_type", 1..=LABEL_LONGEST)?,
            session: None,
            tenant: object.text("tenant", 1..=LABEL_LONGEST)?,
            consistency: Consistency::default(),
            notes: Vec::new(),
        };
        let session = object.text("session_id", 1..=NAME_LONGEST)?;
        let conversation = object.text("conversation_id", 1..=NAME_LONGEST)?;
        object.text("turn_id", 1..=NAME_LONGEST)?;
        ask.session = session.or(conversation);
        notes.extend(references(&mut object)?);
        ask.consistency = consistency(&mut object)?;
        if ask.consistency != Consistency::Eventual {
            notes.push("consistency_level has no effect: this router has no memory yet".to_owned());
        }
        notes.extend(object.unread(endpoint));
        Ok(Self { notes, ..ask })
    }

    /// What it says of which model is to answer: its own words, then those of the request's headers and of the key,
    /// then the defaults of the endpoint.
    #[must_use]
    pub fn hints(&self, others: &Hints) -> Hints {
        let own = Hints {
            quality: self.quality,
            max_cost: self.max_cost,
            usual_cost: None,
            latency_slo: self.latency_slo,
            task: self.task.as_deref().map(Arc::from),
            data_scope: None,
        };
        let usual = Hints {
            quality: Some(Quality::Balanced),
            usual_cost: Some(USUAL_COST),
            latency_slo: Some(USUAL_LATENCY),
            ..Hints::default()
        };
        own.or(others).or(&usual)
    }
}

/// The quality that a route's name ends in: `auto:high`.
#[must_use]
pub fn named_quality(model: &str) -> Option<Quality> {
    let (_, quality) = model.rsplit_once(':')?;
    Quality::ALL.into_iter().find(|each| each.label() == quality)
}

/// The class that a quality is worth, never above the key's own.
#[must_use]
pub fn qos(quality: Quality, most: Qos) -> Qos {
    let worth = match quality {
        Quality::Fast => Qos::Bronze,
        Quality::Balanced => Qos::Silver,
        Quality::High => Qos::Gold,
    };
    worth.min(most)
}

fn prompt(object: &mut Object) -> Result<String, Error> {
    match object.take("prompt") {
        None => Err(missing("prompt", &format!("a text of 1 to {PROMPT_LONGEST} characters"))),
        Some(Value::String(text)) if text.is_empty() => {
            Err(wrong("prompt", &Value::String(text), &format!("a text of 1 to {PROMPT_LONGEST} characters")))
        }
        Some(Value::String(text)) => match text.chars().count() {
            0..=PROMPT_LONGEST => Ok(text),
            chars => Err(too_large(chars as u64, PROMPT_LONGEST as u64, "shorten it")),
        },
        Some(other) => Err(wrong("prompt", &other, &format!("a text of 1 to {PROMPT_LONGEST} characters"))),
    }
}

/// A prompt that is longer than may be.
#[must_use]
pub fn too_large(chars: u64, most: u64, way_out: &str) -> Error {
    let text = format!("the prompt has {chars} characters, and at most {most} are taken; {way_out}");
    Error::caller(ErrorKind::PromptTooLarge, text).with_param("prompt")
}

/// References to a context are checked and not followed: there is no memory to find them in.
fn references(object: &mut Object) -> Result<Option<String>, Error> {
    let (most, longest) = REFERENCES;
    let takes = || format!("a list of at most {most} texts of 1 to {longest} characters");
    let Some(value) = object.take("context_refs") else { return Ok(None) };
    let Value::Array(list) = &value else { return Err(wrong("context_refs", &value, &takes())) };
    let fits = |entry: &Value| entry.as_str().is_some_and(|text| (1..=longest).contains(&text.chars().count()));
    match list.iter().find(|entry| !fits(entry)) {
        Some(entry) => Err(wrong("context_refs", entry, &takes())),
        None if list.len() > most => Err(wrong("context_refs", &value, &takes())),
        None if list.is_empty() => Ok(None),
        None => Ok(Some("context_refs are not read: this router has no memory yet".to_owned())),
    }
}

fn consistency(object: &mut Object) -> Result<Consistency, Error> {
    let takes = "EVENTUAL, READ_YOUR_WRITES (or RYW) or STRONG";
    Ok(object.named("consistency_level", Consistency::parse, takes)?.unwrap_or_default())
}
