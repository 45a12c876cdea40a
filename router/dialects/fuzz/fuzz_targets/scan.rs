//! A request body, cut anywhere, scans as a strict parser reads it.
#![no_main]

#[allow(dead_code, reason = "each target runs one of the shared bodies")]
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::scan_body(input));
