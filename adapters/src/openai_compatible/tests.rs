//! What goes out to a vendor, and what is learned from its answers.

use atp_core::{Continuity, Operation, Payload, RateFact, Rope, Timeouts};
use bytes::Bytes;

use super::*;
use crate::conformance::exchange;
use crate::conformance::far_side::{Act, FarSide, chunk, head, sized};
use crate::http_client::{ClientSettings, Origin};
use crate::vendors::Vendors;

mod going_on;

fn attempt<'a>(exchange: &'a atp_core::Exchange, body: &Rope) -> Try<'a> {
    Try {
        exchange,
        model: "m",
        payload: Payload::Rope(body.clone()),
        continuity: Continuity::None,
        ceiling: None,
        timeouts: Timeouts::default(),
    }
}

/// The body that a vendor of the shipped table is sent.
fn sent(vendor: &str, operation: Operation, body: &str) -> String {
    let rope = Rope::from(Bytes::copy_from_slice(body.as_bytes()));
    let exchange = exchange(operation, &rope);
    let quirks = Vendors::shipped().get(vendor).unwrap().quirks();
    match request::prepare(attempt(&exchange, &rope), &quirks).unwrap().0 {
        Payload::Rope(rope) => String::from_utf8(rope.to_bytes().to_vec()).unwrap(),
        Payload::Once { .. } => unreachable!("a rope went in"),
    }
}

