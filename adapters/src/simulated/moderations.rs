//! Moderations: the shape without the judgement. A simulated model classifies nothing, flags
//! nothing and says so in every answer.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;

/// The categories of OpenAI's `omni-moderation` models.
const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// What every answer says about itself.
const NOTE: &str = "simulated: nothing was classified, so nothing is flagged";

/// `POST /moderations`.
#[derive(Debug, Deserialize)]
pub(super) struct ModerationsRequest {
    pub(super) model: Option<String>,
    input: Option<Value>,
}

impl ModerationsRequest {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|error| Refusal::unreadable("moderations", error))
    }

    /// Answers: one result for each text, one for a list of parts.
    pub(super) fn answer(&self, name: &str, id: &str) -> Result<Vec<u8>, Refusal> {
        let count = match &self.input {
            Some(Value::String(_)) => 1,
            Some(Value::Array(items)) if items.iter().all(Value::is_string) && !items.is_empty() => items.len(),
            Some(Value::Array(items)) if items.iter().all(Value::is_object) && !items.is_empty() => 1,
            _ => {
                let text = "input must be a text, a list of texts or a list of parts, and not empty";
                return Err(Refusal::invalid("input", text));
            }
        };
        let all = |value: Value| -> Map<String, Value> {
            CATEGORIES.iter().map(|category| ((*category).to_owned(), value.clone())).collect()
        };
        let result = json!({
            "flagged": false,
            "categories": all(json!(false)),
            "category_scores": all(json!(0.0)),
            "category_applied_input_types": all(json!([])),
        });
        let body = json!({ "id": format!("modr-{id}"), "model": name, "note": NOTE, "results": vec![result; count] });
        Ok(body.to_string().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &Value) -> Result<Value, Refusal> {
        let body = ModerationsRequest::read(body.to_string().as_bytes())?.answer("m", "1")?;
        Ok(serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn one_result_for_each_text_and_a_note_that_nothing_was_judged() {
        let told = answer(&json!({ "input": ["a", "b"] })).unwrap();
        assert_eq!(told["results"].as_array().unwrap().len(), 2);
        assert_eq!(told["results"][1]["categories"]["self-harm/intent"], false);
        assert_eq!(told["note"], NOTE);
        assert_eq!(answer(&json!({ "input": "a" })).unwrap()["results"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_input_that_is_no_text_is_refused() {
        assert_eq!(answer(&json!({ "input": [] })).unwrap_err().param.as_deref(), Some("input"));
        assert_eq!(answer(&json!({})).unwrap_err().param.as_deref(), Some("input"));
    }
}
