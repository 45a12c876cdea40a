//! Claims about requests.

use atp_core::{Capabilities, Language, TaskKind};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::openai::tokens::Counter;

fn of_body(operation: Operation, body: &Value) -> Features {
    of(operation, &Rope::from(Bytes::from(body.to_string())), Reading::Whole)
}

fn chat(messages: &Value) -> Features {
    of_body(Operation::Chat, &json!({"model": "m", "messages": messages}))
}

fn user(text: &str) -> Features {
    chat(&json!([{"role": "user", "content": text}]))
}

fn tokens(text: &str) -> u64 {
    Counter::new().count(text)
}

#[test]
fn the_kind_is_read_from_how_a_message_begins() {
    use TaskKind::{Chat, Classify, Code, Extract, Reason, Structure, Summarize, Translate};
    for (text, kind) in [
        ("Summarize the following article: ...", Summarize),
        ("Please give me a short summary of this.", Summarize),
        ("Bitte fasse den Text zusammen.", Summarize),
        ("Résume ce texte, s'il te plaît", Summarize),
        ("¿Puedes resumir este artículo?", Summarize),
        ("Translate to German: good morning", Translate),
        ("Could you please translate this?", Translate),
        ("Übersetze ins Englische: Guten Morgen", Translate),
        ("Traduis en anglais : bonjour", Translate),
        ("Traduce al inglés: buenos días", Translate),
        ("Write a function that reverses a list", Code),
        ("Schreibe eine Funktion, die sortiert", Code),
        ("Écris une fonction qui trie", Code),
        ("Escribe una función que ordene", Code),
        ("Fix this:\n```rust\nlet x = ;\n```", Code),
        ("Debug my server", Code),
        ("Extract all dates from the mail", Extract),
        ("Extrahiere alle Namen", Extract),
        ("Classify the sentiment: I love it", Classify),
        ("Klassifiziere diese Mail", Classify),
        ("How many apples are left?", Reason),
        ("Wie viele Äpfel bleiben?", Reason),
        ("Solve x^2 = 4", Reason),
        ("Combien font 3 fois 4 ?", Reason),
        ("Create a table of the planets", Structure),
        ("Hello, how are you?", Chat),
        ("Fix the mood of this letter", Chat),
        ("My friend said that I should translate books. What do you think?", Chat),
        ("Write a letter to my landlord", Chat),
        ("I love programming and code; what is your favourite food?", Chat),
        ("The summary was bad.", Chat),
        ("", Chat),
    ] {
        assert_eq!(user(text).kind, kind, "{text:?}");
    }
}

#[test]
fn the_last_message_of_the_user_goes_before_the_system_and_that_before_the_form() {
    let kind = |system: &str, users: &[&str]| {
        let mut messages = vec![json!({"role": "system", "content": system})];
        for text in users {
            messages.push(json!({"role": "user", "content": text}));
            messages.push(json!({"role": "assistant", "content": "Translate what?"}));
        }
        chat(&Value::Array(messages)).kind
    };
    assert_eq!(kind("You are a translator from French.", &["Bonjour"]), TaskKind::Translate);
    assert_eq!(kind("You are a translator.", &["Hi", "Summarize what you said."]), TaskKind::Summarize);
    assert_eq!(kind("You are an expert software engineer.", &["Hi"]), TaskKind::Code);
    assert_eq!(kind("You are a helpful assistant.", &["Summarize it.", "Thanks!"]), TaskKind::Chat);
    let form = json!({"messages": [{"role": "user", "content": "Berlin"}], "response_format": {"type": "json_schema", "json_schema": {}}});
    assert_eq!(of_body(Operation::Chat, &form).kind, TaskKind::Structure);
}

