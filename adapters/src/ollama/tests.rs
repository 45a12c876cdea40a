//! Ollama's adapter: the translations against golden files, the wire against a hand-played server.

use atp_core::{Finish, Retry, Side};
use serde_json::{Value, json};

use super::*;

mod translation;
mod wire;

fn golden(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn head(shape: Shape) -> Head {
    Head {
        shape,
        id: "01".to_owned(),
        created: 1_700_000_000,
        model: "llama3.2".to_owned(),
        fingerprint: reply::FINGERPRINT.into(),
    }
}

/// The JSON of a stream's events, without the end's mark.
fn events(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(golden).collect()
}
