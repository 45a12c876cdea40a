//! A spliced body parses as the parsed and edited one.
#![no_main]

#[allow(dead_code, reason = "each target runs one of the shared bodies")]
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::splice_body(input));
