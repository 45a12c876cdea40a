//! Streams: whatever way the provider's bytes are cut, the messages are the same, and each has its end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use atp_core::{Error, ErrorKind};
use atp_proto::router::v1 as pb;
use bytes::Bytes;
use pb::chat_stream_response::Event;
use tonic::{Code, Status};

use super::asked::chat;
use super::scene::Scene;

const EVENTS: &str = concat!(
    ": hello\n\n",
    "data: {\"id\":\"c-1\",\"created\":9,\"model\":\"t\",\"system_fingerprint\":\"fp\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    "data: {\"id\":\"c-1\",\"system_fingerprint\":\"fp\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n",
    "data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grüße\"}}]}\n\n",
    "data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"id\":\"c-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":300}}\n\n",
    "data: [DONE]\n\n",
);

async fn messages(scene: &mut Scene) -> (Vec<Event>, Result<(), Status>) {
    let mut stream = scene.client.chat_stream(chat("x")).await.unwrap().into_inner();
    let mut events = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(message)) => events.push(message.event.unwrap()),
            Ok(None) => return (events, Ok(())),
            Err(status) => return (events, Err(status)),
        }
    }
}

fn settled(mut events: Vec<Event>) -> Vec<Event> {
    for event in &mut events {
        if let Event::Started(pb::Started { routing: Some(routing) })
        | Event::End(pb::End { routing: Some(routing), .. }) = event
        {
            (routing.request_id, routing.overhead_us) = (String::new(), 0);
        }
    }
    events
}

#[tokio::test]
async fn a_stream_is_started_deltas_and_an_end_wherever_it_is_cut() {
    let mut scene = Scene::open().await;
    scene.gateway.pieces([Bytes::from_static(EVENTS.as_bytes())], Some(Ok(())));
    let (whole, status) = messages(&mut scene).await;
    status.unwrap();
    let [
        Event::Started(_),
        Event::Aside(aside),
        Event::Delta(role),
        Event::Delta(thought),
        Event::Delta(text),
        Event::Delta(call),
        Event::End(end),
    ] = whole.as_slice()
    else {
        panic!("{whole:?}")
    };
    assert_eq!((aside.json.as_str(), role.role()), (r#"{"system_fingerprint":"fp"}"#, pb::Role::Assistant));
    assert_eq!((thought.reasoning.as_str(), text.text.as_str()), ("hm", "Grüße"));
    assert_eq!((call.tool_calls[0].name.as_str(), call.finish_reason()), ("f", pb::FinishReason::ToolCalls));
    assert_eq!((end.id.as_str(), end.created, end.model.as_str()), ("c-1", 9, "t"));
    let usage = end.usage.as_ref().unwrap();
    assert_eq!((usage.output_tokens, usage.provider_json.as_str()), (100, r#"{"prompt_tokens":300}"#));
    assert_eq!(end.routing.as_ref().unwrap().cost_usd_micros, Some(700));
    let seen = scene.gateway.last();
    assert!(seen.exchange.stream && seen.exchange.fields.include_usage == Some(true));
    let whole = settled(whole);
    for cut in 1..EVENTS.len() {
        let (first, second) = EVENTS.as_bytes().split_at(cut);
        scene.gateway.pieces([Bytes::from_static(first), Bytes::from_static(second)], Some(Ok(())));
        let (events, status) = messages(&mut scene).await;
        status.unwrap();
        assert_eq!(settled(events), whole, "cut at {cut}");
    }
    assert_eq!(scene.gateway.held.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_the_status_of_its_error() {
    let mut scene = Scene::open().await;
    let cut = Error::provider(ErrorKind::ProviderCut, "the provider's connection broke");
    scene
        .gateway
        .pieces([Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n")], Some(Err(cut)));
    let (events, status) = messages(&mut scene).await;
    let status = status.unwrap_err();
    assert_eq!(
        (events.len(), status.code(), status.message()),
        (2, Code::Unavailable, "the provider's connection broke")
    );
    assert_eq!(status.metadata().get("x-atp-error").unwrap(), "provider_cut");
    for wrong in [&b"data: {\"choices\":7}\n\n"[..], b"data: x\n\n", b"data: {\"error\":{\"message\":\"no\"}}\n\n"] {
        scene.gateway.pieces([Bytes::from_static(wrong)], Some(Ok(())));
        let (_, status) = messages(&mut scene).await;
        assert!(matches!(status.unwrap_err().code(), Code::Internal | Code::Unavailable));
    }
}

#[tokio::test]
async fn a_restart_voids_what_came_before_it() {
    let mut scene = Scene::open().await;
    let text = "data: {\"id\":\"a\",\"choices\":[{\"delta\":{\"content\":\"no\"}}]}\n\nevent: atp.restart\ndata: {\"object\":\"atp.restart\",\"reason\":\"provider_cut\"}\n\ndata: {\"id\":\"b\",\"choices\":[{\"delta\":{\"content\":\"yes\"}}]}\n\n";
    scene.gateway.pieces([Bytes::from_static(text.as_bytes())], Some(Ok(())));
    let (events, status) = messages(&mut scene).await;
    status.unwrap();
    let [_, Event::Delta(_), Event::Restart(restart), Event::Delta(again), Event::End(end)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((restart.reason.as_str(), again.text.as_str(), end.id.as_str()), ("provider_cut", "yes", "b"));
}

#[tokio::test]
async fn an_answer_in_one_piece_is_a_stream_too() {
    let mut scene = Scene::open().await;
    scene.gateway.whole(r#"{"id":"c","x":1,"choices":[{"index":0,"message":{"role":"assistant","content":"all","y":2},"finish_reason":"stop"}]}"#);
    let (events, status) = messages(&mut scene).await;
    status.unwrap();
    let [_, Event::Aside(aside), Event::Delta(delta), Event::End(end)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((delta.text.as_str(), delta.finish_reason(), end.id.as_str()), ("all", pb::FinishReason::Stop, "c"));
    assert_eq!((aside.json.as_str(), delta.extra_json.as_str()), (r#"{"x":1}"#, r#"{"delta":{"y":2}}"#));
}

#[tokio::test]
async fn who_leaves_ends_the_providers_work() {
    let mut scene = Scene::open().await;
    scene.gateway.pieces([Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")], None);
    let mut stream = scene.client.chat_stream(chat("x")).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(scene.gateway.held.load(Ordering::SeqCst), 1);
    drop(stream);
    let gone = async {
        while scene.gateway.held.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), gone).await.unwrap();
}
