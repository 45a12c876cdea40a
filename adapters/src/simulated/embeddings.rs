//! Embeddings: unit vectors that are the same for the same text, and near for texts that share
//! words. Each word throws its own fixed vector; a text's vector is their sum, brought to length 1.
//! A shorter vector is the beginning of the longer one, brought to length 1 again.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::config::{MAX_DIMENSIONS, SimulatedModel};
use super::refusal::Refusal;
use super::request::{Input, Piece};
use crate::dice::{Dice, hash};

/// The most inputs of one request, as at OpenAI.
const MOST_INPUTS: usize = 2048;

/// `POST /embeddings`.
#[derive(Debug, Deserialize)]
pub(super) struct EmbeddingsRequest {
    pub(super) model: Option<String>,
    input: Option<Input>,
    encoding_format: Option<String>,
    dimensions: Option<i64>,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Item>,
    model: &'a str,
    usage: EmbeddingsUsage,
}

#[derive(Serialize)]
struct Item {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

/// A vector in one of the two encodings.
#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    /// Numbers.
    Float(Vec<f32>),
    /// Little-endian 32-bit floats in base64.
    Base64(String),
}

#[derive(Serialize)]
struct EmbeddingsUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

impl EmbeddingsRequest {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|error| Refusal::unreadable("embeddings", error))
    }

    /// Answers; the number is what the inputs cost in tokens.
    pub(super) fn answer(&self, name: &str, model: &SimulatedModel) -> Result<(Vec<u8>, u64), Refusal> {
        let pieces = self.input.as_ref().map(Input::pieces).unwrap_or_default();
        if pieces.is_empty() || pieces.len() > MOST_INPUTS {
            let text = format!("input has {} texts, not between 1 and {MOST_INPUTS}", pieces.len());
            return Err(Refusal::invalid("input", text));
        }
        if let Some(at) = pieces.iter().position(|piece| piece.tokens() == 0) {
            return Err(Refusal::invalid(format!("input.{at}"), "the text is empty; leave it out"));
        }
        if let Some(long) = pieces.iter().map(Piece::tokens).find(|tokens| *tokens > model.context_tokens) {
            return Err(Refusal::context(model.context_tokens, long, 0));
        }
        let dimensions = self.dimensions(model)?;
        let binary = match self.encoding_format.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(other) => {
                let text = format!("encoding_format is `{other}`, neither float nor base64");
                return Err(Refusal::invalid("encoding_format", text));
            }
        };
        let seed = hash(name.as_bytes());
        let encode = |vector: Vec<f32>| if binary { Vector::Base64(base64(&vector)) } else { Vector::Float(vector) };
        let item = |(index, piece): (usize, &Piece<'_>)| Item {
            object: "embedding",
            index,
            embedding: encode(embed(piece, dimensions, seed)),
        };
        let tokens = pieces.iter().map(Piece::tokens).sum();
        let usage = EmbeddingsUsage { prompt_tokens: tokens, total_tokens: tokens };
        let list = List { object: "list", data: pieces.iter().enumerate().map(item).collect(), model: name, usage };
        Ok((serde_json::to_vec(&list).unwrap_or_default(), tokens))
    }

    fn dimensions(&self, model: &SimulatedModel) -> Result<usize, Refusal> {
        let found = self.dimensions.unwrap_or(i64::from(model.embedding_dimensions));
        match usize::try_from(found) {
            Ok(count) if (1..=MAX_DIMENSIONS as usize).contains(&count) => Ok(count),
            _ => {
                let text = format!("dimensions is {found}, not between 1 and {MAX_DIMENSIONS}");
                Err(Refusal::invalid("dimensions", text))
            }
        }
    }
}

/// The vector of one input.
fn embed(piece: &Piece<'_>, dimensions: usize, seed: u64) -> Vec<f32> {
    let mut sum = vec![0.0f64; dimensions];
    let mut throw = |part: u64| {
        let mut dice = Dice::new(&[seed, part]);
        for slot in &mut sum {
            *slot += dice.unit() - 0.5;
        }
    };
    match piece {
        Piece::Tokens(ids) => ids.iter().for_each(|id| throw(*id)),
        Piece::Text(text) => {
            let mut any = false;
            let mut lower = String::new();
            for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                lower.clear();
                // Writing to a string does not fail.
                let _ = write!(lower, "{}", word.to_lowercase());
                throw(hash(lower.as_bytes()));
                any = true;
            }
            if !any {
                throw(hash(text.as_bytes()));
            }
        }
    }
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    sum.into_iter().map(|value| (value / length) as f32).collect()
}

fn base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(request: &Value) -> Result<Value, Refusal> {
        let request = EmbeddingsRequest::read(request.to_string().as_bytes())?;
        let (body, _) = request.answer("m", &SimulatedModel::default())?;
        Ok(serde_json::from_slice(&body).unwrap())
    }

    fn vector(text: &str, dimensions: usize) -> Vec<f32> {
        embed(&Piece::Text(text), dimensions, 1)
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn vectors_have_length_one_and_share_what_the_texts_share() {
        let river = vector("The river shapes the valley", 256);
        assert!((cosine(&river, &river) - 1.0).abs() < 1e-5);
        let near = cosine(&river, &vector("the valley and the river", 256));
        let far = cosine(&river, &vector("quarterly tax report", 256));
        assert!(near > 0.5 && far.abs() < 0.35 && near > far, "{near} {far}");
        assert!((cosine(&vector("?!", 8), &vector("?!", 8)) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_shorter_vector_points_where_the_longer_begins() {
        let (long, short) = (vector("river valley", 64), vector("river valley", 16));
        let ratio = long[0] / short[0];
        assert!(short.iter().zip(&long).all(|(short, long)| (long / short - ratio).abs() < 1e-3));
    }

    #[test]
    fn both_encodings_hold_the_same_numbers() {
        let float = answer(&json!({ "input": ["river", "valley"], "dimensions": 3 })).unwrap();
        let base =
            answer(&json!({ "input": ["river", "valley"], "dimensions": 3, "encoding_format": "base64" })).unwrap();
        for index in 0..2 {
            assert_eq!(float["data"][index]["index"], index);
            let bytes = STANDARD.decode(base["data"][index]["embedding"].as_str().unwrap()).unwrap();
            let decoded: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
            let numbers: Vec<f32> = serde_json::from_value(float["data"][index]["embedding"].clone()).unwrap();
            assert_eq!(decoded, numbers);
            assert_eq!(numbers.len(), 3);
        }
        assert_eq!(float["usage"], json!({ "prompt_tokens": 2, "total_tokens": 2 }));
    }

    #[test]
    fn every_form_of_input_is_read() {
        let count = |input: Value| answer(&json!({ "input": input })).unwrap()["data"].as_array().unwrap().len();
        assert_eq!(count(json!("one text")), 1);
        assert_eq!(count(json!(["a", "b", "c"])), 3);
        assert_eq!(count(json!([1, 2, 3])), 1);
        assert_eq!(count(json!([[1, 2], [3]])), 2);
    }

    #[test]
    fn bad_requests_name_field_and_value() {
        let told = |request: Value| answer(&request).unwrap_err().message;
        assert!(told(json!({})).contains("input has 0 texts"));
        assert!(told(json!({ "input": ["a", ""] })).contains("the text is empty"));
        assert!(told(json!({ "input": "a", "dimensions": 0 })).contains("dimensions is 0"));
        assert!(told(json!({ "input": "a", "encoding_format": "hex" })).contains("`hex`"));
    }
}
