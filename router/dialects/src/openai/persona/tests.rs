//! The prompt goes first, tools that are not allowed go out, calls of them do not come back.

use serde_json::{Value, json};

use super::*;

const PROMPT: &str = "You are \"careful\".\nAlways.";

fn allows(name: &str) -> bool {
    matches!(name, "search" | "lookup")
}

fn fit(body: &str) -> Result<String, Refusal> {
    let out = fitted(body.as_bytes(), PROMPT, &allows)?;
    Ok(String::from_utf8(out).unwrap())
}

fn fit_json(body: &str) -> Value {
    serde_json::from_str(&fit(body).unwrap()).unwrap()
}

#[test]
fn the_prompt_is_the_beginning_of_what_instructs() {
    let own = |content: Value| json!({ "role": "system", "content": content });
    let user = json!({ "role": "user", "content": "hi" });
    for (messages, first) in [
        (json!([user]), own(json!(PROMPT))),
        (json!([]), own(json!(PROMPT))),
        (json!([own(json!("Be brief.")), user]), own(json!(format!("{PROMPT}\n\nBe brief.")))),
        (json!([own(json!([])), user]), own(json!([{ "type": "text", "text": PROMPT }]))),
        (json!([own(Value::Null), user]), own(json!(PROMPT))),
        (json!([user, own(json!("Be brief."))]), own(json!(PROMPT))),
    ] {
        let out = fit_json(&json!({ "messages": messages, "x": 1 }).to_string());
        assert_eq!(out["messages"][0], first, "{messages}");
        assert_eq!(out["x"], 1);
    }
    let parts = json!({ "messages": [{ "role": "developer", "content": [{ "type": "text", "text": "Be brief." }] }] });
    let out = fit_json(&parts.to_string());
    assert_eq!(out["messages"][0]["content"][0]["text"], PROMPT);
    assert_eq!(out["messages"][0]["content"][1]["text"], "Be brief.");
}

#[test]
fn no_other_byte_changes() {
    let body = r#" { "messages" : [ {"role" :"system","content": "a\u0041" } , {} ],"y":1.0e0 , "tools":[ {"function":{"name":"search"}} ] }"#;
    let prompt = r#"You are \"careful\".\nAlways.\n\n"#;
    assert_eq!(fit(body).unwrap(), body.replace("\"a\\u0041\"", &format!("\"{prompt}a\\u0041\"")));
}

#[test]
fn a_request_without_messages_is_none_of_a_persona() {
    for body in ["{}", r#"{"messages":7}"#, r#"{"messages":"x"}"#] {
        assert_eq!(fit(body), Err(Refusal::Messages), "{body}");
    }
}

/// What is left of a request with these members beside its messages.
fn left(members: Value) -> Value {
    let mut body = members;
    body["messages"] = json!([]);
    let mut out = fit_json(&body.to_string());
    out.as_object_mut().unwrap().remove("messages");
    out
}

#[test]
fn only_tools_that_are_allowed_are_offered() {
    let tool = |name: &str| json!({ "type": "function", "function": { "name": name } });
    let custom = |name: &str| json!({ "type": "custom", "custom": { "name": name } });
    assert_eq!(
        left(
            json!({ "tools": [tool("rm"), tool("search"), custom("sh"), custom("lookup"), { "type": "web_search" }], "a": 1 })
        ),
        json!({ "tools": [tool("search"), custom("lookup")], "a": 1 })
    );
    assert_eq!(
        left(json!({ "tools": [tool("rm")], "tool_choice": "auto", "parallel_tool_calls": true, "z": 1 })),
        json!({ "z": 1 })
    );
    assert_eq!(
        left(json!({ "functions": [{ "name": "rm" }, { "name": "search" }] })),
        json!({ "functions": [{ "name": "search" }] })
    );
    assert_eq!(left(json!({ "functions": [{ "name": "rm" }], "function_call": "auto" })), json!({}));
    assert_eq!(left(json!({ "web_search_options": {}, "tools": null })), json!({ "tools": null }));
    // A name that one parser takes and another does not.
    let twice = r#"{"messages":[],"tools":[{"function":{"name":"search","name":"rm"}}],"tools":[{"function":{"name":"rm"},"function":{"name":"search"}}]}"#;
    assert!(!fit(twice).unwrap().contains("rm"), "{}", fit(twice).unwrap());
}

