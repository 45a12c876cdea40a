//! The real model, where `ATP_GGUF` names its file (`make test-local` does): its tokens and its answers beside those
//! that llama.cpp has made of the same file (`golden/`, by `tools/model/golden.py`), and who waits for it.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use atp_core::{Continuity, ErrorKind, Finish, Report, Rope, Timeouts};
use serde_json::{Value, json};

use super::played::{Reading, WORD};
use super::*;
use crate::conformance::exchange;

mod refused;

static GOLDEN: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("golden/llama_cpp.json")).unwrap());

/// The file; without it these tests say nothing, and tell so.
fn file() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tells a test where the model lies")]
    let found = std::env::var_os("ATP_GGUF").map(PathBuf::from);
    if found.is_none() {
        println!("THE REAL MODEL IS NOT TESTED: ATP_GGUF names no file; `make test-local` fetches it");
    }
    found
}

fn config(model: PathBuf) -> LocalConfig {
    LocalConfig { name: Arc::from("local"), model, context: None, slots: 1, line: 1, threads: None }
}

async fn send(local: &Local, operation: Operation, body: &Value) -> Result<Answer, Error> {
    let rope = Rope::from(Bytes::from(body.to_string()));
    let exchange = exchange(operation, &rope);
    let (continuity, timeouts) = (Continuity::None, Timeouts::default());
    local
        .call(Try {
            exchange: &exchange,
            model: "m",
            payload: Payload::Rope(rope),
            continuity,
            ceiling: None,
            timeouts,
        })
        .await
}

async fn ask(local: &Local, body: Value) -> (Value, Report) {
    let mut answer = send(local, Operation::Chat, &body).await.unwrap();
    let text = answer.body.as_mut().take_full().unwrap();
    (serde_json::from_slice(&text).unwrap(), answer.body.report().clone())
}

/// With a plainer system text than the file's own, by which the model wanders.
fn user(text: &str) -> Value {
    json!([{ "role": "system", "content": "You are a helpful assistant." }, { "role": "user", "content": text }])
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
}

#[test]
fn texts_have_the_tokens_that_llama_cpp_finds() {
    let Some(file) = file() else { return };
    let words = file::open(&file, None).unwrap().words;
    for case in GOLDEN["texts"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        assert_eq!(words.tokens(text).unwrap(), numbers(&case["tokens"]), "{text:?}");
        let bytes: Vec<u8> =
            words.tokens(text).unwrap().iter().flat_map(|token| words.bytes(*token)).copied().collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), text.replace("<|im_start|>", "").replace("<|im_end|>", ""));
    }
}

/// The two engines round alike but not the same: llama.cpp keeps keys and values as half floats, and sums in
/// another order. Where its two likeliest tokens are as near as this, either may come first.
const NEAR: f64 = 0.3;

#[test]
fn greedy_answers_are_llama_cpps() {
    let Some(file) = file() else { return };
    let opened = file::open(&file, None).unwrap();
    let mut differences = 0;
    for case in GOLDEN["answers"].as_array().unwrap() {
        let prompt = case["prompt"].as_str().unwrap();
        let message = template::Message { role: "user".to_owned(), content: prompt.to_owned() };
        let text = opened.template.as_ref().unwrap().text(&[message]).unwrap();
        let tokens = opened.words.prompt(&text).unwrap();
        assert_eq!(tokens.len() as u64, case["prompt_tokens"].as_u64().unwrap(), "{prompt}");
        let mut reading = opened.llama.begin();
        let mut scores = reading.read(&tokens).unwrap();
        for (at, wanted) in numbers(&case["tokens"]).into_iter().enumerate() {
            let found = Chooser { temperature: 0.0, top_p: 1.0, dice: Dice::new(&[]) }.choose(&scores);
            let (gap, own) = (case["gaps"][at].as_f64().unwrap(), scores[found as usize] - scores[wanted as usize]);
            if found != wanted {
                println!("{prompt}: token {at} is {found}, not {wanted}; gap {gap} there, {own} here");
            }
            differences += usize::from(found != wanted);
            assert!(
                found == wanted || gap < NEAR,
                "{prompt}: token {at} is {found}, not {wanted}, and the gap is {gap}"
            );
            // On along llama.cpp's way, so that one difference does not hide others.
            scores = reading.read(&[wanted]).unwrap();
        }
    }
    // Of 224 tokens.
    assert!(differences <= 3, "{differences} tokens are others");
}

#[tokio::test]
async fn an_answer_has_its_usage_and_its_end() {
    let Some(file) = file() else { return };
    let local = Local::open(&config(file)).unwrap();
    let question = user("What is the capital of France?");
    let (answer, report) = ask(&local, json!({ "messages": question })).await;
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().contains("Paris"), "{answer}");
    assert_eq!((&answer["choices"][0]["finish_reason"], report.finish), (&json!("stop"), Some(Finish::Stop)));
    // As llama.cpp counts: the token that ends the answer is one.
    let usage = report.usage.unwrap();
    assert_eq!((usage.input, usage.output), (27, 8));
    assert_eq!(answer["usage"]["total_tokens"], usage.total());
    let (cut, report) = ask(&local, json!({ "messages": question, "max_completion_tokens": 3 })).await;
    assert_eq!((&cut["choices"][0]["finish_reason"], report.usage.unwrap().output), (&json!("length"), 3));
    let (stopped, _) = ask(&local, json!({ "messages": question, "stop": ["France"] })).await;
    assert_eq!(stopped["choices"][0]["message"]["content"], "The capital of ");
    let chance = json!({ "messages": question, "temperature": 1.5, "seed": 5, "max_tokens": 12 });
    assert_eq!(ask(&local, chance.clone()).await.0["choices"], ask(&local, chance).await.0["choices"]);
    let (prompt, output) = local.speeds();
    println!("{:.1} tokens a second read, {:.1} written", prompt.unwrap(), output.unwrap());
}

#[tokio::test]
async fn a_prompt_beyond_the_context_is_refused_and_an_answer_ends_with_it() {
    let Some(file) = file() else { return };
    let local = Local::open(&LocalConfig { context: Some(40), ..config(file) }).unwrap();
    let error = send(&local, Operation::Chat, &json!({ "messages": user(&"river ".repeat(40)) })).await.unwrap_err();
    let reply = error.provider_reply().unwrap();
    assert_eq!((error.kind(), reply.status.as_u16()), (ErrorKind::ProviderRejected, 400));
    assert!(String::from_utf8_lossy(&reply.body).contains("context_length_exceeded"));
    let (_, report) = ask(&local, json!({ "messages": user("Write a long story."), "max_tokens": 500 })).await;
    let usage = report.usage.unwrap();
    assert_eq!((report.finish, usage.total()), (Some(Finish::Length), 40));
}
