//! What is asked reaches the gateway as the same question over HTTP would, and its answer comes back in types.

use std::time::Duration;

use atp_core::{MicroUsd, Operation, Qos, Quality, Restarts, Reuse};
use atp_proto::router::v1 as pb;
use bytes::Bytes;
use prost_types::value::Kind;
use serde_json::json;
use tonic::Request;

use super::scene::Scene;

pub(super) fn user(text: &str) -> pb::Message {
    pb::Message { role: pb::Role::User.into(), text: Some(text.to_owned()), ..Default::default() }
}

pub(super) fn chat(text: &str) -> pb::ChatRequest {
    pb::ChatRequest { model: "m".to_owned(), messages: vec![user(text)], ..Default::default() }
}

fn part(kind: pb::part::Kind) -> pb::Part {
    pb::Part { kind: Some(kind), extra_json: String::new() }
}

fn struct_of(members: &[(&str, Kind)]) -> prost_types::Struct {
    let value = |kind: &Kind| prost_types::Value { kind: Some(kind.clone()) };
    prost_types::Struct { fields: members.iter().map(|(name, kind)| ((*name).to_owned(), value(kind))).collect() }
}

const ANSWER: &str = r#"{"id":"c-1","created":9,"model":"target-1","choices":[{"index":0,"message":{"role":"assistant",
    "content":"Paris."},"finish_reason":"stop"}],"usage":{"prompt_tokens":300}}"#;

