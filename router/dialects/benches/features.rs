//! What a choice pays for knowing what a request is about, and judging for reading an answer.
#![expect(clippy::unwrap_used, reason = "a benchmark whose input is wrong should stop")]

use std::hint::black_box;
use std::time::Duration;

use atp_core::port::Reading;
use atp_core::{Operation, Rope};
use atp_dialects::openai::{features, length, signs};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;

const ENGLISH: &str = "Then the \"old\" captain sailed on for three more days, and nobody said a word about it.\n";
const GERMAN: &str = "Danach fuhr der „alte“ Kapitän noch drei Tage weiter, und keiner sagte ein Wort darüber.\n";
const CHINESE: &str = "老船长又航行了三天,没有人说一句话。";
const CODE: &str = "    let total: u64 = rows.iter().filter(|row| row.kept).map(|row| row.tokens).sum();\n";

/// A chat request of about `size` bytes of this text.
fn request(line: &str, size: usize) -> Bytes {
    let text = format!("Please summarize: {}", line.repeat(size.saturating_sub(160) / line.len()));
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]);
    Bytes::from(json!({"model": "auto", "messages": messages, "max_tokens": 256, "stream": true}).to_string())
}

/// A request with tools, as agents send it.
fn tools() -> Bytes {
    let tool = |number: u32| {
        json!({"type": "function", "function": {"name": format!("tool_{number}"), "description": "Looks something up in the archive.",
            "parameters": {"type": "object", "properties": {
                "query": {"type": "string", "description": "What to look for"},
                "limit": {"type": "integer", "description": "How many to return"},
            }, "required": ["query"]}}})
    };
    let tools: Vec<_> = (0..8).map(tool).collect();
    Bytes::from(
        json!({"model": "auto", "messages": [{"role": "user", "content": ENGLISH}], "tools": tools}).to_string(),
    )
}

/// A stream of 200 chunks.
fn stream() -> Bytes {
    let chunk = |text: &str| {
        let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
        format!("data: {chunk}\n\n")
    };
    let all: String = (0..200).map(|_| chunk(" captain")).collect();
    Bytes::from(format!("{all}data: [DONE]\n\n"))
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("features");
    let cases = [
        ("english_1k", request(ENGLISH, 1_024)),
        ("german_1k", request(GERMAN, 1_024)),
        ("chinese_1k", request(CHINESE, 1_024)),
        ("code_1k", request(CODE, 1_024)),
        ("english_16k", request(ENGLISH, 16 * 1_024)),
        ("english_1m", request(ENGLISH, 1_024 * 1_024)),
        ("tools", tools()),
    ];
    for (name, body) in cases {
        let rope = Rope::from(body);
        group.throughput(Throughput::Bytes(rope.len() as u64));
        for (what, reading) in [("", Reading::Whole), ("_estimate", Reading::Estimate)] {
            group.bench_function(format!("{name}{what}"), |bench| {
                bench.iter(|| features::of(Operation::Chat, black_box(&rope), reading));
            });
        }
    }
    group.finish();
}

fn answers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answers");
    let reply = json!({"choices": [{"index": 0, "message": {"content": ENGLISH.repeat(10)}, "finish_reason": "stop"}]})
        .to_string();
    let stream = stream();
    group.bench_function("signs_of_a_reply", |bench| {
        bench.iter(|| signs::signs(Operation::Chat, black_box(reply.as_bytes())));
    });
    group.bench_function("signs_of_a_stream", |bench| bench.iter(|| signs::signs(Operation::Chat, black_box(&stream))));
    let last = stream.get(stream.len() - 600..).unwrap();
    group.bench_function("length", |bench| bench.iter(|| length::length(Operation::Chat, black_box(last))));
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = requests, answers
}
criterion_main!(all);
