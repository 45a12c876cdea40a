//! Arbitrary bytes as a configuration: read, refused and rendered without a panic and without running long.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| atp_server::config::fuzz_parse(bytes));