#[test]
fn a_tool_that_is_forced_must_be_allowed() {
    let forced = |choice: Value| fit(&json!({ "messages": [], "tool_choice": choice }).to_string());
    assert!(forced(json!("auto")).is_ok());
    assert!(forced(json!({ "type": "function", "function": { "name": "search" } })).is_ok());
    for (choice, name) in [
        (json!({ "type": "function", "function": { "name": "rm" } }), "rm"),
        (json!({ "type": "custom", "custom": { "name": "sh" } }), "sh"),
        (json!({ "type": "web_search" }), "web_search"),
        (json!({ "type": "function" }), ""),
        (
            json!({ "type": "allowed_tools", "allowed_tools": { "mode": "auto", "tools": [{ "type": "function", "function": { "name": "rm" } }] } }),
            "rm",
        ),
    ] {
        assert_eq!(forced(choice), Err(Refusal::Forced("tool_choice", name.to_owned())));
    }
    let older = json!({ "messages": [], "function_call": { "name": "rm" } }).to_string();
    assert_eq!(fit(&older), Err(Refusal::Forced("function_call", "rm".to_owned())));
    let required = json!({ "messages": [], "tools": [{ "function": { "name": "rm" } }], "tool_choice": "required" });
    assert_eq!(fit(&required.to_string()), Err(Refusal::NoneLeft));
    for list in [json!({}), json!("rm"), json!(1)] {
        assert_eq!(fit(&json!({ "messages": [], "tools": list }).to_string()), Err(Refusal::NoList("tools")));
    }
}

fn call(name: &str) -> Value {
    json!({ "id": "c", "type": "function", "function": { "name": name, "arguments": "{}" } })
}

fn settle(reply: &Value) -> (Value, Vec<String>, bool) {
    let text = reply.to_string();
    let told = settled(text.as_bytes(), &allows);
    let body = told.body.map_or_else(|| reply.clone(), |body| serde_json::from_slice(&body).unwrap());
    (body, told.denied, told.is_empty)
}

#[test]
fn a_whole_answer_calls_only_what_is_allowed() {
    let reply = |message: Value, reason: &str| json!({ "id": "r", "choices": [{ "index": 0, "message": message, "finish_reason": reason }] });
    let plain = reply(json!({ "role": "assistant", "content": "hi" }), "stop");
    assert_eq!(settle(&plain), (plain.clone(), vec![], false));
    let both = reply(
        json!({ "role": "assistant", "content": null, "tool_calls": [call("rm"), call("search")] }),
        "tool_calls",
    );
    let kept = reply(json!({ "role": "assistant", "content": null, "tool_calls": [call("search")] }), "tool_calls");
    assert_eq!(settle(&both), (kept, vec!["rm".to_owned()], false));
    let talk = reply(json!({ "role": "assistant", "content": "hm", "tool_calls": [call("rm")] }), "tool_calls");
    let said = reply(json!({ "role": "assistant", "content": "hm" }), "stop");
    assert_eq!(settle(&talk), (said, vec!["rm".to_owned()], false));
    let older = reply(json!({ "content": null, "function_call": { "name": "rm", "arguments": "" } }), "function_call");
    let (body, denied, is_empty) = settle(&older);
    assert_eq!((&body["choices"][0]["message"], denied.len(), is_empty), (&json!({ "content": null }), 1, true));
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    // What cannot be read is not passed on.
    let garbled =
        br#"{"choices":[{"message":{"tool_calls":[{"function":{"name":"search"}} {"function":{"name":"rm"}}]}}]}"#;
    let body = String::from_utf8(settled(garbled, &allows).body.unwrap()).unwrap();
    assert!(body.contains("search") && !body.contains("rm"), "{body}");
}

