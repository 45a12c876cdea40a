//! Chunks as servers send them.

use super::*;

const AT: Duration = Duration::from_millis(40);

fn take(reply: &mut Reply, data: &str) -> Event {
    reply.take_event(data, AT).expect("a chunk")
}

#[test]
fn a_stream_is_gathered() {
    let headers = |name: &str| match name {
        "x-atp-provider" => Some("up"),
        "x-atp-attempts" => Some("2"),
        _ => None,
    };
    let mut reply = Reply::new("m", headers);
    assert_eq!(
        take(&mut reply, r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#),
        Event::Other
    );
    assert_eq!(reply.first_token, None, "a role is no token");
    assert_eq!(take(&mut reply, r#"{"choices":[{"delta":{"content":"Hel"}}]}"#), Event::Text("Hel".to_owned()));
    reply.take_event(r#"{"choices":[{"delta":{"content":"lo"}}]}"#, AT * 2).expect("a chunk");
    assert_eq!(take(&mut reply, r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#), Event::Other);
    assert_eq!(
        take(&mut reply, r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#),
        Event::Other
    );
    assert_eq!(take(&mut reply, "[DONE]"), Event::Done);
    assert_eq!((reply.text.as_str(), reply.finish.as_deref(), reply.first_token), ("Hello", Some("stop"), Some(AT)));
    assert_eq!(reply.usage.map(|usage| (usage.input, usage.output)), Some((7, 2)));
    assert_eq!(
        (reply.model.as_str(), reply.provider.as_deref(), reply.attempts, reply.cost),
        ("m", Some("up"), Some(2), None)
    );
}

#[test]
fn thoughts_are_the_first_token_and_no_answer() {
    let mut reply = Reply::default();
    assert_eq!(take(&mut reply, r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#), Event::Thought);
    assert_eq!(take(&mut reply, r#"{"choices":[{"delta":{"content":null,"reasoning":""}}]}"#), Event::Other);
    assert_eq!((reply.text.as_str(), reply.first_token), ("", Some(AT)));
}

#[test]
fn parts_and_refusals_are_text() {
    let mut reply = Reply::default();
    take(&mut reply, r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"image"}]}}]}"#);
    take(&mut reply, r#"{"choices":[{"delta":{"refusal":"no"}}]}"#);
    assert_eq!(reply.text, "ano");
}

#[test]
fn an_error_event_ends_with_its_message() {
    let failure =
        Reply::default().take_event(r#"{"error":{"message":"boom","code":"provider_cut"}}"#, AT).expect_err("an error");
    assert_eq!((failure.message.as_str(), failure.code.as_deref()), ("boom", Some("provider_cut")));
    assert!(Reply::default().take_event("{", AT).is_err());
}

#[test]
fn a_whole_answer_is_read() {
    let mut reply = Reply::new("m", |name| (name == "x-atp-cost-usd").then_some("0.000012"));
    let body = json!({"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "length"}],
                      "usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 9.0}});
    assert_eq!(reply.take_whole(&body).as_deref(), Ok("hi"));
    assert_eq!((reply.cost, reply.finish.as_deref()), (Some(0.000_012), Some("length")), "the router's price counts");
    assert!(Reply::default().take_whole(&json!({"object": "list"})).is_err());
}

#[test]
fn the_routers_price_behind_a_stream_counts_more_than_the_providers() {
    let mut reply = Reply::default();
    take(&mut reply, r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"cost":9.0}}"#);
    for (told, cost) in [(None, 9.0), (Some("no number"), 9.0), (Some("0.000012"), 0.000_012)] {
        reply.take_trailers(|name| told.filter(|_| name == "x-atp-cost-usd").map(str::to_owned));
        assert_eq!(reply.cost, Some(cost), "{told:?}");
    }
}

#[test]
fn json_says_null_for_what_is_not_known() {
    let reply = Reply { text: "a".to_owned(), total: Duration::from_micros(1500), ..Reply::default() };
    let value = reply.json();
    assert_eq!((&value["answer"], &value["cost_usd"], &value["total_ms"]), (&json!("a"), &Value::Null, &json!(1.5)));
}
