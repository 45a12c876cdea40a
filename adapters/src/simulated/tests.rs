//! The simulated provider as its callers see it, in paused time.

use std::time::Duration;

use atp_core::answer::BoxBody;
use atp_core::{Continuity, Exchange, Fields, RequestId, Restarts, Retry, Reuse, Rope, Side, Timeouts};
use serde_json::{Value, json};

use super::*;

mod faults;
mod surface;

/// A provider with one model `m`, 100 ms to the first token and then one every 10 ms.
fn provider(change: impl FnOnce(&mut SimulatedModel)) -> Simulated {
    let mut model = SimulatedModel {
        time_to_first_token_ms: Distribution::Constant(100.0),
        tokens_per_second: Distribution::Constant(100.0),
        output_tokens: Distribution::Constant(40.0),
        ..SimulatedModel::default()
    };
    change(&mut model);
    let models = [("m".to_owned(), model)].into_iter().collect();
    Simulated::new(Arc::from("sim"), SimulatedConfig { seed: 7, models }).unwrap()
}

fn exchange(operation: Operation, path: &str) -> Exchange {
    Exchange {
        id: RequestId::from_parts(1_700_000_000_000, 5),
        caller: Arc::new(atp_core::Caller::anonymous()),
        operation,
        model: Arc::from("m"),
        method: http::Method::POST,
        path: Arc::from(path),
        headers: HeaderMap::new(),
        payload: Payload::Rope(Rope::new()),
        fields: Fields::default(),
        stream: false,
        qos: atp_core::Qos::default(),
        session: None,
        reuse: Reuse::Allowed,
        restarts: Restarts::Refused,
        patience: None,
        hints: None,
        received: Instant::now().into_std(),
    }
}

async fn send(provider: &Simulated, operation: Operation, body: &Value) -> Result<Answer, Error> {
    send_within(provider, operation, body, Timeouts::default()).await
}

async fn send_within(
    provider: &Simulated,
    operation: Operation,
    body: &Value,
    timeouts: Timeouts,
) -> Result<Answer, Error> {
    let path = match operation {
        Operation::Completions => "/completions",
        Operation::Embeddings => "/embeddings",
        _ => "/chat/completions",
    };
    let exchange = exchange(operation, path);
    let payload = Payload::Rope(Rope::from(Bytes::from(body.to_string())));
    provider
        .call(Try { exchange: &exchange, model: "m", payload, continuity: Continuity::None, ceiling: None, timeouts })
        .await
}

async fn chat(provider: &Simulated, body: &Value) -> Value {
    read(send(provider, Operation::Chat, body).await.unwrap()).await
}

async fn read(mut answer: Answer) -> Value {
    serde_json::from_slice(&answer.body.as_mut().take_full().unwrap()).unwrap()
}

async fn next(body: &mut BoxBody) -> Option<Result<Bytes, Error>> {
    std::future::poll_fn(|cx| body.as_mut().poll_chunk(cx)).await
}

/// Everything that a stream gives, and how it ended.
async fn drain(answer: &mut Answer) -> (String, Option<Error>) {
    let mut text = String::new();
    loop {
        match next(&mut answer.body).await {
            None => return (text, None),
            Some(Err(error)) => return (text, Some(error)),
            Some(Ok(bytes)) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
        }
    }
}

/// The JSON of a stream's events, without the end's mark.
fn events(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn ask(prompt: &str) -> Value {
    json!({ "model": "m", "messages": [ { "role": "user", "content": prompt } ] })
}

fn with(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}
