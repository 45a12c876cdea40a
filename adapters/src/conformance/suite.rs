//! The claims.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use atp_core::port::Provider;
use atp_core::{ErrorKind, Finish, Retry, Side, Timeouts};
use serde_json::Value;

use super::{Ask, PATIENT, SHORT, Scene, Stage, call, call_for, drain, next, works_on};

/// The JSON of a stream's events, without the end's mark.
fn events(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

// 1. A status below 400 is an answer; anything else is an error with kind, side and retry set,
//    carrying the provider's own status and body.

pub(super) async fn success_is_an_answer(stage: &impl Stage) {
    let provider = stage.provider(Scene::Serve).await;
    for (ask, content_type) in [(Ask::Whole, "application/json"), (Ask::Stream, "text/event-stream")] {
        let mut answer = call(&provider, ask, PATIENT).await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with(content_type));
        let (text, error) = drain(&mut answer).await;
        assert!(error.is_none() && !text.is_empty());
    }
    works_on(stage, 0).await;
}

pub(super) async fn a_ceiling_is_the_most_that_the_far_side_is_asked_for(stage: &impl Stage) {
    let provider = stage.provider(Scene::Bounded).await;
    for ask in [Ask::Whole, Ask::Stream] {
        for (ceiling, expected) in [(Some(1), Finish::Length), (None, Finish::Stop)] {
            let mut answer = call_for(&provider, ask, ceiling, PATIENT).await.unwrap();
            drain(&mut answer).await;
            let report = answer.body.report();
            assert_eq!(report.finish, Some(expected), "{ask:?} {ceiling:?}");
            assert_eq!(report.usage.unwrap().output == 1, ceiling.is_some(), "{ask:?} {ceiling:?}");
        }
    }
    works_on(stage, 0).await;
}

pub(super) async fn a_refusal_is_an_error_with_the_providers_own_words(stage: &impl Stage) {
    let cases = [
        (Scene::Overloaded, 429, ErrorKind::ProviderOverloaded, Side::Provider),
        (Scene::Failed, 500, ErrorKind::ProviderFailed, Side::Provider),
        (Scene::Rejected, 400, ErrorKind::ProviderRejected, Side::Caller),
    ];
    for (scene, status, kind, side) in cases {
        let provider = stage.provider(scene).await;
        for ask in [Ask::Whole, Ask::Stream] {
            let error = call(&provider, ask, PATIENT).await.unwrap_err();
            assert_eq!((error.kind(), error.side()), (kind, side), "{scene:?}");
            match scene {
                Scene::Overloaded => {
                    let pause = error.retry_after().expect("a pause was told");
                    assert!(pause > Duration::ZERO && pause <= Duration::from_secs(2), "{pause:?}");
                }
                Scene::Failed => assert_eq!(error.retry(), Retry::Elsewhere),
                _ => assert_eq!(error.retry(), Retry::Never),
            }
            let reply = error.provider_reply().expect("the provider's own words");
            assert_eq!(reply.status, status);
            assert!(serde_json::from_slice::<Value>(&reply.body).unwrap().get("error").is_some());
        }
    }
    works_on(stage, 0).await;
}

// 2. An answer that is not a stream has been read to its end when the future resolves, so that its
//    usage is known and a cut answer is an error.

pub(super) async fn a_whole_answer_is_there_when_the_future_resolves(stage: &impl Stage) {
    let provider = stage.provider(Scene::Serve).await;
    let mut answer = call(&provider, Ask::Whole, PATIENT).await.unwrap();
    let report = answer.body.report();
    let usage = report.usage.expect("the usage of a whole answer");
    assert!(report.complete && report.content && report.finish.is_some() && report.failure.is_none());
    let body = answer.body.as_mut().take_full().expect("all of it in memory");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["usage"]["prompt_tokens"], usage.input);
    assert_eq!(body["usage"]["completion_tokens"], usage.output);
    let end = answer.body.as_mut().poll_chunk(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(end, Poll::Ready(None)), "nothing is left after the whole");
}

pub(super) async fn a_cut_whole_answer_is_an_error(stage: &impl Stage) {
    let provider = stage.provider(Scene::Cut).await;
    let error = call(&provider, Ask::Whole, PATIENT).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::ProviderCut, Retry::Elsewhere));
}

// 3. A stream's body enforces the idle timer itself. `first_byte` covers the head and, for a
//    stream, the wait for the first chunk.

/// The error of a call, wherever it comes.
async fn failure(provider: &Arc<dyn Provider>, ask: Ask, timeouts: Timeouts) -> ErrorKind {
    match call(provider, ask, timeouts).await {
        Err(error) => error.kind(),
        Ok(mut answer) => drain(&mut answer).await.1.expect("the answer ends in an error").kind(),
    }
}

pub(super) async fn silence_before_the_answer_runs_into_the_first_byte_timer(stage: &impl Stage) {
    let provider = stage.provider(Scene::Silent).await;
    for ask in [Ask::Whole, Ask::Stream] {
        let timeouts = Timeouts { first_byte: SHORT, ..PATIENT };
        assert_eq!(failure(&provider, ask, timeouts).await, ErrorKind::TimeoutFirstByte);
        let timeouts = Timeouts { total: SHORT, ..PATIENT };
        assert_eq!(failure(&provider, ask, timeouts).await, ErrorKind::TimeoutTotal);
    }
    works_on(stage, 0).await;
}

