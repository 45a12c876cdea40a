//! Refusals, faults, timers and what is given back.

use super::*;

fn short(first_byte: u64, idle: u64, total: u64) -> Timeouts {
    let ms = Duration::from_millis;
    Timeouts { connect: ms(1000), first_byte: ms(first_byte), idle: ms(idle), total: ms(total) }
}

fn streamed(prompt: &str) -> Value {
    with(ask(prompt), &json!({ "stream": true }))
}

fn told(error: &Error) -> Value {
    serde_json::from_slice(&error.provider_reply().unwrap().body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_bad_request_is_the_callers_fault_and_named() {
    let provider = provider(|model| model.context_tokens = 50);
    let cases = [
        (json!({}), "messages", "invalid_value"),
        (with(ask("x"), &json!({ "n": 0 })), "n", "invalid_value"),
        (with(ask("x"), &json!({ "max_tokens": -1 })), "max_tokens", "invalid_value"),
        (with(ask("x"), &json!({ "top_logprobs": 2 })), "top_logprobs", "invalid_value"),
        (with(ask("x"), &json!({ "functions": [] })), "functions", "unsupported_parameter"),
        (with(ask("x"), &json!({ "modalities": ["audio"] })), "modalities", "unsupported_parameter"),
        (with(ask("x"), &json!({ "response_format": { "type": "xml" } })), "response_format", "invalid_value"),
        (json!({ "messages": [ { "role": "robot", "content": "x" } ] }), "messages.0.role", "invalid_value"),
        (ask(&"word ".repeat(60)), "messages", "context_length_exceeded"),
        (with(ask("x"), &json!({ "max_tokens": 60 })), "messages", "context_length_exceeded"),
    ];
    for (body, param, code) in cases {
        let error = send(&provider, Operation::Chat, &body).await.unwrap_err();
        assert_eq!((error.kind(), error.side()), (ErrorKind::ProviderRejected, Side::Caller), "{body}");
        assert_eq!((error.retry(), error.param()), (Retry::Never, Some(param)), "{body}");
        let told = told(&error);
        assert_eq!((&told["error"]["code"], &told["error"]["param"]), (&json!(code), &json!(param)));
        assert_eq!(told["error"]["message"], error.public());
    }
    let exchange = exchange(Operation::Chat, "/chat/completions");
    let payload = Payload::Rope(Rope::from(Bytes::from_static(b"{ not json")));
    let attempt = Try {
        exchange: &exchange,
        model: "m",
        payload,
        continuity: Continuity::None,
        ceiling: None,
        timeouts: Timeouts::default(),
    };
    assert_eq!(provider.call(attempt).await.unwrap_err().provider_reply().unwrap().status, 400);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_model_is_told_with_those_that_exist() {
    let provider = provider(|_| {});
    let exchange = exchange(Operation::Chat, "/chat/completions");
    let payload = Payload::Rope(Rope::from(Bytes::from(ask("x").to_string())));
    let attempt = Try {
        exchange: &exchange,
        model: "gpt",
        payload,
        continuity: Continuity::None,
        ceiling: None,
        timeouts: Timeouts::default(),
    };
    let error = provider.call(attempt).await.unwrap_err();
    assert_eq!(error.provider_reply().unwrap().status, 404);
    assert_eq!(told(&error)["error"]["code"], "model_not_found");
    assert!(error.public().contains("`gpt`") && error.public().ends_with("simulates m"));
}

#[tokio::test(start_paused = true)]
async fn the_rate_limit_answers_429_and_says_when_to_come_back() {
    let provider = provider(|model| model.rate_limit = Some(SimulatedRateLimit { requests_per_second: 0.4, burst: 1 }));
    let answer = send(&provider, Operation::Chat, &streamed("x")).await.unwrap();
    assert_eq!(answer.headers["x-ratelimit-remaining-requests"], "0");
    let fact = atp_core::RateFact { limit: Some(24), remaining: Some(0), reset: Some(Duration::from_millis(2500)) };
    assert_eq!(answer.limits.requests, fact);
    let error = send(&provider, Operation::Chat, &ask("x")).await.unwrap_err();
    assert_eq!((error.kind(), error.side()), (ErrorKind::ProviderOverloaded, Side::Provider));
    assert_eq!(error.retry(), Retry::After(Duration::from_millis(2500)));
    let reply = error.provider_reply().unwrap();
    assert_eq!((reply.status.as_u16(), reply.limits.requests), (429, fact));
    assert_eq!(
        (&reply.headers["retry-after"], &reply.headers["retry-after-ms"]),
        (&"3".parse().unwrap(), &"2500".parse().unwrap())
    );
    assert_eq!(told(&error)["error"]["code"], "rate_limit_exceeded");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    send(&provider, Operation::Chat, &ask("x")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_come_at_their_rate() {
    let provider = provider(|model| model.error_rate = 0.3);
    let mut failed = 0;
    for _ in 0..1000 {
        if let Err(error) = send(&provider, Operation::Embeddings, &json!({ "input": "x" })).await {
            assert_eq!((error.kind(), error.retry()), (ErrorKind::ProviderFailed, Retry::Elsewhere));
            failed += 1;
        }
    }
    assert!((260..340).contains(&failed), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_answer_runs_into_the_timers() {
    let provider = provider(|model| model.stall_rate = 1.0);
    let whole = send_within(&provider, Operation::Chat, &ask("x"), short(3000, 500, 9000)).await;
    assert_eq!(whole.unwrap_err().kind(), ErrorKind::TimeoutFirstByte);
    let mut answer = send_within(&provider, Operation::Chat, &streamed("x"), short(3000, 500, 9000)).await.unwrap();
    let (text, error) = drain(&mut answer).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::TimeoutIdle, Retry::Elsewhere));
    assert!(!answer.body.report().complete && !text.contains("[DONE]"));
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_is_an_error_and_never_complete() {
    let provider = provider(|model| model.cut_rate = 1.0);
    assert_eq!(send(&provider, Operation::Chat, &ask("x")).await.unwrap_err().kind(), ErrorKind::ProviderCut);
    let mut answer = send(&provider, Operation::Chat, &streamed("x")).await.unwrap();
    let (text, error) = drain(&mut answer).await;
    assert_eq!(error.unwrap().kind(), ErrorKind::ProviderCut);
    let report = answer.body.report();
    assert!(!report.complete && !text.contains("[DONE]"));
    let told = events(&text).len() as u64 - 1;
    assert_eq!(report.usage.unwrap().output, told, "what was given until the cut is accounted");
    assert!(next(&mut answer.body).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_error_inside_a_stream_is_told_and_reported() {
    let provider = provider(|model| model.stream_error_rate = 1.0);
    let mut answer = send(&provider, Operation::Chat, &streamed("x")).await.unwrap();
    let (text, error) = drain(&mut answer).await;
    assert!(error.is_none());
    assert_eq!(events(&text).last().unwrap()["error"]["type"], "server_error");
    let report = answer.body.report();
    assert_eq!(report.failure.as_ref().unwrap().kind(), ErrorKind::ProviderFailed);
    assert!(!report.complete);
}

#[tokio::test(start_paused = true)]
async fn every_timer_has_its_own_error() {
    let provider = provider(|model| model.capacity = Some(1));
    let kind = async |timeouts: Timeouts| {
        let mut answer = send_within(&provider, Operation::Chat, &streamed("x"), timeouts).await.unwrap();
        drain(&mut answer).await.1.map(|error| error.kind())
    };
    assert_eq!(kind(short(99, 1000, 1000)).await, Some(ErrorKind::TimeoutFirstByte));
    assert_eq!(kind(short(1000, 9, 1000)).await, Some(ErrorKind::TimeoutIdle));
    assert_eq!(kind(short(1000, 1000, 300)).await, Some(ErrorKind::TimeoutTotal));
    assert_eq!(kind(short(1000, 1000, 99)).await, Some(ErrorKind::TimeoutTotal));
    assert_eq!(kind(short(1000, 1000, 1000)).await, None);
    // Waiting for a seat counts as waiting for the first byte.
    let held = send(&provider, Operation::Chat, &streamed("x")).await.unwrap();
    let error = send_within(&provider, Operation::Chat, &streamed("x"), short(50, 1000, 1000)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimeoutFirstByte);
    drop(held);
    assert_eq!(load(&provider), (0, 0));
}

fn load(provider: &Simulated) -> (u32, u32) {
    provider.models["m"].gate.load()
}

#[tokio::test(start_paused = true)]
async fn seats_are_given_back_by_every_end() {
    let provider = provider(|model| (model.capacity, model.queue_len) = (Some(1), 1));
    // Whole, and streamed to the end.
    send(&provider, Operation::Chat, &ask("x")).await.unwrap();
    assert_eq!(load(&provider), (0, 0));
    let mut answer = send(&provider, Operation::Chat, &streamed("x")).await.unwrap();
    assert_eq!(load(&provider), (1, 0));
    assert!(drain(&mut answer).await.1.is_none());
    assert_eq!(load(&provider), (0, 0), "given back at the end, not only at the drop");
    // Dropped in mid-stream, with one waiting and one turned away.
    let mut held = send(&provider, Operation::Chat, &streamed("x")).await.unwrap();
    next(&mut held.body).await.unwrap().unwrap();
    {
        let body = streamed("x");
        let second = send(&provider, Operation::Chat, &body);
        tokio::pin!(second);
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut second).await.is_err());
        let error = send(&provider, Operation::Chat, &ask("x")).await.unwrap_err();
        assert_eq!(error.provider_reply().unwrap().status, 429);
        drop(held);
        drop(second.await.unwrap());
    }
    assert_eq!(load(&provider), (0, 0));
    // Dropped while the whole answer is made, and while waiting for a seat.
    let whole = tokio::time::timeout(Duration::from_millis(150), send(&provider, Operation::Chat, &ask("x"))).await;
    assert!(whole.is_err());
    let held = send(&provider, Operation::Chat, &streamed("x")).await.unwrap();
    let queued = tokio::time::timeout(Duration::from_millis(1), send(&provider, Operation::Chat, &ask("x"))).await;
    assert!(queued.is_err());
    assert_eq!(load(&provider), (1, 0));
    drop(held);
    assert_eq!(load(&provider), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_everything_and_no_timer_runs_against_him() {
    let provider = provider(|_| {});
    let mut answer = send_within(&provider, Operation::Chat, &streamed("x"), short(1000, 50, 600_000)).await.unwrap();
    let first = next(&mut answer.body).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (rest, error) = drain(&mut answer).await;
    assert!(error.is_none());
    assert_eq!(events(&rest).len() + events(std::str::from_utf8(&first).unwrap()).len(), 1 + 40 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_declines_says_so_and_broken_json_is_none() {
    let content = |answer: &Value| answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    let json = with(ask("rivers"), &json!({ "response_format": { "type": "json_object" } }));
    let decliner = provider(|model| model.refusal_rate = 1.0);
    for body in [ask("rivers"), json.clone()] {
        let told = content(&chat(&decliner, &body).await);
        assert!(told.starts_with("I'm sorry, but I can't help") && told.contains("simulated"), "{told}");
    }
    let breaker = provider(|model| model.bad_json_rate = 1.0);
    let told = content(&chat(&breaker, &json).await);
    assert!(told.starts_with('{') && serde_json::from_str::<Value>(&told).is_err(), "{told}");
    let prose = content(&chat(&breaker, &ask("rivers")).await);
    assert!(prose.starts_with("[m] This is a simulated answer"), "{prose}");
}