#[test]
fn languages_are_told_apart_by_script_and_by_common_words() {
    for (text, language) in [
        ("What is the capital of France?", Language::English),
        ("Hi", Language::English),
        ("café", Language::Latin),
        ("Was ist die Hauptstadt von Frankreich?", Language::Latin),
        ("Quelle est la capitale de la France ?", Language::Latin),
        ("¿Cuál es la capital de Francia?", Language::Latin),
        ("Qual é a capital da França?", Language::Latin),
        ("法国的首都是哪里?", Language::Cjk),
        ("フランスの首都はどこですか", Language::Cjk),
        ("프랑스의 수도는 어디입니까?", Language::Cjk),
        ("Какая столица Франции?", Language::Other),
        ("ما هي عاصمة فرنسا؟", Language::Other),
        ("", Language::English),
        ("12345", Language::English),
    ] {
        assert_eq!(user(text).language, language, "{text:?}");
    }
}

#[test]
fn messages_are_framed_as_openai_frames_them() {
    // The cookbook's way for gpt-4o: three tokens and the role for each message, one beside a name, three at the end.
    let told = chat(&json!([
        {"role": "system", "content": "You are brief."},
        {"role": "user", "name": "anna", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": " there"}]},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "function": {"name": "look", "arguments": "{\"a\":1}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "ok"},
    ]));
    let said = ["You are brief.", "anna", "Hello", " there", "look", "{\"a\":1}", "ok"].map(tokens);
    assert_eq!(told.tokens, said.iter().sum::<u64>() + 4 * 4 + 1 + 3);
    assert_eq!((told.messages, told.chars), (4, 14 + 11 + 4 + 7 + 2));
}

#[test]
fn tools_count_as_the_cookbook_says() {
    // The example of OpenAI's cookbook for `num_tokens_for_tools`, gpt-4o: 101 tokens with its two messages. What is
    // rendered between the texts (a colon here and there) is counted there and not here.
    let body = json!({
        "messages": [
            {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
            {"role": "user", "content": "What's the weather like in San Francisco?"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "get_current_weather", "description": "Get the current weather in a given location",
            "parameters": {"type": "object", "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]},
            }, "required": ["location"]},
        }}],
    });
    let told = of_body(Operation::Chat, &body);
    assert_eq!(told.tools, 1);
    assert!(told.tokens.abs_diff(101) <= 6, "{}", told.tokens);
    assert!(told.needs.has(Capability::Tools));
    let old = json!({"functions": [{"name": "get_current_weather"}]});
    assert_eq!(of_body(Operation::Chat, &old).tools, 1);
    assert_eq!(of_body(Operation::Chat, &json!({"tools": [], "messages": []})).needs, Capabilities::default());
}

#[test]
fn needs_follow_from_what_is_sent() {
    let body = json!({
        "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"image_url": {"url": "https://x"}, "type": "image_url"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ]}],
        "response_format": {"type": "json_object"},
    });
    let told = of_body(Operation::Chat, &body);
    let expected: Capabilities = [Capability::Images, Capability::Audio, Capability::Json].into_iter().collect();
    assert_eq!((told.needs, told.images), (expected, 2));
    let text = json!({"messages": [], "response_format": {"type": "text"}, "modalities": ["text"]});
    assert_eq!(of_body(Operation::Chat, &text).needs, Capabilities::default());
    let sound = json!({"modalities": ["text", "audio"]});
    assert!(of_body(Operation::Chat, &sound).needs.has(Capability::Audio));
}

#[test]
fn other_operations_have_their_text_elsewhere() {
    let told =
        of_body(Operation::Completions, &json!({"prompt": ["one two", "three"], "messages": [{"content": "no"}]}));
    assert_eq!((told.tokens, told.chars, told.messages), (tokens("one two") + tokens("three"), 12, 0));
    assert_eq!(of_body(Operation::Embeddings, &json!({"input": [[1, 2, 3], [4, 5]]})).tokens, 5);
    assert_eq!(of_body(Operation::Embeddings, &json!({"input": "hello world"})).tokens, 2);
    assert_eq!(of_body(Operation::Moderations, &json!({"input": [{"type": "text", "text": "hello world"}]})).tokens, 2);
    assert_eq!(of_body(Operation::Raw, &json!({"input": "hello world"})).tokens, 2);
}

#[test]
fn the_hash_of_one_text_is_its_own() {
    // The first half of SHA-256("abc") (FIPS 180-4).
    let told = user("abc");
    assert_eq!(format!("{:016x}", told.prompt_hash), "ba7816bf8f01cfea");
    assert_eq!(of_body(Operation::Completions, &json!({"prompt": "abc"})).prompt_hash, told.prompt_hash);
    let two = chat(&json!([{"role": "user", "content": "a"}, {"role": "user", "content": "bc"}]));
    assert_ne!(two.prompt_hash, told.prompt_hash);
    assert_eq!(chat(&json!([])).prompt_hash, 0);
}

#[test]
fn the_prefix_names_what_a_provider_can_keep() {
    let long = "All of these instructions stand before every question. ".repeat(150);
    let asked = |system: &str, turns: &[&str]| {
        let mut messages = vec![json!({"role": "system", "content": system})];
        messages.extend(turns.iter().map(|text| json!({"role": "user", "content": text})));
        chat(&Value::Array(messages)).prefix
    };
    let one = asked(&long, &["What is it?"]);
    assert!(one != 0 && one == asked(&long, &["Something else", "and more"]));
    assert_ne!(one, asked(&format!("{long}."), &["What is it?"]));
    // A long first question names its conversation, where the instructions are short.
    let question = asked("Be brief.", &[&long]);
    assert!(question != 0 && question == asked("Be brief.", &[&long, "And?"]));
    assert_ne!(question, asked("Be verbose.", &[&long]));
    assert_eq!(asked("Be brief.", &["Hello", &long]), 0);
}

#[test]
fn code_is_seen_by_fences_and_by_lines() {
    assert!(user("Look:\n```\nx\n```").code);
    assert!(user("import os\n\ndef f(a):\n    return a;\nclass A:\n").code);
    assert!(!user("From here on, let us talk.\nClass was good; it ended.\nImport duties rise.").code);
}

#[test]
fn what_cannot_be_read_counts_as_absent() {
    let raw = |body: &'static [u8]| of(Operation::Chat, &Rope::from(Bytes::from_static(body)), Reading::Whole);
    assert_eq!(raw(b"not json"), Features::default());
    assert_eq!(raw(br#"{"messages": 5, "tools": "x", "response_format": []}"#).tools, 0);
    let half = raw(br#"{"messages":[{"role":"user","content":"a \ud800 b"}]}"#);
    assert!(half.chars > 0 && half.messages == 1);
    let cut = raw(br#"{"messages":[{"role":"user","content":"Translate this"}],"tools":[{"#);
    assert_eq!((cut.kind, cut.messages), (TaskKind::Translate, 1));
}

proptest! {
    #[test]
    fn any_bytes_have_features(bytes: Vec<u8>) {
        for operation in Operation::ALL {
            let told = of(operation, &Rope::from(Bytes::from(bytes.clone())), Reading::Whole);
            prop_assert!(told.chars <= bytes.len() as u64);
        }
    }

    #[test]
    fn any_text_is_counted_and_hashed_however_it_arrives(text: String, cut in 0..200_usize) {
        let body = Bytes::from(json!({"messages": [{"role": "user", "content": text}]}).to_string());
        let whole = of(Operation::Chat, &Rope::from(body.clone()), Reading::Whole);
        prop_assert_eq!((whole.chars, whole.tokens), (text.chars().count() as u64, tokens(&text) + 4 + 3));
        let mut pieces = Rope::new();
        let at = cut.min(body.len());
        pieces.push(body.slice(..at));
        pieces.push(body.slice(at..));
        prop_assert_eq!(of(Operation::Chat, &pieces, Reading::Whole), whole);
        // An estimate knows the same, but for what is hashed.
        let estimate = of(Operation::Chat, &pieces, Reading::Estimate);
        prop_assert_eq!(estimate, Features { prompt_hash: 0, prefix: 0, ..whole });
    }
}
