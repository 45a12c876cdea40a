//! Answers: shapes, pace, determinism.

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_chat_is_answered_when_its_last_token_is_due() {
    let provider = provider(|_| {});
    let start = Instant::now();
    let answer = send(&provider, Operation::Chat, &ask("How do rivers shape valleys?")).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(100 + 39 * 10));
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-atp-simulated"], "true");
    assert!(answer.body.report().complete);
    let usage = answer.body.report().usage.unwrap();
    let body = read(answer).await;
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("[m] This is a simulated answer about rivers, shape and valleys."), "{text}");
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "m");
    assert_eq!(body["created"], 1_700_000_000);
    assert_eq!(body["system_fingerprint"], "simulated");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["completion_tokens"], tokens::count(text));
    assert_eq!((body["usage"]["prompt_tokens"].as_u64(), usage.output), (Some(usage.input), 40));
    // "How do rivers shape valleys?": 7 tokens by the rule, 4 for the message, 3 for the opening.
    assert_eq!(usage.input, 7 + 4 + 3);
}

#[tokio::test(start_paused = true)]
async fn the_same_request_has_the_same_text_and_another_seed_another() {
    let provider = provider(|_| {});
    let text = async |body: &Value| chat(&provider, body).await["choices"].clone();
    let (first, again) = (text(&ask("rivers and valleys")).await, text(&ask("rivers and valleys")).await);
    assert_eq!(first, again);
    let seeded = with(ask("rivers and valleys"), &json!({ "seed": 3 }));
    assert_ne!(text(&seeded).await, first);
    assert_eq!(text(&seeded).await, text(&seeded).await);
    let two = text(&with(ask("rivers and valleys"), &json!({ "n": 2 }))).await;
    assert_eq!(two[0]["message"], first[0]["message"]);
    assert_ne!(two[1]["message"], two[0]["message"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_follows_the_rules_of_chunks() {
    let provider = provider(|_| {});
    let start = Instant::now();
    let mut answer = send(&provider, Operation::Chat, &with(ask("rivers"), &json!({ "stream": true }))).await.unwrap();
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let first = next(&mut answer.body).await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(100));
    assert!(answer.body.report().content && !answer.body.report().complete);
    let second = next(&mut answer.body).await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(110));
    let (rest, error) = drain(&mut answer).await;
    assert!(error.is_none());
    assert_eq!(start.elapsed(), Duration::from_millis(490));
    let text = [std::str::from_utf8(&first).unwrap(), std::str::from_utf8(&second).unwrap(), &rest].concat();
    assert!(text.ends_with("data: [DONE]\n\n"));
    let events = events(&text);
    assert_eq!(events[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk" && event["id"] == events[0]["id"]));
    assert!(events.iter().all(|event| event.get("usage").is_none()), "no usage unless asked for");
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last["choices"][0]["delta"], json!({}));
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert!(before.iter().all(|event| event["choices"][0]["finish_reason"].is_null()));
    let streamed: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    let whole = chat(&provider, &ask("rivers")).await;
    assert_eq!(whole["choices"][0]["message"]["content"], streamed);
    let report = answer.body.report();
    assert_eq!(
        (report.complete, report.finish, report.usage.unwrap().output),
        (true, Some(atp_core::Finish::Stop), 40)
    );
}

#[tokio::test(start_paused = true)]
async fn usage_is_a_chunk_of_its_own_and_null_elsewhere() {
    let provider = provider(|_| {});
    let body = json!({ "stream": true, "n": 3, "stream_options": { "include_usage": true } });
    let mut answer = send(&provider, Operation::Chat, &with(ask("rivers"), &body)).await.unwrap();
    let (text, _) = drain(&mut answer).await;
    let events = events(&text);
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 120);
    assert_eq!(last["usage"]["total_tokens"], 120 + last["usage"]["prompt_tokens"].as_u64().unwrap());
    assert!(before.iter().all(|event| event.get("usage") == Some(&Value::Null)));
    for index in 0..3 {
        let own: Vec<&Value> =
            before.iter().map(|event| &event["choices"][0]).filter(|choice| choice["index"] == index).collect();
        assert_eq!(own.first().unwrap()["delta"]["role"], "assistant");
        assert_eq!(own.iter().filter(|choice| !choice["finish_reason"].is_null()).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_and_stops_are_honoured() {
    let provider = provider(|_| {});
    for name in ["max_tokens", "max_completion_tokens"] {
        let body = chat(&provider, &with(ask("rivers"), &json!({ name: 5 }))).await;
        assert_eq!(body["choices"][0]["finish_reason"], "length");
        assert_eq!(body["usage"]["completion_tokens"], 5);
    }
    let body = chat(&provider, &with(ask("rivers"), &json!({ "stop": "simulated" }))).await;
    assert_eq!(body["choices"][0]["message"]["content"], "[m] This is a ");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let nothing = with(ask("rivers"), &json!({ "stop": ["["], "stream": true }));
    let mut answer = send(&provider, Operation::Chat, &nothing).await.unwrap();
    let (text, _) = drain(&mut answer).await;
    assert_eq!(events(&text).len(), 2, "a role and a finish: {text}");
}

#[tokio::test(start_paused = true)]
async fn json_is_given_in_the_asked_shape() {
    let provider = provider(|_| {});
    let text = async |format: Value| {
        let body = chat(&provider, &with(ask("A table for Ada"), &json!({ "response_format": format }))).await;
        serde_json::from_str::<Value>(body["choices"][0]["message"]["content"].as_str().unwrap()).unwrap()
    };
    assert_eq!(text(json!({ "type": "json_object" })).await["simulated"], true);
    let schema = json!({ "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "guest", "strict": true, "schema": schema } });
    assert_eq!(text(format).await, json!({ "name": "Ada" }));
}

#[tokio::test(start_paused = true)]
async fn parallel_tool_calls_arrive_in_fragments_by_index() {
    let provider = provider(|_| {});
    let tool = |name: &str| {
        let parameters =
            json!({ "type": "object", "required": ["city"], "properties": { "city": { "type": "string" } } });
        json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
    };
    let body =
        with(ask("The weather and the time in Paris?"), &json!({ "tools": [tool("get_weather"), tool("get_time")] }));
    let whole = chat(&provider, &body).await;
    let message = &whole["choices"][0]["message"];
    assert!(message["content"].is_null());
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    let mut answer = send(&provider, Operation::Chat, &with(body, &json!({ "stream": true }))).await.unwrap();
    let (text, _) = drain(&mut answer).await;
    let fragments: Vec<Value> = events(&text)
        .iter()
        .filter_map(|event| event["choices"][0]["delta"].get("tool_calls").map(|calls| calls[0].clone()))
        .collect();
    for index in 0..2 {
        let own: Vec<&Value> = fragments.iter().filter(|call| call["index"] == index).collect();
        assert_eq!(own[0]["id"], message["tool_calls"][index]["id"]);
        assert_eq!(own[0]["function"]["name"], message["tool_calls"][index]["function"]["name"]);
        assert!(own[1..].iter().all(|call| call.get("id").is_none() && call["function"].get("name").is_none()));
        let arguments: String = own.iter().map(|call| call["function"]["arguments"].as_str().unwrap()).collect();
        assert_eq!(arguments, r#"{"city":"Paris"}"#);
        assert_eq!(message["tool_calls"][index]["function"]["arguments"], arguments);
    }
    assert_eq!(answer.body.report().finish, Some(atp_core::Finish::ToolCalls));
}

#[tokio::test(start_paused = true)]
async fn probabilities_come_for_every_token() {
    let provider = provider(|_| {});
    let asked = with(ask("rivers"), &json!({ "logprobs": true, "top_logprobs": 3, "max_tokens": 6 }));
    let body = chat(&provider, &asked).await;
    let content = body["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(content.len(), 6);
    assert!(content.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 3));
    let mut answer = send(&provider, Operation::Chat, &with(asked, &json!({ "stream": true }))).await.unwrap();
    let (text, _) = drain(&mut answer).await;
    let streamed: Vec<Value> = events(&text)
        .iter()
        .filter_map(|event| event["choices"][0]["logprobs"]["content"].as_array().map(|list| list[0].clone()))
        .collect();
    assert_eq!(&streamed, content);
}

#[tokio::test(start_paused = true)]
async fn legacy_completions_have_their_own_shape() {
    let provider = provider(|_| {});
    let body = json!({ "model": "m", "prompt": ["rivers", "hills"], "n": 2, "max_tokens": 12, "logprobs": 1 });
    let whole = read(send(&provider, Operation::Completions, &body).await.unwrap()).await;
    assert_eq!(whole["object"], "text_completion");
    let choices = whole["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    assert!(choices[3]["text"].as_str().unwrap().contains("hills"), "{whole}");
    assert_eq!(choices[0]["logprobs"]["tokens"].as_array().unwrap().len(), 12);
    let mut answer =
        send(&provider, Operation::Completions, &with(body, &json!({ "stream": true, "n": 1 }))).await.unwrap();
    let (text, _) = drain(&mut answer).await;
    assert!(text.ends_with("data: [DONE]\n\n"));
    let events = events(&text);
    let of = |index: usize| -> String {
        let own = events.iter().map(|event| &event["choices"][0]).filter(|choice| choice["index"] == index);
        own.map(|choice| choice["text"].as_str().unwrap()).collect()
    };
    assert_eq!(of(1), choices[2]["text"].as_str().unwrap());
}

#[tokio::test(start_paused = true)]
async fn raw_calls_reach_the_same_endpoints() {
    let provider = provider(|_| {});
    let mut list = exchange(Operation::Raw, "/models");
    list.method = http::Method::GET;
    let send = async |exchange: &Exchange, body: String| {
        let payload = Payload::Rope(Rope::from(Bytes::from(body)));
        provider
            .call(Try {
                exchange,
                model: "sim",
                payload,
                continuity: Continuity::None,
                ceiling: None,
                timeouts: Timeouts::default(),
            })
            .await
    };
    assert_eq!(read(send(&list, String::new()).await.unwrap()).await["data"][0]["id"], "m");
    let raw = exchange(Operation::Raw, "/embeddings");
    let body = json!({ "model": "m", "input": "rivers" }).to_string();
    assert_eq!(read(send(&raw, body).await.unwrap()).await["model"], "m");
    let error = send(&exchange(Operation::Raw, "/files"), String::new()).await.unwrap_err();
    assert_eq!(error.provider_reply().unwrap().status, 404);
}
