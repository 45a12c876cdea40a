//! A whole router in this process, and what it asks for.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use atp_server::Start;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

use super::wire::{CHUNKS, provider, read_message};

/// Requests that are counted, after as many that warm up.
const CHATS: u32 = 500;
const STREAMS: u32 = 10;

/// A router with a key, prices and a ledger.
fn router(provider: SocketAddr, directory: &Path) -> SocketAddr {
    let config = directory.join("atp.yaml");
    let text = format!(
        "listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
ledger: {{ path: {} }}
providers:
  up: {{ kind: openai, base_url: \"http://{provider}/v1\", api_key: secret }}
keys:
  - {{ name: bench, key: sk-allocations-0123456789 }}
models:
  m: {{ targets: [ {{ provider: up, model: m }} ], prices: {{ input: 150000, output: 600000 }} }}
",
        directory.join("usage.db").display()
    );
    std::fs::write(&config, text).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        atp_server::run(Start { config: Some(config), ..Start::default() }, &mut |started| {
            tell.send(started.listen).unwrap();
        })
        .unwrap();
    });
    told.recv_timeout(Duration::from_secs(30)).expect("the router starts")
}

/// Sends a request so often, and tells how often memory was asked for each time.
fn count(caller: &mut TcpStream, body: &str, times: u32) -> f64 {
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\naccept: */*\r\n\
         authorization: Bearer sk-allocations-0123456789\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut buffer = vec![0; 64 << 10];
    let mut ask = || {
        for _ in 0..times {
            caller.write_all(request.as_bytes()).unwrap();
            let length = read_message(caller, &mut buffer).expect("an answer");
            assert!(buffer[..length].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&buffer[..length]));
        }
    };
    ask();
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    ask();
    let change = region.change();
    f64::from(u32::try_from(change.allocations + change.reallocations).unwrap()) / f64::from(times)
}

#[test]
fn a_request_asks_for_memory_a_few_dozen_times_and_a_chunk_a_few() {
    let directory = tempfile::tempdir().unwrap();
    let address = router(provider(), directory.path());
    let mut caller = TcpStream::connect(address).unwrap();
    caller.set_nodelay(true).unwrap();
    let chat = count(&mut caller, r#"{"model":"m","messages":[{"role":"user","content":"Good day?"}]}"#, CHATS);
    let streamed = |text: &str| {
        format!(
            r#"{{"model":"m","stream":true,"stream_options":{{"include_usage":true}},"messages":[{{"role":"user","content":"{text}"}}]}}"#
        )
    };
    let short = count(&mut caller, &streamed("short"), STREAMS);
    let long = count(&mut caller, &streamed("long"), STREAMS);
    let chunk = (long - short) / f64::from(CHUNKS - 1);
    println!("{chat:.1} allocations a chat, {short:.1} a stream of one chunk, {chunk:.2} a further chunk");
    assert!(chat < 32.0, "{chat} allocations a chat");
    assert!(chunk < 3.0, "{chunk} allocations a chunk");
}