#[tokio::test]
async fn every_field_of_a_chat_is_a_member_of_openais_body() {
    let mut scene = Scene::open().await;
    scene.gateway.whole(ANSWER);
    let image = pb::Image {
        source: Some(pb::image::Source::Data(Bytes::from_static(b"png"))),
        media_type: "image/png".to_owned(),
        detail: pb::ImageDetail::Low.into(),
    };
    let audio = pb::Audio { data: Bytes::from_static(b"wav"), format: "wav".to_owned() };
    let file = pb::File { source: Some(pb::file::Source::FileId("f-1".to_owned())), ..Default::default() };
    let call = pb::FunctionCall { name: "f".to_owned(), arguments: "{}".to_owned(), extra_json: String::new() };
    let schema = struct_of(&[("type", Kind::StringValue("object".to_owned())), ("n", Kind::NumberValue(2.0))]);
    let request = pb::ChatRequest {
        messages: vec![
            pb::Message { role: pb::Role::System.into(), text: Some("Be brief.".to_owned()), ..Default::default() },
            pb::Message {
                role: pb::Role::User.into(),
                parts: vec![
                    pb::Part {
                        extra_json: r#"{"cache_control":{"type":"ephemeral"}}"#.to_owned(),
                        ..part(pb::part::Kind::Text("Look".to_owned()))
                    },
                    part(pb::part::Kind::Image(image)),
                    part(pb::part::Kind::Audio(audio)),
                    part(pb::part::Kind::File(file)),
                    part(pb::part::Kind::OtherJson(r#"{"type":"video","z":1.0}"#.to_owned())),
                ],
                name: Some("ann".to_owned()),
                ..Default::default()
            },
            pb::Message {
                role: pb::Role::Assistant.into(),
                tool_calls: vec![pb::ToolCall {
                    id: "t".to_owned(),
                    kind: Some(pb::tool_call::Kind::Function(call)),
                    extra_json: r#"{"signature":"s"}"#.to_owned(),
                }],
                ..Default::default()
            },
            pb::Message {
                role: pb::Role::Tool.into(),
                text: Some("4".to_owned()),
                tool_call_id: Some("t".to_owned()),
                ..Default::default()
            },
        ],
        tools: vec![
            pb::Tool {
                kind: Some(pb::tool::Kind::Function(pb::Function {
                    name: "f".to_owned(),
                    description: "d".to_owned(),
                    parameters: Some(pb::function::Parameters::SchemaJson(r#"{"b":1,"a":{}}"#.to_owned())),
                    strict: Some(true),
                })),
            },
            pb::Tool { kind: Some(pb::tool::Kind::OtherJson(r#"{"type":"web_search"}"#.to_owned())) },
        ],
        tool_choice: Some(pb::ToolChoice { choice: Some(pb::tool_choice::Choice::Function("f".to_owned())) }),
        parallel_tool_calls: Some(false),
        response_format: Some(pb::ResponseFormat {
            format: Some(pb::response_format::Format::JsonSchema(pb::JsonSchema {
                name: "s".to_owned(),
                schema_as: Some(pb::json_schema::SchemaAs::Schema(schema)),
                strict: Some(true),
                ..Default::default()
            })),
        }),
        temperature: Some(0.0),
        top_p: Some(0.9),
        frequency_penalty: Some(0.1),
        presence_penalty: Some(-0.1),
        logit_bias: [(50_256, -100.0)].into(),
        max_output_tokens: Some(64),
        stop: vec!["END".to_owned()],
        seed: Some(-3),
        n: Some(2),
        logprobs: Some(true),
        top_logprobs: Some(2),
        reasoning_effort: pb::ReasoningEffort::Low.into(),
        user: Some("u".to_owned()),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        extra_json: r#"{"top_k":40}"#.to_owned(),
        ..chat("")
    };
    scene.client.chat(request).await.unwrap();
    let seen = scene.gateway.last();
    let wanted = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}},
                {"type": "file", "file": {"file_id": "f-1"}},
                {"type": "video", "z": 1.0}
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}, "signature": "s"}
            ]},
            {"role": "tool", "content": "4", "tool_call_id": "t"}
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"b": 1, "a": {}}, "strict": true}},
            {"type": "web_search"}
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", "n": 2}, "strict": true}},
        "temperature": 0.0, "top_p": 0.9, "frequency_penalty": 0.1, "presence_penalty": -0.1,
        "logit_bias": {"50256": -100.0}, "max_completion_tokens": 64, "stop": ["END"], "seed": -3, "n": 2,
        "logprobs": true, "top_logprobs": 2, "reasoning_effort": "low", "user": "u", "metadata": {"k": "v"}, "top_k": 40
    });
    assert_eq!(seen.body, wanted);
    assert!(seen.text.contains(r#""parameters":{"b":1,"a":{}}"#), "a schema keeps its order: {}", seen.text);
    assert_eq!((seen.exchange.operation, &*seen.exchange.path), (Operation::Chat, "/chat/completions"));
    assert!(!seen.exchange.stream && seen.exchange.fields.n == Some(2) && seen.exchange.fields.greedy);
}

#[tokio::test]
async fn an_answer_comes_back_with_how_it_came_about() {
    let mut scene = Scene::open().await;
    scene.gateway.whole(ANSWER);
    let reply = scene.client.chat(chat("What is the capital of France?")).await.unwrap();
    let metadata = reply.metadata().clone();
    let answer = reply.into_inner();
    let choice = &answer.choices[0];
    assert_eq!(choice.message.as_ref().unwrap().text.as_deref(), Some("Paris."));
    assert_eq!(choice.finish_reason(), pb::FinishReason::Stop);
    let usage = answer.usage.unwrap();
    assert_eq!(
        (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.reasoning_tokens),
        (300, 100, 20, 7)
    );
    assert_eq!(usage.provider_json, r#"{"prompt_tokens":300}"#);
    let routing = answer.routing.unwrap();
    assert_eq!((routing.provider.as_str(), routing.target_model.as_str(), routing.attempts), ("up", "target-1", 2));
    assert_eq!((routing.chosen_model.as_str(), routing.events.len()), ("small", 1));
    assert_eq!(metadata.get("x-request-id").unwrap(), routing.request_id.as_str());
    assert_eq!(metadata.get("x-atp-provider").unwrap(), "up");
    assert_eq!(metadata.get("x-ratelimit-limit-requests").unwrap(), "60");
}

#[tokio::test]
async fn an_answers_message_can_be_sent_back() {
    let mut scene = Scene::open().await;
    let message = r#"{"role":"assistant","content":"a","annotations":[1.0],"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"},"sig":"s"}]}"#;
    scene.gateway.whole(&format!(r#"{{"choices":[{{"message":{message}}}]}}"#));
    scene.gateway.whole(ANSWER);
    let answer = scene.client.chat(chat("one")).await.unwrap().into_inner();
    let mut again = chat("one");
    again.messages.push(answer.choices[0].message.clone().unwrap());
    scene.client.chat(again).await.unwrap();
    let sent = &scene.gateway.last().body["messages"][1];
    assert_eq!(sent, &serde_json::from_str::<serde_json::Value>(message).unwrap());
}

#[tokio::test]
async fn wishes_of_the_message_go_before_those_of_the_metadata() {
    let mut scene = Scene::open().await;
    scene.gateway.whole(ANSWER);
    let routing = pb::Routing {
        quality: pb::Quality::High.into(),
        max_cost_usd_micros: Some(2_500),
        latency_slo_ms: Some(900),
        session: "s-1".to_owned(),
        task: "code".to_owned(),
        qos: pb::Qos::Bronze.into(),
        reuse: pb::Reuse::Forbidden.into(),
        accept_restart: Some(true),
        ..Default::default()
    };
    let mut request = Request::new(pb::ChatRequest { routing: Some(routing), ..chat("x") });
    for (name, value) in [
        ("x-atp-quality", "fast"),
        ("x-atp-data-scope", "eu"),
        ("x-atp-session", "other"),
        ("x-atp-timeout-ms", "9000"),
        ("openai-beta", "b"),
        ("authorization", "Bearer none"),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request.set_timeout(Duration::from_secs(5));
    scene.client.chat(request).await.unwrap();
    let exchange = scene.gateway.last().exchange;
    let hints = exchange.hints.unwrap();
    assert_eq!((hints.quality, hints.max_cost), (Some(Quality::High), Some(MicroUsd(2_500))));
    assert_eq!((hints.task.as_deref(), hints.data_scope.as_deref()), (Some("code"), Some("eu")));
    assert_eq!((exchange.session.as_deref(), exchange.qos), (Some("s-1"), Qos::Bronze));
    assert_eq!((exchange.reuse, exchange.restarts), (Reuse::Forbidden, Restarts::Accepted));
    assert_eq!(exchange.patience, Some(Duration::from_secs(5)));
    let names: Vec<&str> =
        exchange.headers.keys().map(http::HeaderName::as_str).filter(|name| *name != "user-agent").collect();
    assert_eq!(names, ["openai-beta", "content-type", "accept"]);
}

#[tokio::test]
async fn vectors_plans_and_what_is_told_have_methods_of_their_own() {
    let mut scene = Scene::open().await;
    scene.gateway.whole(r#"{"model":"e","data":[{"index":0,"embedding":[0.5,1]}]}"#);
    let request = pb::EmbedRequest {
        model: "e".to_owned(),
        input: vec!["a".to_owned()],
        dimensions: Some(2),
        ..Default::default()
    };
    let answer = scene.client.embed(request).await.unwrap().into_inner();
    assert_eq!((answer.embeddings[0].values.as_slice(), answer.usage.unwrap().input_tokens), (&[0.5, 1.0][..], 300));
    let id = answer.routing.unwrap().request_id;
    let seen = scene.gateway.seen.lock().unwrap().last().map(|seen| (seen.exchange.operation, seen.body.clone()));
    assert_eq!(seen, Some((Operation::Embeddings, json!({"model": "e", "input": "a", "dimensions": 2}))));

    let routing = Some(pb::Routing { max_cost_usd_micros: Some(5), ..Default::default() });
    let asked = pb::PlanRequest { chat: Some(pb::ChatRequest { model: String::new(), routing, ..chat("x") }) };
    let plan = scene.client.plan(asked).await.unwrap().into_inner().plan.unwrap();
    assert_eq!((plan.route.as_str(), plan.quality(), plan.max_cost_usd_micros), ("auto", pb::Quality::High, Some(5)));

    let decided = scene.client.decision(pb::DecisionRequest { id: id.clone() }).await.unwrap().into_inner();
    assert_eq!((decided.score, decided.result.unwrap().outcome.as_str()), (Some(0.5), "served"));
    let feedback =
        pb::FeedbackRequest { request_id: id.clone(), thumbs: pb::Thumbs::Down.into(), ..Default::default() };
    scene.client.feedback(feedback).await.unwrap();
    let observe = |model: &str| pb::ObserveRequest {
        request_id: id.clone(),
        model: model.to_owned(),
        latency_ms: 3.0,
        ..Default::default()
    };
    scene.client.observe(observe("small")).await.unwrap();
    let other = scene.client.observe(observe("large")).await.unwrap_err();
    assert_eq!(other.code(), tonic::Code::InvalidArgument);
    let observed = scene.gateway.observed.lock().unwrap();
    assert_eq!(observed.iter().map(|each| each.score).collect::<Vec<_>>(), [Some(0.0), None]);
}

#[tokio::test]
async fn the_models_are_listed() {
    let mut scene = Scene::open().await;
    let models = scene.client.list_models(pb::ListModelsRequest {}).await.unwrap().into_inner().models;
    assert_eq!(models, [pb::Model { id: "m".to_owned(), owner: "up".to_owned(), created: 5 }]);
}
