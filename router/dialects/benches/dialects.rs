//! What the data plane pays for each request and each event, beside what a JSON parser would pay.
#![expect(clippy::unwrap_used, reason = "a benchmark whose input is wrong should stop")]

use std::hint::black_box;
use std::time::Duration;

use atp_core::{Error, ErrorKind, Field, Operation, Rope};
use atp_dialects::openai::chat::{StreamTap, TapMode, read_reply};
use atp_dialects::openai::{errors, prompt};
use atp_dialects::scan::scan;
use atp_dialects::splice::{Edit, splice, with_include_usage};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, StatusCode};
use serde::de::IgnoredAny;

/// A chat request of about `size` bytes: text with the line ends, quotes and umlauts that text has.
fn request(size: usize) -> Bytes {
    let line = "Then the \\\"old\\\" caption\u{e4}n sailed on for three more days, and nobody said a word.\\n";
    let text = line.repeat(size.saturating_sub(200) / line.len());
    Bytes::from(format!(
        "{{\"model\":\"gpt-4o-mini\",\"messages\":[{{\"role\":\"system\",\"content\":\"Be brief.\"}},\
         {{\"role\":\"user\",\"content\":\"{text}\"}}],\"temperature\":0.7,\"max_tokens\":256,\"stream\":true,\"user\":\"u-1\"}}"
    ))
}

/// A request that is all structure: tool schemas.
fn schemas(size: usize) -> Bytes {
    let tool = r#"{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer","enum":[1,2,3]}},"required":["a"]}}},"#;
    let tools = tool.repeat(size / tool.len() + 1);
    Bytes::from(format!(r#"{{"model":"m","tools":[{}],"stream":false}}"#, tools.trim_end_matches(',')))
}

/// A request that is all numbers: token arrays for embeddings.
fn tokens(size: usize) -> Bytes {
    let list: Vec<String> = (0..size / 7).map(|token| (10_000 + token * 7 % 90_000).to_string()).collect();
    Bytes::from(format!(r#"{{"input":[{}],"model":"m"}}"#, list.join(", ")))
}

/// The rope that a body of this size arrives as: pieces of 16 KiB.
fn rope(body: &Bytes) -> Rope {
    let mut rope = Rope::new();
    for start in (0..body.len()).step_by(16 * 1024) {
        rope.push(body.slice(start..body.len().min(start + 16 * 1024)));
    }
    rope
}

fn bench_scan(c: &mut Criterion) {
    let bodies = [
        ("text_1k", request(1024)),
        ("text_300k", request(300 * 1024)),
        ("schemas_30k", schemas(30 * 1024)),
        ("tokens_30k", tokens(30 * 1024)),
        ("string_10m", Bytes::from(format!(r#"{{"a":"{}","model":"m"}}"#, "x".repeat(10 << 20)))),
    ];
    for (name, body) in bodies {
        let mut group = c.benchmark_group(format!("scan/{name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        let rope = rope(&body);
        group.bench_function("scan", |b| b.iter(|| scan(black_box(&rope)).unwrap()));
        group.bench_function("serde_ignored", |b| {
            b.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(&body)).unwrap());
        });
        group.bench_function("serde_value", |b| {
            b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&body)).unwrap());
        });
        group.finish();
    }
    let rope = rope(&request(300 * 1024));
    c.bench_function("prompt/chars_300k", |b| b.iter(|| prompt::chars(Operation::Chat, black_box(&rope)).unwrap()));
}

fn bench_splice(c: &mut Criterion) {
    for (name, size) in [("1k", 1024), ("300k", 300 * 1024)] {
        let rope = rope(&request(size));
        let fields = scan(&rope).unwrap();
        c.bench_function(&format!("splice/model_and_usage_{name}"), |b| {
            b.iter(|| {
                let options = with_include_usage(&rope, &fields);
                let edits = [Edit::Set(Field::Model, "\"other\""), Edit::Set(Field::StreamOptions, &options)];
                splice(black_box(&rope), &fields, &edits)
            });
        });
    }
}

/// One content event of about 200 bytes, with these members at its end.
fn event(token: usize, tail: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-AbCdEfGh\",\"object\":\"chat.completion.chunk\",\"created\":1763640000,\"model\":\"gpt-4o-mini\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{token}\"}},\"finish_reason\":null}}]{tail}}}\n\n"
    )
}

fn bench_tap(c: &mut Criterion) {
    let shapes = [
        ("observe", TapMode::Observe, ""),
        ("strip_absent", TapMode::StripUsage, ""),
        ("strip_null", TapMode::StripUsage, ",\"usage\":null"),
        ("strip_null_inside", TapMode::StripUsage, ",\"usage\":null,\"obfuscation\":\"aB3\""),
    ];
    for (name, mode, tail) in shapes {
        let events: Vec<Bytes> = (0..64).map(|token| Bytes::from(event(token, tail))).collect();
        let chunk = Bytes::from(events.concat());
        let mut group = c.benchmark_group(format!("tap/{name}"));
        group.throughput(Throughput::Elements(64));
        for (how, chunks) in [("64_in_one_chunk", vec![chunk]), ("64_one_by_one", events)] {
            group.bench_function(how, |b| {
                let mut out = Vec::with_capacity(64);
                b.iter(|| {
                    let mut tap = StreamTap::new(mode);
                    for chunk in &chunks {
                        tap.feed(chunk.clone(), &mut out);
                    }
                    black_box(&out);
                    out.clear();
                    tap.report().content
                });
            });
        }
        group.finish();
    }
    let reply = format!(
        "{{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
         \"content\":\"{}\"}},\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}}}}",
        "word ".repeat(150)
    );
    let reply = Rope::from(Bytes::from(reply));
    c.bench_function("reply/1k", |b| b.iter(|| read_reply(Operation::Chat, black_box(&reply))));
}

fn bench_errors(c: &mut Criterion) {
    let body = Bytes::from_static(
        br#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
    );
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "7".parse().unwrap());
    headers.insert("x-ratelimit-reset-tokens", "6m0s".parse().unwrap());
    let now = Duration::from_secs(1_795_176_000);
    c.bench_function("errors/classify_429", |b| {
        b.iter(|| errors::classify(StatusCode::TOO_MANY_REQUESTS, black_box(&headers), body.clone(), now));
    });
    let own = Error::caller(ErrorKind::RateLimited, "the key's rate limit is used up");
    c.bench_function("errors/body", |b| b.iter(|| errors::body(black_box(&own))));
    let refused = errors::classify(StatusCode::TOO_MANY_REQUESTS, &headers, body, now);
    c.bench_function("errors/body_of_provider", |b| b.iter(|| errors::body(black_box(&refused))));
}

criterion_group!(benches, bench_scan, bench_splice, bench_tap, bench_errors);
criterion_main!(benches);
