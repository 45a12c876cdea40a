//! Which tools are called for which prompts.

use serde_json::json;

use super::*;

fn request(prompt: &str, more: &Value) -> ChatRequest {
    let function = |name: &str| {
        json!({ "type": "function", "function": { "name": name, "parameters": {
        "type": "object", "required": ["city"], "properties": { "city": { "type": "string" } } } } })
    };
    let mut body = json!({
        "messages": [ { "role": "user", "content": prompt } ],
        "tools": [ function("get_weather"), function("bookTable"), { "type": "custom", "custom": { "name": "shell" } } ],
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    ChatRequest::read(body.to_string().as_bytes()).unwrap()
}

fn names(prompt: &str, more: &Value) -> Result<Vec<String>, String> {
    let request = request(prompt, more);
    let found = chosen(&request, &request.prompt()).map_err(|refusal| refusal.message)?;
    Ok(found.iter().map(|tool| tool.name().to_owned()).collect())
}

#[test]
fn a_prompt_that_names_a_tool_calls_it() {
    assert_eq!(names("What is the weather in Paris?", &json!({})).unwrap(), ["get_weather"]);
    assert_eq!(names("Please call get_weather", &json!({})).unwrap(), ["get_weather"]);
    assert_eq!(names("book a table, and the weather?", &json!({})).unwrap(), ["get_weather", "bookTable"]);
    assert_eq!(names("use bookTable", &json!({})).unwrap(), ["bookTable"]);
    assert_eq!(names("Whether it rains is unknown", &json!({})).unwrap(), [""; 0]);
}

#[test]
fn tool_choice_is_obeyed() {
    let weather = "the weather, please";
    assert_eq!(names(weather, &json!({ "tool_choice": "none" })).unwrap(), [""; 0]);
    assert_eq!(names("hello", &json!({ "tool_choice": "required" })).unwrap(), ["get_weather"]);
    let named = json!({ "tool_choice": { "type": "function", "function": { "name": "bookTable" } } });
    assert_eq!(names(weather, &named).unwrap(), ["bookTable"]);
    let allowed = json!({ "tool_choice": { "type": "allowed_tools", "allowed_tools": { "mode": "required",
        "tools": [ { "type": "custom", "custom": { "name": "shell" } } ] } } });
    assert_eq!(names(weather, &allowed).unwrap(), ["shell"]);
    let one = json!({ "parallel_tool_calls": false });
    assert_eq!(names("book a table, and the weather?", &one).unwrap(), ["get_weather"]);
}

#[test]
fn a_bad_tool_choice_is_told() {
    let named = json!({ "tool_choice": { "type": "function", "function": { "name": "nope" } } });
    assert!(names("x", &named).unwrap_err().contains("`nope`, but tools declares only: get_weather, bookTable, shell"));
    assert!(names("x", &json!({ "tool_choice": "always" })).unwrap_err().contains("\"always\""));
    assert!(names("x", &json!({ "tool_choice": "required", "tools": [] })).unwrap_err().contains("declares none"));
    assert!(names("x", &json!({ "tools": [ { "type": "function" } ] })).unwrap_err().contains("neither function.name"));
}

#[test]
fn arguments_fit_the_parameters_and_ids_are_plain() {
    let request = request("What is the weather in Paris?", &json!({}));
    let words = Words::of(&request.prompt());
    let tools = request.tools.as_deref().unwrap();
    let made = call(&tools[0], &words, &Dice::new(&[1]), 0).unwrap();
    assert_eq!(made.arguments, r#"{"city":"Paris"}"#);
    assert!(made.id.strip_prefix("call_").unwrap().chars().all(|c| c.is_ascii_hexdigit()), "{}", made.id);
    assert_ne!(made.id, call(&tools[0], &words, &Dice::new(&[1]), 1).unwrap().id);
    let custom = call(&tools[2], &words, &Dice::new(&[1]), 0).unwrap();
    assert_eq!((custom.arguments.as_str(), custom.custom), ("weather paris", true));
}

#[test]
fn after_a_result_the_answer_is_text_unless_a_call_is_demanded() {
    let messages = json!([ { "role": "user", "content": "the weather" },
        { "role": "assistant", "content": null, "tool_calls": [ { "id": "call_1", "type": "function",
            "function": { "name": "get_weather", "arguments": "{}" } } ] },
        { "role": "tool", "tool_call_id": "call_1", "content": "18 degrees" } ]);
    assert_eq!(names("", &json!({ "messages": messages })).unwrap(), [""; 0]);
    assert_eq!(names("", &json!({ "messages": messages, "tool_choice": "required" })).unwrap(), ["get_weather"]);
    let results = request("", &json!({ "messages": messages })).results();
    assert_eq!(results, [("get_weather".to_owned(), "18 degrees".to_owned())]);
}
