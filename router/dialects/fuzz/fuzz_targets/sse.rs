//! A stream reads the same however it is cut, and stripping takes out usage only.
#![no_main]

#[allow(dead_code, reason = "each target runs one of the shared bodies")]
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::sse_body(input));
