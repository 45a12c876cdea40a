//! A stream that breaks off at one provider and is gone on with at another.

use atp_core::{Answer, Continuity, ErrorKind, Resume};

use super::*;

const ASKED: &str =
    r#"{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Count."}],"x":[1]}"#;

fn event(id: &str, delta: &str, finish: &str) -> String {
    let choice = format!(r#"{{"index":0,"delta":{delta},"finish_reason":{finish}}}"#);
    chunk(&format!("data: {{\"id\":\"{id}\",\"model\":\"{id}-m\",\"choices\":[{choice}]}}\n\n"))
}

/// Three pieces of an answer, and then `end`.
fn begun(end: Act) -> Vec<Act> {
    let pieces = [r#"{"role":"assistant","content":""}"#, r#"{"content":"one "}"#, r#"{"content":"two"}"#];
    let events: String = pieces.iter().map(|delta| event("first", delta, "null")).collect();
    vec![Act::Write(head("text/event-stream") + &events), end]
}

async fn tried(far_side: &FarSide, continuity: Continuity<'_>) -> Result<Answer, Error> {
    let rope = Rope::from(Bytes::from_static(ASKED.as_bytes()));
    let exchange = exchange(Operation::Chat, &rope);
    provider(&far_side.url("/v1"), "").call(Try { continuity, ..attempt(&exchange, &rope) }).await
}

/// What a body gives, how it ends, and what it takes to go on with it.
async fn read(mut answer: Answer) -> (String, Option<ErrorKind>, Option<Resume>) {
    let mut text = String::new();
    loop {
        match std::future::poll_fn(|cx| answer.body.as_mut().poll_chunk(cx)).await {
            Some(Ok(piece)) => text.push_str(std::str::from_utf8(&piece).unwrap()),
            Some(Err(error)) => return (text, Some(error.kind()), answer.body.resume()),
            None => return (text, None, answer.body.resume()),
        }
    }
}

#[tokio::test]
async fn what_broke_off_is_gone_on_with_in_the_callers_own_stream() {
    let wanted = r#"{"role":"assistant","content":"one two"}]"#;
    let second = FarSide::start(move |body| {
        assert!(body.contains(wanted) && body.contains(r#""max_tokens":7"#) && body.contains(r#""x":[1]"#), "{body}");
        let pieces =
            [(r#"{"role":"assistant","content":""}"#, "null"), (r#"{"content":" three"}"#, "null"), ("{}", "\"stop\"")];
        let events: String = pieces.iter().map(|(delta, finish)| event("second", delta, finish)).collect();
        vec![Act::Write(head("text/event-stream") + &events + &chunk("data: [DONE]\n\n") + "0\r\n\r\n")]
    });
    let garbage = chunk("data: <html>\n\n");
    let boom = chunk("data: {\"error\":{\"message\":\"boom\"}}\n\n");
    let half = chunk("data: {\"id\":\"first\",\"choices\":[{\"delta\":{\"content\":\"lost");
    for (end, kind) in [
        (Act::Close, ErrorKind::ProviderCut),
        (Act::Write(garbage), ErrorKind::ProviderGarbled),
        (Act::Write(boom), ErrorKind::ProviderFailed),
        (Act::Write(half + "0\r\n\r\n"), ErrorKind::ProviderCut),
    ] {
        let first = FarSide::start(move |_| begun(end.clone()));
        let (text, told, resume) = read(tried(&first, Continuity::Remember).await.unwrap()).await;
        let resume = resume.expect("it can be gone on with");
        assert_eq!((told, &*resume.text, resume.tokens), (Some(kind), "one two", 2));
        assert!(text.ends_with("\"two\"},\"finish_reason\":null}]}\n\n"), "whole events alone: {text}");
        let (rest, told, resume) = read(tried(&second, Continuity::Continue(&resume)).await.unwrap()).await;
        assert_eq!((told, resume), (None, None));
        let three = "data: {\"id\":\"first\",\"model\":\"first-m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" three\"},\"finish_reason\":null}]}\n\n";
        assert!(rest.starts_with(three) && rest.ends_with("data: [DONE]\n\n") && !rest.contains("second"), "{rest}");
    }
}

#[tokio::test]
async fn who_was_not_asked_to_remember_does_not() {
    let first = FarSide::start(|_| begun(Act::Close));
    let (_, told, resume) = read(tried(&first, Continuity::None).await.unwrap()).await;
    assert_eq!((told, resume), (Some(ErrorKind::ProviderCut), None));
}

#[tokio::test]
async fn what_cannot_be_gone_on_with_is_told_without_asking() {
    let far_side = FarSide::start(|_| panic!("nobody asks"));
    let resume = Resume { text: "x".to_owned(), tokens: 9, envelope: Bytes::new() };
    let error = tried(&far_side, Continuity::Continue(&resume)).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Cancelled, atp_core::Retry::Never), "no tokens are left");
}
