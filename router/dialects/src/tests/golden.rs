//! Streams in the shapes that providers send, each with the report and the stripped stream that
//! must come of it.

use std::fs;
use std::path::{Path, PathBuf};

use atp_core::Report;
use bytes::Bytes;
use serde_json::{Value, json};

use super::bodies::{check_sse, tap};
use crate::openai::chat::TapMode;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn streams() -> Vec<PathBuf> {
    let all = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let streams: Vec<_> = all.filter(|path| path.to_string_lossy().ends_with(".sse")).collect();
    let streams: Vec<_> = streams.into_iter().filter(|path| !path.to_string_lossy().contains(".stripped.")).collect();
    assert!(streams.len() >= 15, "golden streams are gone");
    streams
}

fn as_json(report: &Report) -> Value {
    json!({
        "usage": report.usage.map(|usage| json!({
            "input": usage.input, "output": usage.output, "cached_input": usage.cached_input, "reasoning": usage.reasoning,
        })),
        "finish": report.finish.map(atp_core::Finish::label),
        "content": report.content,
        "complete": report.complete,
        "failure": report.failure.as_ref().map(|failure| failure.kind().code()),
    })
}

#[test]
fn every_provider_shape_gives_its_report() {
    for path in streams() {
        let stream = Bytes::from(fs::read(&path).unwrap());
        let expected: Value = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        for mode in [TapMode::Observe, TapMode::StripUsage] {
            let (_, report) = tap(std::slice::from_ref(&stream), mode);
            assert_eq!(as_json(&report), expected, "{} {mode:?}", path.display());
        }
    }
}

#[test]
fn every_provider_shape_is_stripped_of_usage_and_of_nothing_else() {
    for path in streams() {
        let stream = Bytes::from(fs::read(&path).unwrap());
        // Where nothing is to be stripped there is no second file.
        let expected = fs::read(path.with_extension("stripped.sse")).unwrap_or_else(|_| stream.to_vec());
        let (output, _) = tap(&[stream], TapMode::StripUsage);
        assert_eq!(String::from_utf8_lossy(&output), String::from_utf8_lossy(&expected), "{}", path.display());
    }
}

#[test]
fn every_provider_shape_may_be_cut_anywhere() {
    for path in streams() {
        let stream = fs::read(&path).unwrap();
        (0..16).for_each(|seed| check_sse(&stream, seed));
        for seed in 1..stream.len() {
            // One cut at every place.
            let bytes = Bytes::copy_from_slice(&stream);
            let chunks = [bytes.slice(..seed), bytes.slice(seed..)];
            assert_eq!(tap(&chunks, TapMode::StripUsage).0, tap(&[bytes], TapMode::StripUsage).0);
        }
    }
}
