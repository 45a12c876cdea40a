//! Heads as servers write them, and as they must not.

use super::*;

fn read(text: &str) -> Result<Parsed, &'static str> {
    parse(&Bytes::copy_from_slice(text.as_bytes()), &Method::POST)
}

fn whole(text: &str) -> ResponseHead {
    match read(text) {
        Ok(Parsed::Whole(head)) => head,
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn a_head_is_read_with_what_follows_it() {
    let head = whole("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: 1\r\nx-a: 2\r\n\r\nabcd");
    assert_eq!((head.status, head.keeps), (StatusCode::OK, true));
    assert_eq!(head.framing, Framing::length(3));
    assert_eq!(head.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(&head.rest[..], b"abcd");
}

#[test]
fn every_beginning_of_a_head_waits_for_the_rest() {
    let text = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nx: y\r\n\r\n";
    for cut in 0..text.len() {
        assert!(matches!(read(&text[..cut]), Ok(Parsed::Part)), "{cut}");
    }
    assert_eq!(whole(text).status, StatusCode::NOT_FOUND);
}

#[test]
fn where_a_body_ends() {
    let framing = |headers: &str| whole(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).framing;
    assert_eq!(framing("transfer-encoding: gzip, Chunked\r\n"), Framing::chunked());
    assert_eq!(framing("transfer-encoding: gzip\r\n"), Framing::until_close());
    assert_eq!(framing(""), Framing::until_close());
    assert_eq!(framing("content-length: 7\r\ncontent-length: 7, 7\r\n"), Framing::length(7));
    for status in ["204 No Content", "304 Not Modified"] {
        let head = whole(&format!("HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\n"));
        assert!(head.framing.is_done() && head.keeps, "{status}");
    }
    let wire = Bytes::from_static(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    let Ok(Parsed::Whole(head)) = parse(&wire, &Method::HEAD) else { panic!("a head") };
    assert!(head.framing.is_done());
}

#[test]
fn two_readers_read_one_length_or_none() {
    for headers in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: -1\r\n",
        "content-length: 0x5\r\n",
        "content-length: \r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "content-length: 5\r\ntransfer-encoding: identity\r\n",
    ] {
        assert!(read(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).is_err(), "{headers:?}");
    }
}

#[test]
fn whether_the_connection_goes_on() {
    let keeps = |head: &str| whole(&format!("{head}content-length: 0\r\n\r\n")).keeps;
    assert!(keeps("HTTP/1.1 200 OK\r\n") && keeps("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n"));
    assert!(!keeps("HTTP/1.1 200 OK\r\nConnection: x, Close\r\n") && !keeps("HTTP/1.0 200 OK\r\n"));
    assert!(!whole("HTTP/1.1 200 OK\r\n\r\n").keeps, "its end is the body's");
}

#[test]
fn what_only_announces_an_answer_is_passed_over() {
    for first in ["100 Continue", "103 Early Hints\r\nlink: </a>"] {
        let text = format!("HTTP/1.1 {first}\r\n\r\n");
        assert!(matches!(read(&text), Ok(Parsed::Interim(end)) if end == text.len()), "{first}");
    }
    assert!(read("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").is_err());
}

#[test]
fn what_is_no_head_is_an_error() {
    for text in [
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n a: b\r\n\r\n",
        "{\"a\":1}",
    ] {
        assert!(read(text).is_err(), "{text:?}");
    }
    let many = "a: b\r\n".repeat(MOST_HEADERS + 1);
    assert!(read(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).is_err());
    let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(LONGEST_HEAD));
    assert!(read(&long).is_err(), "a head without an end is not read for ever");
}