/// The deltas that are passed on, the last reason, what was denied, and whether nothing was said.
fn stream(deltas: &[Value], reason: &str) -> (Vec<Value>, Value, Vec<String>, bool) {
    let mut events = Events::default();
    let (mut out, mut denied, mut is_empty, mut last) = (Vec::new(), Vec::new(), false, Value::Null);
    let ending = json!({});
    let count = deltas.len();
    for (place, delta) in deltas.iter().chain([&ending]).enumerate() {
        let reason = if place == count { json!(reason) } else { Value::Null };
        let data =
            json!({ "id": "r", "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] }).to_string();
        let told = events.read(data.as_bytes(), &allows, &mut |_, _, _| None);
        let data: Value = serde_json::from_slice(told.data.as_deref().unwrap_or(data.as_bytes())).unwrap();
        assert_eq!(told.ended, if place == count { vec![0] } else { vec![] });
        out.push(data["choices"][0]["delta"].clone());
        last = data["choices"][0]["finish_reason"].clone();
        denied.extend(told.denied);
        is_empty |= told.is_empty;
    }
    out.pop();
    (out, last, denied, is_empty)
}

#[test]
fn a_stream_calls_only_what_is_allowed_and_counts_from_zero() {
    let begin = |index: u64, name: &str| json!({ "tool_calls": [{ "index": index, "id": "c", "type": "function", "function": { "name": name, "arguments": "" } }] });
    let more = |index: u64| json!({ "tool_calls": [{ "index": index, "function": { "arguments": "{}" } }] });
    let (out, reason, denied, is_empty) = stream(
        &[begin(0, "rm"), more(0), begin(1, "search"), more(1), begin(2, "rm"), begin(3, "lookup")],
        "tool_calls",
    );
    assert_eq!(out, [json!({}), json!({}), begin(0, "search"), more(0), json!({}), begin(1, "lookup")]);
    assert_eq!((reason, denied, is_empty), (json!("tool_calls"), vec!["rm".to_owned(), "rm".to_owned()], false));

    let (out, reason, _, is_empty) = stream(&[begin(0, "rm"), more(0)], "tool_calls");
    assert_eq!((out, reason, is_empty), (vec![json!({}), json!({})], json!("stop"), true));
    let (_, reason, _, is_empty) = stream(&[json!({ "content": "hm" }), begin(0, "rm")], "tool_calls");
    assert_eq!((reason, is_empty), (json!("stop"), false));
    let (out, reason, denied, is_empty) = stream(&[json!({ "content": "hm" })], "stop");
    assert_eq!((out.len(), reason, denied.len(), is_empty), (1, json!("stop"), 0, false));
}

#[test]
fn a_call_waits_for_its_name() {
    let nameless = json!({ "tool_calls": [{ "index": 0, "id": "c" }] });
    let named = |name: &str| json!({ "tool_calls": [{ "index": 0, "function": { "name": name } }] });
    let (out, ..) = stream(&[nameless.clone(), named("search")], "tool_calls");
    let joined = json!({ "tool_calls": [{ "index": 0, "id": "c" }, { "index": 0, "function": { "name": "search" } }] });
    assert_eq!(out, [json!({}), joined]);
    let (out, reason, denied, _) = stream(&[nameless.clone(), named("rm")], "tool_calls");
    assert_eq!((out, reason, denied.len()), (vec![json!({}), json!({})], json!("stop"), 1));
    let (out, _, _, is_empty) = stream(&[nameless], "tool_calls");
    assert_eq!((out, is_empty), (vec![json!({})], true));
    let older = |name: &str| json!({ "function_call": { "name": name, "arguments": "" } });
    let more = json!({ "function_call": { "arguments": "{}" } });
    assert_eq!(stream(&[older("rm"), more.clone()], "function_call").0, [json!({}), json!({})]);
    assert_eq!(stream(&[older("search"), more.clone()], "function_call").0, [older("search"), more]);
}

#[test]
fn texts_are_open_to_be_rewritten_and_probabilities_are_not() {
    let mut events = Events::default();
    let data = json!({ "id": "r", "model": "m", "choices": [{ "index": 1, "delta": {
        "role": "assistant", "content": "a", "reasoning_content": "b",
        "tool_calls": [{ "index": 2, "id": "x", "function": { "name": "search", "arguments": "c" } }] },
        "logprobs": { "content": [{ "token": "d" }] }, "finish_reason": "stop" }] });
    let mut seen = Vec::new();
    let told = events.read(data.to_string().as_bytes(), &allows, &mut |slot, text, last| {
        seen.push((slot.choice, slot.call, slot.name.clone(), text.to_owned(), last));
        Some(text.to_uppercase())
    });
    let read = |choice, call, name: &str, text: &str| (choice, call, name.to_owned(), text.to_owned(), Last::Yes);
    seen.sort_by(|one, other| one.3.cmp(&other.3));
    assert_eq!(
        seen,
        [read(1, None, "content", "a"), read(1, None, "reasoning_content", "b"), read(1, Some(0), "arguments", "c")]
    );
    let out: Value = serde_json::from_slice(&told.data.unwrap()).unwrap();
    let choice = &out["choices"][0];
    assert_eq!(
        (&choice["delta"]["content"], &choice["delta"]["tool_calls"][0]["function"]["arguments"]),
        (&json!("A"), &json!("C"))
    );
    assert_eq!(choice["logprobs"], data["choices"][0]["logprobs"]);
    for (slot, delta) in [
        (Slot { choice: 1, call: None, name: "content".into() }, json!({ "content": "\"" })),
        (
            Slot { choice: 1, call: Some(0), name: "arguments".into() },
            json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "\"" } }] }),
        ),
        (Slot { choice: 1, call: None, name: "arguments".into() }, json!({ "function_call": { "arguments": "\"" } })),
    ] {
        let made: Value = serde_json::from_slice(&events.telling(&slot, "\"")).unwrap();
        assert_eq!(
            made,
            json!({ "id": "r", "model": "m", "choices": [{ "index": 1, "delta": delta, "finish_reason": null }] })
        );
    }
}

proptest::proptest! {
    #[test]
    fn whatever_comes_nothing_falls_over(data: Vec<u8>, json in "[\\[\\]{}:,\"a-z0-9 ]{0,80}") {
        for data in [&data[..], json.as_bytes()] {
            let _ = fitted(data, PROMPT, &allows);
            let _ = settled(data, &allows);
            let _ = Events::default().read(data, &allows, &mut |_, text, _| Some(text.to_owned()));
        }
    }
}
