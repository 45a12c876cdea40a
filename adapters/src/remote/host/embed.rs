//! Vectors of texts, by the provider's endpoint for embeddings.

use atp_core::port::Try;
use atp_core::{Continuity, Error, ErrorKind, Payload, Rope, Timeouts};
use atp_proto::adapter::v1::{EmbedRequest, EmbedResponse, Embedding, RequestHead};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tonic::Status;

use super::super::values;
use super::service::status;
use super::{Host, exchange};

/// What of a provider's reply is of interest.
#[derive(Deserialize)]
struct Reply {
    data: Vec<Row>,
    #[serde(default)]
    model: String,
}

#[derive(Deserialize)]
struct Row {
    index: usize,
    embedding: Vec<f32>,
}

/// Answers one call.
///
/// # Errors
/// Whatever the provider says, as a status.
pub(super) async fn embed(host: &Host, request: EmbedRequest) -> Result<EmbedResponse, Status> {
    let mut call = host.health.begin()?;
    match ask(host, request).await {
        Ok(reply) => {
            call.served();
            Ok(reply)
        }
        Err(error) => {
            call.failed(&error);
            Err(status(&error))
        }
    }
}

async fn ask(host: &Host, request: EmbedRequest) -> Result<EmbedResponse, Error> {
    let EmbedRequest { model, input, dimensions, request_id } = request;
    let mut body = json!({ "model": model, "input": input, "encoding_format": "float" });
    if let (Some(dimensions), Some(object)) = (dimensions, body.as_object_mut()) {
        object.insert("dimensions".to_owned(), json!(dimensions));
    }
    let rope = Rope::from(Bytes::from(body.to_string()));
    let head = RequestHead {
        request_id,
        operation: atp_proto::adapter::v1::Operation::Embeddings as i32,
        path: "/embeddings".to_owned(),
        model: model.clone(),
        ..RequestHead::default()
    };
    let mut exchange = exchange::of_head(head, &rope)?;
    exchange.headers = exchange::json();
    let attempt = Try {
        exchange: &exchange,
        model: &model,
        payload: Payload::Rope(rope),
        continuity: Continuity::None,
        ceiling: None,
        timeouts: Timeouts::default(),
    };
    let mut answer = host.provider.call(attempt).await?;
    let garbled = |why: String| Error::provider(ErrorKind::ProviderGarbled, why);
    let usage = answer.body.report().usage.map(values::usage);
    let bytes = answer
        .body
        .as_mut()
        .take_full()
        .ok_or_else(|| garbled("the provider's vectors are too many to be taken in one piece".to_owned()))?;
    let mut reply: Reply = serde_json::from_slice(&bytes)
        .map_err(|error| garbled(format!("the provider's vectors cannot be read: {error}")))?;
    reply.data.sort_by_key(|row| row.index);
    let embeddings = reply.data.into_iter().map(|row| Embedding { values: row.embedding }).collect();
    Ok(EmbedResponse { embeddings, usage, model: reply.model })
}