#[test]
fn a_vendor_is_sent_what_it_knows() {
    let cases = [
        ("mistral", r#"{"model":"m","seed":7,"user":"u"}"#, r#"{"model":"m","random_seed":7}"#),
        ("mistral", r#"{"model":"m","max_completion_tokens":5}"#, r#"{"model":"m","max_tokens":5}"#),
        (
            "mistral",
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"model":"m","stream":true}"#,
        ),
        ("perplexity", r#"{"stream_options":{},"stream":true,"model":"m"}"#, r#"{"stream":true,"model":"m"}"#),
        ("cohere", r#"{"model":"x","stream":true,"stream_options":null}"#, r#"{"model":"m","stream":true}"#),
        // The newer name outranks the older one, as everywhere in the router.
        ("deepseek", r#"{"max_tokens":9,"max_completion_tokens":5,"model":"m"}"#, r#"{"max_tokens":5,"model":"m"}"#),
        ("deepseek", r#"{"max_tokens":9,"seed":7,"user":"u"}"#, r#"{"max_tokens":9,"seed":7,"user":"u"}"#),
        (
            "openai",
            r#"{"max_completion_tokens":5,"seed":7,"user":"u"}"#,
            r#"{"max_completion_tokens":5,"seed":7,"user":"u"}"#,
        ),
        ("openai", r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
    ];
    for (vendor, asked, expected) in cases {
        assert_eq!(sent(vendor, Operation::Chat, asked), expected, "{vendor}");
    }
    let embeddings = sent("mistral", Operation::Embeddings, r#"{"model":"m","input":"x","user":"u"}"#);
    assert_eq!(embeddings, r#"{"model":"m","input":"x"}"#);
    let raw = r#"{"model":"m","seed":7,"user":"u"}"#;
    assert_eq!(sent("mistral", Operation::Raw, raw), raw, "raw calls are the vendor's own");
}

/// The body that a vendor is sent where so many output tokens are paid for.
fn bounded(vendor: &str, operation: Operation, ceiling: u64, body: &str) -> String {
    let rope = Rope::from(Bytes::copy_from_slice(body.as_bytes()));
    let exchange = exchange(operation, &rope);
    let quirks = Vendors::shipped().get(vendor).unwrap().quirks();
    let attempt = Try { ceiling: Some(ceiling), ..attempt(&exchange, &rope) };
    match request::prepare(attempt, &quirks).unwrap().0 {
        Payload::Rope(rope) => String::from_utf8(rope.to_bytes().to_vec()).unwrap(),
        Payload::Once { .. } => unreachable!("a rope went in"),
    }
}

#[test]
fn a_ceiling_lowers_what_is_asked_for_and_changes_nothing_else() {
    let cases = [
        ("openai", r#"{"model":"m","max_tokens":90,"seed":7}"#, r#"{"model":"m","max_tokens":20,"seed":7}"#),
        ("openai", r#"{"model":"m","max_tokens":20}"#, r#"{"model":"m","max_tokens":20}"#),
        ("openai", r#"{"max_completion_tokens":21}"#, r#"{"max_completion_tokens":20}"#),
        // The one that counts.
        ("openai", r#"{"max_tokens":5,"max_completion_tokens":90}"#, r#"{"max_tokens":5,"max_completion_tokens":20}"#),
        ("openai", r#"{"max_tokens":90,"max_tokens":90}"#, r#"{"max_tokens":20,"max_tokens":20}"#),
        ("openai", r#"{"max_tokens":null}"#, r#"{"max_tokens":20}"#),
        ("openai", r#"{"model":"m"}"#, r#"{"max_completion_tokens":20,"model":"m"}"#),
        ("mistral", r#"{"model":"m"}"#, r#"{"max_tokens":20,"model":"m"}"#),
        ("mistral", r#"{"max_completion_tokens":90,"model":"m"}"#, r#"{"max_tokens":20,"model":"m"}"#),
        ("deepseek", r#"{"max_tokens":9,"max_completion_tokens":90}"#, r#"{"max_tokens":20}"#),
        ("deepseek", r#"{"max_completion_tokens":5}"#, r#"{"max_tokens":5}"#),
    ];
    for (vendor, asked, expected) in cases {
        assert_eq!(bounded(vendor, Operation::Chat, 20, asked), expected, "{vendor} {asked}");
    }
    let legacy = |ceiling| bounded("openai", Operation::Completions, ceiling, r#"{"model":"m","prompt":"x"}"#);
    assert_eq!(legacy(15), r#"{"max_tokens":15,"model":"m","prompt":"x"}"#);
    assert_eq!(legacy(16), r#"{"model":"m","prompt":"x"}"#, "it has sixteen, and is not to get more");
    for other in [Operation::Embeddings, Operation::Raw] {
        assert_eq!(bounded("openai", other, 20, r#"{"model":"m"}"#), r#"{"model":"m"}"#);
    }
}

#[test]
fn what_has_no_quirk_is_the_callers_memory() {
    let body = Bytes::from_static(br#"{"model":"m","max_tokens":5,"temperature":0}"#);
    let rope = Rope::from(body.clone());
    let exchange = exchange(Operation::Chat, &rope);
    let quirks = Vendors::shipped().get("mistral").unwrap().quirks();
    let Payload::Rope(sent) = request::prepare(attempt(&exchange, &rope), &quirks).unwrap().0 else { unreachable!() };
    assert_eq!(sent.to_bytes().as_ptr(), body.as_ptr());
}

fn provider(url: &str, query: &str) -> OpenAiCompatible {
    let config = OpenAiConfig {
        name: Arc::from("up"),
        api_key: None,
        auth: AuthStyle::Bearer,
        headers: Vec::new(),
        query: query.to_owned(),
        quirks: Quirks::default(),
        whole_answer_cap: 1 << 20,
    };
    let client = HttpClient::new(Origin::parse(url).unwrap(), ClientSettings::default(), 1).unwrap();
    OpenAiCompatible::new(config, client).unwrap()
}

#[test]
fn azures_version_is_on_every_call() {
    let row = Vendors::shipped().get("azure-deployment").unwrap();
    let url = row.base_url.replace("{resource}", "r").replace("{deployment}", "d");
    let azure = provider(&url, row.query().unwrap());
    let uri = |operation, path| azure.uri(operation, path).unwrap().to_string();
    let version = "api-version=2024-10-21";
    assert_eq!(uri(Operation::Chat, "/chat/completions"), format!("/openai/deployments/d/chat/completions?{version}"));
    assert_eq!(uri(Operation::Embeddings, "/embeddings"), format!("/openai/deployments/d/embeddings?{version}"));
    assert_eq!(uri(Operation::Raw, "/files?limit=1"), format!("/openai/deployments/d/files?limit=1&{version}"));
}

#[tokio::test]
async fn limits_are_learned_from_answers_streams_and_refusals() {
    let limits = "x-ratelimit-remaining-tokens: 7\r\nx-ratelimit-reset-tokens: 1.5s\r\n";
    let far_side = FarSide::start(move |body| {
        let begun = head("text/event-stream").replace("\r\n\r\n", &format!("\r\n{limits}\r\n"));
        let text = match body {
            _ if body.contains("refuse") => sized("429 Too Many Requests", limits, "{}"),
            _ if body.contains("stream") => begun + &chunk("data: [DONE]\n\n") + "0\r\n\r\n",
            _ if body.contains("say nothing") => sized("200 OK", "", "{}"),
            _ => sized("200 OK", limits, "{}"),
        };
        vec![Act::Write(text)]
    });
    let provider = provider(&far_side.url("/v1"), "");
    let told = async |body: &'static str| {
        let rope = Rope::from(Bytes::from_static(body.as_bytes()));
        match provider.call(attempt(&exchange(Operation::Chat, &rope), &rope)).await {
            Ok(answer) => answer.limits,
            Err(error) => error.provider_reply().unwrap().limits,
        }
    };
    let tokens = RateFact { limit: None, remaining: Some(7), reset: Some(std::time::Duration::from_millis(1500)) };
    for body in [r#"{"model":"m"}"#, r#"{"model":"m","stream":true}"#, r#"{"model":"m","user":"refuse"}"#] {
        let limits = told(body).await;
        assert_eq!((limits.tokens, limits.requests), (tokens, RateFact::default()), "{body}");
    }
    assert!(told(r#"{"model":"m","user":"say nothing"}"#).await.is_empty());
}
