//! The model list: `GET /v1/models` and `GET /v1/models/{id}`.

use atp_core::port::ModelCard;
use bytes::Bytes;
use serde::Serialize;

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

fn model(card: &ModelCard) -> Model<'_> {
    Model { id: &card.id, object: "model", created: card.created, owned_by: &card.owner }
}

/// The body of the list.
#[must_use]
pub fn list(cards: &[ModelCard]) -> Bytes {
    bytes(&List { object: "list", data: cards.iter().map(model).collect() })
}

/// The body of one model.
#[must_use]
pub fn one(card: &ModelCard) -> Bytes {
    bytes(&model(card))
}

fn bytes(value: &impl Serialize) -> Bytes {
    // Strings and numbers with fixed keys: nothing in it can fail to serialise.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(id: &str) -> ModelCard {
        ModelCard { id: id.into(), owner: "up".into(), created: 1_700_000_000 }
    }

    #[test]
    fn a_model_has_openais_shape() {
        let text = r#"{"id":"groq/llama \"x\"","object":"model","created":1700000000,"owned_by":"up"}"#;
        assert_eq!(one(&card("groq/llama \"x\"")), text);
    }

    #[test]
    fn the_list_keeps_the_order() {
        let list: serde_json::Value = serde_json::from_slice(&list(&[card("b"), card("a")])).unwrap();
        assert_eq!(list["object"], "list");
        assert_eq!((&list["data"][0]["id"], &list["data"][1]["id"]), (&"b".into(), &"a".into()));
    }
}
