//! The far side is played by hand: what it sends is text, cut where the test says.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;

/// Answers one connection with `pieces`, each in a write of its own, and returns what it was asked.
fn play(pieces: Vec<Vec<u8>>) -> (Address, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = Address::parse(&format!("http://{}", listener.local_addr().expect("bound"))).expect("legal");
    let far = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        let mut asked = Vec::new();
        let mut room = [0; 1024];
        while http1::head_length(&asked).is_none() {
            let count = stream.read(&mut room).expect("a request");
            asked.extend_from_slice(&room[..count]);
        }
        stream.set_nodelay(true).expect("nodelay");
        for piece in pieces {
            // The caller may have left for a reason of its own.
            let _ = stream.write_all(&piece);
        }
        String::from_utf8(asked).expect("text")
    });
    (address, far)
}

fn get(address: &Address) -> Result<Answer, Failure> {
    send(address, &Request { path: "/v1/models", key: Some("k"), body: None, silence: Duration::from_secs(10) })
}

fn whole(text: &str) -> (u16, Result<String, Failure>) {
    let (address, far) = play(vec![text.as_bytes().to_vec()]);
    let mut answer = get(&address).expect("a head");
    let body = answer.body.read_all(1000).map(|bytes| String::from_utf8(bytes).expect("text"));
    far.join().expect("played");
    (answer.status, body)
}

#[test]
fn the_request_says_who_asks_and_that_it_is_the_only_one() {
    let (address, far) = play(vec![b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()]);
    get(&address).expect("an answer");
    let asked = far.join().expect("played");
    assert!(asked.starts_with("GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1:"), "{asked}");
    assert!(
        asked.contains("\r\nauthorization: Bearer k\r\n")
            && asked.contains("\r\nte: trailers\r\nconnection: close, te\r\n"),
        "{asked}"
    );
}

#[test]
fn every_framing_gives_the_same_body() {
    let framings = [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello and more",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ];
    for text in framings {
        assert_eq!(whole(text), (200, Ok("hello".to_owned())), "{text}");
    }
}

#[test]
fn cuts_do_not_matter() {
    let text = b"HTTP/1.1 200 OK\r\nX-Request-Id: req_1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for at in 1..text.len() {
        let (address, far) = play(vec![text[..at].to_vec(), text[at..].to_vec()]);
        let mut answer = get(&address).expect("a head");
        assert_eq!(answer.header("x-request-id"), Some("req_1"));
        assert_eq!(answer.body.read_all(10).expect("a body"), b"hello", "cut at {at}");
        far.join().expect("played");
    }
}

/// A stream whose head and trailer section are as given.
fn trailed(announced: &str, section: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{announced}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{section}\r\n").into()
}

#[test]
fn a_trailer_is_read_wherever_it_is_cut_and_however_much_was_read_before() {
    let text = trailed("trailer: x-other, X-Cost\r\n", "x-other: 1\r\nx-cost: 0.5\r\n");
    for at in 1..text.len() {
        let (address, far) = play(vec![text[..at].to_vec(), text[at..].to_vec()]);
        let mut answer = get(&address).expect("a head");
        if at % 2 == 0 {
            answer.body.read(&mut Vec::new()).expect("a piece");
        }
        assert_eq!(answer.trailer("x-cost").as_deref(), Some("0.5"), "cut at {at}");
        assert_eq!(answer.trailer("x-cost").as_deref(), Some("0.5"), "asked once more");
        far.join().expect("played");
    }
}

#[test]
fn a_trailer_that_is_not_announced_or_does_not_come_is_none() {
    let unannounced = trailed("", "x-cost: 0.5\r\n");
    let absent = trailed("trailer: x-cost\r\n", "");
    let mut torn = trailed("trailer: x-cost\r\n", "x-cost: 0.5\r\n");
    torn.truncate(torn.len() - 2);
    for text in [unannounced, absent, torn] {
        let (address, far) = play(vec![text]);
        assert_eq!(get(&address).expect("a head").trailer("x-cost"), None);
        far.join().expect("played");
    }
}

#[test]
fn a_cut_body_is_a_failure_not_a_short_answer() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let failure = whole(text).1.expect_err("cut");
        assert!(failure.message.contains("closed the connection"), "{failure:?}");
    }
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let answer = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length));
    assert_eq!(whole(&answer(1000)).1.map(|body| body.len()), Ok(1000));
    for length in [1001, 90_000] {
        assert!(whole(&answer(length)).1.expect_err("too long").message.contains("longer than 1000 bytes"));
    }
}

#[test]
fn a_tls_port_is_recognised() {
    // A fatal alert of TLS 1.2: what such a port says to plain text.
    let (address, far) = play(vec![vec![0x15, 3, 3, 0, 2, 2, 70]]);
    let failure = get(&address).err().expect("no http");
    assert!(failure.message.contains("does not speak HTTP") && failure.hint.is_some_and(|hint| hint.contains("TLS")));
    far.join().expect("played");
}

#[test]
fn a_silent_router_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = Address::parse(&format!("http://{}", listener.local_addr().expect("bound"))).expect("legal");
    let request = Request { path: "/", key: None, body: None, silence: Duration::from_millis(20) };
    let failure = send(&address, &request).err().expect("silence");
    assert!(failure.message.contains("was silent"), "{failure:?}");
}

#[test]
fn nobody_there_says_how_to_start_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = Address::parse(&format!("http://{}", listener.local_addr().expect("bound"))).expect("legal");
    drop(listener);
    let failure = get(&address).err().expect("nobody");
    assert!(failure.message.contains("connection refused"), "{failure:?}");
    assert!(failure.hint.is_some_and(|hint| hint.contains("atp up")));
}
