//! Who is not served, and who no longer: on weights that are played by hand.

use super::super::played::local;
use super::*;

/// Reads at once, and says a word every few milliseconds.
struct Slow;

struct SlowReading;

impl Engine for Slow {
    fn begin<'a>(&'a self) -> Box<dyn Reading + 'a> {
        Box::new(SlowReading)
    }
}

impl Reading for SlowReading {
    fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, String> {
        std::thread::park_timeout(Duration::from_millis(if tokens.len() == 1 { 5 } else { 0 }));
        let mut scores = vec![0.0; 258];
        scores[WORD as usize] = 1.0;
        Ok(scores)
    }
}

fn is_waiting<T>(future: &mut std::pin::Pin<Box<T>>) -> bool
where
    T: Future,
{
    future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
}

fn long(most: u64) -> Value {
    json!({ "messages": user("hi"), "stream": true, "max_tokens": most })
}

#[tokio::test]
async fn a_full_line_is_refused_with_the_time_until_there_is_room() {
    let local = local(Box::new(Slow), 100_000, 1);
    let served = send(&local, Operation::Chat, &long(1000)).await.unwrap();
    // Some passes, so that the speed is known.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let waiting = json!({ "messages": user("hi"), "max_tokens": 1 });
    let mut waiting = Box::pin(send(&local, Operation::Chat, &waiting));
    assert!(is_waiting(&mut waiting));
    let error = send(&local, Operation::Chat, &long(1)).await.unwrap_err();
    assert_eq!(error.provider_reply().unwrap().status, 429);
    // 1,000 tokens at 5 ms and a little more, less what has been said meanwhile.
    let pause = error.retry_after().unwrap();
    assert!((Duration::from_secs(3)..Duration::from_secs(60)).contains(&pause), "{pause:?}");
    drop(served);
    waiting.await.unwrap();
}

#[tokio::test]
async fn who_leaves_the_line_makes_room_and_who_leaves_an_answer_stops_it() {
    let local = local(Box::new(Slow), 100_000, 1);
    let served = send(&local, Operation::Chat, &long(1_000)).await.unwrap();
    let body = long(1);
    let mut left = Box::pin(send(&local, Operation::Chat, &body));
    assert!(is_waiting(&mut left));
    assert_eq!(local.present(), 2);
    drop(left);
    assert_eq!(local.present(), 1);
    let next = tokio::time::timeout(Duration::from_secs(2), async {
        drop(served);
        send(&local, Operation::Chat, &body).await
    });
    next.await.expect("the one before has stopped").unwrap();
}

#[tokio::test]
async fn what_it_cannot_do_is_refused_by_name() {
    let local = local(Box::new(Slow), 1_000, 1);
    for (name, value) in [
        ("tools", json!([{ "type": "function" }])),
        ("response_format", json!({ "type": "json_object" })),
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("temperature", json!(-1)),
        ("max_tokens", json!(0)),
    ] {
        let body = json!({ "messages": user("hi"), name: value });
        let error = send(&local, Operation::Chat, &body).await.unwrap_err();
        let reply: Value = serde_json::from_slice(&error.provider_reply().unwrap().body).unwrap();
        assert_eq!(reply["error"]["param"], name, "{reply}");
    }
    let error = send(&local, Operation::Embeddings, &json!({ "input": "hi" })).await.unwrap_err();
    assert_eq!(error.provider_reply().unwrap().status, 404);
}

#[test]
fn a_file_that_is_no_model_is_named_with_the_reason() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/local/tests/refused.rs"));
    let error = Local::open(&config(path)).err().unwrap().to_string();
    assert!(error.contains("refused.rs") && error.contains("GGUF"), "{error}");
}
