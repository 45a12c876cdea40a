//! Refusals: each names its field, its value and the way out, and is counted.

use atp_core::{Error, ErrorKind, Operation, Qos};
use atp_proto::router::v1 as pb;
use bytes::Bytes;
use http_body_util::BodyExt;
use prost::Message;
use tonic::{Code, Request};

use super::asked::{chat, user};
use super::scene::Scene;
use crate::{KeyRing, Limits, Services, Settings, near};

fn message(message: pb::Message) -> pb::ChatRequest {
    pb::ChatRequest { messages: vec![user("a"), message], ..chat("") }
}

fn part(kind: Option<pb::part::Kind>) -> pb::ChatRequest {
    let parts = vec![pb::Part { kind, extra_json: String::new() }];
    message(pb::Message { text: None, parts, ..user("") })
}

fn image(image: pb::Image) -> pb::ChatRequest {
    part(Some(pb::part::Kind::Image(image)))
}

fn routing(routing: pb::Routing) -> pb::ChatRequest {
    pb::ChatRequest { routing: Some(routing), ..chat("a") }
}

#[tokio::test]
async fn a_wrong_value_is_told_with_its_field_and_the_way_out() {
    let mut scene = Scene::open().await;
    let data = Some(pb::image::Source::Data(Bytes::from_static(b"x")));
    let url = Some(pb::image::Source::Url("http://x".to_owned()));
    let text = |text: &str| text.to_owned();
    let tool = |function| pb::ChatRequest {
        tools: vec![pb::Tool { kind: Some(pb::tool::Kind::Function(function)) }],
        ..chat("a")
    };
    let wrong = [
        (pb::ChatRequest { model: String::new(), ..chat("a") }, "`model` is missing"),
        (pb::ChatRequest { messages: Vec::new(), ..chat("") }, "`messages` is missing"),
        (message(pb::Message { role: 0, ..user("b") }), "`messages[1].role` is missing"),
        (message(pb::Message { role: 99, ..user("b") }), "`messages[1].role` is 99, which this router does not know"),
        (message(pb::Message { text: None, ..user("") }), "`messages[1].text` is missing"),
        (message(pb::Message { role: 5, ..user("b") }), "`messages[1].tool_call_id` is missing"),
        (message(pb::Message { extra_json: text("[]"), ..user("b") }), "`messages[1].extra_json` is not a JSON object"),
        (part(None), "`messages[1].parts[0].kind` is missing"),
        (image(pb::Image::default()), "`messages[1].parts[0].image.source` is missing"),
        (image(pb::Image { source: data, ..Default::default() }), "`messages[1].parts[0].image.media_type` is missing"),
        (image(pb::Image { source: url, detail: 9, ..Default::default() }), "`messages[1].parts[0].image.detail` is 9"),
        (tool(pb::Function::default()), "`tools[0].function.name` is missing"),
        (
            tool(pb::Function {
                name: text("f"),
                parameters: Some(pb::function::Parameters::SchemaJson(text("{"))),
                ..Default::default()
            }),
            "`tools[0].function.schema_json` is not a JSON object",
        ),
        (pb::ChatRequest { temperature: Some(f64::NAN), ..chat("a") }, "`temperature` is NaN"),
        (pb::ChatRequest { reasoning_effort: 77, ..chat("a") }, "`reasoning_effort` is 77"),
        (
            pb::ChatRequest { response_format: Some(pb::ResponseFormat::default()), ..chat("a") },
            "`response_format.format` is missing",
        ),
        (pb::ChatRequest { extra_json: text(r#"{"stream":true}"#), ..chat("a") }, "`extra_json` holds \"stream\""),
        (routing(pb::Routing { quality: 9, ..Default::default() }), "`routing.quality` is 9"),
        (
            routing(pb::Routing { max_cost_usd_micros: Some(0), ..Default::default() }),
            "`routing.max_cost_usd_micros` is 0",
        ),
        (routing(pb::Routing { latency_slo_ms: Some(0), ..Default::default() }), "routing.latency_slo_ms is \"0\""),
        (routing(pb::Routing { task: "x".repeat(65), ..Default::default() }), "routing.task is"),
        (routing(pb::Routing { reuse: 12, ..Default::default() }), "`routing.reuse` is 12"),
    ];
    let count = wrong.len();
    for (request, told) in wrong {
        let status = scene.client.chat(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(told), "{:?} is not in {:?}", told, status.message());
        assert!(status.metadata().get("x-request-id").is_some() && !status.details().is_empty());
    }
    let refused = scene.gateway.refused.lock().unwrap();
    assert_eq!(refused.len(), count);
    assert!(refused.iter().all(|(operation, _)| *operation == Some(Operation::Chat)));
}

#[tokio::test]
async fn a_higher_class_than_the_keys_is_refused() {
    let mut scene = Scene::open().await;
    let gold = routing(pb::Routing { qos: pb::Qos::Gold.into(), ..Default::default() });
    let status = scene.client.chat(gold).await.unwrap_err();
    assert_eq!(
        (status.code(), status.metadata().get("x-atp-error").unwrap()),
        (Code::PermissionDenied, &"permission_denied".parse().unwrap())
    );
}

#[tokio::test]
async fn keys_come_by_metadata() {
    let mut scene = Scene::with_key("sk-1").await;
    assert_eq!(scene.client.chat(chat("a")).await.unwrap_err().code(), Code::Unauthenticated);
    for (name, value) in [("authorization", "Bearer sk-1"), ("x-api-key", "sk-1")] {
        let mut request = Request::new(pb::ListModelsRequest {});
        request.metadata_mut().insert(name, value.parse().unwrap());
        scene.client.list_models(request).await.unwrap();
    }
    let mut request = Request::new(chat("a"));
    request.metadata_mut().insert("authorization", "Bearer sk-2".parse().unwrap());
    assert_eq!(scene.client.chat_stream(request).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_refusal_of_the_gateway_has_its_notes() {
    let mut scene = Scene::open().await;
    let refused = Error::router(ErrorKind::BudgetDenied, "the budget is used up");
    scene.gateway.will(Err(refused));
    let status = scene.client.chat(chat("a")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "the budget is used up"));
    let metadata = status.metadata();
    assert_eq!(metadata.get("x-atp-attempts").unwrap(), "2");
    assert_eq!(metadata.get("grpc-retry-pushback-ms").unwrap(), "-1");
    // It is in the pipeline's books already.
    assert!(scene.gateway.refused.lock().unwrap().is_empty());
}

#[tokio::test]
async fn sizes_are_bounded_as_those_of_any_body() {
    let limits = Limits { max_body: 1_000, max_prompt_chars: Some(20), ..Limits::default() };
    let mut scene = Scene::with(Settings { keys: KeyRing::open_as(Qos::Silver), limits }, Services::new()).await;
    let large = scene.client.chat(chat(&"x".repeat(2_000))).await.unwrap_err();
    assert_eq!(
        (large.code(), large.metadata().get("x-atp-error").unwrap()),
        (Code::ResourceExhausted, &"body_too_large".parse().unwrap())
    );
    assert!(large.message().contains("limits.max_body"), "{large}");
    let long = scene.client.chat(chat(&"x".repeat(30))).await.unwrap_err();
    assert_eq!(long.code(), Code::InvalidArgument);
    // A length that is announced is not believed.
    let lies = [vec![0, 0xff, 0xff, 0xff, 0xff], vec![b'x'; 10]].concat();
    let answer = scene.raw("/atp.router.v1.RouterService/Chat", &[("content-type", "application/grpc")], lies).await;
    assert_eq!(answer.headers()["grpc-status"], "8");
}

#[tokio::test]
async fn what_is_no_call_of_ours_is_told_so() {
    let mut scene = Scene::open().await;
    let grpc = ("content-type", "application/grpc+proto");
    let body = [&[0, 0, 0, 0, 0][..], &chat("a").encode_to_vec()].concat();
    for path in ["/atp.router.v1.RouterService/Nothing", "/nobody.Service/Chat", "/x"] {
        let answer = scene.raw(path, &[grpc], body.clone()).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["grpc-status"]),
            (200, &"12".parse().unwrap()),
            "{path}"
        );
    }
    let gzip = scene.raw("/atp.router.v1.RouterService/Chat", &[grpc, ("grpc-encoding", "gzip")], body.clone()).await;
    assert_eq!(
        (&gzip.headers()["grpc-status"], &gzip.headers()["grpc-accept-encoding"]),
        (&"12".parse().unwrap(), &"identity".parse().unwrap())
    );
    let json = scene.raw("/atp.router.v1.RouterService/Chat", &[("content-type", "application/grpc+json")], body).await;
    assert_eq!(json.status(), 400);
    let text = json.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("application/grpc+proto"));
    let late = scene.raw("/atp.router.v1.RouterService/Chat", &[grpc, ("grpc-timeout", "0m")], vec![0; 5]).await;
    assert_eq!(late.headers()["grpc-status"], "4");
}

#[tokio::test]
async fn http_1_is_told_that_grpc_needs_http_2() {
    let scene = Scene::open().await;
    let head = "content-type: application/grpc\r\n";
    let (head, body) = near::asked(scene.entrance.clone(), "POST /atp.router.v1.RouterService/Chat", head, "x").await;
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("gRPC needs HTTP/2"), "{head}\n{body}");
}

#[tokio::test]
async fn http_is_what_it_was() {
    let mut scene = Scene::open().await;
    let answer = scene.raw("/v1/nothing", &[("content-type", "application/json")], b"{}".to_vec()).await;
    assert_eq!(answer.status(), 404);
    scene.gateway.whole("{}");
    let answer =
        scene.raw("/v1/chat/completions", &[("content-type", "application/grpc")], br#"{"model":"m"}"#.to_vec()).await;
    assert_eq!(answer.status(), 200);
}
