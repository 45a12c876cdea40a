//! What is told about an answer afterwards: `/v1/feedback` and `/v1/observe`.

use std::time::Duration;

use atp_core::{Error, ErrorKind, Observation, RequestId};
use serde_json::Value;

use crate::native::value::{Object, missing, wrong};

/// The longest time that an answer can have taken in a caller's eyes: a day, in milliseconds.
const LATENCY_MOST: f64 = 86_400_000.0;
/// The longest name of a model.
const MODEL_LONGEST: usize = 256;

/// What is told, and what of it has no effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What is learnt from.
    pub observation: Observation,
    /// The model that the caller says has answered.
    pub model: Option<String>,
    /// Sentences for the caller about what was accepted and has no effect.
    pub notes: Vec<String>,
}

/// Reads the body of `POST /v1/feedback`.
///
/// # Errors
///
/// [`ErrorKind::InvalidRequest`] where it is no JSON object, [`ErrorKind::Validation`] for a value that is not allowed
/// and where it says nothing, or two things, of how good the answer was.
pub fn feedback(body: &[u8]) -> Result<Told, Error> {
    let mut object = Object::read(body)?;
    let id = id(&mut object, "request_id")?.ok_or_else(|| missing("request_id", ID))?;
    let score = object.number("score", 0.0..=1.0)?;
    let thumbs = object.named("thumbs", thumbs, "up or down")?;
    let better_than = self::id(&mut object, "better_than")?;
    if better_than == Some(id) {
        let text = "`better_than` is the `request_id` itself; it takes the id of another request";
        return Err(Error::caller(ErrorKind::Validation, text).with_param("better_than"));
    }
    let score = match (score, thumbs, better_than) {
        (Some(_), Some(_), _) => {
            let text = "`score` and `thumbs` both say how good the answer was; send one of them";
            return Err(Error::caller(ErrorKind::Validation, text).with_param("thumbs"));
        }
        (None, None, None) => return Err(missing("score", "a number from 0 to 1; or send `thumbs` or `better_than`")),
        (score, thumbs, _) => score.or(thumbs),
    };
    let notes = object.unread("/v1/feedback").into_iter().collect();
    Ok(Told { observation: Observation { id, score, better_than, latency: None, cost: None }, model: None, notes })
}

/// Reads the body of `POST /v1/observe`.
///
/// # Errors
///
/// [`ErrorKind::InvalidRequest`] where it is no JSON object, [`ErrorKind::Validation`] for a value that is missing or
/// not allowed.
pub fn observation(body: &[u8]) -> Result<Told, Error> {
    let mut object = Object::read(body)?;
    let id = id(&mut object, "request_id")?.ok_or_else(|| missing("request_id", ID))?;
    let model = object.text("model", 1..=MODEL_LONGEST)?;
    let model = model.ok_or_else(|| missing("model", "the name of the model that answered"))?;
    let latency = object.number("latency_ms", 0.0..=LATENCY_MOST)?;
    let latency = latency.ok_or_else(|| missing("latency_ms", "milliseconds from the request to the answer's end"))?;
    let observation = Observation {
        id,
        score: object.number("quality_score", 0.0..=1.0)?,
        better_than: None,
        latency: Some(Duration::from_secs_f64(latency / 1e3)),
        cost: object.dollars("cost_usd", 0.0..=1_000_000.0)?,
    };
    let mut notes = Vec::new();
    if let Some(tokens) = object.take("tokens") {
        let counts = tokens.as_u64().is_some()
            || tokens.as_object().is_some_and(|each| each.values().all(|count| count.as_u64().is_some()));
        if !counts {
            return Err(wrong("tokens", &tokens, "a whole number, or an object of them"));
        }
        notes.push("tokens are not learnt from: the router counts them itself".to_owned());
    }
    match object.take("metadata") {
        None => {}
        Some(Value::Object(_)) => notes.push("metadata is not kept".to_owned()),
        Some(other) => return Err(wrong("metadata", &other, "an object")),
    }
    notes.extend(object.unread("/v1/observe"));
    Ok(Told { observation, model: Some(model), notes })
}

const ID: &str = "the `x-request-id` of an answer: `req_` and 32 hexadecimal digits";

fn id(object: &mut Object, name: &'static str) -> Result<Option<RequestId>, Error> {
    object.named(name, RequestId::parse, ID)
}

fn thumbs(name: &str) -> Option<f64> {
    match name {
        "up" => Some(1.0),
        "down" => Some(0.0),
        _ => None,
    }
}
