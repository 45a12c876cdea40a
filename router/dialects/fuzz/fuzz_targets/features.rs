//! Any request has features, and the same ones however it is cut.
#![no_main]

#[allow(dead_code, reason = "each target runs one of the shared bodies")]
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::features_body(input));