pub(super) async fn silence_within_a_stream_runs_into_the_idle_timer(stage: &impl Stage) {
    let provider = stage.provider(Scene::Stalled).await;
    let mut answer = call(&provider, Ask::Stream, Timeouts { idle: SHORT, ..PATIENT }).await.unwrap();
    let (_, error) = drain(&mut answer).await;
    assert_eq!(error.expect("the idle timer").kind(), ErrorKind::TimeoutIdle);
    assert!(!answer.body.report().complete);
    works_on(stage, 0).await;
}

pub(super) async fn a_stream_that_still_speaks_runs_into_the_total_timer(stage: &impl Stage) {
    let provider = stage.provider(Scene::Long).await;
    let mut answer = call(&provider, Ask::Stream, Timeouts { total: SHORT, ..PATIENT }).await.unwrap();
    let (text, error) = drain(&mut answer).await;
    assert_eq!(error.expect("the total timer").kind(), ErrorKind::TimeoutTotal);
    assert!(events(&text).len() > 1, "it spoke until then");
    works_on(stage, 0).await;
}

// 4. Dropping the future or the body ends the provider's work at once.

pub(super) async fn dropping_the_future_ends_the_work(stage: &impl Stage) {
    let provider = stage.provider(Scene::Silent).await;
    let gone = tokio::time::timeout(SHORT, call(&provider, Ask::Whole, PATIENT)).await;
    assert!(gone.is_err(), "it is silent");
    works_on(stage, 0).await;
}

pub(super) async fn dropping_the_body_ends_the_work(stage: &impl Stage) {
    let provider = stage.provider(Scene::Long).await;
    let mut answer = call(&provider, Ask::Stream, PATIENT).await.unwrap();
    next(&mut answer).await.unwrap().unwrap();
    works_on(stage, 1).await;
    drop(answer);
    works_on(stage, 0).await;
}

// 5. The body's report is truthful at every chunk; an error told inside the stream sets `failure`.

pub(super) async fn the_report_is_truthful_at_every_chunk(stage: &impl Stage) {
    let provider = stage.provider(Scene::Serve).await;
    let mut answer = call(&provider, Ask::Stream, PATIENT).await.unwrap();
    let mut text = String::new();
    while let Some(chunk) = next(&mut answer).await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        let told = events(text.get(..text.rfind("\n\n").map_or(0, |end| end + 2)).unwrap());
        let report = answer.body.report();
        let delta = |event: &Value, name: &str| event["choices"][0]["delta"][name].as_str().unwrap_or("").to_owned();
        let content = told.iter().any(|event| !delta(event, "content").is_empty());
        let finished = told.iter().any(|event| event["choices"][0]["finish_reason"].is_string());
        assert_eq!(report.content, content, "{text}");
        assert_eq!(report.finish.is_some(), finished, "{text}");
        // The end's mark may have been read although it has not been passed on, never the reverse.
        assert!(report.complete || !text.contains("[DONE]"), "{text}");
        assert!(!report.complete || finished, "{text}");
        assert!(report.failure.is_none());
    }
    assert!(answer.body.report().complete && answer.body.report().usage.is_some());
}

pub(super) async fn a_cut_stream_is_an_error_and_never_complete(stage: &impl Stage) {
    let provider = stage.provider(Scene::Cut).await;
    let mut answer = call(&provider, Ask::Stream, PATIENT).await.unwrap();
    let (text, error) = drain(&mut answer).await;
    assert_eq!(error.expect("the cut").kind(), ErrorKind::ProviderCut);
    assert!(!answer.body.report().complete && !text.contains("[DONE]"));
    assert!(next(&mut answer).await.is_none(), "an error is the end");
}

pub(super) async fn an_error_within_a_stream_is_passed_on_and_reported(stage: &impl Stage) {
    let provider = stage.provider(Scene::Told).await;
    let mut answer = call(&provider, Ask::Stream, PATIENT).await.unwrap();
    let (text, _) = drain(&mut answer).await;
    assert!(events(&text).last().unwrap()["error"]["message"].is_string(), "{text}");
    let report = answer.body.report();
    let failure = report.failure.as_ref().expect("the failure is counted");
    assert_eq!(failure.side(), Side::Provider);
    assert!(!report.complete);
}

// 6. A caller of the same dialect sees the provider's bytes unchanged, but for what was added to
//    the request by the router (a usage chunk that the caller did not ask for).

pub(super) async fn usage_is_told_to_those_who_asked_and_known_always(stage: &impl Stage) {
    let provider = stage.provider(Scene::Serve).await;
    for (ask, told) in [(Ask::Stream, 0), (Ask::StreamWithUsage, 1)] {
        let mut answer = call(&provider, ask, PATIENT).await.unwrap();
        let (text, _) = drain(&mut answer).await;
        let chunks = events(&text).iter().filter(|event| event["usage"].is_object()).count();
        assert_eq!(chunks, told, "{text}");
        assert!(events(&text).iter().all(|event| told == 1 || event["choices"][0].is_object()), "{text}");
        assert!(answer.body.report().usage.unwrap().output > 0);
        assert!(text.ends_with("data: [DONE]\n\n"));
    }
}

pub(super) async fn the_callers_bytes_are_the_providers(stage: &impl Stage) {
    let provider = stage.provider(Scene::Serve).await;
    for (ask, asked) in [(Ask::Stream, false), (Ask::StreamWithUsage, true)] {
        let mut answer = call(&provider, ask, PATIENT).await.unwrap();
        let (text, _) = drain(&mut answer).await;
        match stage.words(asked) {
            Some(words) => assert_eq!(text, words),
            // Made here or translated: the order and shape of OpenAI's chunks hold all the same.
            None => assert_eq!(events(&text)[0]["choices"][0]["delta"]["role"], "assistant"),
        }
    }
}
